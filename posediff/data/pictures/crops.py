"""Crops of people in boxes: the geometry, the pixels, and what a backbone is shown of them."""

from collections.abc import Callable, Hashable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import get_worker_info

from posediff.data.pictures.picture_files import RGB
from posediff.pose.affine import affine, box_to_center_scale, corners, warp
from posediff.pose.heatmap import is_udp


def boxed(boxes: Tensor, size: Sequence[int], codec: str) -> dict[str, Tensor]:
    """The entries of a sample that boxes (N, 4) xywh alone decide: center, scale, affine, area, box
    and box_score. size: of the crop, W and H."""
    W, H = size
    center, scale = box_to_center_scale(boxes, W / H)
    return {
        "affine": affine(center, scale, (W, H), udp=is_udp(codec)),
        "center": center,
        "scale": scale,
        "area": boxes[:, 2:].prod(-1),
        "box": corners(boxes),
        "box_score": torch.ones(len(boxes)),
    }


def cut(
    keys: Sequence[Hashable],
    read: Callable[[Any], RGB],
    matrix: Tensor,
    size: Sequence[int],
) -> Tensor:
    """What matrix (B, 2, 3) shows of the pictures that `read` returns for the keys (B,), each read
    once: (B, 3, H, W) of 0..255, uint8."""
    import cv2

    if get_worker_info() is not None:
        cv2.setNumThreads(0)  # its threads do not live on in a forked process
    width, height = size
    shown = np.empty((len(keys), 3, height, width), np.uint8)
    rows: dict[Hashable, list[int]] = {}
    for row, key in enumerate(keys):
        rows.setdefault(key, []).append(row)
    for key, here in rows.items():
        picture = read(key)
        for row in here:
            cv2.split(warp(picture, matrix[row], (width, height)), list(shown[row]))
    return torch.from_numpy(shown)


def normalised(
    pixels: Tensor, mean: Sequence[float], std: Sequence[float], colour: Tensor | None = None
) -> Tensor:
    """Crops (B, 3, H, W) of 0..255 as a backbone reads them, (x - mean) / std.

    colour (B, 3, 4) multiplies red, green, blue and 1 first, if it is given.
    """
    image = pixels.float()
    if colour is not None:
        mix, shift = colour[..., :3], colour[..., 3:]
        image = torch.baddbmm(shift, mix, image.flatten(2)).clamp(0, 255).view_as(image)
    average, deviation = (torch.tensor(x).float().view(3, 1, 1) for x in (mean, std))
    return image.sub_(average).div_(deviation)
