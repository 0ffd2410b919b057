"""Batches as a model reads them, drawn without data: what the graphs of an export are made on.

A task names its function in `task.example`: (model, rows) -> sample.
"""

from pathlib import Path
from typing import Any

import numpy as np
import torch

from posediff.data.lifting.windows import windowed
from posediff.data.pictures.picture_files import RGB
from posediff.diffusion import Model
from posediff.inference.lifting_input import lifting_sample
from posediff.inference.photo_input import people_sample
from posediff.inference.request import data_settings
from posediff.inference.video_input import Video, people_in, samples
from posediff.pose.skeleton import skeleton
from posediff.sample import take

SIDE = 320  # pixels of a picture, and pixels of a grain
GRAIN = 20


def keypoints(model: Model, rows: int) -> dict[str, Any]:
    """2D keypoints of rows people, of rows windows for a lifter of windows."""
    draw, bones = np.random.default_rng(0), skeleton(model.head.skeleton)
    count = rows * model.head.window.frames
    points = torch.from_numpy(draw.uniform(200, 800, (count, len(bones.joints), 2)))
    scores = torch.from_numpy(draw.uniform(0.3, 1, (count, len(bones.joints))))
    layout, size = bones.name, (1000.0, 1000.0)
    sample = lifting_sample(points, size, scores, layout, bones.name, model.trained_on)
    if model.head.window.frames == 1:
        return sample
    windows: dict[str, Any] = take(windowed(sample, *model.head.window), slice(rows))
    return windows


def picture(model: Model, rows: int) -> dict[str, Any]:
    """The crops of boxes in a picture of coloured grains."""
    settings = data_settings(model, "size", "codec", "mean", "std")
    boxes = [[10.0 * n, 5.0 * n, 150.0, 200.0] for n in range(rows)]
    return people_sample(grains(0), "drawn", boxes, **settings)


def clip(model: Model, rows: int) -> dict[str, Any]:
    """The clips around the frames of a video of such pictures."""
    settings = data_settings(model, "offsets", "size", "codec", "mean", "std")
    video = Video(Path("drawn"), [f"{n:06d}" for n in range(rows)], grains, list(range(rows)))
    return next(samples(video, people_in(video, [40.0, 20.0, 150.0, 200.0]), **settings))


def grains(seed: int) -> RGB:
    """A picture (SIDE, SIDE, 3)."""
    small = np.random.default_rng(seed).integers(0, 256, (SIDE // GRAIN, SIDE // GRAIN, 3))
    return small.astype(np.uint8).repeat(GRAIN, 0).repeat(GRAIN, 1)
