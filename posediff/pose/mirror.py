"""Mirror images of poses and samples: sides are swapped and x is reversed.

Pixels go x -> width - x, which in screen units is x -> -x; camera metres go x -> -x. The lens
is mirrored too, c_x -> width - c_x and p_x -> -p_x, so that the mirrored pose still projects onto
the mirrored 2D. All functions are their own inverse.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import Tensor

from posediff.pose.skeleton import Skeleton


def mirror_pose(x: Tensor, skeleton: Skeleton, axes: Iterable[int] = (0,)) -> Tensor:
    """Sides swapped and the given axes negated. (..., J, D) -> (..., J, D)."""
    sign = x.new_ones(x.shape[-1])
    sign[list(axes)] = -1
    return x[..., skeleton.flip, :] * sign


def mirror_sample(sample: Mapping[str, Any], skeleton: Skeleton) -> dict[str, Any]:
    """The mirror image of a lift3d sample, single or batched; other entries are not changed."""
    width, flip = sample["image_size"][..., 0], skeleton.flip

    def pixels(x: Tensor) -> Tensor:
        across = width.reshape(width.shape + (1,) * (x.ndim - 1 - width.ndim)) - x[..., 0]
        return torch.stack([across, x[..., 1]], -1)

    def mixture(m: Mapping[str, Tensor]) -> dict[str, Tensor]:
        loc, scale = m["loc"][..., flip, :, :], m["scale"][..., flip, :, :]
        return {"weights": m["weights"][..., flip, :], "loc": pixels(loc), "scale": scale}

    def lens(camera: Tensor) -> Tensor:
        f, c_x, c_y, k, p_x, p_y = torch.split(camera, [2, 1, 1, 3, 1, 1], -1)
        return torch.cat([f, width[..., None] - c_x, c_y, k, -p_x, p_y], -1)

    changes: dict[str, Callable[[Any], Any]] = {
        "keypoints": lambda x: mirror_pose(x, skeleton),
        "keypoints_2d": lambda x: pixels(x[..., flip, :]),
        "keypoints_2d_scale": lambda x: x[..., flip, :],
        "target_2d": lambda x: pixels(x[..., flip, :]),
        "scores": lambda x: x[..., flip],
        "visible": lambda x: x[..., flip],
        "mixture": mixture,
        "camera": lens,
    }
    return {key: changes[key](x) if key in changes else x for key, x in sample.items()}
