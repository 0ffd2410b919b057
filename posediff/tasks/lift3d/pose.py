"""What the heads of lift3d share: the units of their inputs and outputs.

2D is read in screen units (`posediff.pose.camera.normalise`), 3D is metres relative to the root.
The state of a diffusion head is both together, (..., J, 5) = u, v, x, y, z.
"""

import torch
from einops import repeat
from torch import Tensor

from posediff.diffusion import Decoded
from posediff.diffusion.head import Sample
from posediff.pose.camera import normalise
from posediff.pose.mirror import mirror_pose, mirror_sample
from posediff.pose.skeleton import Skeleton


def screen(sample: Sample, key: str = "keypoints_2d") -> Tensor:
    """The 2D keypoints of a sample in screen units. (B, J, 2)"""
    return normalise(sample[key], sample["image_size"])


def screen_scale(scale: Tensor, sample: Sample) -> Tensor:
    """Standard deviations in pixels (B, J, ..., 2) -> screen units."""
    width: Tensor = sample["image_size"][:, 0]
    return scale * (2 / width).view(-1, *[1] * (scale.ndim - 1))


def rooted(keypoints: Tensor, skeleton: Skeleton) -> Tensor:
    """3D joints (..., J, 3) relative to the skeleton's root."""
    assert skeleton.root is not None
    return keypoints - keypoints[..., [skeleton.root], :]


def clean_state(sample: Sample, uv: str, skeleton: Skeleton) -> Tensor:
    """x_0 of both diffusion heads: the 2D named `uv` and the true pose. (B, J, 5)"""
    return torch.cat([screen(sample, uv), rooted(sample["keypoints"], skeleton)], -1)


def mirror_state(x: Tensor, skeleton: Skeleton) -> Tensor:
    """A state (..., J, 5) in a mirror: u and x negated, sides swapped."""
    return mirror_pose(x, skeleton, axes=(0, 2))


def mirrored(sample: Sample, skeleton: Skeleton) -> Sample:
    return mirror_sample(dict(sample), skeleton)


def decode(poses: Tensor, sample: Sample, skeleton: Skeleton) -> Decoded:
    """Poses (B, K, J, 3) relative to the root, with the scores of the 2D they were lifted from."""
    scores = repeat(sample["scores"], "b j -> b k j", k=poses.shape[1])
    return Decoded(rooted(poses, skeleton), scores)
