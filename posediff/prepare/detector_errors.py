"""The numbers of DetectorNoise from the answers of a 2D model on labelled people.

Errors are in units of the person, error = TYPICAL (detection - truth) / extent, where the extent is
the longer side of the box around the labelled joints; so the noise has unit person. Of the labelled
joints of people that have FEWEST of them:

    swap       Share of exchanged pairs among those whose true points are APART deviations or more
               from each other, and whose detections are both less than half that distance from
               their own true points, or both from the partner's, which is an exchange. Exchanged
               pairs are put back for what follows.
    table      Quantiles of the scores at n equal steps, and by EM in step b the mixture, per axis,
               (1 - outliers[b]) N(0, sigmas[b]^2) + outliers[b] N(0, sigma_outlier^2)
               with one sigma_outlier for all steps.
    occluded   The same mixture in two groups, by the label, if any joint is labelled as occluded.
    limb       sum z_a . z_b / sqrt(sum |z_a|^2 sum |z_b|^2) over the bones of arms and legs, whose
               ends are no outliers, with z = error / sigmas[b].
    lasting    of answers about films: the same correlation of a joint with itself, r(k) in frames
               that are k apart, k = 1 .. LAGS, and the shares of the variance that last for each of
               LASTING frames, none below 0, whose correlations are nearest to r (least squares)
"""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from posediff.data.lifting.detector import TYPICAL, DetectorNoise, extents
from posediff.data.random import correlation_over
from posediff.pose.skeleton import Skeleton

FEWEST = 9  # labelled joints of a person that is measured
APART = 6.0
ROUNDS = 500  # of EM, at most
LEAST = 1e-3  # pixels and score: below is 0
LAGS = 20  # frames: most distance of two whose errors are compared
LASTING = (4, 32)  # frames that errors last
OCCLUDED = 1  # label of a joint; 0 is absent, 2 visible


class Answers(NamedTuple):
    """Answers of a 2D model about N people, and their labels."""

    detections: Tensor  # (N, J, 2) pixels
    scores: Tensor  # (N, J)
    truth: Tensor  # (N, J, 2) pixels
    labels: Tensor  # (N, J) 0 absent, 1 occluded, 2 visible
    track: Tensor  # (N,) number of the person of a film; -1 in photos
    frame: Tensor  # (N,) number of the frame in the film


class Mixed(NamedTuple):
    """Two Gaussians per group, of deviations in pixels per axis, and the wide one's shares."""

    sigmas: Tensor  # (n,)
    outliers: Tensor  # (n,)
    sigma_outlier: float
    wide: Tensor  # (N,) probability that an error is of the wide one


def measure(
    answers: Answers, skeleton: Skeleton, steps: int
) -> tuple[DetectorNoise, dict[str, Any]]:
    """The noise of a 2D model, and further figures of its errors.

    Raises ValueError if there are too few labelled people, or too few different scores, for that
    many steps of the score.
    """
    people = sized(answers)
    swap, decided, exchanged = swaps(people, skeleton)
    back = put_back(people, exchanged, skeleton)
    known = back.labels > 0
    scores = back.scores[known].clamp(LEAST, 1)
    if len(scores) < 20 * steps:
        raise ValueError(
            f"{len(scores)} labelled joints of {len(people.scores)} people with {FEWEST} or more "
            f"are too few for {steps} steps of the score: give more photos or fewer steps"
        )
    edges = scores.quantile(torch.linspace(0, 1, steps + 1, dtype=scores.dtype))
    step = torch.bucketize(scores, edges[1:-1], right=True)
    if not torch.bincount(step, minlength=steps).all():
        value = scores.mode().values
        part = float((scores == value).double().mean())
        raise ValueError(
            f"{part:.0%} of the scores are {value:g}, more than one of {steps} steps of the score "
            "has: give fewer steps"
        )
    errors = (back.detections - back.truth)[known]
    mixed = two_gaussians(errors, step, steps)
    inliers = torch.full_like(back.detections, torch.nan)
    near = mixed.wide < 0.5
    inliers[known] = torch.where(near, 1.0, torch.nan)[:, None] * errors / mixed.sigmas[step, None]
    limb = along(inliers, skeleton)
    over = over_frames(inliers, people.track, people.frame)
    noise = DetectorNoise(
        swap=_rounded(swap),
        sigma_outlier=_rounded(mixed.sigma_outlier),
        scores=[_rounded(x) for x in edges.tolist()],
        sigmas=[_rounded(x) for x in mixed.sigmas.tolist()],
        outliers=[_rounded(x) for x in mixed.outliers.tolist()],
        limb=_rounded(limb),
        lasting=durations(over),
        unit="person",
    )
    about = {
        "people": len(people.scores),
        "left_out": len(answers.scores) - len(people.scores),
        "joints": int(known.sum()),
        "pairs_apart": decided,
        "rank_correlation": rank_correlation(scores, errors.norm(dim=-1)),
        "score_along_limbs": along(_standardised(back.scores, known), skeleton),
        **{f"frames_apart_{lag}": r for lag, r in over.items() if lag in (1, 4, LAGS)},
        **occlusion(errors, back.labels[known]),
    }
    return noise, {key: round(x, 4) for key, x in about.items()}


