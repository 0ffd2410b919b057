"""Entries of a file in PoseTrack18's form, checked before they are used."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from posediff.data.pictures.annotation_entries import absent_at_zero
from posediff.data.pictures.annotations import Annotations
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
from posediff.doors.limits import refuse_above
from posediff.files import inside
from posediff.pose.layout import joint_named
from posediff.pose.skeleton import Skeleton


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


def shift(people: Sequence[dict[str, Any]], origin: int) -> None:
    """Subtract `origin` from all coordinates of labels, except those of absent joints."""
    for entry in people:
        if isinstance(values := entry.get("keypoints"), list):
            triples = zip(values[::3], values[1::3], values[2::3], strict=False)
            shifted = [(x - origin, y - origin, v) if v else (0, 0, 0) for x, y, v in triples]
            entry["keypoints"] = [value for triple in shifted for value in triple]
        for key in ("bbox", "bbox_head"):
            if isinstance(box := entry.get(key), list):
                entry[key] = [value - origin for value in box[:2]] + box[2:]


def without_unknown_joints(
    categories: Sequence[Mapping[str, Any]], people: list[dict[str, Any]], skeleton: Skeleton
) -> tuple[list[str], list[dict[str, Any]]]:
    """Names of joints and people without the joints that the skeleton lacks and no person has."""
    names = next((list(c["keypoints"]) for c in categories if c.get("keypoints")), [])
    unknown = [j for j, name in enumerate(names) if joint_named(str(name), skeleton) is None]
    complete = all(
        isinstance(entry.get("keypoints"), list) and len(entry["keypoints"]) == 3 * len(names)
        for entry in people
    )
    if not unknown or not complete:  # `checked` raises for an incomplete entry
        return names, people
    empty = [j for j in unknown if not any(entry["keypoints"][3 * j + 2] for entry in people)]
    kept = [j for j in range(len(names)) if j not in empty]
    slots = [3 * j + k for j in kept for k in range(3)]
    cut = [{**entry, "keypoints": [entry["keypoints"][i] for i in slots]} for entry in people]
    return [names[j] for j in kept], cut


def extent_of(path: Path, people: Sequence[Mapping[str, Any]]) -> tuple[int, int]:
    """Width and height that contain all boxes and joints, for an image without a file; NaN is left
    to the check of each person. Raises ValueError if no image is that large."""
    corners = [(1.0, 1.0)]
    for entry in people:
        values, box = entry.get("keypoints") or [0, 0], entry.get("bbox") or [0, 0, 0, 0]
        corners.append(
            (max([*values[::3], box[0] + box[2]]), max([*values[1::3], box[1] + box[3]]))
        )
    width, height = (np.ceil(np.nanmax(corners, 0)) + 1).tolist()
    what = "the extent of boxes and joints, in megapixels,"
    refuse_above("megapixels", path, width * height / 1e6, what)
    return int(width), int(height)


def tracks_of(
    path: Path, people: Annotations, entries: Sequence[dict[str, Any]]
) -> NDArray[np.int64]:
    """(N,); raises ValueError if two people of a frame have the same."""
    given = {entry["id"]: entry.get("track_id") for entry in entries}
    running = Counter[int]()
    taken, tracks = dict[tuple[int, int], int](), []
    for place, number in zip(people.picture.tolist(), people.ids.tolist(), strict=True):
        track = running[place] if given[number] is None else given[number]
        running[place] += 1
        track = integer(f"{path}: annotations[{number - 1}]: track_id", track)
        if (place, track) in taken:
            raise ValueError(
                f"{path}: {people.pictures[place].file}: annotations[{taken[place, track] - 1}] "
                f"and [{number - 1}] have the same track_id {track}: it must be unique in a frame"
            )
        taken[place, track] = number
        tracks.append(track)
    return np.array(tracks, np.int64)
