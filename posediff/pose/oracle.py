"""The best of the hypotheses by the true pose: bounds for evaluation, not predictions.

No model folder and no `task.aggregate` can name these rules; their figures are marked `@oracle`.
"""

from torch import Tensor

from posediff.diffusion.aggregate import Hypotheses, Poses
from posediff.pose.rules import pick
from posediff.pose.skeleton import skeleton as named


def p_best(h: Hypotheses, over_batch: bool = False) -> Poses:
    """For every pose the hypothesis of the smallest MPJPE.

    over_batch: one hypothesis index for the whole batch, that of the smallest mean error, as in
    D3DP's code; the figure then depends on the batch size.
    Raises ValueError if the sample has no true pose.
    """
    errors = _errors(h).mean(-1, keepdim=True)
    if over_batch:
        k = errors.flatten(2).mean((0, 2)).argmin()
        return pick(h, k.expand_as(errors[:, :1]))
    return pick(h, errors.argmin(1, keepdim=True))


def j_best(h: Hypotheses) -> Poses:
    """For every joint the hypothesis nearest to the truth, so not a pose that was drawn as a whole.

    Raises ValueError if the sample has no true pose.
    """
    return pick(h, _errors(h).argmin(1, keepdim=True))


def _errors(h: Hypotheses) -> Tensor:
    """(B, K, ..., J)"""
    if "keypoints" not in h.sample:
        raise ValueError("p_best and j_best need the true pose: use them in evaluation only")
    truth = named(h.skeleton).rooted(h.sample["keypoints"])
    errors: Tensor = (h.decoded.keypoints - truth.unsqueeze(1)).norm(dim=-1)
    return errors