def sized(answers: Answers) -> Answers:
    """The people that are measured, each as large as a typical one, with joints whose detection is
    not finite as absent."""
    finite = answers.detections.isfinite().all(-1) & answers.scores.isfinite()
    labelled = (answers.labels > 0) & finite
    extent = extents(answers.truth, labelled)
    used = (labelled.sum(1) >= FEWEST) & (extent > 0)
    zoom = (TYPICAL / extent[used])[:, None, None].double()
    return Answers(
        torch.where(finite[used][..., None], answers.detections[used], 0.0).double() * zoom,
        torch.where(finite[used], answers.scores[used], 0.0).double(),
        answers.truth[used].double() * zoom,
        torch.where(finite[used], answers.labels[used], 0),
        answers.track[used],
        answers.frame[used],
    )


def swaps(people: Answers, skeleton: Skeleton) -> tuple[float, int, Tensor]:
    """The share of exchanged pairs of joints, the number of pairs that it is a share of, and the
    joints of exchanged pairs (N, J)."""
    exchanged = torch.zeros_like(people.labels, dtype=torch.bool)
    if not skeleton.swaps:
        return 0.0, 0, exchanged
    sigma = middle_sigma((people.detections - people.truth)[people.labels > 0])
    a, b = (list(side) for side in zip(*skeleton.swaps, strict=True))
    distance = (people.truth[:, a] - people.truth[:, b]).norm(dim=-1)
    both = (people.labels[:, a] > 0) & (people.labels[:, b] > 0)
    apart = both & (distance >= APART * sigma)

    def both_near(truth: Tensor) -> Tensor:
        error = (people.detections - truth).norm(dim=-1)
        near: Tensor = apart & (error[:, a] < distance / 2) & (error[:, b] < distance / 2)
        return near

    crossed = both_near(people.truth[:, skeleton.flip])
    exchanged[:, a] = exchanged[:, b] = crossed
    count = int((crossed | both_near(people.truth)).sum())
    return int(crossed.sum()) / max(count, 1), count, exchanged


def put_back(people: Answers, exchanged: Tensor, skeleton: Skeleton) -> Answers:
    """The people with detections and scores of exchanged pairs at their own joints."""
    flip = skeleton.flip
    detections, scores = people.detections[:, flip], people.scores[:, flip]
    return people._replace(
        detections=torch.where(exchanged[..., None], detections, people.detections),
        scores=torch.where(exchanged, scores, people.scores),
    )


def middle_sigma(errors: Tensor) -> float:
    """The deviation per axis of Gaussian errors (N, 2) with that median length: the square of the
    length over the variance has the median 2 ln 2."""
    return float(errors.norm(dim=-1).median()) / math.sqrt(2 * math.log(2))


