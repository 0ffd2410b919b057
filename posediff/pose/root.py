"""Where a root-relative pose stands in front of its camera, by the 2D that it was lifted from.

Least squares: joint j, at x_j + t, lies on the ray (a_j, b_j, 1) of its 2D, so

    a_j (z_j + t_z) = x_j + t_x,     b_j (z_j + t_z) = y_j + t_y

which is linear in t. With c_j = a_j z_j - x_j, e_j = b_j z_j - y_j and ~ for less the weighted mean

    t_z = - sum w (a~ c~ + b~ e~) / sum w (a~^2 + b~^2),   t_x = mean(a) t_z + mean(c),   t_y alike

Bone length: under weak perspective all joints are as far as the root, and the distance is that at
which the bones, seen from the front, are as long as in the 2D: t_z = sum |bone| / sum |its rays|.

Poses are (..., J, 3) metres, 2D (..., J, 2) and intrinsics (..., 9) both pixels or screen units,
weights (..., J); leading dimensions broadcast. The arithmetic is in float64.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from posediff.pose.camera import undistort
from posediff.pose.skeleton import Skeleton

APART = 1e-4  # of rays: 2D that spreads less, a tenth of a pixel, tells no distance


class Root(NamedTuple):
    """Where the root joint is, of each pose, and whether the 2D told."""

    position: Tensor  # (..., 3) camera metres; (0, 0, 1) where it was not found
    found: Tensor  # (...) bool: the 2D told a distance, and in front of the camera


def least_squares_root(poses: Tensor, points: Tensor, intrinsics: Tensor, weights: Tensor) -> Root:
    """The root at which the poses project nearest to the 2D; weights are 1 / variance, 0 unseen.

    Raises ValueError for a camera without a focal length.
    """
    rays, (x, w) = _rays(points, intrinsics), (poses.double(), weights.double())
    w = (w / w.sum(-1, keepdim=True).clamp(min=torch.finfo(w.dtype).tiny)).unsqueeze(-1)
    c = rays * x[..., 2:] - x[..., :2]
    ray, shift = (w * rays).sum(-2), (w * c).sum(-2)
    around = rays - ray.unsqueeze(-2)
    spread = (w * around.square()).sum((-2, -1))
    z = -(w * around * (c - shift.unsqueeze(-2))).sum((-2, -1)) / spread.clamp(min=APART**2)
    return _root(ray * z.unsqueeze(-1) + shift, z, spread >= APART**2)


def bone_length_root(
    poses: Tensor, points: Tensor, intrinsics: Tensor, weights: Tensor, skeleton: Skeleton
) -> Root:
    """The distance of the mean bone length, x and y from the 2D of the root joint.

    Bones with an end of weight 0 do not count. Raises ValueError as `least_squares_root`.
    """
    rays, x = _rays(points, intrinsics), poses.double()
    ends, others = (list(end) for end in zip(*skeleton.edges, strict=True))
    seen = (weights[..., ends] * weights[..., others] > 0).double()
    length = ((x[..., ends, :2] - x[..., others, :2]).norm(dim=-1) * seen).sum(-1)
    apart = ((rays[..., ends, :] - rays[..., others, :]).norm(dim=-1) * seen).sum(-1)
    z = length / apart.clamp(min=APART)
    assert skeleton.root is not None
    return _root(rays[..., skeleton.root, :] * z.unsqueeze(-1), z, apart >= APART)


def _rays(points: Tensor, intrinsics: Tensor) -> Tensor:
    if (intrinsics[..., :2] <= 0).any():
        raise ValueError("a camera has no focal length: its intrinsics must begin with f > 0")
    return undistort(points.double(), intrinsics.double())


def _root(across: Tensor, z: Tensor, told: Tensor) -> Root:
    position = torch.cat([across, z.unsqueeze(-1)], -1)
    found = told & (z > 0) & position.isfinite().all(-1)
    nowhere = position.new_tensor([0, 0, 1])
    return Root(torch.where(found.unsqueeze(-1), position, nowhere), found)
