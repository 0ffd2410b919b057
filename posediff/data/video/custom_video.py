"""The user's own video with labels in PoseTrack18's form."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Unpack

from posediff.data import random
from posediff.data.pictures.coco_format import annotation_file
from posediff.data.pictures.top_down import Split
from posediff.data.video.clip_dataset import ClipDataset, ClipOptions
from posediff.data.video.footage import Footage, read
from posediff.pose.skeleton import skeleton as skeleton_named


def custom_video(
    root: str | Path,
    annotations: Mapping[str, str | None],
    skeleton: str,
    split: Split = "train",
    images: str = ".",
    origin: int = 0,
    first: int = 0,
    validation: float = 0.05,
    film: str | None = None,
    **options: Unpack[ClipOptions],
) -> ClipDataset:
    """Clips of the user's own video. Paths are below `root`; annotations, skeleton and validation
    as in `coco_format.custom`, but annotations may also be folders with a json file per video, and
    whole videos are held out.

    images: the folder that file names are relative to. origin: coordinates of the first pixel in
    the labels, 0 or 1. first: number of the first frame of a video file. film: a regular expression
    whose first group is the film that a video was cut from; videos of one film stay together.
    Labels refer to frames turned by the EXIF of their files, unless `upright` is false.
    Raises FileNotFoundError if a file is missing, ValueError if its content or an option cannot be
    used.
    """
    name, shared = annotation_file(annotations, split)
    upright = options.setdefault("upright", True)
    root, folder = Path(root), Path(root) / images
    footage = read(root / name, skeleton_named(skeleton), folder, origin, first, upright)
    if shared:
        footage = held_out(footage, split, validation, film)
    return ClipDataset(footage, folder, split == "train", root, **options)


def held_out(footage: Footage, split: Split, part: float, film: str | None = None) -> Footage:
    """The part of the training videos that is for validation, at least one, or all others, by
    their names alone. Raises ValueError if there is no video in it, or for a `film` that has no
    group."""
    if not 0 <= part < 1:
        raise ValueError(f"dataset.validation is a part of the training videos, got {part}")
    pattern = _pattern(film) if film else None
    source = {video: _film(pattern, video) for video in footage.frames}
    films = sorted(set(source.values()))
    order = random.uniform(random.keys(0, random.name_keys(films)), 1)[:, 0].argsort()
    count = max(round(part * len(films)), 1) if part else 0
    kept = {films[i] for i in order[:count]}
    chosen = {video for video, x in source.items() if (x in kept) == (split == "validation")}
    if not chosen:
        path = footage.people.path
        raise ValueError(f"{path}: no video is left for {split}: change dataset.validation")
    return footage.subset(chosen)


def _pattern(film: str) -> re.Pattern[str]:
    try:
        pattern = re.compile(film)
    except (re.error, TypeError):
        pattern = None
    if pattern is None or not pattern.groups:
        raise ValueError(f"dataset.film must be a regular expression with a group, got {film!r}")
    return pattern


def _film(pattern: re.Pattern[str] | None, video: str) -> str:
    found = pattern.fullmatch(video) if pattern else None
    return (found and found[1]) or video
