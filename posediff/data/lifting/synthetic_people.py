"""Synthetic people: bodies of random builds that move before random cameras. No file is read.

A subject is a build in a studio with four cameras similar to Human3.6M's, with one clip of every
kind of motion. No subject is in two splits. A clip depends on seed, split, subject and kind alone,
not on the number of clips.
"""

from collections.abc import Iterator
from itertools import count, islice
from typing import Literal, Unpack

import numpy as np
import torch

from posediff.data.lifting.lifting_dataset import LiftingDataset, LiftingOptions
from posediff.data.lifting.views import Clip, Source
from posediff.diffusion.choices import one_of
from posediff.pose.camera import Camera
from posediff.synthetic import body
from posediff.synthetic.actions import KINDS, motion
from posediff.synthetic.lens import looking

CLIPS = {"train": 208, "validation": 39, "test": 52}  # all kinds of 16, 3 and 4 subjects
AROUND = np.radians((52, 128, 232, 308))  # directions of the cameras from the middle
HEIGHTS = (1002, 1000, 1000, 1002)  # of their images, all 1000 wide
LENS = (-0.2, 0.24, -0.002, -0.0009, -0.0014)  # distortion, three radial and two tangential terms


def synthetic(
    split: Literal["train", "validation", "test"] = "train",
    keypoints: Source = "noisy",
    clips: int | None = None,
    length: int = 100,
    skeleton: str = "h36m17",
    views: Literal["fixed", "turned", "free"] = "fixed",
    **options: Unpack[LiftingOptions],
) -> LiftingDataset:
    """The samples of a split: `clips` clips (None: 208 of train, 39 of validation, 52 of test),
    each of `length` frames at 50 Hz before four cameras. skeleton: h36m17; or mocap17, of the same
    joints, for its lifters, which have thorax, neck and head elsewhere by 5-10 cm.

    options["seed"]: of the people, their motion and their cameras, and of the detector noise.
    Raises ValueError for options that cannot be used.
    """
    one_of("split", split, CLIPS)
    one_of("dataset.skeleton", skeleton, ["h36m17", "mocap17"])
    number = CLIPS[split] if clips is None else clips
    if number < 1:
        raise ValueError(f"dataset.clips must be at least 1, got {clips}")
    return LiftingDataset(
        list(islice(people(split, options.get("seed", 0), length), number)),
        skeleton=skeleton,
        keypoints=keypoints,
        training=split == "train",
        views=views,
        **options,
    )


def people(split: str, seed: int, length: int) -> Iterator[Clip]:
    """The clips of a split, subject after subject, without end."""
    for subject in count():
        key = seed, list(CLIPS).index(split), subject
        rng = np.random.default_rng(key)
        build = body.build(rng)
        studio = [camera(rng, angle, height) for angle, height in zip(AROUND, HEIGHTS, strict=True)]
        for number, kind in enumerate(KINDS, start=1):  # numpy takes (*key, 0) as key
            moves = motion(kind, build, length, np.random.default_rng((*key, number)))
            yield Clip(
                name=kind,
                subject=f"{split}{subject:02d}",
                action=kind,
                world=moves.astype(np.float32),
                cameras=studio,
                camera_names=[f"cam{c}" for c in range(len(studio))],
            )


def camera(rng: np.random.Generator, angle: float, height: int) -> Camera:
    """A camera at chest height, about 5 m from the middle of the room, directed at it."""
    U = rng.uniform
    far, angle = U(4.8, 5.8), angle + U(-0.12, 0.12)
    centre = np.array([far * np.cos(angle), far * np.sin(angle), U(1.35, 1.75)])
    aim = U((-0.2, -0.2, 0.8), (0.2, 0.2, 1.0))
    focal = U(1140, 1160) + U((0, -1), (0, 2))
    point = U((505, height / 2 + 5), (520, height / 2 + 20))
    lens = rng.normal(LENS, np.abs(LENS) / 20)
    return Camera(
        rotation=torch.from_numpy(looking(aim - centre, roll=rng.normal(0, 0.015))).float(),
        translation=torch.from_numpy(centre).float(),
        intrinsics=torch.from_numpy(np.concatenate([focal, point, lens])).float(),
        size=torch.tensor([1000.0, height]),
    )
