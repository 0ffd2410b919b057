"""Files in PoseTrack18's form, annotations and results, as arrays over all frames.

A document per video: images [{id, file_name, is_labeled, ignore_regions_x, ignore_regions_y}],
categories [{keypoints: names}], annotations [{image_id, keypoints [x, y, v] * J, bbox_head,
track_id, scores [J]}]. A joint is there unless x = y = v = 0; that of a result has its score in
`scores`, and NOTHING without. Videos count by the names of their files.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import orjson
from numpy.typing import NDArray

from posediff.pose.layout import joint_named
from posediff.pose.skeleton import Skeleton

Document = Mapping[str, Any]
Source = str | Path | Mapping[str, Document]  # a folder, or documents by the names of their files
Values = NDArray[np.float64]
Flags = NDArray[np.bool_]
Region = tuple[int, Values]  # the frame and a polygon (V, 2)

NOTHING = -9999.0  # the score of a joint that has none
HEAD = 0.6  # of the diagonal of its box is the size of a head


class FramePeople(NamedTuple):
    """N people in the order of videos, frames and files."""

    frame: NDArray[np.int64]  # (N,)
    points: Values  # (N, J, 2) pixels
    present: Flags  # (N, J)
    scores: Values  # (N, J)

    def at(self, kept: NDArray[Any]) -> "FramePeople":
        return FramePeople(*(column[kept] for column in self))


class Labels(NamedTuple):
    """What is annotated. A frame is a video's file, and its own file's name."""

    frames: list[tuple[str, str]]
    labelled: Flags  # (F,) as the file says
    people: FramePeople
    head: Values  # (N,) pixels
    regions: list[Region]  # in which nothing counts


class Folder(Mapping[str, Document]):
    """The documents of files by name, each read whenever it is asked for: all of them at once are
    millions of objects, which the garbage collector goes through as it reads on."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self.paths = {path.name: path for path in paths}

    def __getitem__(self, name: str) -> Document:
        return _load(self.paths[name])

    def __contains__(self, name: object) -> bool:
        return name in self.paths

    def __iter__(self) -> Iterator[str]:
        return iter(self.paths)

    def __len__(self) -> int:
        return len(self.paths)


def documents(source: Source) -> Mapping[str, Document]:
    """By name, in their order. FileNotFoundError or ValueError for files that cannot be read."""
    if isinstance(source, Mapping):
        return dict(sorted(source.items()))
    folder = Path(source)
    paths = sorted(folder.glob("*.json")) if folder.is_dir() else [folder]
    if not paths or not paths[0].is_file():
        raise FileNotFoundError(f"{source}: no such folder of json files, one per video")
    return Folder(paths)


def _load(path: Path) -> Document:
    try:
        found: Any = orjson.loads(path.read_bytes())  # half of the time is reading
    except ValueError as error:
        raise ValueError(f"{path}: no JSON ({error}): the file is damaged") from None
    for key in ("images", "annotations"):
        if not isinstance(found, dict) or not isinstance(found.get(key), list):
            raise ValueError(f"{path}: has no list `{key}`: not of PoseTrack18's form")
    document: Document = found
    return document


def read_truth(source: Source, skeleton: Skeleton) -> Labels:
    """Annotations. ValueError, naming file and entry, for a person with joints and no head box."""
    frames: list[tuple[str, str]] = []
    labelled, regions, heads, parts = [], list[Region](), [np.empty(0)], []
    for name, document in documents(source).items():
        parts.append(_people(name, document, skeleton, len(frames)))
        heads.append(_heads(name, document["annotations"], parts[-1].present))
        for image in document["images"]:
            regions += _regions(f"{name}: {image['file_name']}", image, len(frames))
            labelled.append(bool(image.get("is_labeled", True)))
            frames.append((name, str(image["file_name"])))
    people, order = _in_order(parts, skeleton)
    return Labels(
        frames, np.array(labelled, np.bool_), people, np.concatenate(heads)[order], regions
    )


def read_results(source: Source, truth: Labels, skeleton: Skeleton) -> FramePeople:
    """Results on the same frames: a file per video of the same name, with every frame in the same
    order, and track ids below 10000 that are unique in a frame. Else ValueError."""
    found, parts, begin = documents(source), [], 0
    wanted: dict[str, list[str]] = {}
    for name, file in truth.frames:
        wanted.setdefault(name, []).append(file)
    for name, files in wanted.items():
        if name not in found:
            raise ValueError(
                f"{source if isinstance(source, str | Path) else 'results'}: "
                f"no file {name}: there must be one per annotated video"
            )
        document = found[name]
        _check_frames(name, document, files)
        parts.append(_people(name, document, skeleton, begin))
        _check_tracks(name, document)
        begin += len(files)
    return _in_order(parts, skeleton)[0]


def _check_frames(name: str, document: Document, files: Sequence[str]) -> None:
    given = [image.get("file_name") for image in document["images"]]
    if len(given) != len(files):
        raise ValueError(
            f"{name}: {len(given)} frames for {len(files)} annotated ones: every frame "
            "must be listed, those too in which nobody was found"
        )
    for i, (mine, theirs) in enumerate(zip(given, files, strict=True)):
        if mine != theirs:
            raise ValueError(
                f"{name}: images[{i}]: file_name is {mine}, that of the annotation is "
                f"{theirs}: frames must be the same, in the same order"
            )


