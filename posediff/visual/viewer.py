"""One HTML file that shows frames: each picture with its 2D poses, and beside it the poses in 3D,
to turn, to play and to compare. It holds all that it needs and asks for no network; names and
numbers of frames are data in it, never code.

Size: 1 MB of program, then at most 600 frames of at most 20 hypotheses, and pictures as JPEG of at
most 960 pixels (photos) or 480 pixels (of videos) a side: about 30 MB for one person in 600 frames.
Of a longer sequence every 2nd frame is kept, or every 4th, and so on.
"""

import base64
import hashlib
import html
import json
from collections.abc import Iterable, Iterator, Sequence
from itertools import zip_longest
from pathlib import Path
from string import Template
from typing import Any

import numpy as np

from posediff.files import replacing
from posediff.people.frame import Floats, Frame, Person
from posediff.pose.skeleton import skeleton
from posediff.visual.palette import LEFT, MIDDLE, RIGHT, TRUE, bone_colour, joint_colours
from posediff.visual.standing import stand

PAGE = Path(__file__).parent / "page"
MODULES = {
    "three": "three.module.min.js",
    "orbit": "OrbitControls.js",
    "picture": "picture.js",
    "scene": "scene.js",
}
POLICY = "default-src 'none'; img-src data:; style-src 'nonce-{0}'; script-src 'nonce-{0}' data:"
MAX_FRAMES, MAX_HYPOTHESES = 600, 20
PHOTO, VIDEO = 960, 480  # pixels, the longest side of a picture
QUALITY = 82  # of JPEG, 0..100
RATE = 25.0  # frames a second, of a video that does not say its own
UNITS = (
    "Axes of the camera: x right, y down, z away. Cells of the grid: 0.5 m. People stand side by "
    "side at one height; how far they are from each other is not estimated."
)


def view(
    frames: Iterable[Frame] | Frame, path: str | Path, truth: Iterable[Floats | None] | None = None
) -> Path:
    """Write a frame, or several, as one HTML file that any browser with WebGL shows. Returns its
    path.

    truth: for each frame the true poses (P, J3, 3) of its people in their order, in metres relative
    to the root, NaN where unknown; or None. Raises ValueError if its length or a shape does not
    fit.
    """
    every = (frames,) if isinstance(frames, Frame) else frames
    kept, stride = _thinned(_described(every, truth))
    stand(kept)
    target = Path(path)
    content = _page(_data(kept, stride), target.stem)
    with replacing(target) as part:
        part.write_text(content, encoding="utf-8", errors="replace")
    return target


def _described(
    frames: Iterable[Frame], truth: Iterable[Floats | None] | None
) -> Iterator[dict[str, Any]]:
    """The frames as the page reads them. Frames are read one by one, and none is kept."""
    if truth is None:
        yield from (_frame(frame, None) for frame in frames)
        return
    for frame, poses in zip_longest(frames, truth, fillvalue="absent"):
        if isinstance(frame, str) or isinstance(poses, str):
            what = "more" if isinstance(frame, str) else "fewer"
            raise ValueError(f"truth: {what} entries than frames; give one for each frame")
        yield _frame(frame, poses)


def _thinned(frames: Iterable[dict[str, Any]]) -> tuple[list[dict[str, Any]], int]:
    """At most MAX_FRAMES frames, evenly from the first on, and their distance."""
    kept: list[dict[str, Any]] = []
    stride = 1
    for number, frame in enumerate(frames):
        if number % stride == 0:
            kept.append(frame)
        if len(kept) > MAX_FRAMES:
            kept, stride = kept[::2], stride * 2
    return kept, stride


def _frame(frame: Frame, truth: Floats | None) -> dict[str, Any]:
    people = frame.people
    if truth is not None and len(truth) != len(people):
        raise ValueError(
            f"truth of {frame.name}: {len(truth)} poses, but {len(people)} people were found; give "
            "one for each, NaN where it is unknown"
        )
    true = [None] * len(people) if truth is None else truth
    described = [
        _person(person, number, pose, frame.name)
        for number, (person, pose) in enumerate(zip(people, true, strict=True), 1)
    ]
    return {
        "name": frame.name,
        "time": None if frame.time is None else round(float(frame.time), 3),
        "video": frame.index is not None,
        "size": [int(side) for side in frame.size],
        "image": _jpeg(frame),
        "people": sorted(described, key=lambda person: int(person["number"])),
    }


def _jpeg(frame: Frame) -> str | None:
    """The picture as a data URI, reduced to its bound."""
    import cv2

    if frame.image is None:
        return None
    height, width = frame.image.shape[:2]
    scale = min(1.0, (PHOTO if frame.index is None else VIDEO) / max(height, width))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    small = cv2.resize(frame.image[..., ::-1], size, interpolation=cv2.INTER_AREA)
    data = cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])[1].tobytes()
    return "data:image/jpeg;base64," + base64.b64encode(data).decode()


def _person(person: Person, number: int, truth: Floats | None, name: str) -> dict[str, Any]:
    label = f"person {number}" if person.track is None else f"track {person.track}"
    return {
        "label": label,
        "number": label.split()[-1],
        "track": person.track,
        "box": _whole(person.box, 10),
        "flat": {
            "skeleton": person.skeleton_2d,
            "pose": _whole(person.keypoints_2d, 10),
            "scores": _whole(person.scores, 100),
            "ellipses": _spread(
                person.hypotheses_2d, person.keypoints_2d, person.spread_2d, unit=10
            ),
            "hypotheses": [_whole(one, 10) for one in person.hypotheses_2d[:MAX_HYPOTHESES]],
        },
        "space": _space(person, truth, name),
    }


