"""Calibration of K hypotheses y_k of a joint: their distances from their mean m, compared with that
of the truth y.

    ratio_p         |y - m| / q_p,   q_p the p-quantile of the distances |y_k - m| of k = 0, 2, 4 ..
    coverage@p      share of joints with ratio_p <= 1; p if the hypotheses are calibrated
    calibration     mean over p of |coverage@p - p|
    energy score    mean_k |Y_k - Y| - mean |Y_k - Y_l| / 2 over the l of other pairs than k's,
                    Y all joints as one vector
    recalibration   y_k <- m + c_p (y_k - m) if |y_k - m| = q_p,   c_p the p-quantile of ratio_p
                    on validation data (posediff/diffusion/aggregate.py)

    spread_rank     rank correlation of the spread of a joint and its error
    spread_covers   share of joints whose error is at most their spread

so that coverage@p is p after it, which is the quantile recalibration of Kuleshov et al. 2018 (arXiv
1807.00263) for distances. The energy score is least for the true posterior.

Hypotheses 2k and 2k + 1 are a pair. Draws of a pair may be opposite (posediff/diffusion/noise.py):
then they have one distance from the mean, and are farther from each other than independent draws.
So one of a pair counts in quantiles, and no pair in the energy score; that changes nothing in
expectation for independent draws. n distances tell the levels from 1 / (n + 1) to n / (n + 1):
all of them from K = 18 on, .2 to .8 at K = 10. Coverage is defined at K = 50; the error of a mean
of 50 independent draws lowers it by 2 points even of a perfect model, that of opposite draws does
not.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from posediff.diffusion.aggregate import LEVELS, quantiles, recalibrate, spread

DRAWS = 50  # K of the definition; further hypotheses are not used
FEWEST = 10  # hypotheses that have a coverage


def ratios(hypotheses: Tensor, truth: Tensor) -> Tensor:
    """ratio_p of joints, inf if hypotheses are equal. (N, K, J, D), (N, J, D) -> (N, J, levels)."""
    mean = hypotheses.mean(1, keepdim=True)
    distances = (hypotheses - mean)[:, ::2].norm(dim=-1).movedim(1, -1)
    reach = quantiles(distances, hypotheses.new_tensor(LEVELS))
    error = (truth - mean[:, 0]).norm(dim=-1, keepdim=True)
    return torch.where(reach > 0, error / reach, torch.inf)


def energy_score(hypotheses: Tensor, truth: Tensor) -> Tensor:
    """Energy score of poses, the error if K = 1. (N, K, J, D), (N, J, D) -> (N,).

    NaN if K = 2, which may be one opposite pair.
    """
    every, K = hypotheses.flatten(2), hypotheses.shape[1]
    error: Tensor = (every - truth.flatten(1).unsqueeze(1)).norm(dim=-1).mean(1)
    if K == 1:
        return error
    pair = torch.arange(K, device=every.device) // 2
    apart = pair[:, None] != pair
    exact = "donot_use_mm_for_euclid_dist"
    between = torch.cdist(every, every, compute_mode=exact) * apart
    return error - between.sum((1, 2)) / apart.sum() / 2


def against_error(spread: Tensor, error: Tensor) -> dict[str, float]:
    """The spreads (N,) of joints beside their errors (N,), in one unit: their mean, Spearman's rank
    correlation of the two (NaN if all spreads are equal), and the share of joints whose error is at
    most the spread. Joints without either are left out.
    """
    from scipy.stats import rankdata

    valid = spread.isfinite() & error.isfinite()
    own, errors = spread[valid].double(), error[valid].double()
    if not len(own):
        return {}
    ranks = np.stack([rankdata(own), rankdata(errors)])
    equal = bool((ranks == ranks[:, :1]).all(1).any())
    return {
        "spread": float(own.mean()),
        "spread_rank": np.nan if equal else float(np.corrcoef(ranks)[0, 1]),
        "spread_covers": float((errors <= own).double().mean()),
    }


def columns(
    hypotheses: Tensor,
    truth: Tensor,
    factors: Sequence[float] | None = None,
    labelled: Tensor | None = None,
) -> dict[str, Tensor]:
    """Columns (N, ...) that `figures` reads. (N, K, J, D), (N, J, D) -> by their keys.

    factors: of `recalibrate`. labelled (N, J) bool: the joints that count; None: all. Without any
    the energy score is NaN. Coverage needs K >= 10, recalibrated figures need K > 1; else their
    columns are missing.
    """
    counted = torch.ones_like(truth[..., 0]) if labelled is None else labelled.to(truth)
    if labelled is not None:
        truth = truth.where(labelled[..., None], 0)
        hypotheses = hypotheses.where(labelled[:, None, :, None], 0)
    drawn = hypotheses[:, :DRAWS]
    K, versions, found = drawn.shape[1], {"": drawn}, {}
    if factors is not None and K > 1:
        versions["/recalibrated"] = recalibrate(drawn, factors)
        moved = versions["/recalibrated"]
        found["spread/recalibrated"] = spread(moved, moved.mean(1)).mean(-1)
    for name, x in versions.items():
        score = energy_score(x, truth)
        found[f"energy_score{name}"] = score.where(counted.any(1), torch.nan)
        if K >= FEWEST:
            n = (K + 1) // 2
            place = x.new_tensor(LEVELS) * (n + 1)
            told = (place > 1 - 1e-6) & (place < n + 1e-6)
            covered = (ratios(x, truth) <= 1).double() * counted[..., None]
            found["coverage_of"] = counted.double().sum(1)  # joints
            found[f"coverage{name}"] = covered.sum(1).where(told, torch.nan)  # joints of each level
    return found


def figures(table: Mapping[str, NDArray[Any]]) -> dict[str, float]:
    """Means over the `columns` of all poses, as far as the table has them."""
    found: dict[str, float] = {}
    for name in ("", "/recalibrated"):
        for key in (f"energy_score{name}", "spread/recalibrated"):
            if not np.isnan(table.get(key, np.nan)).all():
                found[key] = np.nanmean(table[key], dtype=np.float64)
        if f"coverage{name}" in table and (joints := table["coverage_of"].sum(dtype=np.float64)):
            shares = table[f"coverage{name}"].sum(0, dtype=np.float64) / joints
            told = {p: x for p, x in zip(LEVELS, shares, strict=True) if not np.isnan(x)}
            found |= {f"coverage@{p}{name}": x for p, x in told.items()}
            found[f"calibration_error{name}"] = np.mean([abs(x - p) for p, x in told.items()])
    return found


def factors(ratios: Tensor) -> list[float]:
    """c_p for every level, from the ratios (..., levels) of validation data.

    Raises ValueError if there are none, or if the hypotheses are equal.
    """
    each = ratios.flatten(0, -2).sort(0).values
    c = [
        float(x[int(p * len(x))]) if len(x) else np.inf
        for x, p in zip(each.mT, LEVELS, strict=True)
    ]
    if not np.isfinite(c).all() or min(c) == 0:
        raise ValueError("recalibration needs a model whose hypotheses are not all the same")
    return c


def reliability(figures: Mapping[str, float]) -> dict[str, dict[float, float]]:
    """Coverage by level, as drawn and recalibrated, as far as the figures have it."""
    curves = {}
    for label, name in (("as drawn", ""), ("recalibrated", "/recalibrated")):
        keys = {p: f"coverage@{p}{name}" for p in LEVELS}
        if curve := {p: figures[key] for p, key in keys.items() if key in figures}:
            curves[label] = curve
    return curves


def verdict(figures: Mapping[str, float]) -> str:
    """One line about coverage@0.5; empty without it."""
    if "coverage@0.5" not in figures:
        return ""
    half = figures["coverage@0.5"]
    word = "over-confident" if half < 0.47 else "under-confident" if half > 0.53 else "calibrated"
    return f"{word}: the nearer half of the hypotheses reaches {half:.0%} of the true joints"