def _check_tracks(name: str, document: Document) -> None:
    seen = set()
    for i, entry in enumerate(document["annotations"]):
        image, track = entry["image_id"], entry.get("track_id")
        if not isinstance(track, int) or not 0 <= track < 10000:
            raise ValueError(
                f"{name}: annotations[{i}]: track_id must lie in 0 .. 9999, got {track!r}"
            )
        if (image, track) in seen:
            raise ValueError(
                f"{name}: annotations[{i}]: track_id {track} stands twice in image "
                f"{image}: it must be unique in a frame"
            )
        seen.add((image, track))


def _people(name: str, document: Document, skeleton: Skeleton, begin: int) -> FramePeople:
    """Of one video, its first frame the `begin`th of all."""
    place = {image["id"]: begin + i for i, image in enumerate(document["images"])}
    entries = document["annotations"]
    for i, entry in enumerate(entries):
        if entry.get("image_id") not in place:
            raise ValueError(
                f"{name}: annotations[{i}]: no image has the id {entry.get('image_id')!r}"
            )
    slots = _slots(name, document, skeleton)
    width, J = 3 * len(slots), len(skeleton.joints)
    points, scores = np.zeros((len(entries), J, 3)), np.full((len(entries), J), NOTHING)
    filled = [(slot, j) for slot, j in enumerate(slots) if j is not None]
    source, target = [slot for slot, _ in filled], [j for _, j in filled]
    rows = _table(name, entries, "keypoints", width).reshape(-1, len(slots), 3)
    points[:, target] = rows[:, source]
    scored = [i for i, entry in enumerate(entries) if entry.get("scores")]
    found = _table(name, [entries[i] for i in scored], "scores", len(slots))
    scores[np.ix_(scored, target)] = found[:, source]
    frame = np.array([place[entry["image_id"]] for entry in entries], np.int64)
    return FramePeople(frame, points[..., :2], (points != 0).any(-1), scores)


def _slots(name: str, document: Document, skeleton: Skeleton) -> list[int | None]:
    """Which joint every slot of the file is; none for the ears."""
    names = [c["keypoints"] for c in document.get("categories", []) if c.get("keypoints")]
    if len(names) != 1:
        raise ValueError(
            f"{name}: {len(names)} categories have `keypoints`, the names of the joints: one must"
        )
    return [joint_named(str(word), skeleton) for word in names[0]]


def _table(name: str, entries: Sequence[Mapping[str, Any]], key: str, width: int) -> Values:
    """(N, width) of finite numbers."""
    try:
        table = np.array([entry[key] for entry in entries], np.float64).reshape(-1, width)
        if len(table) == len(entries) and np.isfinite(table).all():
            return table
    except (KeyError, ValueError, TypeError):
        pass
    for entry in entries:
        values = entry.get(key)
        try:
            good = np.isfinite(np.array(values, np.float64)).all() and len(values or []) == width
        except (ValueError, TypeError):
            good = False
        if not good:
            raise ValueError(
                f"{name}: annotation {entry.get('id')} of image {entry['image_id']}: {key} "
                f"must be {width} finite numbers"
            )
    raise AssertionError("a table fails by one of its rows")


def _heads(name: str, entries: Sequence[Mapping[str, Any]], present: Flags) -> Values:
    """(N,) the sizes of heads; 0 where nobody has joints to measure by it."""
    boxed = [bool(entry.get("bbox_head")) for entry in entries]
    for i in np.flatnonzero(present.any(1) & ~np.array(boxed, np.bool_))[:1]:
        raise ValueError(
            f"{name}: annotations[{i}]: no bbox_head, which PoseTrack's measure needs: "
            "score this data with eval=pck"
        )
    sizes = np.zeros(len(entries))
    with_box = [entry for entry, there in zip(entries, boxed, strict=True) if there]
    boxes = _table(name, with_box, "bbox_head", 4)
    sizes[boxed] = HEAD * np.hypot(boxes[:, 2], boxes[:, 3])
    return sizes


def _regions(where: str, image: Mapping[str, Any], frame: int) -> list[Region]:
    xs, ys = image.get("ignore_regions_x") or [], image.get("ignore_regions_y") or []
    try:
        return [
            (frame, np.array([x, y], np.float64).T)
            for x, y in zip(xs, ys, strict=True)
            if len(x) > 2
        ]
    except (ValueError, TypeError):
        raise ValueError(
            f"{where}: ignore_regions_x and _y must be polygons of as many numbers"
        ) from None


def _in_order(
    parts: Sequence[FramePeople], skeleton: Skeleton
) -> tuple[FramePeople, NDArray[np.int64]]:
    J = len(skeleton.joints)
    empty = FramePeople(
        np.empty(0, np.int64), np.empty((0, J, 2)), np.empty((0, J), np.bool_), np.empty((0, J))
    )
    whole = FramePeople(*(np.concatenate(column) for column in zip(empty, *parts, strict=True)))
    order = np.argsort(whole.frame, kind="stable")
    return whole.at(order), order
