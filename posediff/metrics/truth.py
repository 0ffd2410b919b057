"""COCO-style annotations as the ground truth of a metric, checked at the door.

    {"images": [{"id", ...}], "categories": [{"id", "keypoints": [names], ...}], "annotations":
     [{"id", "image_id", "category_id", "keypoints": [x, y, v] * J, "bbox": [x, y, w, h], "area",
       "num_keypoints", "iscrowd"}]}        v = 0 not labelled, 1 labelled but hidden, 2 visible

What comes out has the same form, with the joints in the skeleton's order, arrays for keypoints,
nothing missing, and people numbered from 1: an annotation with the id 0, and with it any score,
is lost in pycocotools, which takes 0 for "unmatched".
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from posediff.pose.layout import by_names
from posediff.pose.skeleton import Skeleton

Area = Literal["file", "0.53*w*h"]  # of a person: as annotated, or from its box
Source = str | Path | Mapping[str, Any] | Sequence[Any]  # a file, or what it holds
Truth = dict[str, Any]
Values = NDArray[np.float64]

PARTS = ("images", "categories", "annotations")
MARGIN = 0.12  # around the labelled joints of a person without a box, in its longer sides


def read(source: Source) -> tuple[Any, str]:
    """What a file holds, or what was read already, and what errors call it.

    Raises FileNotFoundError, or ValueError for what is no JSON.
    """
    if not isinstance(source, str | Path):
        return source, "the annotations"
    path = Path(source)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such annotation file; check eval.metric.annotations")
    try:
        return json.loads(path.read_text(encoding="utf-8")), str(path)
    except ValueError as error:
        raise ValueError(f"{path}: no JSON ({error}); the file is damaged, get it again") from error


def ground_truth(
    data: Any, where: str, skeleton: Skeleton, area: str = "file", needs: Sequence[str] = ()
) -> Truth:
    """The people of the one category that has keypoints, checked and completed.

    where: what errors call the data, its path. area: "file", or "0.53*w*h" of the box where files
    have none. needs: further entries that every annotation must have. Missing are filled in: a box
    (the extent of the labelled joints and a margin, inside the picture), the number of labelled
    joints, iscrowd. Raises ValueError with the file and the entry for everything else.
    """
    if area not in ("file", "0.53*w*h"):
        raise ValueError(f"dataset.area must be file or 0.53*w*h, got {area!r}")
    for part in PARTS:
        if not isinstance(data, Mapping) or not isinstance(data.get(part), list):
            raise ValueError(f"{where}: has no list `{part}`; COCO's form has {', '.join(PARTS)}")
    images = _by_id(data["images"], f"{where}: image")
    category, known = _category(data["categories"], where)
    people = _by_id(data["annotations"], f"{where}: annotation")
    for key, person in people.items():
        _check_links(f"{where}: annotation {key}", person, images, known, needs)
    people = {k: p for k, p in people.items() if p["category_id"] == category["id"]}
    joints = _joints(people, category, where, skeleton)
    annotations = []
    for number, ((key, person), points) in enumerate(zip(people.items(), joints, strict=True), 1):
        entry, image = f"{where}: annotation {key}", images[person["image_id"]]
        links = {"id": number, "image_id": image["id"], "category_id": category["id"]}
        annotations.append(links | _completed(entry, person, points, area, image))
    return {"images": [*images.values()], "categories": [category], "annotations": annotations}


def _by_id(entries: Sequence[Any], what: str) -> dict[Any, Any]:
    found: dict[Any, Any] = {}
    for n, entry in enumerate(entries):
        if not isinstance(entry, Mapping) or not isinstance(entry.get("id"), int | str):
            raise ValueError(f"{what} number {n} in the list has no `id`; give each its own")
        if entry["id"] in found:
            raise ValueError(f"{what} {entry['id']} stands there twice; give each its own id")
        found[entry["id"]] = entry
    return found


def _category(entries: Sequence[Any], where: str) -> tuple[Any, set[Any]]:
    """The category with keypoints, and the ids of all."""
    categories = _by_id(entries, f"{where}: category")
    with_joints = [c for c in categories.values() if c.get("keypoints")]
    if len(with_joints) != 1:
        raise ValueError(
            f"{where}: {len(with_joints)} categories have a list `keypoints` with the names of the "
            "joints; exactly one must, that of people"
        )
    return with_joints[0], set(categories)


def _check_links(
    where: str, person: Mapping[str, Any], images: Any, known: set[Any], needs: Sequence[str]
) -> None:
    for key in ("image_id", "category_id", *needs):
        if key not in person:
            raise ValueError(f"{where}: has no `{key}`; add it")
    if person["image_id"] not in images:
        raise ValueError(f"{where}: image {person['image_id']} is not in the file; add or drop it")
    if person["category_id"] not in known:
        raise ValueError(
            f"{where}: category {person['category_id']} is not in the file, which has "
            f"{', '.join(sorted(map(str, known)))}; correct it or add the category"
        )


def _joints(
    people: Mapping[Any, Any], category: Mapping[str, Any], where: str, skeleton: Skeleton
) -> Values:
    """(N, J, 3) in the skeleton's order; a joint that the file does not know is not labelled."""
    names = category["keypoints"]
    for key, person in people.items():
        _numbers(f"{where}: annotation {key}: keypoints", person.get("keypoints"), 3 * len(names))
    rows = [person["keypoints"] for person in people.values()]
    table = torch.tensor(rows, dtype=torch.float64).reshape(-1, len(names), 3)
    for row, j in (~torch.isin(table[..., 2], torch.arange(3.0).double())).nonzero().tolist()[:1]:
        raise ValueError(
            f"{where}: annotation {list(people)[row]}: v of joint {names[j]} is "
            f"{table[row, j, 2]:g}; it must be 0 (not labelled), 1 (hidden) or 2 (visible)"
        )
    try:
        points, v = by_names(table[..., :2], table[..., 2], names, skeleton)
    except ValueError as error:
        raise ValueError(f"{where}: category {category['id']}: {error}") from error
    values: Values = torch.cat([points.nan_to_num(0.0), v[..., None]], -1).numpy()
    return values


