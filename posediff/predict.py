"""Use a model: python -m posediff.predict task=image2d input=photo.jpg"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch

from posediff import checkpoint, config
from posediff.command import command
from posediff.diffusion import Poses
from posediff.inference.images import Reader
from posediff.inference.keypoint_files import read_keypoints
from posediff.inference.lift import FEWEST, SIDE, alone, lift
from posediff.inference.lifting_input import intrinsics
from posediff.inference.photo_input import photos, read_boxes
from posediff.inference.pose_files import write_poses
from posediff.inference.video_input import everybody, open_video
from posediff.inference.videos import follow
from posediff.pose.layout import Converted, convert
from posediff.pose.skeleton import Skeleton, skeleton
from posediff.visual.pose3d import draw_pose3d, write_picture

LISTED = 10  # of what was left out, by name
PICTURES = 12  # of so many frames, evenly spaced


@command("predict")
def main(cfg: Any) -> None:
    {"lift3d": lift_file, "image2d": find, "video2d": track}[cfg.task.name](cfg)


def find(cfg: Any) -> None:
    """2D poses of the people in photos; a bad photo is listed at the end."""
    paths = photos(cfg.input)
    boxes = read_boxes(cfg.boxes) if isinstance(cfg.boxes, str) else cfg.boxes and list(cfg.boxes)
    cfg, model, folder = config.trained(cfg, "predict")
    reader = Reader(model, checkpoint.read_config(folder)["dataset"], cfg.seed, cfg.heatmaps)
    written, bad = reader.read(paths, boxes, Path(cfg.output))
    print("\n".join(map(str, written)))
    if bad:
        raise ValueError(f"{len(bad)} of {len(paths)} photos could not be used: {'; '.join(bad)}")


def track(cfg: Any) -> None:
    """2D poses of the people in a video, by their tracks."""
    video = open_video(cfg.input)
    given = cfg.boxes if cfg.boxes is None or isinstance(cfg.boxes, str) else list(cfg.boxes)
    people = everybody(video, given)
    cfg, model, folder = config.trained(cfg, "predict")
    made_for = checkpoint.read_config(folder)["dataset"]
    written = follow(model, made_for, video, people, Path(cfg.output), cfg.seed)
    tracks = len({person.track for person in people})
    print(f"{len(people)} poses of {tracks} people in {len(video.names)} frames")
    print("\n".join(map(str, written)))


def lift_file(cfg: Any) -> None:
    """3D poses of 2D keypoints; frames without anybody are listed at the end."""
    layout = skeleton(cfg.layout, "layout")
    size = None if cfg.image_size is None else image_size(cfg.image_size)
    camera = None if cfg.camera is None else intrinsics(list(cfg.camera)).tolist()
    rows = read_keypoints(cfg.input, len(layout.joints))
    points, scores, tracks = (torch.from_numpy(x) for x in (rows.points, rows.scores, rows.tracks))
    cfg, model, folder = config.trained(cfg, "predict")
    bones, frames = skeleton(model.head.skeleton), torch.from_numpy(rows.frames)
    every = lift(
        model, points, size, scores, layout.name, camera, tracks, frames, rows.names, seed=cfg.seed
    )
    there = every.keypoints.isfinite().flatten(1).all(1)
    poses = every[there]
    few = [name for name, lifted in zip(rows.names, there.tolist(), strict=True) if not lifted]
    names = [name for name, lifted in zip(rows.names, there.tolist(), strict=True) if lifted]
    meta = {
        "input": str(cfg.input),
        "layout": layout.name,
        "image_size": size,
        "camera": camera,
        "checkpoint": str(folder),
        "method": checkpoint.read_config(folder)["method"],
        "steps": model.steps,
        "K": model.hypotheses,
        "seed": cfg.seed,
        "empty_frames": rows.empty,
        "too_few_joints": few,
    }
    output, own, when = Path(cfg.output), tracks[there].numpy(), frames[there].numpy()
    written = write_poses(output, poses, names, bones, meta, own, when)
    if size is None:
        points, _ = alone(points, scores, tracks)
        size = SIDE, SIDE
    seen = convert(points[there], scores[there], layout, bones, width=size[0])
    drawn = pictures(output, poses, names, seen, size, bones)
    people, spread = len(set(own.tolist())), 1000 * float(poses.spread.mean())
    print(
        f"{len(names)} poses of {bones.name} in {people} track{'s' * (people > 1)}, "
        f"{model.hypotheses} hypotheses, spread {spread:.1f} mm"
    )
    print("\n".join(map(str, [*written, *drawn])))
    if few:
        print(f"{len(few)} left out with fewer than {FEWEST} joints: {listed(few)}")
    if rows.empty:
        print(f"nobody in {len(rows.empty)} frames: {listed(rows.empty)}")


def pictures(
    folder: Path,
    poses: Poses,
    names: Sequence[str],
    seen: Converted,
    size: tuple[float, float],
    bones: Skeleton,
) -> Iterator[Path]:
    """Of at most PICTURES rows, evenly spaced, with their 2D as `seen` in a picture of `size`."""
    for i in range(0, len(names), max(1, -(-len(names) // PICTURES))):
        drawn = draw_pose3d(
            torch.where(seen.visible[i, :, None] > 0, seen.points[i], torch.nan),
            torch.tensor(size),
            poses[i],
            bones,
        )
        path = folder / f"{safe(names[i])}.png"
        write_picture(path, drawn)
        yield path


def listed(names: Sequence[str]) -> str:
    """The first of them, and how many more."""
    more = f" and {len(names) - LISTED} more" if len(names) > LISTED else ""
    return ", ".join(names[:LISTED]) + more


def image_size(given: Any) -> tuple[float, float]:
    try:
        width, height = (float(x) for x in given)
    except (TypeError, ValueError):
        width = height = 0.0
    if not (width > 0 and height > 0):
        raise ValueError(f"image_size must be [width,height] in pixels, got {given}")
    return width, height


def safe(name: str) -> str:
    """A frame's name as a file's."""
    return "".join(c if c.isalnum() or c in "-_." else "_" for c in name)


if __name__ == "__main__":
    main()
