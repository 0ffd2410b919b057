"""Annotated people in images -> samples of image2d, one crop per person.

    box -> center, scale (grown to the shape of the crop, padded) -> augment -> affine -> crop

Boxes are those of the annotations, cleaned by a rule, or in tests those of a detector, unchanged.
If a mirror image is drawn, the matrix shows it, and left and right joints are exchanged.

posediff/sample.py has the keys. head_box is there if the annotations have boxes of heads. A
detection has no joints: all are 0 and not labelled.
"""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, TypedDict

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from posediff.data import random
from posediff.data.pictures import picture_files
from posediff.data.pictures.annotations import Annotations
from posediff.data.pictures.augment import Augmentation, CropView, mirrored, recipe
from posediff.data.pictures.crops import cut, normalised
from posediff.data.pictures.people_rows import People, annotated, detected
from posediff.data.pictures.picture_memory import MEMORY
from posediff.pose.affine import affine, box_to_center_scale, transform
from posediff.pose.heatmap import is_udp
from posediff.sample import take
from posediff.truth import Truth

Split = Literal["train", "validation", "test"]

MEAN, STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)  # of ImageNet, RGB
SPLITS = ("train", "validation", "test")


class Options(TypedDict, total=False):
    """Options shared by all data sets of people in images, see `TopDownDataset`."""

    name: str
    size: tuple[int, int]
    codec: str
    boxes: str
    box_rule: str
    box_nms: float
    box_threshold: float | None
    mean: Sequence[float]
    std: Sequence[float]
    augment: str | Augmentation | None
    seed: int
    upright: bool