def _numbers(where: str, values: Any, count: int) -> Values:
    """That many finite numbers, or a ValueError."""
    if isinstance(values, list) and len(values) == count:
        try:
            array = np.array(values, dtype=np.float64)
        except (TypeError, ValueError):
            array = np.empty(0)
        if array.shape == (count,) and np.isfinite(array).all():
            return array
    found = f"{len(values)} entries" if isinstance(values, list) else values
    raise ValueError(f"{where} must be {count} finite numbers, and are {found}; correct them")


def _completed(
    where: str, person: Mapping[str, Any], joints: Values, area: str, image: Mapping[str, Any]
) -> Truth:
    labelled = joints[joints[:, 2] > 0]
    crowd, count = int(person.get("iscrowd", 0)), int(person.get("num_keypoints", len(labelled)))
    if "bbox" in person:
        box = _numbers(f"{where}: bbox", person["bbox"], 4)
    else:
        box = _extent(labelled[:, :2], image)
    size = 0.53 * box[2] * box[3] if area == "0.53*w*h" else person.get("area")
    if size is None:
        raise ValueError(f"{where}: has no `area`; add it, or set dataset.area to 0.53*w*h")
    if not (isinstance(size, float | int) and size > 0) and count and not crowd:
        raise ValueError(f"{where}: its area is {size}, by dataset.area={area}; correct it")
    return {
        "keypoints": joints.ravel(),
        "num_keypoints": count,
        "iscrowd": crowd,
        "bbox": box,
        "area": float(size),
    }


def _extent(points: Values, image: Mapping[str, Any]) -> Values:
    """The box xywh of a person who has none in the file; all 0 without labelled joints."""
    if not len(points):
        return np.zeros(4)
    low, high = points.min(0), points.max(0)
    margin = MARGIN * (high - low).max()
    picture = [image.get("width", np.inf), image.get("height", np.inf)]
    low, high = np.maximum(low - margin, 0), np.minimum(high + margin, picture)
    return np.concatenate([low, high - low])
