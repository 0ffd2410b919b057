"""Use a model: python -m posediff.predict task=image2d input=photo.jpg"""

from pathlib import Path
from typing import Any

import torch

from posediff import checkpoint, config
from posediff.data.inputs import lifting_sample
from posediff.data.keypoint_files import read_keypoints
from posediff.data.photos import photos, read_boxes
from posediff.data.results import write_poses
from posediff.data.tracks import everybody, open_video
from posediff.photos import Reader
from posediff.pose.skeleton import skeleton
from posediff.videos import follow
from posediff.visual.pose3d import draw_pose3d, write_picture

PICTURES = 12  # of so many frames, evenly spaced


@config.main("predict")
def main(cfg: Any) -> None:
    {"lift3d": lift, "image2d": find, "video2d": track}[cfg.task.name](cfg)


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


def lift(cfg: Any) -> None:
    """3D poses of 2D keypoints."""
    layout = skeleton(cfg.layout)
    size = image_size(cfg.image_size)
    points, scores, names = read_keypoints(cfg.input, len(layout.joints))
    cfg, model, folder = config.trained(cfg, "predict")
    saved, bones = checkpoint.read_config(folder), skeleton(model.head.skeleton)
    sample = lifting_sample(
        torch.from_numpy(points),
        size,
        torch.from_numpy(scores),
        layout.name,
        bones.name,
        saved["dataset"],
        names,
    )
    poses = model.predict(sample, seed=cfg.seed)
    meta = {
        "input": str(cfg.input),
        "layout": layout.name,
        "image_size": size,
        "checkpoint": str(folder),
        "method": saved["method"],
        "steps": getattr(getattr(model, "sampler", None), "steps", 1),
        "K": model.hypotheses,
        "seed": cfg.seed,
    }
    output = Path(cfg.output)
    paths = [*write_poses(output, poses, names, bones, meta)]
    every = max(1, -(-len(names) // PICTURES))
    seen = torch.where(sample["visible"][..., None] > 0, sample["keypoints_2d"], torch.nan)
    for i in range(0, len(names), every):
        picture = draw_pose3d(
            seen[i],
            sample["image_size"][i],
            poses.keypoints[i],
            poses.hypotheses[i],
            poses.spread[i],
            bones,
        )
        paths.append(output / f"{safe(names[i])}.png")
        write_picture(paths[-1], picture)
    spread = 1000 * float(poses.spread.mean())
    print(
        f"{len(names)} poses of {bones.name}, {model.hypotheses} hypotheses, spread {spread:.1f} mm"
    )
    print("\n".join(map(str, paths)))


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
