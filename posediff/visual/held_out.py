"""Predictions of a few held-out samples on one sheet, drawn again after every epoch of a training.

A task names in `task.draws` what draws its answers: (poses, sample, settings of the data set) -> a
picture for each.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from posediff.diffusion import Model, Poses
from posediff.pose.affine import transform
from posediff.pose.skeleton import skeleton
from posediff.sample import pixels_of, to
from posediff.visual.canvas import Picture
from posediff.visual.film import contact_sheet
from posediff.visual.pose2d import draw_pose2d
from posediff.visual.pose3d import draw_pose3d

SHEET = "held_out.png"  # in a run folder
Draws = Callable[[Poses, Any, Mapping[str, Any]], list[Picture]]


@torch.no_grad()
def sheet(
    model: Model, data: Any, count: int, draws: Draws, settings: Mapping[str, Any]
) -> Picture | None:
    """The answers to `count` samples, evenly spaced, always the same ones; None if nothing of them
    can be drawn, as of maps in place of pictures."""
    rows = [i * len(data) // count for i in range(min(count, len(data)))]
    model.eval()
    drawn = model.sample(to(data.__getitems__(rows), next(model.parameters()).device))
    cpu = torch.device("cpu")
    poses, sample = model.aggregate(drawn).cpu(), to(drawn.sample, cpu)
    step = max(1, len(poses) // count)  # windows have several frames each
    kept = range(0, step * min(count, len(poses)), step)
    made = draws(poses, sample, settings)
    names = [str(sample["id"][i]) for i in kept] if made else []
    return contact_sheet([(n, made[i]) for n, i in zip(names, kept, strict=True)]) if made else None


def lifted(poses: Poses, sample: Any, settings: Mapping[str, Any]) -> list[Picture]:
    """The 2D that a lifter read and its pose from two sides."""
    seen = (sample["visible"] > 0)[..., None]
    points, bones = torch.where(seen, sample["keypoints_2d"], torch.nan), skeleton(poses.skeleton)
    sizes = sample["image_size"]
    return [draw_pose3d(points[i], sizes[i], poses[i], bones) for i in range(len(poses))]


def cropped(poses: Poses, sample: Any, settings: Mapping[str, Any]) -> list[Picture]:
    """Poses on the crops that a model read, of clips on the key frame."""
    key, affine = pixels_of(sample), sample["affine"]
    pixels = sample[key]
    if not torch.is_tensor(pixels):
        return []
    if key == "frames":
        pixels = pixels[:, list(settings["offsets"]).index(0)]
    mean, std = (np.array(settings[name]) for name in ("mean", "std"))
    zoom = torch.linalg.det(affine[:, :, :2]).abs().sqrt()[:, None]
    inside = replace(
        poses,
        keypoints=transform(poses.keypoints, affine),
        hypotheses=transform(poses.hypotheses, affine[:, None]),
        spread=poses.spread * zoom,
    )
    crops = (pixels.permute(0, 2, 3, 1).numpy() * std + mean).clip(0, 255).astype(np.uint8)
    bones = skeleton(poses.skeleton)
    return [draw_pose2d(crop, inside[[i]], bones) for i, crop in enumerate(crops)]
