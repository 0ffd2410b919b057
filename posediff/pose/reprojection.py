"""Rules that ask the 2D which hypotheses are good, joint by joint: D3DP's and FMPose3D's.

    d_jk   how far hypothesis k of joint j, moved to the root and projected with the lens, lies from
           the 2D keypoint, in screen units; 0 at the root joint
    jpma   the hypothesis of the smallest d_jk            (Shan et al., ICCV 2023, arXiv 2303.11579)
    rpea   the n nearest, by weights exp(-min(d_jk, 20 tau) / tau)                       (FMPose3D)

Both join joints of different hypotheses. The originals take the root from the ground truth, which
nobody has in use; here it is said (one for a frame, found with the mean pose, for all hypotheses):

    estimated   least squares, weighted by the variance of the 2D
    fixed       weak perspective, by the mean bone length
    oracle      the true root

A joint whose 2D is missing, and a pose whose root cannot be found, get the mean of the hypotheses.
With independent errors of the joints the plain mean is better than either: always print it beside.
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
    """Of every joint the hypothesis that projects nearest to its 2D.

    Raises ValueError where the sample has no camera, or no truth and `root` asks for it.
    """
    d = reprojection_errors(h, root)
    return _blend(h, d, torch.zeros_like(d).scatter(1, d.argmin(1, keepdim=True), 1.0))


def rpea(h: Hypotheses, root: RootSource = "estimated", n: int = 3, tau: float = 0.002) -> Poses:
    """Of every joint the weighted mean of the `n` hypotheses that project nearest to its 2D.

    Raises ValueError as `jpma`.
    """
    d = reprojection_errors(h, root)
    near, which = d.topk(min(n, d.shape[1]), dim=1, largest=False)
    close = torch.exp(-near.clamp(max=20 * tau) / tau)
    weights = torch.zeros_like(d).scatter(1, which, close / close.sum(1, keepdim=True))
    return _blend(h, d, weights)


def reprojection_errors(h: Hypotheses, root: RootSource) -> Tensor:
    """d_jk of all joints, (B, K, ..., J); NaN where there is no 2D or no root to compare with."""
    sample, poses = h.sample, h.decoded.keypoints.double()
    stands = find_root(poses.mean(1), sample, h.skeleton, root)
    at = poses + stands.position[:, None, ..., None, :]
    seen = project(at, sample["camera"].double().unsqueeze(1))
    width = sample["image_size"][..., :1].double().unsqueeze(1)
    d = (seen - sample["keypoints_2d"].double().unsqueeze(1)).norm(dim=-1) * (2 / width)
    known = (sample["visible"] > 0) & stands.found.unsqueeze(-1)
    d = torch.where(known.unsqueeze(1), d, torch.nan)
    d[..., named(h.skeleton).root] = 0
    return d


def find_root(poses: Tensor, sample: Sample, skeleton: str, source: RootSource) -> Root:
    """Of root-relative poses (B, ..., J, 3). Raises ValueError as `jpma`."""
    one_of("eval.root", source, get_args(RootSource))
    if "camera" not in sample:
        raise ValueError("rules that project (jpma, rpea) need a camera: use task.aggregate=mean")
    bones = named(skeleton)
    if source == "oracle":
        if "keypoints" not in sample:
            raise ValueError("the true root (oracle) is known in evaluation alone")
        truth = sample["keypoints"][..., bones.root, :].double()
        return Root(truth, truth.isfinite().all(-1))
    points, camera = sample["keypoints_2d"], sample["camera"]
    seen = (sample["visible"] > 0).double()
    if source == "fixed":
        return bone_length_root(poses, points, camera, seen, bones)
    if "keypoints_2d_scale" in sample:
        seen = seen / sample["keypoints_2d_scale"].double().square().mean(-1)
    return least_squares_root(poses, points, camera, seen)


def _blend(h: Hypotheses, d: Tensor, weights: Tensor) -> Poses:
    """The sum over hypotheses by weights (B, K, ..., J), the mean where d is NaN."""
    every = h.decoded
    weights = torch.where(d.isfinite(), weights, 1 / weights.shape[1]).to(every.keypoints)
    keypoints = (weights.unsqueeze(-1) * every.keypoints).sum(1, keepdim=True)
    return h.poses(Decoded(keypoints, (weights * every.scores).sum(1, keepdim=True)))
