"""Photos and boxes of one's own -> the samples of image2d, without any annotation.

A file of boxes is json: {"photo.jpg": [[x, y, w, h], ...], ...}, pixels of the photo, a box a
person. A photo that it does not name has nobody in it.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from posediff.data.pictures import picture_files
from posediff.data.pictures.crops import boxed, cut, normalised
from posediff.data.pictures.picture_files import RGB
from posediff.pose.affine import clean_box

KINDS = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff")

Boxes = dict[str, list[list[float]]]


def photos(source: str | Path) -> list[Path]:
    """The photo, or those of a folder by name. Raises FileNotFoundError where there is none."""
    source = Path(source)
    if source.is_file():
        return [source]
    if not source.is_dir():
        raise FileNotFoundError(f"{source}: no such photo or folder")
    found = sorted(path for path in source.iterdir() if path.suffix.lower() in KINDS)
    if not found:
        raise FileNotFoundError(f"{source}: no photo in it, of {', '.join(KINDS)}")
    return found


def read_boxes(path: str | Path) -> Boxes:
    """By the names of photos. FileNotFoundError, or ValueError for a file of another form."""
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file of boxes")
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as e:
        raise ValueError(f"{path}: not valid JSON ({e})") from None
    if not isinstance(found, dict) or not all(isinstance(x, list) for x in found.values()):
        raise ValueError(f'{path}: must be {{"photo.jpg": [[x, y, w, h], ...], ...}}')
    return found


def photo_sample(
    path: Path,
    boxes: Sequence[Sequence[float]] | None,
    size: Sequence[int],
    codec: str,
    mean: Sequence[float],
    std: Sequence[float],
) -> tuple[RGB, dict[str, Any]]:
    """A photo, and a batch for `model.predict` of the people in its boxes (xywh).

    boxes None is the whole photo as one. size, codec, mean, std: what the model was trained on
    (`dataset` in its config.json). Answers depend on the photo's name and the number of the box.

    Raises FileNotFoundError or ValueError for a photo that cannot be read, and for a box that is
    not four finite numbers, has no extent or lies outside.
    """
    picture = picture_files.read(path)
    height, width = picture.shape[:2]
    given = [[0, 0, width, height]] if boxes is None else boxes
    box = torch.cat(
        [box_in(path, f"box {n}", values, width, height) for n, values in enumerate(given)]
    )
    sample = boxed(box, size, codec)
    pixels = cut([path] * len(box), lambda _: picture, sample["affine"], size)
    image = normalised(pixels, mean, std)
    image = image.to(memory_format=torch.channels_last)  # a CPU convolves it faster
    ids = [f"{path.name}/{n}" for n in range(len(box))]
    return picture, {"id": ids, "image": image, **sample}


def box_in(path: Path, name: str, values: Any, width: int, height: int) -> Tensor:
    """A box that somebody gave for a picture of that size, checked, (1, 4)."""
    try:
        box = torch.tensor([float(x) for x in values])
    except (TypeError, ValueError):
        box = torch.empty(0)
    if box.shape != (4,) or not bool(box.isfinite().all()):
        raise ValueError(f"{path}: {name} must be 4 finite numbers x, y, w, h, not {values}")
    extent = torch.tensor([width, height])
    inside, _ = clean_box(box, extent, "mmpose")
    if not (torch.cat([box[2:], inside[2:]]) > 0).all():
        raise ValueError(
            f"{path}: {name}, {box.tolist()}, has no extent inside the picture of "
            f"{width} x {height} pixels"
        )
    return box[None]
