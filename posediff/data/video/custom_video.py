"""Data sets of annotated video: where their files lie, and their splits.

Paths are below `root`. `boxes` is gt, or a detector's json file, which holds for validation and
test; training always takes the annotated boxes.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Unpack

from posediff.data import random
from posediff.data.pictures.top_down import SPLITS, Split
from posediff.data.video import footage as files
from posediff.data.video.clip_dataset import ClipDataset, ClipOptions
from posediff.data.video.footage import Footage
from posediff.diffusion.choices import one_of
from posediff.pose.skeleton import skeleton as skeleton_named


def custom_video(
    root: str | Path,
    annotations: Mapping[str, str],
    skeleton: str,
    split: Split = "train",
    images: str = ".",
    boxes: str = "gt",
    origin: int = 0,
    first: int = 0,
    validation: float = 0.05,
    film: str | None = None,
    **options: Unpack[ClipOptions],
) -> ClipDataset:
    """Video of one's own with labels in PoseTrack18's form.

    annotations: a json file, or a folder with one per video, for train, one for test and perhaps
    one for validation. Without the last, a part `validation` of the training videos is kept back.
    skeleton: the name of the layout that the joints of the files belong to; they are matched by
    name, in any usual spelling. images: the folder that file names begin in. origin: what labels
    call the first pixel, 0 or 1. first: the number of the first frame where a video is a file.
    film: a regular expression whose first group is what a video was cut from; videos of one film
    are kept back together.
    """
    one_of("split", split, SPLITS)
    root, part = Path(root), "train" if split not in annotations else split
    if part not in annotations or split == "test" != part:
        raise ValueError(f"dataset.annotations names no file for {split}")
    folder, own = root / images, skeleton_named(skeleton)
    footage = files.read(root / annotations[part], own, folder, origin, first)
    if part == "train" and "validation" not in annotations:
        footage = held_out(footage, split, validation, film)
    return dataset(footage, folder, split, boxes, root, **options)


def dataset(
    footage: Footage,
    folder: Path,
    split: Split,
    boxes: str,
    root: Path,
    **options: Unpack[ClipOptions],
) -> ClipDataset:
    """The samples of these videos, in training always by their annotated boxes."""
    training = split == "train"
    detections = None if training or boxes == "gt" else root / boxes
    return ClipDataset(footage, folder, training, detections, **options)


def held_out(footage: Footage, split: Split, part: float, film: str | None = None) -> Footage:
    """The part of the training videos that is kept back for validation, at least one, or all the
    others. Which they are depends on their names alone."""
    if not 0 <= part < 1:
        raise ValueError(f"dataset.validation is a part of the training videos, got {part}")
    source = {video: _film(film, video) for video in footage.frames}
    films = sorted(set(source.values()))
    order = random.uniform(random.keys(0, random.name_keys(films)), 1)[:, 0].argsort()
    count = max(round(part * len(films)), 1) if part else 0
    kept = {films[i] for i in order[:count]}
    chosen = {video for video, x in source.items() if (x in kept) == (split == "validation")}
    if not chosen:
        path = footage.people.path
        raise ValueError(f"{path}: no video is left for {split}: change dataset.validation")
    return footage.of(chosen)


def _film(pattern: str | None, video: str) -> str:
    found = re.fullmatch(pattern, video) if pattern else None
    return found[1] if found else video
