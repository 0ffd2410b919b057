"""Annotation files in COCO's format -> the people in them; every entry is checked.

    images       id, file_name; width, height (else those of the image file); crowdIndex (CrowdPose)
    categories   one with `keypoints`, the names of the joints in the order of the file
    annotations  id, image_id, category_id, keypoints [x, y, v] * J with v = 0 absent, 1 occluded,
                 2 visible; optional: bbox and bbox_head [x, y, w, h], area, num_keypoints, iscrowd

x and y of an absent joint may be NaN or null. People with a bbox alone, and crowds, have no joints.
A file without annotations has no people, as those of tests whose labels are secret (test-dev), and
its category may have no joints; it is used with the boxes of a detector.
An image or annotation that is there twice, with equal entries, counts once (merged files).

Joints are matched to the skeleton by name, in the usual spellings; a joint that the file does not
have is not labelled. num_keypoints is used as stored: CrowdPose does not count head and neck, and a
new count would change which people are ignored. A missing bbox is replaced by `joint_box`.

An annotation that cannot be used is left out, said and counted; if they are more than the part
`limits.left_out`, the first is an error.
"""

import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal, NamedTuple, Self, get_args

import numpy as np
import torch
from numpy.typing import NDArray

from posediff.data.pictures import picture_files
from posediff.diffusion.choices import one_of
from posediff.doors.checks import SINGLE, as_array, flag, identity, integer, shown
from posediff.doors.json_door import read_json
from posediff.doors.limits import refuse_left_out
from posediff.files import inside
from posediff.pose.layout import by_names
from posediff.pose.skeleton import Skeleton

Array = NDArray[np.float64]
Area = Literal["file", "0.53*w*h"]
Entry = Mapping[str, Any]
Named = tuple[str, Entry]  # an entry with its name in error messages
Placed = tuple[int, Entry]  # an entry with its place in its list

MARGIN = 0.12  # of the longer side, around the joints of a person without a box
SAID = 10  # annotations that are left out and named at once; all are counted
SIDE = 1_000_000  # pixels: no image is wider
BODY = 0.53  # area of a person / area of the box, if none is stored (CrowdPose, AI Challenger)


class Picture(NamedTuple):
    id: int | str
    file: str  # path below the folder of images
    width: int
    height: int
    crowd_index: float = np.nan


@dataclass(frozen=True)
class Annotations:
    """All N annotated people of a file, including those that count neither in training nor in the
    score."""

    path: Path
    skeleton: Skeleton
    pictures: list[Picture]
    picture: NDArray[np.int64]  # (N,) index into `pictures`
    ids: NDArray[np.int64]  # (N,)
    keypoints: Array  # (N, J, 2) pixels; 0 if not labelled
    visible: NDArray[np.int8]  # (N, J) 0 absent, 1 labelled but occluded, 2 visible
    boxes: Array  # (N, 4) x, y, w, h; all 0 if there is neither a box nor a labelled joint
    area: Array  # (N,) square pixels
    labelled: NDArray[np.int64]  # (N,) num_keypoints as stored
    crowd: NDArray[np.bool_]  # (N,) whether the box is around many people
    heads: Array  # (N, 4) x, y, w, h of the head's box; NaN if there is none
    area_is: str  # source of the areas, for reports
    category: int | str = 1  # id of the people's category in the file
    unusable: tuple[str, ...] = ()  # annotations of the file that are left out, and why

    def subset(self, kept: NDArray[np.bool_]) -> Self:
        """The images with a flag in `kept` (P,), and the people in them."""
        here, place = kept[self.picture], np.cumsum(kept) - 1
        columns = {name: column[here] for name, column in self.columns().items()}
        columns["picture"] = place[columns["picture"]]
        pictures = [p for p, keep in zip(self.pictures, kept, strict=True) if keep]
        return replace(self, pictures=pictures, **columns)

    def columns(self) -> dict[str, Any]:
        """All arrays (N, ...) by their names."""
        return {name: x for name, x in vars(self).items() if isinstance(x, np.ndarray)}

    def truth(self) -> dict[str, list[dict[str, Any]]]:
        """Labels in COCO's form for a metric, joints in the order of the skeleton.

        People are numbered from 1: pycocotools uses the id 0 for "unmatched", and ignores a person
        with it. Raises ValueError if a person who counts has no area.
        """
        bad = np.flatnonzero(~(self.area > 0) & (self.labelled > 0) & ~self.crowd)
        if len(bad):
            n = bad[0]
            problem = f"its area, by {self.area_is}, is {self.area[n]:g}"
            raise ValueError(f"{self.path}: annotation {self.ids[n]}: {problem}: correct it")
        triples = np.concatenate([self.keypoints, self.visible[..., None]], -1)
        columns = {
            "keypoints": triples.reshape(len(self.ids), 3 * len(self.skeleton.joints)),
            "num_keypoints": self.labelled.tolist(),
            "iscrowd": self.crowd.astype(int).tolist(),
            "bbox": self.boxes,
            "area": self.area.tolist(),
        }
        people = [
            {"id": n + 1, "image_id": self.pictures[place].id, "category_id": self.category}
            | {key: column[n] for key, column in columns.items()}
            for n, place in enumerate(self.picture)
        ]
        return {
            "images": [{"id": p.id, "crowdIndex": p.crowd_index} for p in self.pictures],
            "categories": [{"id": self.category, "keypoints": list(self.skeleton.joints)}],
            "annotations": people,
        }


