"""Human3.6M, as it is distributed or in VideoPose3D's files, -> one h36m.h5 without pickles.

    python scripts/prepare_h36m.py FOLDER [--out data/h36m]

FOLDER contains the 3D poses: data_3d_h36m.npz (VideoPose3D), or the data set's own files, by
subject as S1/MyPoseFeatures/D3_Positions/*.cdf, packed as Poses_D3_Positions_S1.tgz, converted as
*.cdf.mat or as S1/MyPoses/3D_positions/*.h5. Beside them are 2D sources, data_2d_h36m_<name>.npz; a
source is called by the first word of its name (cpn_ft_h36m_dbb: cpn). COCO's and MPII's joints are
converted by their names.

Of the 32 joints 17 are kept; 2D that is longer than its 3D is cut. The true 2D is not stored, since
it is the projection of the 3D; data_2d_h36m_gt.npz is only compared with that projection. Pickles
are read without being executed.
"""

import argparse
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from posediff.data.lifting.h36m import ACTIONS, BROKEN, KEPT, TEST, TRAIN, action, clip_name, write
from posediff.data.lifting.h36m_cameras import SIZES, cameras
from posediff.data.lifting.pickles import read_npz
from posediff.pose.camera import project, world_to_camera
from posediff.pose.layout import convert
from posediff.pose.skeleton import skeleton
from posediff.prepare import h36m_archives

Clips = dict[tuple[str, str], NDArray[np.float32]]  # by subject and clip

LAYOUTS = {("h36m", 17): "h36m17", ("coco", 17): "coco17", ("mpii", 16): "mpii16"}  # of 2D files

FULL = {"training": (TRAIN, 1_559_752), "test": (TEST, 543_344)}  # poses of the whole data set
ROOM = 20.0  # metres: no person is further from the world's origin
EXACT = 1.0  # pixels: largest difference of true 2D from the projection


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path, help="contains 3D poses and data_2d_h36m_*.npz")
    home = Path(os.environ.get("POSEDIFF_DATA") or "data") / "h36m"
    parser.add_argument("--out", type=Path, default=home, help="default: %(default)s")
    args = parser.parse_args()
    try:
        prepare(args.folder, args.out / "h36m.h5")
    except (ValueError, OSError) as error:
        sys.exit(f"error: {error}")


def prepare(folder: Path, out: Path) -> None:
    world = read_3d(folder)
    sources = read_sources(folder, world)
    detected = [source for source in sources if source != "gt"]
    write(
        out,
        (
            (*clip, {"world": poses} | {source: sources[source][clip] for source in detected})
            for clip, poses in world.items()
        ),
    )
    for name, (people, full) in FULL.items():
        lengths = [len(poses) for (subject, _), poses in world.items() if subject in people]
        poses = len(SIZES) * sum(lengths)
        print(f"{name}: {len(lengths)} clips, {poses:,} poses (the whole set has {full:,})")
    print(f"wrote {out} with 2D sources {', '.join(['gt', 'noisy', *detected])}")


def read_sources(folder: Path, world: Clips) -> dict[str, Clips]:
    """2D source -> the clips of its file."""
    sources: dict[str, Clips] = {}
    for path in sorted(folder.glob("data_2d_h36m_*.npz")):
        source = path.stem.removeprefix("data_2d_h36m_").split("_")[0]
        points = read_2d(path, world)
        if points is None:
            print(f"{path}: left out, not points in the joints of Human3.6M, COCO or MPII")
            continue
        if source in sources:
            raise ValueError(f"{folder}: two files of 2D source {source}: keep one of them")
        sources[source] = points
        rms, worst, clip = distances(points, world)
        print(f"{path}: 2D source {source}, {rms:.2f} px from the true projection (RMS)")
        if source == "gt" and worst > EXACT:
            raise ValueError(
                f"{path}: {'/'.join(clip)} is {worst:.1f} px off the projection of "
                "data_3d_h36m.npz: the two do not belong together (gt needs no file)"
            )
    return sources


def read_3d(folder: Path) -> Clips:
    """The 17 joints of every clip but the broken one, (F, 17, 3) metres."""
    clips: Clips = {}
    for subject, recorded, poses, place in recorded_3d(folder):
        name = clip_name(recorded)
        if subject not in (*TRAIN, *TEST) or action(name) not in ACTIONS:
            raise ValueError(f"{place} is none of the subjects S1 .. S11 or of the actions")
        if (subject, name) == BROKEN:
            continue
        if np.shape(poses) != (len(poses), 32, 3) or not len(poses):
            raise ValueError(f"{place} has shape {np.shape(poses)}, expected (frames, 32, 3)")
        if not np.abs(poses).max() < ROOM:
            raise ValueError(f"{place} leaves the room or is not finite: metres are expected")
        clips[subject, name] = poses[:, KEPT].astype(np.float32)
    return clips


