"""A user's own photos and boxes -> the samples of image2d, without annotations.

A file of boxes is JSON: {"photo.jpg": [[x, y, w, h], ...], ...}, pixels of the photo, a box per
person; or one of COCO, Ultralytics or MOT (posediff/inference/tools/box_files.py). A photo without
an entry has no people. Photos are read upright, as programs show them.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from posediff.data.pictures import picture_files
from posediff.data.pictures.crops import boxed, cut, normalised
from posediff.data.pictures.picture_files import RGB
from posediff.data.video.frames import FILMS
from posediff.doors.checks import SINGLE, as_array, reading, shown
from posediff.doors.json_door import read_json
from posediff.files import visible
from posediff.inference.tools.box_files import (
    TEXTS,
    PictureBoxes,
    boxes_of,
    read_texts,
    without_weak,
)
from posediff.pose.affine import clean_box

KINDS = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff")


def photo_files(source: str | Path) -> list[Path]:
    """The photo, or the photos of a folder in the natural order of their names. Raises
    FileNotFoundError if there is none."""
    source = Path(source)
    if source.is_file():
        return [source]
    if not source.is_dir():
        raise FileNotFoundError(f"{source}: no such photo or folder")
    found = visible(source, KINDS)
    if not found:
        videos = visible(source, FILMS)
        hint = f"; name its videos, as {videos[0]}" if videos else ""
        raise FileNotFoundError(f"{source}: no photo in this folder ({', '.join(KINDS)}){hint}")
    return found


def read_boxes(path: str | Path) -> PictureBoxes:
    """The boxes of a file, or of a folder of Ultralytics' text files, by photo or frame, without
    those of a low score.

    Raises FileNotFoundError if there is no such file, ValueError if it has another form.
    """
    path = Path(path)
    with reading(path, "a box is of another form than its tool writes"):
        if path.is_dir() or (path.is_file() and path.suffix.lower() in TEXTS):
            boxes = read_texts(path)
        else:
            boxes = boxes_of(path, read_json(path, "file of boxes"))
        return without_weak(boxes)


def photo_sample(
    path: Path,
    boxes: Sequence[Any] | None,
    size: Sequence[int],
    codec: str,
    mean: Sequence[float],
    std: Sequence[float],
) -> tuple[RGB, dict[str, Any]]:
    """A photo, and a batch for `model.predict` of the people in its boxes (xywh).

    boxes None: one box, the whole photo. size, codec, mean, std: as in the training data
    (`dataset` in the model's config.json). The answers depend on the name of the photo and the
    index of the box.

    Raises FileNotFoundError or ValueError if the photo cannot be read, ValueError if a box is not
    four finite numbers or has no extent inside the photo.
    """
    photo = picture_files.read(path, upright=True)
    return photo, people_sample(photo, path.name, boxes, size, codec, mean, std, path)


def people_sample(
    photo: RGB,
    name: str,
    boxes: Sequence[Any] | None,
    size: Sequence[int],
    codec: str,
    mean: Sequence[float],
    std: Sequence[float],
    path: Path | None = None,
) -> dict[str, Any]:
    """The batch of `photo_sample` from the pixels of a picture of that name. path: what errors
    name, by default the name."""
    height, width = photo.shape[:2]
    given = [[0, 0, width, height]] if boxes is None else boxes
    box = torch.stack(
        [
            box_in(path or Path(name), f"box {n}", values, width, height)
            for n, values in enumerate(given)
        ]
    )
    sample = boxed(box, size, codec)
    pixels = cut([name] * len(box), lambda _: photo, sample["affine"], size)
    image = normalised(pixels, mean, std)
    image = image.to(memory_format=torch.channels_last)  # faster convolutions on a CPU
    return {"id": [f"{name}/{n}" for n in range(len(box))], "image": image, **sample}


def box_in(path: Path, name: str, values: Any, width: int, height: int) -> Tensor:
    """The box (4,), xywh, that a user gave for an image of that size: four numbers, or an entry of
    a file of boxes.

    Raises ValueError if it is not four finite numbers, is smaller than a pixel or has no extent
    inside the image.
    """
    sides = 1, 1
    if isinstance(values, Mapping) and "fraction" in values:
        values, sides = values["fraction"], (width, height)
    elif isinstance(values, Mapping):
        values = values.get("box", values)
    found = as_array(values)
    if found is None or found.shape != (4,) or not (np.abs(found) <= SINGLE / max(sides)).all():
        raise ValueError(f"{path}: {name} must be 4 finite numbers x, y, w, h, not {shown(values)}")
    found = found * (sides * 2)
    if (found[2:] > 0).all() and (found[2:] <= 1).all():
        raise ValueError(
            f"{path}: {name}, {found.tolist()}, is smaller than a pixel; a box is x, y, width, "
            f"height in pixels, of a picture of {width} x {height}: correct or delete it"
        )
    box = torch.from_numpy(found).float()
    inside, _ = clean_box(box, torch.tensor([width, height]), "mmpose")
    if not (torch.cat([box[2:], inside[2:]]) > 0).all():
        raise ValueError(
            f"{path}: {name}, {box.tolist()}, has no extent inside the image of "
            f"{width} x {height} pixels; a box is x, y, width, height in its pixels: correct or "
            "delete it"
        )
    return box
