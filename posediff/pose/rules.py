"""Rules that make one answer of K poses, where those of the core work on what a head estimates.

coord_mean   the mean of the decoded poses
max_score    of every joint the decoded one of the highest score
medoid       the one of them that is nearest to all others, by the sum of joint distances
"""

from posediff.diffusion.aggregate import Hypotheses, Poses
from posediff.diffusion.head import Decoded


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
    apart = (every.keypoints[:, :, None] - every.keypoints[:, None]).norm(dim=-1).sum((-2, -1))
    best = apart.argmin(1, keepdim=True)
    spread = None if every.spread is None else every.spread.take_along_dim(best[..., None], 1)
    return h.poses(
        Decoded(
            every.keypoints.take_along_dim(best[..., None, None], 1),
            every.scores.take_along_dim(best[..., None], 1),
            spread,
        )
    )
