"""Motion capture: people whose joints were measured, seen by virtual cameras.

The folder, made by scripts/prepare_mocap.py:

    *.npz           any number of files of clips (posediff/data/lifting/recording.py)
    cameras.json    `cameras`, each with id, R (world -> camera), t_world_mm (its centre), and
                    focal, center, radial, tangential, resolution in pixels
"""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Literal, Unpack, cast

import torch

from posediff.data.lifting import recording
from posediff.data.lifting.lifting_dataset import LiftingDataset, LiftingOptions
from posediff.data.lifting.mixtures import add_mixtures, is_file
from posediff.data.lifting.recording import Recording
from posediff.data.lifting.views import Clip, Source
from posediff.diffusion.choices import one_of
from posediff.pose.camera import Camera

LENS = {"focal": 2, "center": 2, "radial": 3, "tangential": 2}  # a camera's intrinsics in order


def mocap(
    root: str | Path,
    split: Literal["train", "validation", "test"] = "train",
    keypoints: str = "gt",
    validation: str | None = "dg",
    sources: Sequence[str] | None = None,
    test: Sequence[str] | None = None,
    skeleton: str = "mocap17",
    **options: Unpack[LiftingOptions],
) -> LiftingDataset:
    """The samples of a split. Test is what the files mark so, or else the clips of `test`. Of all
    others that they mark train, `validation` is the subject to select models on (None: nobody),
    and the rest, or else the clips of `sources` among it, are to train on.

    keypoints: gt, noisy (by `noise`) or a file of mixtures.
    sources, test: names of files, of clips' sources such as HDM05, or of subjects.
    FileNotFoundError or ValueError, in one line, says what the folder lacks.
    """
    one_of("dataset.skeleton", skeleton, ["mocap17"])
    root = Path(root)
    cameras = read_cameras(root / "cameras.json")
    clips = [
        Clip(
            name=clip.name,
            subject=clip.subject,
            action=clip.action,
            world=(clip.joints / 1000).astype("float32"),
            cameras=list(cameras.values()),
            camera_names=list(cameras),
        )
        for clip in _select(read_files(root), split, validation, sources, test)
    ]
    if not clips:
        raise ValueError(f"{root}: no clip of split {split}: mark some (prepare_mocap.py --split)")
    if is_file(keypoints):
        add_mixtures(clips, keypoints, skeleton)
    return LiftingDataset(
        clips,
        skeleton=skeleton,
        keypoints="mixture" if is_file(keypoints) else cast(Source, keypoints),
        label=keypoints,
        training=split == "train",
        **options,
    )


def read_files(root: Path) -> dict[str, list[Recording]]:
    """The clips of all files, by the file's stem. ValueError if two files hold the same clip."""
    paths = sorted(root.glob("*.npz"))
    if not paths:
        raise _missing(root / "*.npz")
    files = {path.stem: recording.read(path) for path in paths}
    first: dict[tuple[str, str], str] = {}
    for stem, clips in files.items():
        for clip in clips:
            other = first.setdefault((clip.subject, clip.name), stem)
            if other != stem:
                both = f"{root / other}.npz and {stem}.npz"
                raise ValueError(f"{both} both hold clip {clip.name} of {clip.subject}: keep one")
    return files


def read_cameras(path: Path) -> dict[str, Camera]:
    """The cameras by name (cam0 ..). ValueError names the camera and the entry that is wrong."""
    if not path.is_file():
        raise _missing(path)
    try:
        entries = {f"cam{entry['id']}": entry for entry in json.loads(path.read_bytes())["cameras"]}
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path}: no list `cameras` with an `id` each ({error!r})") from None
    return {name: _camera(f"{path}: {name}", entry) for name, entry in entries.items()}


def _camera(where: str, entry: dict[str, Any]) -> Camera:
    def numbers(key: str, *shape: int) -> torch.Tensor:
        try:
            values = torch.tensor(entry[key], dtype=torch.float32)
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"{where}: {key} cannot be read ({error!r})") from None
        if values.shape != shape or not values.isfinite().all():
            raise ValueError(f"{where}: {key} must be finite numbers of shape {shape}")
        return values

    turn = numbers("R", 3, 3)
    if not torch.allclose(turn @ turn.T, torch.eye(3), atol=1e-4) or turn.det() < 0:
        raise ValueError(f"{where}: R is not a rotation matrix")
    lens = torch.cat([numbers(key, count) for key, count in LENS.items()])
    if not (lens[:2] > 0).all():
        raise ValueError(f"{where}: focal must be above 0 pixels, got {lens[:2].tolist()}")
    return Camera(turn, numbers("t_world_mm", 3) / 1000, lens, numbers("resolution", 2))


def _select(
    files: dict[str, list[Recording]],
    split: str,
    validation: str | None,
    sources: Sequence[str] | None,
    test: Sequence[str] | None,
) -> list[Recording]:
    one_of("split", split, ("train", "validation", "test"))
    clips = [
        (clip, {stem, clip.source, clip.subject}) for stem, held in files.items() for clip in held
    ]
    if test is not None:
        _known("dataset.test: no", test, {name for _, names in clips for name in names})

    def scored(clip: Recording, names: set[str]) -> bool:
        return clip.split == "test" if test is None else bool(names & {*test})

    if split == "test":
        return [clip for clip, names in clips if scored(clip, names)]

    clips = [(clip, names) for clip, names in clips if clip.split == "train"]
    clips = [(clip, names) for clip, names in clips if not scored(clip, names)]
    if split == "validation" and validation is None:
        raise ValueError("nobody is held out for validation: set dataset.validation to a subject")
    if validation is not None:
        _known("dataset.validation: no training", [validation], {clip.subject for clip, _ in clips})
    if split == "validation":
        return [clip for clip, _ in clips if clip.subject == validation]

    clips = [(clip, names) for clip, names in clips if clip.subject != validation]
    if sources is not None:
        _known(
            "dataset.sources: no training", sources, {name for _, names in clips for name in names}
        )
    return [clip for clip, names in clips if sources is None or names & set(sources)]


def _known(fault: str, asked: Iterable[str], known: set[str]) -> None:
    for name in asked:
        if name not in known:
            there = ", ".join(sorted(known)) or "none"
            raise ValueError(f"{fault} clips of {name}, only of {there}")


def _missing(path: Path) -> FileNotFoundError:
    return FileNotFoundError(
        f"{path} is missing: {path.parent}/ (dataset.root, or mocap17/ under POSEDIFF_DATA) must "
        "hold cameras.json and *.npz files of clips: `python scripts/prepare_mocap.py FOLDER "
        f"--out {path.parent}` makes both from a FOLDER of .asf and .amc or .bvh files"
    )
