"""Boxes of the people in a picture, from the maps of MoveNet MultiPose (posediff/nn/movenet.py).

score = sigmoid(center)       of cells that are the largest of their 3x3 neighbours
(y, x) = 4 (cell + box_offset),   (height, width) = 4 box_scale       pixels of the input
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from posediff.data.pictures.picture_files import RGB
from posediff.pose.oks import oks_nms, overlap

STRIDE = 4
MULTIPLE = 32  # of the sides of the input
THRESHOLD = 0.25  # least score of those whose poses are found
Maps = Mapping[str, Tensor]


class PersonBoxes(NamedTuple):
    boxes: Tensor  # (N, 4) x1, y1, x2, y2 pixels, best first
    scores: Tensor  # (N,)


def person_boxes(maps: Maps, threshold: float = 0.15, apart: float = 0.6) -> PersonBoxes:
    """The people in maps (1, C, h, w), in pixels of the network's input.

    threshold: the least score. apart: of boxes whose intersection over union is more, the better
    one stays.
    """
    scores = maps["center"].sigmoid()
    peak = (scores == functional.max_pool2d(scores, 3, 1, 1)) & (scores > threshold)
    row, column = peak[0, 0].nonzero(as_tuple=True)
    cell = torch.stack([row, column], -1)
    middle = cell + maps["box_offset"][0, :, row, column].T
    half = maps["box_scale"][0, :, row, column].T.clamp(min=0) / 2
    boxes = STRIDE * torch.cat([middle - half, middle + half], -1)[:, [1, 0, 3, 2]]
    found = scores[0, 0, row, column]
    kept = oks_nms(overlap(boxes), found, apart)
    return PersonBoxes(boxes[kept], found[kept])


def detect(
    network: Callable[[Tensor], Maps],
    picture: RGB,
    longer: int = 256,
    threshold: float = 0.15,
    apart: float = 0.6,
) -> PersonBoxes:
    """The people in a picture, in its pixels and inside it. network: `MoveNet.answers`. longer: of
    the sides of the picture, in the input."""
    image, factor = detector_input(picture, longer)
    with torch.inference_mode():
        boxes, scores = person_boxes(network(image), threshold, apart)
    height, width = picture.shape[:2]
    end = boxes.new_tensor([width, height, width, height])
    return PersonBoxes((boxes / factor).clamp(min=0).minimum(end), scores)


def detector_input(picture: RGB, longer: int) -> tuple[Tensor, float]:
    """The input (1, 3, H, W) of the network and how much larger than the picture it is: RGB / 127.5
    - 1, padded with 0 at the right and the bottom to multiples of 32."""
    import cv2

    height, width = picture.shape[:2]
    factor = longer / max(height, width)
    size = max(1, round(width * factor)), max(1, round(height * factor))
    rule = cv2.INTER_AREA if factor < 1 else cv2.INTER_LINEAR
    small = np.asarray(cv2.resize(picture, size, interpolation=rule), np.float32)
    image = torch.from_numpy(small).permute(2, 0, 1)[None]
    pad = (-size[0] % MULTIPLE, -size[1] % MULTIPLE)
    return functional.pad(image / 127.5 - 1, (0, pad[0], 0, pad[1])), factor