def load(path: Path) -> Any:
    """Content of a json file. Raises FileNotFoundError if it is missing, ValueError if it is not
    valid."""
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such annotation file: look at dataset.root and split")
    return read_json(path, "annotation file", "copy it again")


def checked(
    path: Path,
    data: Any,
    skeleton: Skeleton,
    folder: Path,
    area: Area = "file",
    needs: Sequence[str] = (),
    upright: bool = False,
    strict: bool = False,
) -> Annotations:
    """People of `data`, the content of the file `path`.

    folder: contains the images. area: source of the areas, the entry of the file or the box.
    needs: keys that every annotation must have. upright: sizes of images that the file does not
    state are those of upright ones. strict: no annotation is left out.
    Raises FileNotFoundError if an image is needed for its size and missing, ValueError if an entry
    cannot be used.
    """
    one_of("dataset.area", area, get_args(Area))
    if isinstance(data, dict) and "images" in data and "annotations" not in data:
        data = {"categories": [], **data, "annotations": []}
    images, categories, entries = (
        listed(path, data, key) for key in ("images", "categories", "annotations")
    )
    images, entries = without_copies(images), without_copies(entries)
    if not entries:
        categories = [_person_of(categories, skeleton)]
    pictures = _pictures(path, images, folder, upright)
    wanted = [*needs] if area == "0.53*w*h" else [*needs, "area"]
    made = partial(_made, path, skeleton, pictures, categories, area, wanted)
    try:
        return made(list(enumerate(entries)))
    except ValueError:
        if strict:
            raise
        kept, lost = usable(list(enumerate(entries)), made)
        return replace(made(kept), unusable=tuple(lost))


