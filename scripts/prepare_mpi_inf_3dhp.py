"""MPI-INF-3DHP as it is distributed (.mat files), or as VideoPose3D-like npz files, -> one
mpi_inf_3dhp.h5.

    python scripts/prepare_mpi_inf_3dhp.py FOLDER [--out data/mpi_inf_3dhp]
    python scripts/prepare_mpi_inf_3dhp.py FOLDER --scale univ_annot3     (of npz files)

FOLDER contains S1/Seq1/annot.mat and camera.calibration ... S8/Seq2, and mpi_inf_3dhp_test_set/TS1/
annot_data.mat ... TS6 (or TS1 ... TS6 themselves). Both 3D annotations are kept. Missing parts are
listed; the rest is prepared.

Or it contains data_train_3dhp.npz and data_test_3dhp.npz, as P-STMO (univ_annot3) and D3DP (annot3)
use them; their 3D annotation is not named in them, so --scale must name it. Pickles in them are
read without being executed. They have no cameras: a lens is fitted to each of their views.
"""

import argparse
import os
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from posediff.data.lifting.mpi_inf_3dhp import (
    ACTIVITIES,
    ANNOTATIONS,
    CAMERAS,
    JOINTS,
    TRAIN,
    VALID,
    Shot,
    lens,
    write,
)  # fmt: skip
from posediff.data.lifting.pickles import read_npz
from posediff.data.matlab import Value, read_mat
from posediff.pose.camera import project

Numbers = NDArray[np.float64]

NPZ = {"train": "data_train_3dhp.npz", "test": "data_test_3dhp.npz"}
ROOM = 20_000.0  # mm: no person is further from a camera


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n\n")[0])
    parser.add_argument("folder", type=Path, help="contains S1/Seq1/annot.mat ... or the npz files")
    parser.add_argument("--scale", choices=ANNOTATIONS, help="the 3D annotation in npz files")
    home = Path(os.environ.get("POSEDIFF_DATA") or "data") / "mpi_inf_3dhp"
    parser.add_argument("--out", type=Path, default=home, help="default: %(default)s")
    args = parser.parse_args()
    try:
        prepare(args.folder, args.out / "mpi_inf_3dhp.h5", args.scale)
    except (ValueError, OSError) as error:
        sys.exit(f"error: {error}")


def prepare(folder: Path, out: Path, scale: str | None = None) -> None:
    count = Counter[str]()
    misfit: list[float] = []

    def counted() -> Iterator[Shot]:
        for shot in shots(folder, scale):
            frames = shot.flags["valid"].sum() if shot.flags else len(shot.keypoints_2d)
            count[shot.subject] += int(frames)
            if "annot3" in shot.poses:
                misfit.append(distance(shot))
            yield shot

    write(out, counted())
    if misfit:
        print(
            f"annot3 is {np.mean(misfit):.1f} px from the 2D by its cameras, {max(misfit):.1f} "
            "in the worst view (RMS)"
        )
    missing = [subject for subject in (*TRAIN, *VALID) if subject not in count]
    if missing:
        print(f"not in {folder}: {', '.join(missing)}")
    tests = {subject: count[subject] for subject in VALID if subject in count}
    odd = [
        f"{subject} {n} ({VALID[subject]})" for subject, n in tests.items() if n != VALID[subject]
    ]
    if odd:
        print(f"valid frames, and their number in the data set: {', '.join(odd)}")
    test = sum(tests.values())
    print(f"wrote {out}: {sum(count.values()) - test:,} poses to train on, {test:,} to test on")


def distance(shot: Shot) -> float:
    """RMS distance between the annotated 2D and the projection of annot3, pixels."""
    seen = project(torch.from_numpy(shot.poses["annot3"]).double(), torch.tensor(shot.intrinsics))
    return float(np.sqrt(np.square(seen.numpy() - shot.keypoints_2d).sum(-1).mean()))