class TopDownDataset(Dataset[dict[str, Any]]):
    """Samples of people in images, a batch at a time: a loader needs `collate_fn=lambda batch:
    batch`. An image is decoded once per batch. Rows are in the order of the images.

    folder: contains the images. size: of the crop, (W, H). codec: if it is udp, the crop is
    measured from pixel centre to pixel centre. boxes: gt, the annotated ones, or a detector's json
    file below `root`; training always uses gt. box_rule: hrnet or mmpose. box_nms: detections in
    one image that overlap a better one by more than this are dropped; 1 keeps all. box_threshold:
    minimum score of a detection; None: any. labelled: flag per image, whether its people count;
    None: all count. mean, std: of the backbone, RGB in 0..255. augment: hrnet, mmpose, an
    Augmentation or None; in training only. painted: the images themselves, if they are in no files.
    upright: images are turned as their EXIF says; benchmarks are labelled as stored. Raises
    FileNotFoundError if the folder, images or the boxes are missing, ValueError if their content or
    an option cannot be used.
    """

    def __init__(
        self,
        people: Annotations,
        folder: Path,
        training: bool = False,
        root: Path = Path(),
        size: tuple[int, int] = (192, 256),
        codec: str = "udp",
        boxes: str = "gt",
        box_rule: str = "hrnet",
        box_nms: float = 1.0,
        box_threshold: float | None = None,
        mean: Sequence[float] = MEAN,
        std: Sequence[float] = STD,
        augment: str | Augmentation | None = "hrnet",
        seed: int = 0,
        painted: Sequence[picture_files.RGB] | None = None,
        labelled: NDArray[np.bool_] | None = None,
        name: str = "",
        upright: bool = False,
    ) -> None:
        if len(size) != 2 or min(size) < 2:
            raise ValueError(f"dataset.size is width and height of the crop, got {list(size)}")
        detections = None if training or boxes == "gt" else root / boxes
        self.name, self.annotations, self.skeleton = name, people, people.skeleton
        self.folder, self.detections, self.painted = folder, detections, painted
        self.size, self.codec, self.box_rule = (int(size[0]), int(size[1])), codec, box_rule
        self.mean, self.std = mean, std
        self.augment = recipe(augment) if training else None
        self.seed, self.epoch = seed, 0
        self.box_nms, self.box_threshold, self.upright = box_nms, box_threshold, upright
        rows, left_out = (
            detected(detections, people, box_nms) if detections else annotated(people, box_rule)
        )
        kept = torch.ones_like(rows.picture, dtype=torch.bool)
        if box_threshold is not None:
            kept &= rows.score >= box_threshold
        if labelled is not None:
            kept &= torch.from_numpy(labelled)[rows.picture]
        self.rows = People(*(column[kept] for column in rows))
        self.left_out = left_out + int((~kept).sum())
        self.has_heads = bool(self.rows.head.isfinite().any())
        if not len(self):
            hint = f" (dataset.box_threshold is {box_threshold})" if detections else ""
            raise ValueError(f"{detections or people.path}: no person in it can be used{hint}")
        if painted is None and not folder.is_dir():
            raise FileNotFoundError(f"{folder}: no such folder of images: look at dataset.root")
        if painted is None:
            self._require_pictures()

    def __len__(self) -> int:
        return len(self.rows.picture)

    def __getitem__(self, index: int) -> dict[str, Any]:
        """One sample, without the leading dimension."""
        sample: dict[str, Any] = take(self.__getitems__([index]), 0)
        return sample

    def __getitems__(self, indices: Sequence[int]) -> dict[str, Any]:
        """The batched sample of these rows."""
        sample, view, pictures = self.geometry(indices)
        pixels = cut(pictures, self._picture, sample["affine"], self.size)
        return sample | {"image": normalised(pixels, self.mean, self.std, view.colour)}

    def geometry(self, indices: Sequence[int]) -> tuple[dict[str, Any], CropView, list[int]]:
        """The batched sample of these rows without its image, the views, and indices of the
        pictures."""
        rows = torch.as_tensor(indices)
        person = People(*(column[rows] for column in self.rows))
        shown = [self.annotations.pictures[i] for i in person.picture.tolist()]
        mark = "box" if self.detections else ""
        ids = [f"{p.id}/{mark}{n}" for p, n in zip(shown, person.number.tolist(), strict=True)]
        view = self._view(person, ids)
        matrix = self._affine(view, torch.tensor([p.width for p in shown]))
        labelled = person.visible > 0
        keypoints = transform(person.keypoints, matrix)
        mirror, swapped = view.flip[:, None], self.skeleton.flip
        keypoints = torch.where(mirror[..., None], keypoints[:, swapped], keypoints)
        visible = torch.where(mirror, labelled[:, swapped], labelled).float()
        sample = {
            "id": ids,
            "affine": matrix,
            "center": view.center,
            "scale": view.scale,
            "area": person.area,
            "keypoints": keypoints * visible[..., None],
            "visible": visible,
            "keypoints_annotation": person.keypoints,
            "visible_annotation": person.visible,
            "box": person.box,
            "box_score": person.score,
            **({"head_box": person.head} if self.has_heads else {}),
            "meta": {
                "image_id": [p.id for p in shown],
                "annotation_id": person.number.tolist(),
                "path": [str(self.folder / p.file) for p in shown],
            },
        }
        return sample, view, person.picture.tolist()

    def _view(self, person: People, ids: Sequence[str]) -> CropView:
        """Views of people; in training drawn by (seed, id, epoch)."""
        box = torch.cat([person.box[:, :2], person.box[:, 2:] - person.box[:, :2]], -1)
        aspect = self.size[0] / self.size[1]
        center, scale = box_to_center_scale(box, aspect)
        if self.augment is None:
            zeros = torch.zeros(len(ids))
            return CropView(center, scale, zeros, zeros > 0, None)
        keys = random.keys(self.seed, random.name_keys(ids), self.epoch)
        return self.augment.draw(
            center, scale, person.keypoints, person.visible, self.skeleton, keys, aspect
        )

    def _affine(self, view: CropView, width: Tensor) -> Tensor:
        x = torch.where(view.flip, width - 1 - view.center[:, 0], view.center[:, 0])
        center = torch.stack([x, view.center[:, 1]], -1)
        matrix = affine(center, view.scale, self.size, view.rotation, udp=is_udp(self.codec))
        return mirrored(matrix, width, view.flip)

    def _require_pictures(self) -> None:
        """Raises FileNotFoundError, with the first names, if images of rows are not there."""
        named = [self.annotations.pictures[i].file for i in self._shown()]
        places = [os.path.split(file) for file in named]
        homes = {home: self.folder / home for home, _ in places}
        there = {
            home: {x.name for x in os.scandir(path)}
            for home, path in homes.items()
            if path.is_dir()
        }
        gone = [
            file
            for file, (home, name) in zip(named, places, strict=True)
            if name not in there.get(home, ())
        ]
        if gone:
            others = f"; so are {', '.join(gone[1:5])}" if gone[1:] else ""
            raise FileNotFoundError(
                f"{self.folder / gone[0]}: no such image file{others}; {len(gone)} of the "
                f"{len(named)} images with people in {self.annotations.path} are missing: look at "
                "dataset.root and images"
            )

    def _shown(self) -> list[int]:
        """The pictures that have rows."""
        return list(map(int, torch.unique(self.rows.picture)))

    def _picture(self, place: int) -> picture_files.RGB:
        """Pixels; raises ValueError if their size is not the annotated one."""
        if self.painted is not None:
            return self.painted[place]
        noted = self.annotations.pictures[place]
        path = self.folder / noted.file
        image = MEMORY.read(path, self.upright)
        if image.shape[:2] != (noted.height, noted.width):
            found = f"{image.shape[1]}x{image.shape[0]}"
            turned = self.upright and picture_files.size(path) == (noted.width, noted.height)
            why = (
                "its EXIF turns it: dataset.upright=false"
                if turned
                else "it was resized or rotated"
            )
            raise ValueError(
                f"{path}: the image is {found}, but {self.annotations.path} was made for one of "
                f"{noted.width}x{noted.height}: {why}"
            )
        return image

    def set_epoch(self, epoch: int) -> None:
        """Call it before a loader starts its workers: they have a copy."""
        self.epoch = epoch

    def truth(self, whole: bool = True) -> Truth:
        """Labels of the data set for a metric."""
        return Truth(self.skeleton.name, self.name, 2, whole, self.annotations.truth)

    def summary(self) -> dict[str, Any]:
        """Facts about the data for the report of a result."""
        return {
            "annotations": str(self.annotations.path),
            "labels": self.annotations.digest(),
            "area": self.annotations.area_is,
            "frames": len(self.annotations.pictures),
            "people": len(self),
            "left_out": self.left_out,
            "unusable_annotations": list(self.annotations.unusable),
            "skeleton": self.skeleton.name,
            "boxes": self.detections.name if self.detections else "gt",
            "box_rule": self.box_rule,
            "box_nms": self.box_nms if self.detections else 1.0,
            "codec": self.codec,
            "size": list(self.size),
            "images": "upright, by EXIF" if self.upright else "as stored",
        }
