"""Crops of people in boxes: their geometry, their pixels, and the input of a backbone."""

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
    """Entries of a sample that follow from boxes (N, 4) xywh alone. size: W and H of the crop."""
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
    """Crops (B, 3, H, W) of 0..255, uint8, by the matrices (B, 2, 3) from the images that `read`
    returns for the keys (B,). Each image is read once."""
    import cv2

    if get_worker_info() is not None:
        cv2.setNumThreads(0)  # its threads do not survive in a forked process
    width, height = size
    crops = np.empty((len(keys), 3, height, width), np.uint8)
    rows: dict[Hashable, list[int]] = {}
    for row, key in enumerate(keys):
        rows.setdefault(key, []).append(row)
    for key, here in rows.items():
        image = read(key)
        for row in here:
            cv2.split(warp(image, matrix[row], (width, height)), list(crops[row]))
    return torch.from_numpy(crops)


def normalised(
    pixels: Tensor, mean: Sequence[float], std: Sequence[float], colour: Tensor | None = None
) -> Tensor:
    """Input of a backbone, (x - mean) / std of crops (B, 3, H, W) of 0..255.

    colour (B, 3, 4), if given, is first applied to red, green, blue and 1.
    """
    image = pixels.float()
    if colour is not None:
        mix, shift = colour[..., :3], colour[..., 3:]
        image = torch.baddbmm(shift, mix, image.flatten(2)).clamp(0, 255).view_as(image)
    average, deviation = (torch.tensor(x).float().view(3, 1, 1) for x in (mean, std))
    return image.sub_(average).div_(deviation)
