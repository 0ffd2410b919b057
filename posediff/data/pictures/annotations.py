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

An image, with its people, or an annotation that cannot be used is left out, said and counted; if
they are more than the part `limits.left_out`, the first is an error. Of two images of one id none
is used, since nobody knows whose the people are.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any, Literal, Self, get_args

import numpy as np
from numpy.typing import NDArray

from posediff.data.pictures.annotation_entries import (
    Array,
    Picture,
    counts_of,
    given_or,
    ids_of,
    joint_box,
    keypoints_of,
    numbers,
    people_of,
    pictures_of,
    require,
)
from posediff.data.pictures.usable_entries import (
    Entry,
    Placed,
    checked_usable,
    with_pictures,
    without_copies,
)
from posediff.diffusion.choices import one_of
from posediff.doors import limits
from posediff.doors.checks import flag
from posediff.doors.json_door import read_json
from posediff.pose.skeleton import Skeleton

Area = Literal["file", "0.53*w*h"]

BODY = 0.53  # area of a person / area of the box, if none is stored (CrowdPose, AI Challenger)


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
    unusable: tuple[str, ...] = ()  # entries of the file that are left out, and why

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

    def digest(self, *more: NDArray[Any]) -> str:
        """A number made of the pictures' names and sizes, of all labels, and of `more`."""
        digest = sha256(repr(self.pictures).encode())
        for column in (*self.columns().values(), *more):
            digest.update(column.tobytes())
        return digest.hexdigest()[:16]

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
    places: Sequence[int] | None = None,
) -> Annotations:
    """People of `data`, the content of the file `path`.

    folder: contains the images. area: source of the areas, the entry of the file or the box.
    needs: keys that every annotation must have. upright: sizes of images that the file does not
    state are those of upright ones. places: of the annotations in their list, if they are some of
    it; then nothing is left out.
    Raises FileNotFoundError if an image is needed for its size and missing, ValueError if an entry
    cannot be used.
    """
    one_of("dataset.area", area, get_args(Area))
    if isinstance(data, dict) and "images" in data and "annotations" not in data:
        data = {"categories": [], **data, "annotations": []}
    images, categories, entries = (
        listed(path, data, key) for key in ("images", "categories", "annotations")
    )
    images, strict = without_copies(images), places is not None
    placed = (
        list(zip(places, entries, strict=True))
        if places is not None
        else list(enumerate(without_copies(entries)))
    )
    if not entries:
        categories = [_person_of(categories, skeleton)]
    shown = list(enumerate(images))
    pictures_from = partial(pictures_of, path, folder, upright)
    pictures, gone = checked_usable(shown, pictures_from, "images", both=True, strict=strict)
    placed = with_pictures(placed, images, {p.id for p in pictures}, gone)
    wanted = [*needs] if area == "0.53*w*h" else [*needs, "area"]
    made = partial(_made, path, skeleton, pictures, categories, area, wanted)
    found, lost = checked_usable(placed, made, "annotations", strict=strict)
    return replace(found, unusable=(*gone, *lost))


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
    people, category = people_of(path, entries, categories, place)
    require(people, needs)
    names = [str(name) for name in category["keypoints"]]
    picture = np.array([place[entry["image_id"]] for _, entry in people], np.int64)
    keypoints, visible = keypoints_of(path, people, names, skeleton)
    sizes = np.array([(p.width, p.height) for p in pictures], np.float64).reshape(-1, 2)[picture]
    boxes = given_or(people, "bbox", joint_box(keypoints, visible > 0, sizes))
    if len(negative := np.flatnonzero(boxes[:, 2:].min(1) < 0)):
        where, _ = people[negative[0]]
        raise ValueError(f"{where}: bbox is x, y, width, height; its size is negative")
    return Annotations(
        path=path,
        skeleton=skeleton,
        pictures=pictures,
        picture=picture,
        ids=ids_of(people),
        keypoints=keypoints,
        visible=visible,
        boxes=boxes,
        area=numbers(people, "area") if area == "file" else BODY * boxes[:, 2] * boxes[:, 3],
        labelled=counts_of(people, (visible > 0).sum(1)),
        crowd=np.array(
            [flag(f"{where}: iscrowd", entry.get("iscrowd", 0)) for where, entry in people],
            np.bool_,
        ),
        heads=given_or(people, "bbox_head", np.full((len(people), 4), np.nan)),
        area_is=area,
        category=category["id"],
    )


def listed(path: Path, data: Any, key: str) -> list[Entry]:
    """The list `key` of a file in COCO's format. Raises ValueError if there is none."""
    entries = data.get(key) if isinstance(data, dict) else None
    others = [x for x in entries if x.__class__ is not dict] if isinstance(entries, list) else [0]
    if not isinstance(entries, list) or len(others) > limits.CURRENT.left_out * len(entries):
        raise ValueError(f"{path}: no list of `{key}`: not an annotation file in COCO's format")
    # one of another kind is refused by its place, as an entry without any value
    return [x if isinstance(x, dict) else {} for x in entries] if others else entries


def _person_of(categories: Sequence[Entry], skeleton: Skeleton) -> Entry:
    """The category of people in a file without annotations, with the skeleton's joints."""
    named = [c for c in categories if c.get("keypoints")]
    people = [c for c in categories if c.get("name") == "person"]
    category: Entry = next(iter([*named, *people, *categories]), {"id": 1})
    return {"id": 1, **category, "keypoints": category.get("keypoints") or skeleton.joints}
