"""What the hypotheses hold at best. Both rules read the truth, so neither is an answer.

They live in evaluation alone: no model folder and no task.aggregate can name them, and their
figures say `@oracle`.
"""

from torch import Tensor

from posediff.diffusion.aggregate import Hypotheses, Poses
from posediff.diffusion.head import Decoded
from posediff.pose.skeleton import skeleton as named


def p_best(h: Hypotheses, over_batch: bool = False) -> Poses:
    """Of every pose the hypothesis of the smallest MPJPE.

    over_batch: one k for the whole batch, of the smallest mean error, as D3DP's code has it; its
    figure depends on the size of the batch.
    """
    errors = _errors(h).mean(-1, keepdim=True)
    if over_batch:
        k = errors.flatten(2).mean((0, 2)).argmin()
        return _picked(h, k.expand_as(errors[:, :1]))
    return _picked(h, errors.argmin(1, keepdim=True))


def j_best(h: Hypotheses) -> Poses:
    """Of every joint the hypothesis nearest to the truth: a pose that nobody drew as a whole."""
    return _picked(h, _errors(h).argmin(1, keepdim=True))


def _errors(h: Hypotheses) -> Tensor:
    """(B, K, ..., J)"""
    if "keypoints" not in h.sample:
        raise ValueError("p_best and j_best read the true pose, which is known in evaluation alone")
    truth = named(h.skeleton).rooted(h.sample["keypoints"])
    off = h.decoded.keypoints - truth.unsqueeze(1)
    errors: Tensor = off.norm(dim=-1)
    return errors


def _picked(h: Hypotheses, which: Tensor) -> Poses:
    """Hypotheses by their number, (B, 1, ..., J or 1)."""
    every = h.decoded
    return h.poses(
        Decoded(
            every.keypoints.take_along_dim(which.unsqueeze(-1), 1),
            every.scores.take_along_dim(which, 1),
        )
    )
