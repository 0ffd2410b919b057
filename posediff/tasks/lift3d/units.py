"""Units of the inputs and outputs of all heads of lift3d.

2D is read in screen units (`posediff.pose.camera.normalise`), 3D is metres relative to the root.
The state of a diffusion head is both together, (..., J, 5) = u, v, x, y, z. Leading dimensions are
(B) of single frames and (B, F) of windows, which also have frames_valid (B, F).
"""

import torch
from einops import repeat
from torch import Tensor

from posediff.diffusion import Decoded
from posediff.pose.camera import normalise
from posediff.pose.mirror import mirror_pose
from posediff.pose.skeleton import Skeleton
from posediff.sample import Sample, places, unfold


def screen(sample: Sample, key: str = "keypoints_2d") -> Tensor:
    """The 2D keypoints of a sample in screen units. (B, J, 2), of windows (B, F, J, 2)"""
    return normalise(sample[key], sample["image_size"])


def screen_scale(scale: Tensor, sample: Sample) -> Tensor:
    """Standard deviations in pixels ([B, F], J, ..., 2) -> screen units."""
    width: Tensor = sample["image_size"][..., 0]
    return scale * (2 / width).view(width.shape + (1,) * (scale.ndim - width.ndim))


def clean_state(sample: Sample, uv: str, skeleton: Skeleton) -> Tensor:
    """x_0 of most diffusion heads: the 2D named `uv` and the true pose. (..., J, 5)"""
    return torch.cat([screen(sample, uv), skeleton.rooted(sample["keypoints"])], -1)


def mirror_state(x: Tensor, skeleton: Skeleton) -> Tensor:
    """A state (..., J, 5) in a mirror: u and x negated, sides swapped."""
    return mirror_pose(x, skeleton, axes=(0, 2))


def decode(poses: Tensor, sample: Sample, skeleton: Skeleton) -> Decoded:
    """Poses (B, K, [F,] J, 3) relative to the root, with the scores of the 2D that was lifted."""
    scores = repeat(sample["scores"], "b ... j -> b k ... j", k=poses.shape[1])
    return Decoded(skeleton.rooted(poses), scores)


def of_samples(loss: Tensor, sample: Sample) -> Tensor:
    """The loss of every frame, (B) or (B, F), as one of every sample, (B,), such that the mean of a
    batch is the mean of the frames in it that count.
    """
    if "frames_valid" not in sample:
        return loss
    valid: Tensor = sample["frames_valid"]
    return (loss * valid).sum(1) * (len(valid) / valid.sum().clamp(min=1))


def middle(sample: Sample) -> Sample:
    """Windows (B, F, ...) cut to their middle frame, (B, 1, ...); single frames as they are."""
    if sample["scores"].ndim < 3:
        return sample
    F = sample["scores"].shape[1]
    cut: Sample = places(sample, slice(F // 2, F // 2 + 1))
    return cut


def by_frame(estimates: Tensor, sample: Sample) -> tuple[Tensor, Sample]:
    """Answers (B, K, F, ...) over windows as those of the N frames that count, (N, K, ...), with a
    sample of as many single frames; answers of single frames as they are.
    """
    if "frames_valid" not in sample:
        return estimates, sample
    at = sample["frames_valid"].nonzero()
    frames = unfold({k: x for k, x in sample.items() if k not in ("id", "frames_valid")}, at)
    frames["id"] = [f"{sample['id'][window]}+{place}" for window, place in at.tolist()]
    return estimates.transpose(1, 2)[at[:, 0], at[:, 1]], frames
