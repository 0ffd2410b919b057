"""Rules that choose hypotheses joint by joint by their projection: D3DP's and FMPose3D's.

    d_jk   distance of hypothesis k of joint j, moved to the root and projected with the lens, to
           the 2D keypoint, in screen units; 0 at the root joint
    jpma   the hypothesis of the smallest d_jk            (Shan et al., ICCV 2023, arXiv 2303.11579)
    rpea   the n nearest, by weights exp(-min(d_jk, 20 tau) / tau)                       (FMPose3D)

Both combine joints of different hypotheses. The originals take the root from the ground truth,
which is missing in use; here `root` is an option (one position per frame, from the mean pose):

    estimated   least squares, weighted by the variance of the 2D
    fixed       weak perspective, by the mean bone length
    oracle      the true root

A joint whose 2D is missing, and a pose whose root cannot be found, get the mean of the hypotheses.
If the errors of the joints are independent, the plain mean is better than both: always compare.
"""

from typing import Literal, get_args

import torch
from torch import Tensor

from posediff.diffusion.aggregate import Hypotheses, Poses
from posediff.diffusion.choices import one_of
from posediff.diffusion.head import Decoded, Sample
from posediff.pose.camera import project
from posediff.pose.root import Root, bone_length_root, least_squares_root
from posediff.pose.skeleton import skeleton as named

RootSource = Literal["estimated", "fixed", "oracle"]


def jpma(h: Hypotheses, root: RootSource = "estimated") -> Poses:
    """For every joint the hypothesis that projects nearest to its 2D.

    Raises ValueError if the sample has no camera, if `root` is unknown, or if it is `oracle` and
    the sample has no true pose.
    """
    d = reprojection_errors(h, root)
    weights = torch.zeros_like(d).scatter(1, d.argmin(1, keepdim=True), 1.0)
    return _weighted_mean(h, d, weights)


def rpea(h: Hypotheses, root: RootSource = "estimated", n: int = 3, tau: float = 0.002) -> Poses:
    """For every joint the weighted mean of the `n` hypotheses that project nearest to its 2D.

    Raises ValueError as `jpma`.
    """
    d = reprojection_errors(h, root)
    nearest, index = d.topk(min(n, d.shape[1]), dim=1, largest=False)
    closeness = torch.exp(-nearest.clamp(max=20 * tau) / tau)
    weights = torch.zeros_like(d).scatter(1, index, closeness / closeness.sum(1, keepdim=True))
    return _weighted_mean(h, d, weights)


def reprojection_errors(h: Hypotheses, root: RootSource) -> Tensor:
    """d_jk of all joints, (B, K, ..., J); NaN if the 2D or the root is missing."""
    sample, poses = h.sample, h.decoded.keypoints.double()
    position, found = find_root(poses.mean(1), sample, h.skeleton, root)
    projected = project(
        poses + position[:, None, ..., None, :], sample["camera"].double().unsqueeze(1)
    )
    width = sample["image_size"][..., :1].double().unsqueeze(1)
    d = (projected - sample["keypoints_2d"].double().unsqueeze(1)).norm(dim=-1) * (2 / width)
    known = (sample["visible"] > 0) & found.unsqueeze(-1)
    d = torch.where(known.unsqueeze(1), d, torch.nan)
    d[..., named(h.skeleton).root] = 0
    return d


def find_root(poses: Tensor, sample: Sample, skeleton: str, source: RootSource) -> Root:
    """The root of root-relative poses (B, ..., J, 3). Raises ValueError as `jpma`."""
    one_of("eval.root", source, get_args(RootSource))
    if "camera" not in sample:
        raise ValueError("rules that project (jpma, rpea) need a camera: use task.aggregate=mean")
    bones = named(skeleton)
    if source == "oracle":
        if "keypoints" not in sample:
            raise ValueError("eval.root=oracle needs the true pose: use it in evaluation only")
        truth = sample["keypoints"][..., bones.root, :].double()
        return Root(truth, truth.isfinite().all(-1))
    points, camera = sample["keypoints_2d"], sample["camera"]
    weights = (sample["visible"] > 0).double()
    if source == "fixed":
        return bone_length_root(poses, points, camera, weights, bones)
    if "keypoints_2d_scale" in sample:
        weights = weights / sample["keypoints_2d_scale"].double().square().mean(-1)
    return least_squares_root(poses, points, camera, weights)


def _weighted_mean(h: Hypotheses, d: Tensor, weights: Tensor) -> Poses:
    """The sum over hypotheses by weights (B, K, ..., J), the mean if d is NaN."""
    every = h.decoded
    weights = torch.where(d.isfinite(), weights, 1 / weights.shape[1]).to(every.keypoints)
    keypoints = (weights.unsqueeze(-1) * every.keypoints).sum(1, keepdim=True)
    return h.poses(Decoded(keypoints, (weights * every.scores).sum(1, keepdim=True)))