def _space(person: Person, truth: Floats | None, name: str) -> dict[str, Any] | None:
    """The 3D of a person in millimetres, None if there is none."""
    pose = person.keypoints_3d
    if pose is None or person.skeleton_3d is None or not np.isfinite(pose).any():
        return None
    if truth is not None and truth.shape != pose.shape:
        raise ValueError(
            f"truth of {name}: a pose of shape {truth.shape}, but {person.skeleton_3d} has "
            f"{pose.shape}; give the joints of that skeleton"
        )
    hypotheses = person.hypotheses_3d if person.hypotheses_3d is not None else pose[None][:0]
    spread = person.spread_3d if person.spread_3d is not None else np.zeros(len(pose), np.float32)
    scores = person.scores_3d if person.scores_3d is not None else np.ones(len(pose), np.float32)
    known = spread[np.isfinite(spread)]
    return {
        "skeleton": person.skeleton_3d,
        "pose": _whole(pose, 1000),
        "scores": _whole(scores, 100),
        "ellipsoids": _spread(hypotheses, pose, spread, unit=1000),
        "hypotheses": [_whole(one, 1000) for one in hypotheses[:MAX_HYPOTHESES]],
        "truth": None if truth is None or np.isnan(truth).all() else _whole(truth, 1000),
        "spread": round(1000 * float(known.mean())) if len(known) else 0,
    }


def _spread(hypotheses: Floats, pose: Floats, spread: Floats, unit: float) -> list[int | None]:
    """A symmetric matrix of every joint, its upper triangle row by row: it takes the unit ball to
    the ellipsoid of one standard deviation along every axis.

    Its square is the second moment of the hypotheses (K, J, D) about the pose (J, D), scaled so
    that the trace is spread^2, since the spread may be corrected. For K < 2 all axes are equal.
    """
    J, D = pose.shape
    moments = np.tile(np.eye(D), (J, 1, 1))
    if len(hypotheses) > 1:
        offsets = np.nan_to_num((hypotheses - pose).astype(np.float64))
        moments = np.einsum("kjd,kje->jde", offsets, offsets)
    values, vectors = np.linalg.eigh(moments)
    axes = np.sqrt(values.clip(0))
    length = np.linalg.norm(axes, axis=-1, keepdims=True)
    axes *= np.nan_to_num(spread.astype(np.float64))[:, None] / length.clip(1e-12)
    matrices = np.einsum("jde,je,jfe->jdf", vectors, axes, vectors)
    return _whole(matrices[:, *np.triu_indices(D)], unit)


def _whole(values: Any, unit: float) -> list[int | None]:
    """Numbers in whole parts of `unit`, flat; None if not finite."""
    flat = np.asarray(values, np.float64).ravel() * unit
    if np.isfinite(flat).all():
        whole: list[int | None] = np.rint(flat).astype(int).tolist()
        return whole
    return [round(x) if np.isfinite(x) else None for x in flat.tolist()]


def _data(frames: Sequence[dict[str, Any]], stride: int) -> dict[str, Any]:
    """Data that the page reads: see page/controls.js."""
    people = [person for frame in frames for person in frame["people"]]
    spaces = [person["space"] for person in people if person["space"] is not None]
    parts = [*spaces, *(person["flat"] for person in people)]
    names = {part["skeleton"] for part in parts}
    return {
        "frames": frames,
        "stride": stride,
        "interval": _interval(frames, stride),
        "skeletons": {name: _skeleton(name) for name in sorted(names)},
        "colours": [_css(colour) for colour in (LEFT, RIGHT, MIDDLE)],
        "truth_colour": _css(TRUE),
        "has_truth": any(space["truth"] is not None for space in spaces),
        "hypotheses": max((len(part["hypotheses"]) for part in parts), default=0),
        "units": UNITS,
    }


def _interval(frames: Sequence[dict[str, Any]], stride: int) -> float:
    """Seconds from a frame to the next when played: those of the video, or one for photos."""
    if len(frames) < 2 or not all(frame["video"] for frame in frames):
        return 1.0
    first, last = frames[0]["time"], frames[-1]["time"]
    if first is None or last is None or last <= first:
        return stride / RATE
    return float(last - first) / (len(frames) - 1)


def _skeleton(name: str) -> dict[str, Any]:
    layout = skeleton(name)
    colours = joint_colours(layout)
    bones = [(a, b, _css(bone_colour(colours[a], colours[b]))) for a, b in layout.edges]
    return {"joints": layout.joints, "colours": [_css(c) for c in colours], "bones": bones}


def _css(colour: tuple[int, int, int]) -> str:
    blue, green, red = colour
    return f"#{red:02x}{green:02x}{blue:02x}"


def _page(data: dict[str, Any], title: str) -> str:
    """The page with everything in it. Only scripts that carry its nonce run, and that follows from
    the data, so that no name in the data can know it."""
    text = json.dumps(data, separators=(",", ":"), allow_nan=False)
    for letter in "<>&":  # JSON that no HTML parser sees the end of
        text = text.replace(letter, f"\\u{ord(letter):04x}")
    nonce = hashlib.sha256(text.encode()).hexdigest()[:32]
    parts = {
        "policy": html.escape(POLICY.format(nonce)),
        "nonce": nonce,
        "title": html.escape(title),
        "licence": _file("three.LICENSE"),
        "style": _file("page.css"),
        "script": _file("controls.js"),
        "modules": json.dumps({"imports": {key: _module(name) for key, name in MODULES.items()}}),
        "data": text,
    }
    return Template(_file("page.html")).substitute(parts)


def _module(name: str) -> str:
    return "data:text/javascript;base64," + base64.b64encode(_file(name).encode()).decode()


def _file(name: str) -> str:
    return (PAGE / name).read_text(encoding="utf-8")
