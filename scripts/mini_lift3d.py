"""The stand-ins of make_mini.py for data sets of 3D poses, in the data sets' own files.

MPI-INF-3DHP: training sequences are MATLAB 5 files, 14 cells of (F, 28 axes); the test sequences
are HDF5, as MATLAB 7.3 writes them, (F, 1, 17, axes) when read by others. Human3.6M: a .cdf per
clip, 32 joints in world millimetres. The poses are those of the synthetic body.
"""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from posediff.data.lifting import h36m
from posediff.data.lifting.mpi_inf_3dhp import ACTIVITIES, JOINTS, TRAIN, VALID, lens
from posediff.pose.camera import Camera, project, world_to_camera
from posediff.pose.skeleton import skeleton
from posediff.synthetic.actions import motion
from posediff.synthetic.body import build
from posediff.synthetic.lens import looking

Array = NDArray[np.float64]

FRAMES = 20
CDF_CLIPS = {
    "Directions": "talking",
    "Directions 1": "talking",
    "TakingPhoto": "lifting",
    "Walking 1": "walking",
}
MOTIONS = ("walking", "waving", "sitting", "lifting", "talking")
TRAINING_LENS = np.array([1500.0, 1500, 1024, 1024, 0, 0, 0, 0, 0]), (2048, 2048)


def mpi_inf_3dhp(folder: Path) -> None:
    rng = np.random.default_rng(3)
    for s, subject in enumerate(TRAIN):
        body = build(rng)
        for sequence in ("Seq1", "Seq2"):
            world = _joints(motion(MOTIONS[s % len(MOTIONS)], body, FRAMES, rng))
            _training(folder / subject / sequence, world, universal=1 + 0.02 * (s - 4))
    for s, subject in enumerate(VALID):
        world = _joints(motion(MOTIONS[s % len(MOTIONS)], build(rng), FRAMES, rng))
        _test(folder / "mpi_inf_3dhp_test_set" / subject, world, universal=0.95)
    print(
        f"wrote {folder}: MPI-INF-3DHP in small, {2 * len(TRAIN)} sequences of {FRAMES} frames in "
        f"14 cameras and {len(VALID)} to test on"
    )


def h36m_cdf(folder: Path) -> None:
    """Human3.6M's own files of some clips, with the names that they are recorded under."""
    try:
        from cdflib.cdfwrite import CDF
    except ImportError:
        sys.exit("error: .cdf files are written by cdflib: pip install 'posediff[prepare]'")
    rng = np.random.default_rng(63)
    for subject in (*h36m.TRAIN, *h36m.TEST):
        body, home = build(rng), folder / subject / "MyPoseFeatures/D3_Positions"
        home.mkdir(parents=True, exist_ok=True)
        for name, kind in CDF_CLIPS.items():
            if (subject, name) == h36m.BROKEN:
                continue
            world = motion(kind, body, FRAMES, rng)
            world -= [*world[:, 0, :2].mean(0), 0]
            every = np.searchsorted(h36m.KEPT, range(32), side="right") - 1
            pose = 1000 * world[:, every].reshape(1, FRAMES, 96)
            path = home / f"{name}.cdf"
            path.unlink(missing_ok=True)
            file = CDF(path)
            about = {"Variable": "Pose", "Data_Type": 44, "Num_Elements": 1, "Rec_Vary": True}
            file.write_var(about | {"Dim_Sizes": [FRAMES, 96]}, var_data=pose.astype(np.float32))
            file.close()
    print(f"wrote {folder}: Human3.6M in small, .cdf files of {len(CDF_CLIPS)} clips a subject")


def _training(folder: Path, world: Array, universal: float) -> None:
    from scipy.io import savemat

    intrinsics, size = TRAINING_LENS
    cells: dict[str, Any] = {
        name: np.empty((14, 1), dtype=object) for name in ("annot2", "annot3", "univ_annot3")
    }
    text = ["Skeletool Camera Calibration File V1.0"]
    for c in range(14):
        seen, pixels = _view(world, 2 * np.pi * c / 14, intrinsics, size)
        every = np.searchsorted(np.sort(JOINTS), range(28), side="right") - 1
        order = np.argsort(JOINTS)[every]  # what nobody reads lies on the joint before it
        cells["annot2"][c, 0] = pixels[:, order].reshape(FRAMES, -1)
        cells["annot3"][c, 0] = seen[:, order].reshape(FRAMES, -1)
        cells["univ_annot3"][c, 0] = universal * cells["annot3"][c, 0]
        f_x, f_y, c_x, c_y = intrinsics[:4]
        text += [
            f"name          {c}",
            "  sensor      10 10",
            f"  size        {size[0]} {size[1]}",
            "  animated    0",
            f"  intrinsic   {f_x} 0 {c_x} 0 0 {f_y} {c_y} 0 0 0 1 0 0 0 0 1",
            "  extrinsic   1 0 0 0 0 1 0 0 0 0 1 0 0 0 0 1",
            "  radial      0",
        ]
    folder.mkdir(parents=True, exist_ok=True)
    savemat(folder / "annot.mat", cells)
    (folder / "camera.calibration").write_text("\n".join(text) + "\n")


def _test(folder: Path, world: Array, universal: float) -> None:
    import h5py

    seen, pixels = _view(world, 0.3, *lens(folder.name))
    frame = np.arange(FRAMES)
    content = {
        "annot2": pixels[:, None],
        "annot3": seen[:, None],
        "univ_annot3": universal * seen[:, None],
        "valid_frame": (frame % 5 > 0)[:, None],
        "activity_annotation": 1 + (frame * len(ACTIVITIES) // FRAMES)[:, None],
    }
    folder.mkdir(parents=True, exist_ok=True)
    with h5py.File(folder / "annot_data.mat", "w") as file:
        for name, array in content.items():
            file.create_dataset(name, data=array.astype(np.float64))


def _view(world: Array, angle: float, intrinsics: Array, size: Any) -> tuple[Array, Array]:
    """Camera millimetres (F, 17, 3) and pixels (F, 17, 2) from a place around the middle."""
    centre = np.array([3.6 * np.cos(angle), 3.6 * np.sin(angle), 1.3])
    camera = Camera(
        torch.from_numpy(looking(np.array([0, 0, 0.9]) - centre, roll=0.0)),
        torch.from_numpy(centre),
        torch.from_numpy(intrinsics),
        torch.tensor(size),
    )
    seen = world_to_camera(torch.from_numpy(world), camera)
    return 1000 * seen.numpy(), project(seen, camera.intrinsics).numpy()


def _joints(body: Array) -> Array:
    """(F, 17, 3) of h36m17 -> of 3dhp17, metres, amid the room."""
    moved = body - [*body[:, 0, :2].mean(0), 0]
    by_name = dict(zip(skeleton("h36m17").joints, np.moveaxis(moved, 1, 0), strict=True))
    by_name["head_top"] = by_name["head"] + 0.4 * (by_name["head"] - by_name["neck"])
    return np.stack([by_name[joint] for joint in skeleton("3dhp17").joints], 1)