def two_gaussians(errors: Tensor, group: Tensor, groups: int) -> Mixed:
    """A narrow Gaussian in every group and a wide one in all, of errors (N, 2) around 0, by EM."""
    square = errors.double().square().sum(-1) / 2  # its mean is the variance per axis
    count = torch.bincount(group, minlength=groups).double()
    narrow = torch.stack([square[group == g].median() for g in range(groups)]) / math.log(2)
    wide, share = 20 * square.median() + LEAST, torch.full((groups,), 0.05, dtype=torch.double)
    for _ in range(ROUNDS):
        narrow = narrow.clamp(min=LEAST**2)
        near = (1 - share)[group] / narrow[group] * torch.exp(-square / narrow[group])
        far = share[group] / wide * torch.exp(-square / wide)
        part = far / (near + far).clamp(min=1e-300)
        before, total = share, torch.zeros_like(count).index_add(0, group, part)
        share = total / count.clamp(min=1)
        inside = torch.zeros_like(count).index_add(0, group, (1 - part) * square)
        narrow = inside / (count - total).clamp(min=1e-9)
        wide = ((part * square).sum() / part.sum().clamp(min=1e-9)).clamp(min=LEAST**2)
        if (share - before).abs().max() < 1e-7:
            break
    return Mixed(narrow.sqrt(), share, float(wide.sqrt()), part)


def along(z: Tensor, skeleton: Skeleton) -> float:
    """The correlation along the bones of arms and legs of numbers (N, J, D) with the mean 0, NaN
    where there is none; 0 if no bone has two."""
    if not skeleton.limbs:
        return 0.0
    inner, outer = (list(end) for end in zip(*skeleton.limbs, strict=True))
    return correlation(z[:, inner], z[:, outer]) or 0.0


def correlation(a: Tensor, b: Tensor) -> float | None:
    """The correlation of numbers (.., D) with the mean 0, NaN where there is none; None without any
    pair."""
    here = (a.isfinite() & b.isfinite()).all(-1)
    a, b = a[here], b[here]
    scale = float(a.norm() * b.norm())
    return float((a * b).sum()) / scale if scale > 0 else None


def over_frames(z: Tensor, track: Tensor, frame: Tensor) -> dict[int, float]:
    """The correlations of numbers (N, J, 2) with the mean 0, NaN where there is none, of frames of
    one person 1 .. LAGS apart, by that distance; empty without films."""
    row = {place: n for n, place in enumerate(zip(track.tolist(), frame.tolist(), strict=True))}
    found = {}
    for lag in range(1, LAGS + 1):
        pairs = [(n, row.get((t, f + lag))) for (t, f), n in row.items() if t >= 0]
        both = [(a, b) for a, b in pairs if b is not None]
        first, second = torch.tensor(both, dtype=torch.long).view(-1, 2).unbind(1)
        r = correlation(z[first], z[second])
        if r is not None:
            found[lag] = r
    return found


def durations(over: Mapping[int, float]) -> list[list[float]]:
    """The shares of the variance that last, by the frames that they last."""
    from scipy.optimize import nnls

    if not over:
        return []
    kernels = np.array([[correlation_over(lag, frames) for frames in LASTING] for lag in over])
    shares = nnls(kernels, np.array(list(over.values())))[0]
    shares /= max(1.0, shares.sum())
    return [[n, _rounded(float(x))] for n, x in zip(LASTING, shares, strict=True)]


def occlusion(errors: Tensor, labels: Tensor) -> dict[str, float]:
    """The share of occluded joints among the labelled, and the deviations of both kinds; empty if
    none is labelled so."""
    occluded = labels == OCCLUDED
    if occluded.all() or not occluded.any():
        return {}
    mixed = two_gaussians(errors, occluded.long(), 2)
    sigma, sigma_occluded = mixed.sigmas.tolist()
    outlier, outlier_occluded = mixed.outliers.tolist()
    return {
        "occluded": float(occluded.double().mean()),
        "sigma": sigma,
        "sigma_occluded": sigma_occluded,
        "outlier": outlier,
        "outlier_occluded": outlier_occluded,
    }


def rank_correlation(a: Tensor, b: Tensor) -> float:
    """Spearman's, of two rows of numbers without ties."""
    ranks = torch.stack([x.argsort().argsort().double() for x in (a, b)])
    return float(torch.corrcoef(ranks)[0, 1])


def _standardised(scores: Tensor, known: Tensor) -> Tensor:
    """Scores (N, J) less the mean of their joint, (N, J, 1); NaN where not known."""
    kept = torch.where(known, scores, torch.nan)
    return (kept - kept.nanmean(0))[..., None]


def _rounded(x: float) -> float:
    return round(float(x), 4)