def shots(folder: Path, scale: str | None) -> Iterator[Shot]:
    npz = {split: folder / name for split, name in NPZ.items() if (folder / name).is_file()}
    if npz:
        if scale is None:
            raise ValueError(
                f"{folder}: npz files do not name their 3D annotation: add --scale "
                "univ_annot3 (P-STMO's files) or annot3 (D3DP's)"
            )
        for split, path in npz.items():
            yield from (train_npz if split == "train" else test_npz)(path, scale)
        return
    home = folder / "mpi_inf_3dhp_test_set"
    sequences = [p for s in TRAIN for n in (1, 2) if (p := folder / s / f"Seq{n}").is_dir()]
    tests = [p for s in VALID if (p := (home if home.is_dir() else folder) / s).is_dir()]
    if not sequences and not tests:
        raise FileNotFoundError(
            f"{folder}: neither S1/Seq1 ... S8/Seq2 nor mpi_inf_3dhp_test_set/TS1 ... TS6 in it, "
            f"nor {' and '.join(NPZ.values())}; `python scripts/make_mini.py 3dhp FOLDER` writes "
            "a small data set"
        )
    for path in sequences:
        yield from train_sequence(path)
    for path in tests:
        yield test_sequence(path)


def train_sequence(folder: Path) -> Iterator[Shot]:
    """The eight cameras of a training sequence, such as S1/Seq1."""
    path = folder / "annot.mat"
    found = read_mat(path, ("annot2", *ANNOTATIONS))
    lenses = calibration(folder / "camera.calibration")
    for camera in CAMERAS:
        if camera not in lenses:
            raise ValueError(f"{folder / 'camera.calibration'}: camera {camera} is missing")
        intrinsics, size = lenses[camera]
        views = {
            name: of_28(path, name, found, camera, 2 if name == "annot2" else 3)
            for name in ("annot2", *ANNOTATIONS)
        }
        yield shot(path, folder.parent.name, folder.name, str(camera), intrinsics, size, views)


def of_28(path: Path, name: str, found: dict[str, Value], camera: int, axes: int) -> Numbers:
    """The 17 joints of one camera's cell, (F, 28 axes) -> (F, 17, axes)."""
    cells = found.get(name)
    if not isinstance(cells, list) or len(cells) <= camera:
        count = "nothing" if cells is None else f"{len(cells)} entries"
        raise ValueError(f"{path}: {name} must be a cell of 14 cameras, it has {count}")
    view = cells[camera]
    if view.ndim != 2 or view.shape[1] != 28 * axes or not len(view):
        raise ValueError(
            f"{path}: {name} of camera {camera} has shape {view.shape}, expected (frames, "
            f"{28 * axes}): frames are missing, copy the file again"
        )
    return view.reshape(len(view), 28, axes)[:, JOINTS]


def test_sequence(folder: Path) -> Shot:
    """The one camera of a test sequence, such as TS1."""
    path = folder / "annot_data.mat"
    found = read_mat(path, ("annot2", *ANNOTATIONS, "valid_frame", "activity_annotation"))
    for name in ("annot2", "valid_frame", "activity_annotation"):
        if not isinstance(found.get(name), np.ndarray):
            raise ValueError(f"{path}: no {name} in it: copy the file again")
    views = {}
    for name in ("annot2", *ANNOTATIONS):
        array, axes = np.asarray(found.get(name, ())), 2 if name == "annot2" else 3
        if array.shape[:2] != (axes, 17) or not array.size:
            raise ValueError(f"{path}: {name} has shape {array.shape}, expected ({axes}, 17, 1, F)")
        views[name] = array.T.reshape(-1, 17, axes)  # MATLAB's first dimension is the fastest
    flags = {
        "valid": np.asarray(found["valid_frame"]).ravel(),
        "activity": np.asarray(found["activity_annotation"]).ravel(),
    }
    if not set(np.unique(flags["activity"])) <= {*range(1, len(ACTIVITIES) + 1)}:
        raise ValueError(f"{path}: activity_annotation must be 1 .. {len(ACTIVITIES)}")
    intrinsics, size = lens(folder.name)
    return shot(path, folder.name, "Seq1", "0", intrinsics, size, views, flags)


def shot(
    path: Path,
    subject: str,
    sequence: str,
    camera: str,
    intrinsics: Numbers,
    size: tuple[int, int],
    views: dict[str, Numbers],
    flags: dict[str, Numbers] | None = None,
) -> Shot:
    """The checked annotations of a camera: annot2 in pixels, 3D in mm."""
    place, frames = f"{path}: {subject}/{sequence} camera {camera}", len(views["annot2"])
    for name, array in {**views, **(flags or {})}.items():
        if len(array) != frames:
            raise ValueError(f"{place}: {name} has {len(array)} frames, annot2 {frames}")
        for frame in np.flatnonzero(~np.isfinite(array.reshape(frames, -1)).all(1))[:1]:
            raise ValueError(f"{place}: {name} of frame {frame} is not finite")
        if name in ANNOTATIONS and not np.abs(array).max() < ROOM:
            raise ValueError(f"{place}: {name} is beyond {ROOM:g}; millimetres are expected")
    return Shot(
        subject,
        sequence,
        camera,
        intrinsics,
        size,
        views["annot2"].astype(np.float32),
        {name: (views[name] / 1000).astype(np.float32) for name in ANNOTATIONS if name in views},
        {name: flag.astype(np.uint8) for name, flag in (flags or {}).items()},
    )


