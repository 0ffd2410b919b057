"""Rules that make one answer of K poses, where those of the core work on what a head estimates.

coord_mean   the mean of the decoded poses
max_score    of every joint the decoded one of the highest score
medoid       the one of them that is nearest to all others, by the sum of joint distances
mode         joint by joint the centre of most of them, where they fall into groups
"""

import math

import torch

from posediff.diffusion.aggregate import Hypotheses, Poses
from posediff.diffusion.head import Decoded
from posediff.pose import mixture

FEW = 10  # hypotheses do not tell groups
MILLIMETRE = 1e-3


def coord_mean(h: Hypotheses) -> Poses:
    """Keypoints and scores are means; one hypothesis keeps the spread that it tells itself."""
    every = h.decoded
    spread = None if every.spread is None else every.spread.mean(1, keepdim=True)
    return h.poses(
        Decoded(every.keypoints.mean(1, keepdim=True), every.scores.mean(1, keepdim=True), spread)
    )


def max_score(h: Hypotheses) -> Poses:
    """Joint by joint, so the pose may be of several; a tie is the first's."""
    every = h.decoded
    best = every.scores.argmax(1, keepdim=True)
    spread = None if every.spread is None else every.spread.take_along_dim(best, 1)
    keypoints = every.keypoints.take_along_dim(best[..., None], 1)
    return h.poses(Decoded(keypoints, every.scores.take_along_dim(best, 1), spread))


def medoid(h: Hypotheses) -> Poses:
    """A pose that was drawn as a whole, never a mixture of two."""
    every = h.decoded
    apart = (every.keypoints[:, :, None] - every.keypoints[:, None]).norm(dim=-1).sum(-1).sum(2)
    best = apart.argmin(1, keepdim=True)  # of every frame
    spread = None if every.spread is None else every.spread.take_along_dim(best[..., None], 1)
    return h.poses(
        Decoded(
            every.keypoints.take_along_dim(best[..., None, None], 1),
            every.scores.take_along_dim(best[..., None], 1),
            spread,
        )
    )


def mode(h: Hypotheses) -> Poses:
    """Per joint: EM with 1 .. 5 components, so many as BIC asks for; the heaviest one's centre.

    The floor of a deviation is half a pixel, in 3D a millimetre. Below 10 hypotheses: the mean.
    """
    every = h.decoded
    x, K = every.keypoints.movedim(1, -2), every.keypoints.shape[1]
    D = x.shape[-1]
    centre = x.mean(-2)
    cheapest = torch.full_like(centre[..., :1], torch.inf, dtype=torch.float64)
    for M in range(1, 1 + (mixture.COMPONENTS if K >= FEW else 0)):
        found = mixture.fit(x, components=M, floor=mixture.FLOOR if D == 2 else MILLIMETRE)
        numbers = 2 * D * M + M - 1
        cost = (numbers * math.log(K) - 2 * K * found.likelihood).unsqueeze(-1)
        centre = torch.where(cost < cheapest, mixture.mode(found.mixture).to(x), centre)
        cheapest = torch.minimum(cheapest, cost)
    return h.poses(Decoded(centre.unsqueeze(1), every.scores.mean(1, keepdim=True)))
