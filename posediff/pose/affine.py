"""From a person's box to the crop that a network reads, and back.

    box (x, y, w, h) -> center (x, y) + (w, h)/2,  scale = padding * the box enlarged to W : H
    crop  = S [R (p - center) + scale/2]          S = diag((size - u) / scale)
    R     = [[cos, sin], [-sin, cos]]             rotation > 0 turns the image counter-clockwise

u = 0 is the classic matrix, u = 1 that of UDP (Huang et al., CVPR 2020), which measures lengths
between pixel centres: an image of W pixels is W - 1 long. Crops and heatmaps must use the same u
(`Codec.udp`). The two released codes turn in opposite directions for the same `rotation`; here both
turn as the classic one. Sizes are (W, H), scale is in pixels (not in units of 200).
"""

from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from posediff.diffusion.choices import one_of
from posediff.pose.mirror import mirror_pose
from posediff.pose.skeleton import Skeleton


def clean_box(boxes: Tensor, image_size: Tensor, rule: str = "hrnet") -> tuple[Tensor, Tensor]:
    """Boxes (..., 4) xywh cut to their images (..., 2) -> boxes xywh, and (...) which remain.

    `hrnet` takes the last pixel inside as the end, so a box loses one pixel of width and height;
    `mmpose` does not. The centres differ by half a pixel, so use the rule that the model was
    trained with. A box outside its image, or of a single point, does not remain.
    Raises ValueError if the rule is neither.
    """
    one_of("dataset.box_rule", rule, ("hrnet", "mmpose"))
    corner, extent = boxes[..., :2], boxes[..., 2:]
    last, start = image_size - 1, corner.clamp(min=0)
    if rule == "hrnet":
        end = torch.minimum(start + (extent - 1).clamp(min=0), last)
    else:
        start, end = torch.minimum(start, last), torch.minimum((corner + extent).clamp(min=0), last)
    cut = end - start
    return torch.cat([start, cut], -1), (cut >= 0).all(-1) & (cut > 0).any(-1)


def box_to_center_scale(
    boxes: Tensor, aspect: float, padding: float = 1.25
) -> tuple[Tensor, Tensor]:
    """Boxes (..., 4) xywh -> center (..., 2) and padded scale (..., 2), of ratio `aspect` W / H."""
    extent = boxes[..., 2:]
    width = torch.maximum(extent[..., 0], aspect * extent[..., 1])
    return boxes[..., :2] + extent / 2, padding * torch.stack([width, width / aspect], -1)


def corners(boxes: Tensor) -> Tensor:
    """Boxes (..., 4) x, y, w, h -> x1, y1, x2, y2."""
    return torch.cat([boxes[..., :2], boxes[..., :2] + boxes[..., 2:]], -1)


def affine(
    center: Tensor,
    scale: Tensor,
    size: tuple[int, int],
    rotation: Tensor | float = 0.0,
    udp: bool = False,
) -> Tensor:
    """Matrix from image pixels to crop pixels, (..., 2, 3), of center and scale (..., 2).

    `size` is the crop's, rotation in degrees, (...) or one for all. A scale of another ratio than
    the crop's is stretched along both axes (the classic released code reads the width only).
    """
    angle = torch.deg2rad(torch.as_tensor(rotation, dtype=center.dtype, device=center.device))
    angle = angle.expand(center.shape[:-1])
    cos, sin = angle.cos(), angle.sin()
    turn = torch.stack([torch.stack([cos, sin], -1), torch.stack([-sin, cos], -1)], -2)
    stretch = (center.new_tensor(size) - (1 if udp else 0)) / scale
    shift = scale / 2 - (turn @ center[..., None])[..., 0]
    return stretch[..., None] * torch.cat([turn, shift[..., None]], -1)


def invert(affine: Tensor) -> Tensor:
    """Inverse matrices, (..., 2, 3) -> (..., 2, 3)."""
    back = inverse(affine[..., :2])
    return torch.cat([back, -back @ affine[..., 2:]], -1)


def inverse(matrix: Tensor) -> Tensor:
    """Inverse of matrices (..., 2, 2); in graphs, for readers without linalg.inv, as a formula."""
    if not torch.compiler.is_compiling():
        inverted: Tensor = torch.linalg.inv(matrix)
        return inverted
    a, b, c, d = matrix.flatten(-2).unbind(-1)
    adjugate = torch.stack([torch.stack([d, -b], -1), torch.stack([-c, a], -1)], -2)
    return adjugate / determinant(matrix)[..., None, None]


def determinant(matrix: Tensor) -> Tensor:
    """Determinant (...) of matrices (..., 2, 2); in graphs as a formula."""
    if not torch.compiler.is_compiling():
        found: Tensor = torch.linalg.det(matrix)
        return found
    a, b, c, d = matrix.flatten(-2).unbind(-1)
    return a * d - b * c


def transform(points: Tensor, affine: Tensor) -> Tensor:
    """Points (..., J, 2) mapped by matrices (..., 2, 3)."""
    return points @ affine[..., :2].mT + affine[..., None, :, 2]


def mirror_points(points: Tensor, width: float, skeleton: Skeleton) -> Tensor:
    """Keypoints (..., J, 2) of the mirrored image: x -> width - 1 - x, sides swapped."""
    return mirror_pose(points, skeleton) + points.new_tensor([width - 1, 0])


def warp(image: NDArray[Any], affine: Tensor, size: tuple[int, int]) -> NDArray[Any]:
    """The crop (H, W, C) of one image (h, w, C), uint8 or float32; bilinear, black outside.

    OpenCV 5 samples exactly, 4.x more coarsely: uint8 values differ by up to 4 grey levels.
    """
    import cv2

    crop: NDArray[Any] = cv2.warpAffine(
        image, affine.double().numpy(), size, flags=cv2.INTER_LINEAR
    )
    return crop
