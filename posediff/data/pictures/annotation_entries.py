"""Entries of an annotation file in COCO's form -> columns of numbers; every entry is checked.

The columns have a row for each person, in the order of the file (posediff/data/pictures/
annotations.py has the form). `where` names an entry in errors, all ValueError.
"""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from posediff.data.pictures import picture_files
from posediff.data.pictures.usable_entries import Entry, Placed
from posediff.doors.checks import SINGLE, as_array, identity, integer, shown
from posediff.files import inside
from posediff.pose.layout import by_names
from posediff.pose.skeleton import Skeleton

Array = NDArray[np.float64]
Named = tuple[str, Entry]  # an entry with its name in error messages

MARGIN = 0.12  # of the longer side, around the joints of a person without a box
SIDE = 1_000_000  # pixels: no image is wider


class Picture(NamedTuple):
    id: int | str
    file: str  # path below the folder of images
    width: int
    height: int
    crowd_index: float = np.nan


def joint_box(keypoints: Array, labelled: NDArray[np.bool_], sizes: Array) -> Array:
    """Box around the labelled joints with a margin of .12 of its longer side, cut to the image:
    (N, J, 2), (N, J), sizes (N, 2) -> (N, 4) x, y, w, h; zeros if no joint is labelled."""
    here = labelled[..., None]
    found = labelled.any(1, keepdims=True)
    low = np.where(found, np.where(here, keypoints, np.inf).min(1), 0.0)
    high = np.where(found, np.where(here, keypoints, -np.inf).max(1), 0.0)
    margin = MARGIN * (high - low).max(1, keepdims=True)
    low, high = np.clip(low - margin, 0, sizes), np.clip(high + margin, 0, sizes)
    return np.concatenate([low, high - low], 1)


def pictures_of(path: Path, folder: Path, upright: bool, images: Sequence[Placed]) -> list[Picture]:
    """The pictures of entries. Raises FileNotFoundError if a file is looked at and missing."""
    pictures, first = [], dict[Any, int]()
    for i, image in images:
        where, number, file = f"{path}: images[{i}]", image.get("id"), image.get("file_name")
        if isinstance(number, bool) or not isinstance(number, int | str):
            raise ValueError(f"{where}: id must be an integer or a string, got {shown(number)}")
        if number in first:
            raise ValueError(f"{where}: id {number!r} is also that of images[{first[number]}]")
        if not isinstance(file, str) or not file:
            raise ValueError(f"{where}: file_name must name the image file, got {shown(file)}")
        first[number] = i
        inside(folder, file, where)
        size: list[Any] = [image.get("width"), image.get("height")]
        width, height = picture_files.size(folder / file, upright) if size == [None, None] else size
        if not all(type(n) is int and 0 < n <= SIDE for n in (width, height)):
            raise ValueError(
                f"{where}: width and height must be positive integers up to {SIDE}, got "
                f"{shown(width)} and {shown(height)}"
            )
        crowded = image.get("crowdIndex", np.nan)
        if type(crowded) not in (float, int) or abs(crowded) > SINGLE:
            raise ValueError(f"{where}: crowdIndex must be a number, got {shown(crowded)}")
        pictures.append(Picture(number, file, width, height, crowded))
    return pictures


def people_of(
    path: Path, entries: Sequence[Placed], categories: Sequence[Entry], place: Mapping[Any, int]
) -> tuple[list[Named], Entry]:
    """Annotations of the category that has joints, and this category."""
    posed = [c for c in categories if isinstance(c.get("keypoints"), list | tuple)]
    posed = [c for c in posed if c["keypoints"]]
    if len(posed) != 1:
        found = f"{len(posed)} of the {len(categories)} categories have"
        raise ValueError(f"{path}: {found} `keypoints`, the names of the joints: exactly one must")
    identity(f"{path}: id of the category with `keypoints`", posed[0].get("id"))
    allowed = {"image_id": place, "category_id": [c.get("id") for c in categories]}
    people = []
    for i, entry in entries:
        where = f"{path}: annotations[{i}] (id {shown(entry.get('id'))})"
        for key, ids in allowed.items():
            given = entry.get(key)
            if isinstance(given, bool) or not isinstance(given, int | str) or given not in ids:
                raise ValueError(f"{where}: {key} {shown(given)} is not in the file's lists")
        if entry["category_id"] == posed[0].get("id"):
            people.append((where, with_joints(entry, len(posed[0]["keypoints"]))))
    return people, posed[0]


