"""Annotation files in COCO's format -> the people in them, every entry checked at the door.

    images       id, file_name; width, height (else read from the picture); crowdIndex (CrowdPose)
    categories   the one with `keypoints`, the names of the joints in the file's order
    annotations  id, image_id, category_id, keypoints [x, y, v] * J with v = 0 absent, 1 occluded,
                 2 visible; perhaps bbox and bbox_head [x, y, w, h], area, num_keypoints, iscrowd

Joints are brought into the skeleton's order by name, in the usual spellings; a joint of the
skeleton that the file does not know is labelled nowhere. num_keypoints counts as it is stored:
CrowdPose's leaves head and neck out, and counting anew changes who is ignored. A missing bbox is
`joint_box`.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, NamedTuple, Self, get_args

import numpy as np
import torch
from numpy.typing import NDArray

from posediff.data.pictures import picture_files
from posediff.diffusion.choices import one_of
from posediff.pose.layout import by_names
from posediff.pose.skeleton import Skeleton

Array = NDArray[np.float64]
Area = Literal["file", "0.53*w*h"]
Entry = Mapping[str, Any]
Named = tuple[str, Entry]  # how errors call it, and what stands there

MARGIN = 0.12  # of the longer side, around the joints of a person without a box
BODY = 0.53  # of a box is person, where no area is stored (CrowdPose, AI Challenger)


class Picture(NamedTuple):
    id: int | str
    file: str  # below the folder of pictures
    width: int
    height: int
    crowd_index: float = np.nan


@dataclass(frozen=True)
class Annotations:
    """All N annotated people of a file, those too that nobody trains on or scores."""

    path: Path
    skeleton: Skeleton
    pictures: list[Picture]
    picture: NDArray[np.int64]  # (N,) its place in `pictures`
    ids: NDArray[np.int64]  # (N,)
    keypoints: Array  # (N, J, 2) pixels; 0 where not labelled
    visible: NDArray[np.int8]  # (N, J) 0 absent, 1 labelled but occluded, 2 visible
    boxes: Array  # (N, 4) x, y, w, h; all 0 where there is neither a box nor a labelled joint
    area: Array  # (N,) square pixels
    labelled: NDArray[np.int64]  # (N,) num_keypoints as stored
    crowd: NDArray[np.bool_]  # (N,) a box around many
    heads: Array  # (N, 4) x, y, w, h of the head's box; NaN where there is none
    area_is: str = "0.53*w*h"  # where areas come from, as reports call it
    category: int | str = 1  # of the people, as the file calls it

    def within(self, kept: NDArray[np.bool_]) -> Self:
        """Some of the pictures with the people in them; `kept` is one flag per picture."""
        here, place = kept[self.picture], np.cumsum(kept) - 1
        columns = ("ids", "keypoints", "visible", "boxes", "area", "labelled", "crowd", "heads")
        return replace(
            self,
            pictures=[p for p, keep in zip(self.pictures, kept, strict=True) if keep],
            picture=place[self.picture[here]],
            **{name: getattr(self, name)[here] for name in columns},
        )

    def truth(self) -> dict[str, list[dict[str, Any]]]:
        """What a metric scores against, in COCO's form, joints in the skeleton's order.

        People are numbered from 1: pycocotools takes the id 0 for "unmatched", and loses such a
        person with any score. Raises ValueError for one who counts and has no area.
        """
        for n in np.flatnonzero(~(self.area > 0) & (self.labelled > 0) & ~self.crowd)[:1]:
            how = f"its area, by {self.area_is}, is {self.area[n]:g}"
            raise ValueError(f"{self.path}: annotation {self.ids[n]}: {how}: correct it")
        triples = np.concatenate([self.keypoints, self.visible[..., None]], -1)
        flat = triples.reshape(len(self.ids), 3 * len(self.skeleton.joints))
        numbers = (column.tolist() for column in (self.labelled, self.crowd.astype(int)))
        columns = (self.picture, flat, *numbers, self.boxes, self.area.tolist())
        keys = ("keypoints", "num_keypoints", "iscrowd", "bbox", "area")
        people = [
            {"id": n, "image_id": self.pictures[place].id, "category_id": self.category}
            | dict(zip(keys, values, strict=True))
            for n, (place, *values) in enumerate(zip(*columns, strict=True), 1)
        ]
        return {
            "images": [{"id": p.id, "crowdIndex": p.crowd_index} for p in self.pictures],
            "categories": [{"id": self.category, "keypoints": list(self.skeleton.joints)}],
            "annotations": people,
        }


def read(
    path: Path, skeleton: Skeleton, folder: Path, area: Area = "file", needs: Sequence[str] = ()
) -> Annotations:
    """The people of a json file, their pictures in `folder`; `needs` are further entries of theirs.

    FileNotFoundError, or ValueError with one line that names the file, the entry and the remedy.
    """
    return checked(path, load(path), skeleton, folder, area, needs)


def load(path: Path) -> Any:
    """What a json file holds."""
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such annotation file: look at dataset.root and split")
    try:
        return json.loads(path.read_bytes())
    except ValueError as error:
        reason = "empty" if path.stat().st_size == 0 else f"cut short or no JSON ({error})"
        raise ValueError(f"{path}: {reason}: copy it again") from None


def checked(
    path: Path,
    data: Any,
    skeleton: Skeleton,
    folder: Path,
    area: Area = "file",
    needs: Sequence[str] = (),
) -> Annotations:
    """`read`, of what stands in the file already."""
    one_of("dataset.area", area, get_args(Area))
    images, categories, entries = (
        listed(path, data, key) for key in ("images", "categories", "annotations")
    )
    shown = _pictures(path, images, folder)
    place = {picture.id: i for i, picture in enumerate(shown)}
    people, category = _people(path, entries, categories, place)
    for where, lacking in ((w, k) for w, entry in people for k in needs if k not in entry):
        raise ValueError(f"{where}: no {lacking}: give it, or read the file by dataset=custom")
    names = [str(name) for name in category["keypoints"]]
    picture = np.array([place[entry["image_id"]] for _, entry in people], np.int64)
    keypoints, visible = _keypoints(path, people, names, skeleton)
    sizes = np.array([(p.width, p.height) for p in shown], np.float64).reshape(-1, 2)[picture]
    boxes = _given(people, "bbox", joint_box(keypoints, visible > 0, sizes))
    if len(negative := np.flatnonzero(boxes[:, 2:].min(1) < 0)):
        where, _ = people[negative[0]]
        raise ValueError(f"{where}: bbox is x, y, width, height; its size is negative")
    return Annotations(
        path=path,
        skeleton=skeleton,
        pictures=shown,
        picture=picture,
        ids=_ids(people),
        keypoints=keypoints,
        visible=visible,
        boxes=boxes,
        area=BODY * boxes[:, 2] * boxes[:, 3] if area == "0.53*w*h" else _area(people),
        labelled=_given(people, "num_keypoints", (visible > 0).sum(1)).astype(np.int64),
        crowd=np.array([bool(entry.get("iscrowd", 0)) for _, entry in people], np.bool_),
        heads=_given(people, "bbox_head", no_heads(len(people))),
        area_is=area,
        category=category["id"],
    )


def joint_box(keypoints: Array, labelled: NDArray[np.bool_], sizes: Array) -> Array:
    """The extent of the labelled joints and a margin of .12 of its longer side, inside the picture:
    (N, J, 2), (N, J), sizes (N, 2) -> (N, 4) x, y, w, h; zeros where nothing is labelled."""
    here = labelled[..., None]
    low = np.where(here, keypoints, np.inf).min(1, initial=np.inf)
    high = np.where(here, keypoints, -np.inf).max(1, initial=-np.inf)
    found = labelled.any(1, keepdims=True)
    low, high = np.where(found, low, 0.0), np.where(found, high, 0.0)
    margin = MARGIN * (high - low).max(1, keepdims=True)
    low, high = np.clip(low - margin, 0, sizes), np.clip(high + margin, 0, sizes)
    return np.concatenate([low, high - low], 1)


def no_heads(count: int) -> Array:
    """The column `heads` of people without any box of a head."""
    return np.full((count, 4), np.nan)


def listed(path: Path, data: Any, key: str) -> list[Entry]:
    """The list `key` of a file in COCO's format."""
    entries = data.get(key) if isinstance(data, dict) else None
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise ValueError(f"{path}: no list of `{key}`: not an annotation file in COCO's format")
    return entries


