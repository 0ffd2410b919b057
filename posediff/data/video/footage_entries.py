"""Entries of a file in PoseTrack18's form, checked before they are used."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from posediff.data.pictures.annotation_entries import absent_at_zero
from posediff.data.pictures.usable_entries import Placed
from posediff.doors.checks import (
    SINGLE,
    array,
    as_array,
    flag,
    identity,
    integer,
    listing,
)
from posediff.files import inside


def checked_image(
    path: Path, i: int, image: Mapping[str, Any], folder: Path, origin: int
) -> dict[str, Any]:
    """An entry of `images`, with `is_labeled`, and ignored regions from 0.

    Raises ValueError for a value of another kind, and a file outside of `folder`.
    """
    file = image.get("file_name")
    if not isinstance(file, str) or not file:
        raise ValueError(f"{path}: images[{i}]: file_name must name the image file, got {file!r}")
    where = f"{path}: images[{i}]"
    identity(f"{where}: id", image.get("id"))
    inside(folder, file, where)
    entry = {**image, "is_labeled": flag(f"{where}: is_labeled", image.get("is_labeled", True))}
    if image.get("vid_id") is not None:
        identity(f"{where}: vid_id", image["vid_id"])
    if image.get("nframes") is not None:
        integer(f"{where}: nframes", image["nframes"], 0)
    for key in ("ignore_regions_x", "ignore_regions_y"):
        if image.get(key):
            entry[key] = [
                [x - origin for x in array(f"{where}: {key}[{n}]", region, -1).tolist()]
                if origin
                else region
                for n, region in enumerate(listing(f"{where}: {key}", image[key]))
            ]
    return entry


def checked_people(path: Path, people: Sequence[Placed]) -> list[Placed]:
    """People with x = y = 0 where v = 0, for which files have NaN and null, too; each with its
    place in the list of the file.

    Raises ValueError for boxes that are not four numbers, and joints that are no numbers.
    """
    for n, entry in people:
        identity(f"{path}: annotations[{n}]: image_id", entry.get("image_id"))
    cleaned = dict(people)
    for key, width in (("keypoints", -1), ("bbox", 4), ("bbox_head", 4)):
        # absent, null and empty mean that there is none
        given = {n: entry[key] for n, entry in people if entry.get(key)}
        every = as_array([*given.values()])
        good = every is not None and every.ndim == 2 and bool((np.abs(every) <= SINGLE).all())
        if good and every is not None and width in (-1, every.shape[1]):
            continue
        for n, values in given.items():  # one by one, to name a bad one
            if key == "keypoints" and isinstance(values, list):
                values = absent_at_zero(values)
                cleaned[n] = {**cleaned[n], key: values}
            array(f"{path}: annotations[{n}]: {key}", values, width)
    return list(cleaned.items())
