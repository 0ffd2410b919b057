"""Aggregation of K decoded poses to one; the rules of the core work on a head's estimates."""

import math

import torch
from torch import Tensor

from posediff.diffusion.aggregate import Hypotheses, Poses
from posediff.diffusion.head import Decoded
from posediff.pose import mixture

MIN_HYPOTHESES = 10  # for groups to be found
MILLIMETRE = 1e-3


def coord_mean(h: Hypotheses) -> Poses:
    """Mean of keypoints and scores; a single hypothesis keeps its own spread."""
    every = h.decoded
    spread = None if every.spread is None else every.spread.mean(1, keepdim=True)
    return h.poses(
        Decoded(every.keypoints.mean(1, keepdim=True), every.scores.mean(1, keepdim=True), spread)
    )


def max_score(h: Hypotheses) -> Poses:
    """Joint by joint, the hypothesis of the highest score; the first of equal ones."""
    return pick(h, h.decoded.scores.argmax(1, keepdim=True))


def medoid(h: Hypotheses) -> Poses:
    """Frame by frame, the pose that is nearest to all others, by the sum of joint distances."""
    x = h.decoded.keypoints
    distance = (x[:, :, None] - x[:, None]).norm(dim=-1).sum(-1).sum(2)
    return pick(h, distance.argmin(1, keepdim=True).unsqueeze(-1))


def mode(h: Hypotheses) -> Poses:
    """Joint by joint, the centre of the heaviest component of a mixture; the mean, if K < 10.

    EM with 1 .. 5 components, their number chosen by BIC, of scale at least half a pixel, in 3D a
    millimetre.
    """
    every = h.decoded
    x, K = every.keypoints.movedim(1, -2), every.keypoints.shape[1]
    D = x.shape[-1]
    centre = x.mean(-2)
    lowest = torch.full_like(centre[..., :1], torch.inf, dtype=torch.float64)
    for M in range(1, 1 + (mixture.COMPONENTS if K >= MIN_HYPOTHESES else 0)):
        found = mixture.fit(x, components=M, floor=mixture.FLOOR if D == 2 else MILLIMETRE)
        parameters = 2 * D * M + M - 1
        bic = (parameters * math.log(K) - 2 * K * found.likelihood).unsqueeze(-1)
        heaviest = found.mixture["loc"][..., 0, :].to(x)
        centre = torch.where(bic < lowest, heaviest, centre)
        lowest = torch.minimum(lowest, bic)
    return h.poses(Decoded(centre.unsqueeze(1), every.scores.mean(1, keepdim=True)))


def pick(h: Hypotheses, index: Tensor) -> Poses:
    """The hypotheses of these indices, per pose or per joint, (B, 1, ..., 1 or J)."""
    every = h.decoded
    spread = None if every.spread is None else every.spread.take_along_dim(index, 1)
    keypoints = every.keypoints.take_along_dim(index.unsqueeze(-1), 1)
    return h.poses(Decoded(keypoints, every.scores.take_along_dim(index, 1), spread))
