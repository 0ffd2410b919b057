"""From a person's box to the crop that the network sees, and back.

    box (x, y, w, h) -> center (x, y) + (w, h)/2,  scale = padding * the box grown to W : H
    crop  = S [R (p - center) + scale/2]          S = diag((size - u) / scale)
    R     = [[cos, sin], [-sin, cos]]             rotation > 0 turns the picture counter-clockwise

u = 0 is the classic matrix, u = 1 that of UDP (Huang et al., CVPR 2020), which measures distances
between pixel centres: a picture W wide is W - 1 long. Whoever crops with one must decode with it
(`Codec.udp`). The released codes turn the two opposite ways for one `rotation`; here it is the
classic way for both. Sizes are (W, H), scale is in pixels (not in units of 200).
"""

from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from posediff.diffusion.choices import one_of
from posediff.pose.mirror import mirror_pose
from posediff.pose.skeleton import Skeleton

BOX_RULES = ("hrnet", "mmpose")


def clean_box(boxes: Tensor, image_size: Tensor, rule: str = "hrnet") -> tuple[Tensor, Tensor]:
    """Boxes (..., 4) xywh cut to their images (..., 2) -> boxes xywh, and (...) which are left.

    `hrnet` takes the last pixel inside as the end, so a box loses one pixel of width and height;
    `mmpose` does not. The centres differ by half a pixel: a model wants the rule it was trained
    with. What lies outside its picture, or is a point, is not left.
    """
    one_of("dataset.box_rule", rule, BOX_RULES)
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
    """Picture pixels -> crop pixels, (..., 2, 3), of center and scale (..., 2) and the crop's size.

    rotation is in degrees, (...) or one for all. A scale of another ratio than the crop's is
    stretched along both axes (the classic released code reads the width alone).
    """
    angle = torch.deg2rad(torch.as_tensor(rotation, dtype=center.dtype, device=center.device))
    angle = angle.expand(center.shape[:-1])
    cos, sin = angle.cos(), angle.sin()
    turn = torch.stack([torch.stack([cos, sin], -1), torch.stack([-sin, cos], -1)], -2)
    stretch = (center.new_tensor(size) - (1 if udp else 0)) / scale
    shift = scale / 2 - (turn @ center[..., None])[..., 0]
    return stretch[..., None] * torch.cat([turn, shift[..., None]], -1)


def invert(affine: Tensor) -> Tensor:
    """(..., 2, 3) -> the matrix of the way back."""
    back = torch.linalg.inv(affine[..., :2])
    return torch.cat([back, -back @ affine[..., 2:]], -1)


def transform(points: Tensor, affine: Tensor) -> Tensor:
    """Points (..., J, 2) by (..., 2, 3)."""
    return points @ affine[..., :2].mT + affine[..., None, :, 2]


def mirror_points(points: Tensor, width: float, skeleton: Skeleton) -> Tensor:
    """Keypoints (..., J, 2) in the mirrored picture: x -> width - 1 - x, sides swapped."""
    return mirror_pose(points, skeleton) + points.new_tensor([width - 1, 0])


def warp(image: NDArray[Any], affine: Tensor, size: tuple[int, int]) -> NDArray[Any]:
    """The crop (H, W, C) of one picture (h, w, C), uint8 or float32; bilinear, black outside.

    OpenCV 5 samples exactly, 4.x more coarsely: 8 bits differ by up to 4 grey levels.
    """
    import cv2

    crop: NDArray[Any] = cv2.warpAffine(
        image, affine.double().numpy(), size, flags=cv2.INTER_LINEAR
    )
    return crop
