"""A simulated 2D detector: its errors, its scores, and the posterior of the true point.

Lengths are pixels at an image width of 1000, times w / 1000 at a width w (unit image); or at a
person of TYPICAL pixels, times e / TYPICAL at an extent e, the longer side of the box around all
joints, in the posterior around the detections (unit person). A 2D model that reads crops is of the
second kind: its errors grow with the person.

A joint is occluded with probability
`occluded`, else an outlier with probability `outlier`; the detection is the true point + N(0, s^2)
per axis, s = sigma_occluded, sigma_outlier or sigma. With d the length of that error,

    q = exp(-d / 20)        score = .05 + .4 q U(.5, 1)     occluded: below .5
                                    .55 + .45 q U(.8, 1)    else: above

Then each left-right pair exchanges detections and scores with probability `swap`. The mixture is
the posterior of the true point given detections and scores (flat prior on positions; products of
two rare events left out). Its components, whose weights are normalised afterwards:

    own       own detection       sigma           (1 - swap)(1 - outlier)   or, occluded, 0
    outlier   own detection       sigma_outlier   (1 - swap) outlier                      0
    occluded  own detection       sigma_occluded  0                                       1 - swap
    swapped   mirrored detection  sigma, or sigma_occluded if its score is below .5
                                                  swap (paired joints)                    swap

These numbers are a choice of this library (no paper gives any).

A detector that was measured (scripts/fit_noise.py) has a table in the place of the scores above and
of occluded, sigma_occluded, sigma and outlier. `scores` are n + 1 quantiles of its scores, equally
likely steps; in step b an error has the deviation sigmas[b], or, with probability outliers[b],
sigma_outlier. The components of the mixture then are own, outlier and swapped, with the numbers of
the step of each score.

`limb` is the correlation of two joints' errors, in units of their deviations z, along the bones of
arms and legs: z_outer = limb z_inner + sqrt(1 - limb^2) z. The mixture is that of a joint alone.

`lasting` are pairs (frames, share): on film a detector errs alike in frames that follow each other.
Shares of the variance of all that is drawn last for about that many frames of a sequence, the rest
is of each frame (posediff/data/random.py); what is uniform is the distribution function of a normal
number. A frame alone has the same distribution with and without it.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from posediff.data.random import lasting, normal, uniform
from posediff.diffusion.choices import one_of
from posediff.diffusion.prior import component
from posediff.pose.mixture import COMPONENTS, Mixture
from posediff.pose.skeleton import Skeleton

TYPICAL = 300.0  # pixels: the median extent of the training people of mocap17 in its four pictures


class Moment(NamedTuple):
    """Places of rows in sequences."""

    sequence: NDArray[np.uint64]  # (B,) a key of each sequence
    frame: NDArray[np.int64]  # (B,) number of the frame in it


@dataclass(frozen=True)
class DetectorNoise:
    """The numbers of the model. Raises ValueError if one is impossible."""

    occluded: float = 0.10
    sigma_occluded: float = 12.0
    outlier: float = 0.02
    sigma_outlier: float = 40.0
    sigma: float = 4.0
    swap: float = 0.01
    scores: Sequence[float] = ()
    sigmas: Sequence[float] = ()
    outliers: Sequence[float] = ()
    limb: float = 0.0
    lasting: Sequence[Sequence[float]] = ()
    unit: Literal["image", "person"] = "image"

    def __post_init__(self) -> None:
        one_of("noise.unit", self.unit, ("image", "person"))
        shares = {name: getattr(self, name) for name in ("occluded", "outlier", "swap")}
        sigmas = {f"sigma{x}": getattr(self, f"sigma{x}") for x in ("", "_outlier", "_occluded")}
        shares |= {f"outliers[{i}]": x for i, x in enumerate(self.outliers)}
        sigmas |= {f"sigmas[{i}]": x for i, x in enumerate(self.sigmas)}
        for name, share in shares.items():
            if not 0 <= share <= 1:
                raise ValueError(f"noise.{name} must be in 0..1, got {share}")
        for name, sigma in sigmas.items():
            if not 0 <= sigma < math.inf:
                raise ValueError(f"noise.{name} must be finite and not negative, got {sigma}")
        if not -1 < self.limb < 1:
            raise ValueError(f"noise.limb must be between -1 and 1, got {self.limb}")
        self._check_lasting()
        steps = len(self.sigmas)
        if len(self.outliers) != steps or len(self.scores) != (steps + 1 if steps else 0):
            raise ValueError(
                "noise.sigmas and noise.outliers must have a number for each step of noise.scores, "
                f"got {steps} and {len(self.outliers)} for {len(self.scores)} scores"
            )
        if list(self.scores) != sorted(self.scores) or not all(0 < x <= 1 for x in self.scores):
            raise ValueError(f"noise.scores must rise, within 0..1 without 0, got {self.scores}")

    def _check_lasting(self) -> None:
        pairs = all(isinstance(pair, Sequence) and len(pair) == 2 for pair in self.lasting)
        if not pairs or any(not 1 <= n < math.inf or n != int(n) for n, _ in self.lasting):
            raise ValueError(
                "noise.lasting must be pairs [frames, share] of whole frames above 0, got "
                f"{self.lasting}"
            )
        parts = [share for _, share in self.lasting]
        if not (all(share >= 0 for share in parts) and sum(parts) <= 1):
            raise ValueError(f"shares of noise.lasting must be 0..1, also their sum, got {parts}")

    def draw(
        self,
        points: Tensor,
        width: Tensor,
        keys: NDArray[np.uint64],
        skeleton: Skeleton,
        moment: Moment | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Detections (B, J, 2) px and scores (B, J) of true points (B, J, 2) px, drawn by a key per
        row (B,); `width` (B,) px of the images. Without a moment no row has to do with another."""
        B, J, _ = points.shape
        kinds, z = (x.to(points) for x in self._numbers(keys, J, moment))
        kind, luck, swap = kinds.view(B, 3, J).unbind(1)
        z = z.view(B, J, 2)
        if self.limb:
            z = along_limbs(z, self.limb, skeleton)
        error, scores = (self._measured if self.scores else self._chosen)(kind, luck, z)
        everywhere = torch.ones_like(scores)
        detections = points + error * self._length(points, everywhere, width)[:, None, None]

        joints, partner = torch.arange(J), torch.tensor(skeleton.flip)
        pair = torch.minimum(joints, partner)  # one number per pair
        source = torch.where(swap[:, pair] < self.swap, partner, joints)
        detections = detections.gather(1, source[..., None].expand(B, J, 2))
        return detections, scores.gather(1, source)

    def _numbers(
        self, keys: NDArray[np.uint64], J: int, moment: Moment | None
    ) -> tuple[Tensor, Tensor]:
        """Uniform (B, 3 J) and standard normal numbers (B, 2 J)."""
        if moment is None or not self.lasting:
            return torch.from_numpy(uniform(keys, 3 * J)), torch.from_numpy(normal(keys, 2 * J))
        drawn = torch.from_numpy(lasting(keys, *moment, self.lasting, 5 * J))
        return torch.special.ndtr(drawn[:, : 3 * J]), drawn[:, 3 * J :]

    def _length(self, points: Tensor, scores: Tensor, width: Tensor) -> Tensor:
        """Pixels (B,) of one unit of length, above 0; joints of score 0 are in no box."""
        if self.unit == "image":
            return width / 1000
        return extents(points, scores > 0).clamp(min=1) / TYPICAL

    def _chosen(self, kind: Tensor, luck: Tensor, z: Tensor) -> tuple[Tensor, Tensor]:
        """Errors (B, J, 2) and scores (B, J) by the formulas, of numbers (B, J) in [0, 1)."""
        occluded = kind < self.occluded
        outlier = kind < self.occluded + (1 - self.occluded) * self.outlier
        sigma = torch.where(outlier, self.sigma_outlier, self.sigma)
        sigma = torch.where(occluded, self.sigma_occluded, sigma)
        error = z * sigma[..., None]

        q = torch.exp(-error.norm(dim=-1) / 20)
        low, high = 0.05 + 0.4 * q * (0.5 + 0.5 * luck), 0.55 + 0.45 * q * (0.8 + 0.2 * luck)
        return error, torch.where(occluded, low, high)

    def _measured(self, kind: Tensor, luck: Tensor, z: Tensor) -> tuple[Tensor, Tensor]:
        """The same by the table."""
        place = luck * len(self.sigmas)
        step = place.long().clamp(max=len(self.sigmas) - 1)
        edges, sigmas, outliers = (
            torch.tensor(list(x)).to(z) for x in (self.scores, self.sigmas, self.outliers)
        )
        scores = torch.lerp(edges[step], edges[step + 1], place - step)
        sigma = torch.where(kind < outliers[step], self.sigma_outlier, sigmas[step])
        return z * sigma[..., None], scores

    def _by_score(self, scores: Tensor) -> tuple[Tensor, Any, Any]:
        """True if a joint counts as occluded (B, J), and the sigma and the outlier's share of those
        that do not."""
        if not self.scores:
            return scores < 0.5, self.sigma, self.outlier
        steps = torch.bucketize(
            scores, torch.tensor(list(self.scores)[1:-1]).to(scores), right=True
        )
        sigmas, outliers = (torch.tensor(list(x)).to(scores) for x in (self.sigmas, self.outliers))
        return torch.zeros_like(scores, dtype=torch.bool), sigmas[steps], outliers[steps]

    def posterior(
        self, detections: Tensor, scores: Tensor, width: Tensor, skeleton: Skeleton
    ) -> Mixture:
        """The mixture of the true points, heaviest component first, from detections (B, J, 2) px
        and scores (B, J): weights (B, J, M), loc and scale (B, J, M, 2) px."""
        partner = torch.tensor(skeleton.flip)
        low, sigma_high, outlier = self._by_score(scores)
        high = ~low
        swap = self.swap * (partner != torch.arange(len(partner)))
        sigma_low, sigma_of = self.sigma_occluded, torch.as_tensor(sigma_high).expand_as(scores)
        swapped_sigma = torch.where(low[:, partner], sigma_low, sigma_of[:, partner])
        components: tuple[tuple[Tensor, Tensor, Any], ...] = (
            ((1 - swap) * (1 - outlier) * high, detections, sigma_high),
            ((1 - swap) * outlier * high, detections, self.sigma_outlier),
            ((1 - swap) * low, detections, self.sigma_occluded),
            (swap.expand_as(scores), detections[:, partner], swapped_sigma),
            (torch.zeros_like(scores), detections, sigma_high),  # up to M
        )
        weight, points, sigma = zip(*components, strict=True)
        loc = torch.stack(points, -2)
        scale = torch.stack([torch.as_tensor(s).expand_as(scores) for s in sigma], -1)
        scale = (scale * self._length(detections, scores, width)[:, None, None]).to(detections)

        weights = torch.stack(weight, -1).to(detections)
        weights, order = weights.sort(stable=True, dim=-1, descending=True)
        order, scale = order[..., None].expand_as(loc), scale[..., None].expand_as(loc)
        return {"weights": weights, "loc": loc.gather(2, order), "scale": scale.gather(2, order)}


