"""The position of a root-relative pose in front of its camera, from its 2D keypoints.

Least squares: joint j, at x_j + t, is on the ray (a_j, b_j, 1) of its 2D, so

    a_j (z_j + t_z) = x_j + t_x,     b_j (z_j + t_z) = y_j + t_y

which is linear in t. With c_j = a_j z_j - x_j, e_j = b_j z_j - y_j, and ~ less the weighted mean,

    t_z = - sum w (a~ c~ + b~ e~) / sum w (a~^2 + b~^2),   t_x = mean(a) t_z + mean(c),
    t_y = mean(b) t_z + mean(e)

Bone length: under weak perspective all joints have the root's depth, that at which the bones,
projected on the image plane, are as long as in the 2D: t_z = sum |bone_xy| / sum |its rays|.

Poses are (..., J, 3) metres, 2D (..., J, 2) and intrinsics (..., 9) both pixels or screen units,
weights (..., J); leading dimensions broadcast. The arithmetic is in float64.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from posediff.pose.camera import undistort
from posediff.pose.skeleton import Skeleton

MIN_EXTENT = 1e-4  # of rays, a tenth of a pixel: no depth from smaller 2D


class Root(NamedTuple):
    position: Tensor  # (..., 3) camera metres; (0, 0, 1) if not found
    found: Tensor  # (...) bool: the 2D determines a depth, and it is in front of the camera


def least_squares_root(poses: Tensor, points: Tensor, intrinsics: Tensor, weights: Tensor) -> Root:
    """The root at which poses project nearest to their 2D; weights are 1 / variance, 0 if missing.

    Raises ValueError if a camera has no focal length.
    """
    rays, (x, w) = _rays(points, intrinsics), (poses.double(), weights.double())
    w = (w / w.sum(-1, keepdim=True).clamp(min=torch.finfo(w.dtype).tiny)).unsqueeze(-1)
    c = rays * x[..., 2:] - x[..., :2]
    ray, shift = (w * rays).sum(-2), (w * c).sum(-2)
    centred = rays - ray.unsqueeze(-2)
    variance = (w * centred.square()).sum((-2, -1))
    z = -(w * centred * (c - shift.unsqueeze(-2))).sum((-2, -1)) / variance.clamp(min=MIN_EXTENT**2)
    return _root(ray * z.unsqueeze(-1) + shift, z, variance >= MIN_EXTENT**2)


def bone_length_root(
    poses: Tensor, points: Tensor, intrinsics: Tensor, weights: Tensor, skeleton: Skeleton
) -> Root:
    """The root of depth by mean bone length, x and y from the 2D of the root joint.

    Bones with an end of weight 0 do not count. Raises ValueError as `least_squares_root`.
    """
    rays, x = _rays(points, intrinsics), poses.double()
    a, b = (list(ends) for ends in zip(*skeleton.edges, strict=True))
    counted = (weights[..., a] * weights[..., b] > 0).double()
    length = ((x[..., a, :2] - x[..., b, :2]).norm(dim=-1) * counted).sum(-1)
    extent = ((rays[..., a, :] - rays[..., b, :]).norm(dim=-1) * counted).sum(-1)
    z = length / extent.clamp(min=MIN_EXTENT)
    assert skeleton.root is not None
    return _root(rays[..., skeleton.root, :] * z.unsqueeze(-1), z, extent >= MIN_EXTENT)


def _rays(points: Tensor, intrinsics: Tensor) -> Tensor:
    if (intrinsics[..., :2] <= 0).any():
        raise ValueError("a camera has no focal length: its intrinsics must start with f > 0")
    return undistort(points.double(), intrinsics.double())


def _root(xy: Tensor, z: Tensor, determined: Tensor) -> Root:
    position = torch.cat([xy, z.unsqueeze(-1)], -1)
    found = determined & (z > 0) & position.isfinite().all(-1)
    return Root(torch.where(found.unsqueeze(-1), position, position.new_tensor([0, 0, 1])), found)
