"""Motion capture: measured joints of people, projected by virtual cameras.

The folder, made by scripts/prepare_mocap.py:

    *.npz           any number of files of clips (posediff/data/lifting/recording.py)
    cameras.json    `cameras`, each with id, R (world -> camera), t_world_mm (its centre), and
                    focal, center, radial, tangential, resolution in pixels
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Unpack, cast

import torch

from posediff.data.lifting import recording
from posediff.data.lifting.lifting_dataset import LiftingDataset, LiftingOptions
from posediff.data.lifting.mixtures import add_mixtures, is_file
from posediff.data.lifting.recording import Recording
from posediff.data.lifting.views import Clip, Source
from posediff.diffusion.choices import one_of
from posediff.doors.checks import array, entries, identity, mapping
from posediff.doors.json_door import read_json
from posediff.files import visible
from posediff.pose.camera import Camera, undistort

Named = tuple[Recording, set[str]]  # a clip, the names of its file, source and subject

LENS = {"focal": 2, "center": 2, "radial": 3, "tangential": 2}  # a camera's intrinsics in order


def mocap(
    root: str | Path,
    split: Literal["train", "validation", "test"] = "train",
    keypoints: str = "gt",
    validation: str | None = "dg",
    sources: Sequence[str] | None = None,
    test: Sequence[str] | None = None,
    skeleton: str = "mocap17",
    views: Literal["fixed", "turned", "free"] = "fixed",
    balance: Mapping[str, float] | None = None,
    **options: Unpack[LiftingOptions],
) -> LiftingDataset:
    """The samples of a split.

    test         the clips that the files mark test, or the clips of `test` instead
    validation   of all others that they mark train, the subject to select models on (None: none)
    train        the rest of these, or only the clips of `sources` among them

    keypoints: gt, noisy (by `noise`) or a file of mixtures.
    sources, test: names of files, of clips' sources such as HDM05, or of subjects. balance: shares
    of the training samples by such names, which cover each clip once.

    Raises FileNotFoundError if a file is missing, ValueError if it is damaged or no clip is chosen.
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
            source=_shared(clip, names, balance or {}),
        )
        for clip, names in _select(read_files(root), split, validation, sources, test)
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
        views=views,
        balance=balance,
        **options,
    )


def read_files(root: Path) -> list[Named]:
    """The clips of all files in a folder. Raises ValueError if two files have the same clip."""
    paths = sorted(visible(root, (".npz",))) if root.is_dir() else []
    if not paths:
        raise _missing(root / "*.npz")
    clips, first = [], dict[tuple[str, str], Path]()
    for path in paths:
        for clip in recording.read(path):
            other = first.setdefault((clip.subject, clip.name), path)
            if other != path:
                both = f"{other} and {path.name}"
                raise ValueError(f"{both} both have clip {clip.name} of {clip.subject}: keep one")
            clips.append((clip, {path.stem, clip.source, clip.subject}))
    return clips


def read_cameras(path: Path) -> dict[str, Camera]:
    """The cameras by name (cam0 ..). Raises ValueError if an entry is missing or wrong."""
    if not path.is_file():
        raise _missing(path)
    content = mapping(f"{path}: its content", read_json(path, "cameras", "make it again"))
    found = dict[str, Camera]()
    for n, entry in enumerate(entries(f"{path}: no list `cameras`: it", content.get("cameras"))):
        name = f"cam{identity(f'{path}: cameras[{n}]: id', entry.get('id'))}"
        if name in found:
            raise ValueError(f"{path}: cameras[{n}]: a second camera of id {entry['id']!r}")
        found[name] = _camera(f"{path}: {name}", entry)
    if not found:
        raise ValueError(f"{path}: `cameras` is empty: make it again")
    return found


def _camera(where: str, entry: dict[str, Any]) -> Camera:
    def numbers(key: str, *shape: int) -> torch.Tensor:
        if key not in entry:
            raise ValueError(f"{where}: {key} cannot be read: it is missing")
        return torch.from_numpy(array(f"{where}: {key}", entry[key], *shape)).float()

    rotation = numbers("R", 3, 3)
    if not torch.allclose(rotation @ rotation.T, torch.eye(3), atol=1e-4) or rotation.det() < 0:
        raise ValueError(f"{where}: R is not a rotation matrix")
    lens = torch.cat([numbers(key, count) for key, count in LENS.items()])
    if not (lens[:2] > 0).all():
        raise ValueError(f"{where}: focal must be above 0 pixels, got {lens[:2].tolist()}")
    size = numbers("resolution", 2)
    if not (size > 0).all():
        raise ValueError(f"{where}: resolution must be above 0 pixels, got {size.tolist()}")
    corners = torch.cartesian_prod(*torch.stack([torch.zeros(2), size], -1))
    # farther out `project` would move the 2D of joints that are in the image
    if not (undistort(corners, lens).abs() <= 1).all():
        raise ValueError(
            f"{where}: its image must end within 45 degrees to each side of its axis, by focal, "
            "center, radial and resolution: correct them, or leave the camera out"
        )
    return Camera(rotation, numbers("t_world_mm", 3) / 1000, lens, size)


def _select(
    clips: Sequence[Named],
    split: str,
    validation: str | None,
    sources: Sequence[str] | None,
    test: Sequence[str] | None,
) -> list[Named]:
    one_of("split", split, ("train", "validation", "test"))
    _check("dataset.test: no", test or (), clips)
    scored = set(test or ())
    if split == "test" and test is None:
        return [(clip, names) for clip, names in clips if clip.split == "test"]
    if split == "test":
        return [(clip, names) for clip, names in clips if names & scored]
    clips = [(clip, names) for clip, names in clips if clip.split == "train" and not names & scored]
    if validation is not None:
        subjects = [(clip, {clip.subject}) for clip, _ in clips]
        _check("dataset.validation: no training", [validation], subjects)
    elif split == "validation":
        raise ValueError("no subject is held out for validation: set dataset.validation to one")
    if split == "validation":
        return [(clip, names) for clip, names in clips if clip.subject == validation]

    clips = [(clip, names) for clip, names in clips if clip.subject != validation]
    _check("dataset.sources: no training", sources or (), clips)
    return [(clip, names) for clip, names in clips if sources is None or names & set(sources)]


def _shared(clip: Recording, names: set[str], balance: Iterable[str]) -> str:
    """The one of the names in `balance` that a clip has; its source if there is none."""
    found = [name for name in balance if name in names]
    if len(found) > 1:
        clashing = " and ".join(found)
        raise ValueError(f"dataset.balance: clip {clip.name} of {clip.subject} is of {clashing}")
    return found[0] if found else clip.source


def _check(fault: str, names: Sequence[str], clips: Sequence[Named]) -> None:
    present = set().union(*(own for _, own in clips))
    for name in names:
        if name not in present:
            others = ", ".join(sorted(present)) or "none"
            raise ValueError(f"{fault} clips of {name}, only of {others}")


def _missing(path: Path) -> FileNotFoundError:
    return FileNotFoundError(
        f"{path} is missing: {path.parent}/ (dataset.root, or mocap17/ under POSEDIFF_DATA) must "
        "contain cameras.json and *.npz files of clips: `python scripts/prepare_mocap.py FOLDER "
        f"--out {path.parent}` makes both from a FOLDER of .asf and .amc or .bvh files"
    )
