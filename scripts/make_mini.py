"""Small synthetic data sets in the real file formats, to try out commands and readers.

    python scripts/make_mini.py h36m FOLDER         Human3.6M as VideoPose3D's npz files hold it
    python scripts/make_mini.py keypoints FOLDER    2D detections in pictures of 1000 x 1000

The poses are those of the synthetic body; nobody's data is in them, and no result on them counts.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from posediff.data.actions import KINDS, motion
from posediff.data.body import build
from posediff.data.h36m import BROKEN, KEPT, TEST, TRAIN
from posediff.data.h36m_cameras import cameras
from posediff.data.synthetic import synthetic
from posediff.pose.camera import project, world_to_camera
from posediff.pose.skeleton import skeleton

FRAMES = 50
CLIPS = {  # of Human3.6M, and what the body does in them
    "Directions": "talking",
    "Greeting 1": "waving",
    "Photo": "lifting",
    "Sitting": "sitting",
    "SittingDown 1": "sitting",
    "Walking": "walking",
    "Walking 1": "walking",
}
NAMES = {"keypoints": "keypoints_2d", "scores": "scores"}  # in the file: in a sample
CPN_ERROR = 5.0  # pixels per axis


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    makers = {"h36m": h36m, "keypoints": keypoints}
    parser.add_argument("dataset", choices=makers)
    parser.add_argument("folder", type=Path)
    args = parser.parse_args()
    args.folder.mkdir(parents=True, exist_ok=True)
    makers[args.dataset](args.folder)


def h36m(folder: Path) -> None:
    """The three files of VideoPose3D: seven people, the real cameras, 32 joints, 2D of 17."""
    rng = np.random.default_rng(36)
    poses: dict[str, Any] = {}
    seen: dict[str, Any] = {}
    guessed: dict[str, Any] = {}
    for subject in (*TRAIN, *TEST):
        body = build(rng)
        poses[subject], seen[subject], guessed[subject] = {}, {}, {}
        for name, kind in CLIPS.items():
            world = torch.from_numpy(motion(kind, body, FRAMES + 2, rng)).float()
            world[..., :2] -= world[:, 0, :2].mean(0)  # amid the room, in all four pictures
            views = [
                project(world_to_camera(world, camera), camera.intrinsics).numpy()
                for camera in cameras(subject)
            ]
            # real detections, too, are sometimes a few frames longer than the motion capture
            noisy = [view + rng.normal(0, CPN_ERROR, view.shape) for view in views]
            guessed[subject][name] = [view.astype(np.float32) for view in noisy]
            if (subject, name) != BROKEN:
                poses[subject][name] = _all_32(world.numpy())[:FRAMES]
                seen[subject][name] = [view[:FRAMES] for view in views]
    names = skeleton("h36m17").joints
    sides = [[j for j, n in enumerate(names) if n.startswith(side)] for side in ("left", "right")]
    about = {"layout_name": "h36m", "num_joints": len(names), "keypoints_symmetry": sides}
    _save(folder / "data_3d_h36m.npz", positions_3d=poses)
    _save(folder / "data_2d_h36m_gt.npz", positions_2d=seen, metadata=about)
    _save(folder / "data_2d_h36m_cpn_ft_h36m_dbb.npz", positions_2d=guessed, metadata=about)
    clips = sum(len(x) for x in poses.values())
    print(f"wrote {folder}: Human3.6M in small, {clips} clips of {FRAMES} frames in 4 cameras")


def keypoints(folder: Path) -> None:
    """One frame of every motion of somebody nobody trained on, in the layout h36m17."""
    data = synthetic("test", clips=len(KINDS))
    seen = data.__getitems__(list(range(len(data))))
    square = (seen["image_size"] == 1000).all(-1).nonzero().flatten()
    chosen = square[:: len(square) // len(KINDS)][: len(KINDS)]
    content = {k: seen[name][chosen].tolist() for k, name in NAMES.items()}
    path = folder / "keypoints.json"
    part = path.with_name(path.name + ".part")
    part.write_text(json.dumps(content))
    part.replace(path)
    print(f"wrote {path}: 2D keypoints of {len(chosen)} frames")


def _all_32(joints: NDArray[np.float32]) -> NDArray[np.float32]:
    """(F, 17, 3) -> (F, 32, 3): what nobody reads, hands, toes and copies, lies on its limb."""
    return joints[:, np.searchsorted(KEPT, range(32), side="right") - 1]


def _save(path: Path, **entries: Any) -> None:
    part = path.with_name(path.name + ".part")
    with part.open("wb") as file:
        np.savez_compressed(file, **entries)
    part.replace(path)


if __name__ == "__main__":
    main()
