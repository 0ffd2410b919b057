"""Rendered clips of the synthetic body as a data set: painted at construction, some 30 frames a
second, and kept in memory. For many write files first (scripts/make_mini_video.py)."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Unpack

import numpy as np

from posediff.data.pictures.picture_files import RGB
from posediff.data.pictures.synthetic_pictures import TINY
from posediff.data.pictures.top_down import SPLITS, Split
from posediff.data.video.clip_dataset import ClipDataset, ClipOptions
from posediff.data.video.footage import assembled
from posediff.diffusion.choices import one_of
from posediff.pose.skeleton import Skeleton
from posediff.pose.skeleton import skeleton as skeleton_named
from posediff.synthetic.render import Scene, head_boxes, labels
from posediff.synthetic.stage import clip

CLIPS = {"train": 48, "validation": 12, "test": 12}
SIDES = (140, 200)  # of a frame


class Painted:
    """The frames of a clip, from 0."""

    def __init__(self, shots: Sequence[Scene]) -> None:
        self.images, self.numbers = [shot.picture for shot in shots], list(range(len(shots)))

    def read(self, number: int) -> RGB:
        return self.images[number]


def synthetic_video(
    split: Split = "train",
    skeleton: str = "posetrack15",
    clips: int | None = None,
    length: int = 12,
    people: int = 2,
    apart: float = 0.8,
    hidden: float = 0.5,
    **options: Unpack[ClipOptions],
) -> ClipDataset:
    """Clips of `length` frames, 25 a second, with one to `people` people; apart and hidden as in
    `stage.clip`.

    clips: their number; None: the default of the split. The seed is also that of the augmentation;
    split, seed and number determine a clip.
    Raises ValueError if clips or length is less than 1.
    """
    one_of("split", split, SPLITS)
    total = CLIPS[split] if clips is None else clips
    for key, value in (("clips", total), ("length", length)):
        if value < 1:
            raise ValueError(f"dataset.{key} must be at least 1, got {value}")
    layout, source = skeleton_named(skeleton), Path(f"synthetic {split}")
    painted, contents = {}, []
    for n in range(total):
        rng = np.random.default_rng([options.get("seed", 0), SPLITS.index(split), n])
        size = int(rng.integers(*SIDES)), int(rng.integers(*SIDES))
        count = int(rng.integers(1, people + 1))
        shots = list(clip(rng, size, count, apart=apart, hidden=hidden, frames=length))
        name = f"{n:04d}"
        painted[name] = Painted(shots)
        contents.append((source / f"{name}.json", partial(document, name, shots, layout)))
    footage = replace(assembled(source, contents, layout, source), frames=painted)
    return ClipDataset(footage, source, split == "train", **options)


def document(name: str, shots: Sequence[Scene], layout: Skeleton) -> dict[str, Any]:
    """A clip in PoseTrack18's form with all frames labelled; track_id is a person's index."""
    images: list[dict[str, Any]] = []
    people: list[dict[str, Any]] = []
    for n, shot in enumerate(shots):
        height, width, _ = shot.picture.shape
        about = {"id": n, "frame_id": n, "vid_id": name, "file_name": f"{name}/{n:06d}.jpg"}
        about |= {"nframes": len(shots), "is_labeled": True, "width": width, "height": height}
        images.append(about)
        points, visible = labels(shot, layout)
        joints = np.concatenate([points, visible[..., None]], -1)
        heads = head_boxes(shot).tolist()
        for track in np.flatnonzero((shot.area > TINY) & (visible > 0).any(1)):
            person: dict[str, Any] = {"image_id": n, "track_id": int(track), "category_id": 1}
            person |= {"keypoints": joints[track].flatten().round(1).tolist()}
            person |= {"bbox": shot.boxes[track].tolist(), "bbox_head": heads[track]}
            people.append(person)
    category = {"id": 1, "name": "person", "keypoints": list(layout.joints)}
    return {"images": images, "categories": [category], "annotations": people}
