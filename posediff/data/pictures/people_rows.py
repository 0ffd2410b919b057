"""Rows of a data set: people of annotations, or of a detector's file, in the order of the images.

Rows have no pixels: posediff/data/pictures/top_down.py makes crops of them.
"""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from posediff.data.pictures import annotations
from posediff.data.pictures.annotation_entries import numbers
from posediff.data.pictures.annotations import Annotations
from posediff.pose.affine import clean_box, corners
from posediff.pose.oks import oks_nms, overlap


class People(NamedTuple):
    """The rows of a data set."""

    picture: Tensor  # (N,) index into the pictures of the annotations
    number: Tensor  # (N,) id of the annotation; of a detection, its index within the image
    box: Tensor  # (N, 4) xyxy
    score: Tensor  # (N,) of the box; 1 if annotated
    area: Tensor  # (N,)
    keypoints: Tensor  # (N, J, 2)
    visible: Tensor  # (N, J)
    head: Tensor  # (N, 4) xyxy of the head's box; NaN if there is none


def annotated(people: Annotations, rule: str) -> tuple[People, int]:
    """Rows of the usable people in the order of the images, and the number of the others: crowds,
    and people without counted joints, without area, or without a box inside the image."""
    sizes = torch.tensor([(p.width, p.height) for p in people.pictures]).reshape(-1, 2).float()
    picture = torch.from_numpy(people.picture)
    boxes, inside = clean_box(torch.from_numpy(people.boxes).float(), sizes[picture], rule)
    inside &= (boxes[:, 2:] > 0).all(1)
    good = ~people.crowd & (people.labelled > 0) & (people.area > 0) & inside.numpy()
    order = np.flatnonzero(good)
    order = order[np.argsort(people.picture[order], kind="stable")]

    def column(values: NDArray[Any]) -> Tensor:
        return torch.from_numpy(values[order]).float()

    rows = People(
        picture=picture[order],
        number=torch.from_numpy(people.ids[order]),
        box=corners(boxes[order]),
        score=torch.ones(len(order)),
        area=column(people.area),
        keypoints=column(people.keypoints),
        visible=column(people.visible),
        head=corners(column(people.heads)),
    )
    return rows, len(good) - len(order)


def detected(path: Path, people: Annotations, box_nms: float) -> tuple[People, int]:
    """Rows of the boxes of people in a result file in the order of the images, and the number of
    the others: empty boxes, boxes of images without annotations, and copies of a better one."""
    entries = annotations.load(path)
    if not isinstance(entries, list) or not all(isinstance(e, dict) for e in entries):
        raise ValueError(f"{path}: no list of detections {{image_id, category_id, bbox, score}}")
    own = people.category
    of_people = [e.get("category_id", own) == own for e in entries]
    found = [(f"{path}: [{i}]", entries[i]) for i in np.flatnonzero(of_people).tolist()]
    boxes, scores = numbers(found, "bbox", 4), numbers(found, "score")
    place = {str(p.id): i for i, p in enumerate(people.pictures)}
    picture = np.array([place.get(str(e.get("image_id")), -1) for _, e in found], np.int64)
    if not (picture >= 0).any():
        raise ValueError(
            f"{path}: none of its {len(found)} boxes of people is in an image of {people.path}, "
            f"where people are category {own}; it has {len(entries)} boxes"
        )
    kept = np.flatnonzero((picture >= 0) & (boxes[:, 2:] > 0).all(1))
    if box_nms < 1:
        kept = kept[_without_copies(boxes[kept], scores[kept], picture[kept], box_nms)]
    order = kept[np.argsort(picture[kept], kind="stable")]
    picture = picture[order]
    first = np.searchsorted(picture, picture)  # row of the first box of the same image
    box = torch.from_numpy(boxes[order]).float()
    joints = len(people.skeleton.joints)
    rows = People(
        picture=torch.from_numpy(picture),
        number=torch.from_numpy(np.arange(len(order)) - first),
        box=corners(box),
        score=torch.from_numpy(scores[order]).float(),
        area=box[:, 2:].prod(-1),
        keypoints=torch.zeros(len(order), joints, 2),
        visible=torch.zeros(len(order), joints),
        head=torch.full((len(order), 4), torch.nan),
    )
    return rows, len(found) - len(order)


def _without_copies(
    boxes: NDArray[Any], scores: NDArray[Any], picture: NDArray[np.int64], threshold: float
) -> NDArray[np.int64]:
    """Ascending rows that suppression within each image keeps."""
    ends, sure = corners(torch.from_numpy(boxes)), torch.from_numpy(scores)
    kept = [torch.empty(0, dtype=torch.long)]
    for place in np.unique(picture):
        here = torch.from_numpy(np.flatnonzero(picture == place))
        kept.append(here[oks_nms(overlap(ends[here]), sure[here], threshold)])
    return np.sort(torch.cat(kept).numpy())