def usable(
    entries: list[Placed], check: Callable[[list[Placed]], Any]
) -> tuple[list[Placed], list[str]]:
    """The entries that pass a check, alone and with those beside them, and why the others do not;
    it is said, too.

    Raises ValueError if there is no entry that could pass, or if too many do not.
    """
    check([])
    kept, lost = list[Placed](), list[str]()

    def part(some: list[Placed]) -> None:
        try:
            check(some)
            kept.extend(some)
        except ValueError as error:
            if len(some) == 1:
                lost.append(str(error))
                refuse_left_out(lost, len(entries), "annotations")
                return
            part(some[: len(some) // 2])
            part(some[len(some) // 2 :])

    part(entries)
    check(kept)
    for line in lost[:SAID]:
        warnings.warn(f"left out: {line}", stacklevel=2)
    if lost[SAID:]:
        warnings.warn(f"left out: {len(lost) - SAID} more annotations", stacklevel=2)
    return kept, lost


def _made(
    path: Path,
    skeleton: Skeleton,
    pictures: list[Picture],
    categories: Sequence[Entry],
    area: Area,
    needs: Sequence[str],
    entries: Sequence[Placed],
) -> Annotations:
    """People of the checked pictures. Raises ValueError for an entry that cannot be used."""
    place = {picture.id: i for i, picture in enumerate(pictures)}
    people, category = _people(path, entries, categories, place)
    _require(people, needs)
    names = [str(name) for name in category["keypoints"]]
    picture = np.array([place[entry["image_id"]] for _, entry in people], np.int64)
    keypoints, visible = _keypoints(path, people, names, skeleton)
    sizes = np.array([(p.width, p.height) for p in pictures], np.float64).reshape(-1, 2)[picture]
    boxes = _given(people, "bbox", joint_box(keypoints, visible > 0, sizes))
    if len(negative := np.flatnonzero(boxes[:, 2:].min(1) < 0)):
        where, _ = people[negative[0]]
        raise ValueError(f"{where}: bbox is x, y, width, height; its size is negative")
    return Annotations(
        path=path,
        skeleton=skeleton,
        pictures=pictures,
        picture=picture,
        ids=_ids(people),
        keypoints=keypoints,
        visible=visible,
        boxes=boxes,
        area=numbers(people, "area") if area == "file" else BODY * boxes[:, 2] * boxes[:, 3],
        labelled=_counts(people, (visible > 0).sum(1)),
        crowd=np.array(
            [flag(f"{where}: iscrowd", entry.get("iscrowd", 0)) for where, entry in people],
            np.bool_,
        ),
        heads=_given(people, "bbox_head", np.full((len(people), 4), np.nan)),
        area_is=area,
        category=category["id"],
    )


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


def listed(path: Path, data: Any, key: str) -> list[Entry]:
    """The list `key` of a file in COCO's format. Raises ValueError if there is none."""
    entries = data.get(key) if isinstance(data, dict) else None
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise ValueError(f"{path}: no list of `{key}`: not an annotation file in COCO's format")
    return entries


def without_copies(entries: list[Entry]) -> list[Entry]:
    """The entries without those that equal an earlier one of the same id."""
    try:
        if len({entry.get("id") for entry in entries}) == len(entries):
            return entries
    except TypeError:  # an id that is no id, which is refused later
        return entries
    first: dict[Any, Entry] = {}
    return [x for x in entries if first.setdefault(x.get("id"), x) is x or first[x["id"]] != x]


def _person_of(categories: Sequence[Entry], skeleton: Skeleton) -> Entry:
    """The category of people in a file without annotations, with the skeleton's joints."""
    named = [c for c in categories if c.get("keypoints")]
    people = [c for c in categories if c.get("name") == "person"]
    category: Entry = next(iter([*named, *people, *categories]), {"id": 1})
    return {"id": 1, **category, "keypoints": category.get("keypoints") or skeleton.joints}


def _pictures(
    path: Path, images: Sequence[Entry], folder: Path, upright: bool = False
) -> list[Picture]:
    pictures, first = [], dict[Any, int]()
    for i, image in enumerate(images):
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


def _people(
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


def _require(people: Sequence[Named], keys: Sequence[str]) -> None:
    for where, entry in people:
        for key in keys:
            if key not in entry:
                remedy = "dataset=custom" + " dataset.area=0.53*w*h" * (key == "area")
                raise ValueError(f"{where}: no {key}: add it, or read the file with {remedy}")


def _keypoints(
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


def _given(people: Sequence[Named], key: str, otherwise: NDArray[Any]) -> NDArray[Any]:
    """A column as stored, with rows of `otherwise` (N, ...) for entries without the key."""
    here = [i for i, (_, entry) in enumerate(people) if key in entry]
    column = otherwise.astype(np.float64)
    column[here] = numbers([people[i] for i in here], key, *otherwise.shape[1:])
    return column


def _counts(people: Sequence[Named], otherwise: NDArray[Any]) -> NDArray[np.int64]:
    """num_keypoints as stored."""
    column = _given(people, "num_keypoints", otherwise)
    for n in np.flatnonzero((column != np.floor(column)) | (column < 0))[:1]:
        where, _ = people[n]
        raise ValueError(f"{where}: num_keypoints must be an integer, 0 or more")
    return column.astype(np.int64)


def _ids(people: Sequence[Named]) -> NDArray[np.int64]:
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