def _pictures(path: Path, images: Sequence[Entry], folder: Path) -> list[Picture]:
    shown, first = [], dict[Any, int]()
    for i, image in enumerate(images):
        where, number, file = f"{path}: images[{i}]", image.get("id"), image.get("file_name")
        if not isinstance(number, int | str):
            raise ValueError(f"{where}: id must be a number or a word, got {number!r}")
        if number in first:
            raise ValueError(f"{where}: id {number!r} is that of images[{first[number]}] too")
        if not isinstance(file, str) or not file:
            raise ValueError(f"{where}: file_name must name the picture, got {file!r}")
        first[number] = i
        size: list[Any] = [image.get("width"), image.get("height")]
        width, height = picture_files.size(folder / file) if size == [None, None] else size
        if not all(isinstance(n, int) and n > 0 for n in (width, height)):
            raise ValueError(f"{where}: width and height must be positive integers, got {size}")
        crowded = image.get("crowdIndex", np.nan)
        if not isinstance(crowded, float | int):
            raise ValueError(f"{where}: crowdIndex must be a number, got {crowded!r}")
        shown.append(Picture(number, file, width, height, crowded))
    return shown


def _people(
    path: Path, entries: Sequence[Entry], categories: Sequence[Entry], place: Mapping[Any, int]
) -> tuple[list[Named], Entry]:
    """The annotations of the category that has joints, and that category."""
    posed = [c for c in categories if c.get("keypoints") and isinstance(c["keypoints"], list)]
    if len(posed) != 1:
        found = f"{len(posed)} of the {len(categories)} categories have"
        raise ValueError(f"{path}: {found} `keypoints`, the names of the joints: one must")
    known = {"image_id": place, "category_id": [c.get("id") for c in categories]}
    people = []
    for i, entry in enumerate(entries):
        where = f"{path}: annotations[{i}] (id {entry.get('id')!r})"
        for key, ids in known.items():
            given = entry.get(key)
            if not isinstance(given, int | str) or given not in ids:
                raise ValueError(f"{where}: {key} {given!r} is not in the file's lists")
        if entry["category_id"] == posed[0].get("id"):
            people.append((where, entry))
    return people, posed[0]