def with_joints(entry: Entry, count: int) -> Entry:
    """The entry; without a labelled joint if it is a person with a box alone, or a crowd."""
    if entry.get("keypoints") or "bbox" not in entry:
        return entry
    return {**entry, "keypoints": [0] * (3 * count), "num_keypoints": 0}


def absent_at_zero(values: Any) -> Any:
    """Keypoints [x, y, v] * J with x = y = 0 where v = 0; anything else as it is."""
    if not isinstance(values, list):
        return values
    triples = zip(values[::3], values[1::3], values[2::3], strict=False)
    cleaned = [x for triple in triples for x in (triple if triple[2] else (0, 0, 0))]
    return cleaned if len(cleaned) == len(values) else values


def require(people: Sequence[Named], keys: Sequence[str]) -> None:
    for where, entry in people:
        for key in keys:
            if key not in entry:
                remedy = "dataset=custom" + " dataset.area=0.53*w*h" * (key == "area")
                raise ValueError(f"{where}: no {key}: add it, or read the file with {remedy}")


def keypoints_of(
    path: Path, people: Sequence[Named], names: list[str], skeleton: Skeleton
) -> tuple[Array, NDArray[np.int8]]:
    """(N, J, 2) and (N, J) in the order of the skeleton."""
    try:
        rows = numbers(people, "keypoints", 3 * len(names))
    except ValueError:  # perhaps of absent joints alone
        cleaned = [{"keypoints": absent_at_zero(entry.get("keypoints"))} for _, entry in people]
        places = [where for where, _ in people]
        rows = numbers(list(zip(places, cleaned, strict=True)), "keypoints", 3 * len(names))
    rows = rows.reshape(len(people), len(names), 3)
    flags = rows[..., 2]
    if len(bad := np.flatnonzero(~np.isin(flags, (0, 1, 2)).all(1))):
        where, _ = people[bad[0]]
        raw = " (3 is AI Challenger's own form: set dataset.form=raw)" if 3 in flags[bad[0]] else ""
        raise ValueError(f"{where}: v of keypoints [x, y, v] must be 0, 1 or 2{raw}")
    try:
        given = torch.from_numpy(rows)
        points, visible = by_names(given[..., :2], given[..., 2], names, skeleton)
    except ValueError as error:
        raise ValueError(f"{path}: keypoints of categories: {error}") from None
    points = torch.where(visible[..., None] > 0, points, 0.0)
    return points.numpy(), visible.numpy().astype(np.int8)


def given_or(people: Sequence[Named], key: str, otherwise: NDArray[Any]) -> NDArray[Any]:
    """A column as stored, with rows of `otherwise` (N, ...) for entries without the key."""
    here = [i for i, (_, entry) in enumerate(people) if key in entry]
    column = otherwise.astype(np.float64)
    column[here] = numbers([people[i] for i in here], key, *otherwise.shape[1:])
    return column


def counts_of(people: Sequence[Named], otherwise: NDArray[Any]) -> NDArray[np.int64]:
    """num_keypoints as stored."""
    column = given_or(people, "num_keypoints", otherwise)
    for n in np.flatnonzero((column != np.floor(column)) | (column < 0))[:1]:
        where, _ = people[n]
        raise ValueError(f"{where}: num_keypoints must be an integer, 0 or more")
    return column.astype(np.int64)


def ids_of(people: Sequence[Named]) -> NDArray[np.int64]:
    first: dict[int, str] = {}
    for where, entry in people:
        number = integer(f"{where}: id", entry.get("id"))
        if number in first:
            raise ValueError(f"{where}: the same id as {first[number].rpartition(': ')[2]}")
        first[number] = where
    return np.array(list(first), np.int64)


def numbers(people: Sequence[Named], key: str, *shape: int) -> Array:
    """The column `key` (N, *shape). Raises ValueError if an entry is not of finite numbers."""

    def finite(values: list[Any]) -> Array | None:
        array = as_array(values)
        if array is None or array.size != math.prod([len(values), *shape]):
            return None
        return array.reshape(len(values), *shape) if (np.abs(array) <= SINGLE).all() else None

    column = finite([entry.get(key) for _, entry in people])
    if column is not None:
        return column
    rows = []  # entries may be nested differently, so each is read alone
    for where, entry in people:
        found = entry.get(key)
        row = finite([found])
        if row is None:
            what = f"{shape[0]} finite numbers" if shape else "a finite number"
            given = f"a list of {len(found)}" if isinstance(found, list) else shown(found)
            raise ValueError(f"{where}: {key} must be {what}, not {given}")
        rows.append(row)
    return np.concatenate(rows)