def calibration(path: Path) -> dict[int, tuple[Numbers, tuple[int, int]]]:
    """Camera -> intrinsics (9,) and image size."""
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing; it belongs beside annot.mat")
    entries: dict[int, dict[str, list[float]]] = {}
    lines = path.read_text(errors="replace").splitlines()
    camera = -1
    for number, line in enumerate(lines, start=1):
        word, *values = line.split() or [""]
        try:
            if word == "name":
                camera = int(values[0])
                entries[camera] = {}
            elif word in ("size", "intrinsic"):
                entries[camera][word] = [float(x) for x in values]
        except (ValueError, KeyError, IndexError):
            raise ValueError(f"{path}: line {number} cannot be read: {line.strip()!r}") from None
    lenses = {}
    for camera, entry in entries.items():
        matrix, size = np.array(entry.get("intrinsic", ())), entry.get("size", [])
        if matrix.size != 16 or len(size) != 2:
            raise ValueError(f"{path}: camera {camera} must have a size and 16 intrinsic numbers")
        if not (matrix[0] > 0 and matrix[5] > 0):
            raise ValueError(f"{path}: camera {camera} has a focal length that is not above 0")
        f_x, _, c_x, _, _, f_y, c_y = matrix[:7]
        intrinsics = np.array([f_x, f_y, c_x, c_y, 0, 0, 0, 0, 0])
        lenses[camera] = intrinsics, (int(size[0]), int(size[1]))
    return lenses


def train_npz(path: Path, scale: str) -> Iterator[Shot]:
    """{"S1 Seq1": [{camera: {data_2d, data_3d}}, fps]}."""
    for name, value in sequences_of(path).items():
        subject, _, sequence = name.partition(" ")
        if subject not in TRAIN or not isinstance(value, list | tuple | np.ndarray):
            raise ValueError(f"{path}: {name!r} is none of S1 Seq1 ... S8 Seq2 with its cameras")
        for camera, view in value[0].items():
            views = views_of(path, name, view, scale)
            yield shot(
                path, subject, sequence, str(camera), fitted(views, scale), (2048, 2048), views
            )


def test_npz(path: Path, scale: str) -> Iterator[Shot]:
    """{"TS1": {data_2d, data_3d, valid}}."""
    for name, view in sequences_of(path).items():
        if name not in VALID or not isinstance(view, dict) or "valid" not in view:
            raise ValueError(f"{path}: {name!r} is none of TS1 ... TS6 with its `valid`")
        intrinsics, size = lens(name)
        flags = {"valid": np.asarray(view["valid"], dtype=np.float64).ravel()}
        views = views_of(path, name, view, scale)
        yield shot(path, name, "Seq1", "0", intrinsics, size, views, flags)


def sequences_of(path: Path) -> dict[str, Any]:
    data = read_npz(path).get("data")
    if not isinstance(data, dict) or not data:
        raise ValueError(f"{path}: no dictionary `data` by sequence in it")
    return data


def views_of(path: Path, name: str, view: Any, scale: str) -> dict[str, Numbers]:
    views = {}
    for key, ours, axes in (("data_2d", "annot2", 2), ("data_3d", scale, 3)):
        array = view.get(key) if isinstance(view, dict) else None
        shape = np.shape(array)
        if len(shape) != 3 or shape[1:] != (17, axes) or not shape[0]:
            raise ValueError(f"{path}: {key} of {name} has shape {shape}, expected (F, 17, {axes})")
        views[ours] = np.asarray(array, dtype=np.float64)
    return views


def fitted(views: dict[str, Numbers], scale: str) -> Numbers:
    """The lens that fits both annotations best: pixel = f ray + c, per axis."""
    rays = views[scale][..., :2] / views[scale][..., 2:]
    lines = [
        np.polyfit(rays[..., axis].ravel(), views["annot2"][..., axis].ravel(), 1)
        for axis in (0, 1)
    ]
    return np.concatenate([np.transpose(lines).ravel(), np.zeros(5)])


if __name__ == "__main__":
    main()