def _keypoints(
    path: Path, people: Sequence[Named], names: list[str], skeleton: Skeleton
) -> tuple[Array, NDArray[np.int8]]:
    """(N, J, 2) and (N, J) in the skeleton's order."""
    rows = numbers(people, "keypoints", 3 * len(names)).reshape(len(people), len(names), 3)
    flags = rows[..., 2]
    for i in np.flatnonzero(np.isin(flags, (0, 1, 2)).sum(1) < len(names))[:1]:
        hint = " (3 is AI Challenger's own form: set dataset.form=raw)" if 3 in flags[i] else ""
        raise ValueError(f"{people[i][0]}: v of keypoints [x, y, v] must be 0, 1 or 2{hint}")
    try:
        given = torch.from_numpy(rows)
        points, visible = by_names(given[..., :2], given[..., 2], names, skeleton)
    except ValueError as error:
        raise ValueError(f"{path}: keypoints of categories: {error}") from None
    points = torch.where(visible[..., None] > 0, points, 0.0)
    return points.numpy(), visible.numpy().astype(np.int8)


def _given(people: Sequence[Named], key: str, otherwise: NDArray[Any]) -> NDArray[Any]:
    """A column as stored, and the rows of `otherwise` (N, ...) where an entry lacks the key."""
    here = [i for i, (_, entry) in enumerate(people) if key in entry]
    column = otherwise.astype(np.float64)
    column[here] = numbers([people[i] for i in here], key, *otherwise.shape[1:])
    return column


def _area(people: Sequence[Named]) -> Array:
    for where, entry in people:
        if "area" not in entry:
            remedy = "give it, or read the file by dataset=custom dataset.area=0.53*w*h"
            raise ValueError(f"{where}: no area: {remedy}")
    return numbers(people, "area")


def _ids(people: Sequence[Named]) -> NDArray[np.int64]:
    first: dict[int, str] = {}
    for where, entry in people:
        number = entry.get("id")
        if not isinstance(number, int):
            raise ValueError(f"{where}: id must be an integer")
        if number in first:
            raise ValueError(f"{where}: the same id as {first[number].rpartition(': ')[2]}")
        first[number] = where
    return np.array(list(first), np.int64)


def numbers(people: Sequence[Named], key: str, *shape: int) -> Array:
    """A column (N, *shape) of finite numbers."""

    def finite(values: list[Any]) -> Array | None:
        try:
            array = np.array(values, np.float64).reshape(len(values), *shape)
        except (ValueError, TypeError):
            return None
        return array if np.isfinite(array).all() else None

    column = finite([entry.get(key) for _, entry in people])
    if column is not None:
        return column
    where, found = next((w, e.get(key)) for w, e in people if finite([e.get(key)]) is None)
    what = f"{shape[0]} finite numbers" if shape else "a finite number"
    shown = f"a list of {len(found)}" if isinstance(found, list) else repr(found)
    raise ValueError(f"{where}: {key} must be {what}, not {shown}")