def extents(points: Tensor, counted: Tensor) -> Tensor:
    """The longer sides (B,) of the boxes around the points (B, J, 2) that count (B, J); 0 without
    any."""
    low, high = (points.masked_fill(~counted[..., None], x) for x in (torch.inf, -torch.inf))
    return (high.amax(1) - low.amin(1)).amax(-1).clamp(min=0)


def along_limbs(z: Tensor, correlation: float, skeleton: Skeleton) -> Tensor:
    """Standard normal numbers (B, J, 2), made dependent along the bones of arms and legs."""
    z = z.clone()
    for inner, outer in skeleton.limbs:
        z[:, outer] = correlation * z[:, inner] + math.sqrt(1 - correlation**2) * z[:, outer]
    return z


def point_mixture(points: Tensor, scale: Tensor | float) -> Mixture:
    """One component of weight 1 at each of the points (B, J, 2) px, padded to M with weight 0;
    `scale` in px broadcasts to (B, J)."""
    loc = points[:, :, None].repeat(1, 1, COMPONENTS, 1)
    weights = torch.zeros_like(loc[..., 0])
    weights[..., 0] = 1
    scale = torch.as_tensor(scale, dtype=loc.dtype).expand(points.shape[:-1])
    return {"weights": weights, "loc": loc, "scale": scale[..., None, None].expand_as(loc).clone()}


def chosen(mixture: Mixture, u: Tensor | None = None) -> dict[str, Tensor]:
    """One component of a mixture as keypoints_2d and keypoints_2d_scale, both (B, J, 2) px: the
    heaviest, or one drawn by weight with u (B, J) in [0, 1)."""
    drawn = component(**mixture, u=torch.zeros_like(mixture["weights"][..., 0]) if u is None else u)
    return {"keypoints_2d": drawn.loc, "keypoints_2d_scale": drawn.scale}