def recorded_3d(folder: Path) -> Iterator[tuple[str, str, Any, str]]:
    """Subject, name, poses (F, 32, 3) and place of every recording: those in VideoPose3D's file, if
    there is one, else those in the data set's own files."""
    path = folder / "data_3d_h36m.npz"
    if path.is_file():
        for subject, recorded, poses in recordings(path, read_npz(path), "positions_3d"):
            yield subject, recorded, poses, f"{path}: {subject}/{recorded}"
        return
    count: dict[str, int] = {}
    for subject, recorded, poses in h36m_archives.recordings(folder):
        count[subject] = count.get(subject, int(subject == BROKEN[0])) + 1
        yield subject, recorded, poses, f"{folder}: {subject}/{recorded}"
    if not count:
        raise FileNotFoundError(
            f"{path} is missing, and so are S1/MyPoseFeatures/D3_Positions/*.cdf and the other "
            "forms (--help); `python scripts/make_mini.py h36m FOLDER` writes small files"
        )
    clips = h36m_archives.CLIPS
    few = [f"{subject} {count.get(subject, 0)}" for subject in (*TRAIN, *TEST)]
    if set(count.values()) != {clips} or len(count) < len(few):
        print(f"{folder}: clips of {', '.join(few)}; every subject has {clips}")


def read_2d(path: Path, world: Clips) -> Clips | None:
    """Every clip's (4, F, 17, 2) pixels, cut to the length of its 3D; None for another layout."""
    content = read_npz(path)
    about = {"layout_name": "h36m", "num_joints": 17} | content.get("metadata", {})
    layout = LAYOUTS.get((about["layout_name"], about["num_joints"]))
    if layout is None or path.stem.endswith("_gmm"):
        return None
    found = {
        (subject, clip_name(recorded)): views
        for subject, recorded, views in recordings(path, content, "positions_2d")
    }
    return {
        clip: in_order(cut(path, clip, found.get(clip, ()), len(poses), layout), layout)
        for clip, poses in world.items()
    }


def in_order(views: NDArray[np.float32], layout: str) -> NDArray[np.float32]:
    """(4, F, J, 2) in the joints of a layout -> (4, F, 17, 2) in those of Human3.6M."""
    points = torch.from_numpy(views)
    ones = torch.ones(points.shape[:-1])
    return convert(points, ones, skeleton(layout), skeleton("h36m17")).points.numpy()


def cut(
    path: Path, clip: tuple[str, str], views: Any, frames: int, layout: str
) -> NDArray[np.float32]:
    place, joints = f"{path}: {'/'.join(clip)}", len(skeleton(layout).joints)
    if len(views) != len(SIZES):
        raise ValueError(f"{place} has {len(views)} cameras, expected {len(SIZES)}")
    for view in views:
        if np.shape(view) != (len(view), joints, 2):
            raise ValueError(f"{place} has shape {np.shape(view)}, expected (frames, {joints}, 2)")
        if len(view) < frames:
            raise ValueError(f"{place} has 2D of {len(view)} frames for 3D of {frames}")
        if not np.isfinite(view).all():
            raise ValueError(f"{place} has 2D that is not finite")
    return np.stack([view[:frames] for view in views]).astype(np.float32)


def recordings(path: Path, content: dict[str, Any], key: str) -> Iterator[tuple[str, str, Any]]:
    """Subject, name and value of every recording in {subject: {name: value}}."""
    people = content.get(key)
    if not isinstance(people, dict) or not all(isinstance(x, dict) for x in people.values()):
        raise ValueError(f"{path}: no {key} by subject and action in it, only {', '.join(content)}")
    for subject, clips in people.items():
        for recorded, value in clips.items():
            yield subject, recorded, value


def distances(points: Clips, world: Clips) -> tuple[float, float, tuple[str, str]]:
    """Distances from the true projection in pixels: RMS, largest, and the clip of the largest."""
    squares = {}
    for clip, poses in world.items():
        seen = [
            project(world_to_camera(torch.from_numpy(poses), camera), camera.intrinsics)
            for camera in cameras(clip[0])
        ]
        squares[clip] = np.square(points[clip] - torch.stack(seen).numpy()).sum(-1)
    worst = max(squares, key=lambda clip: squares[clip].max())
    mean = np.mean(np.concatenate([s.reshape(-1) for s in squares.values()]), dtype=np.float64)
    return float(np.sqrt(mean)), float(np.sqrt(squares[worst].max())), worst


if __name__ == "__main__":
    main()
