"""A simulated 2D detector: its errors, its scores, and the posterior of the true point.

Pixels at an image width of 1000, times w / 1000 at a width w. A joint is occluded with probability
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

The numbers are a choice of this library (no paper gives any).
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from posediff.data.random import normal, uniform
from posediff.diffusion.prior import component
from posediff.pose.mixture import COMPONENTS, Mixture
from posediff.pose.skeleton import Skeleton


@dataclass(frozen=True)
class DetectorNoise:
    """The numbers of the model. Raises ValueError if one is impossible."""

    occluded: float = 0.10
    sigma_occluded: float = 12.0
    outlier: float = 0.02
    sigma_outlier: float = 40.0
    sigma: float = 4.0
    swap: float = 0.01

    def __post_init__(self) -> None:
        for name in ("occluded", "outlier", "swap"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"noise.{name} must be in 0..1, got {getattr(self, name)}")
        for name in ("sigma", "sigma_outlier", "sigma_occluded"):
            if getattr(self, name) < 0:
                raise ValueError(f"noise.{name} must not be negative, got {getattr(self, name)}")

    def draw(
        self, points: Tensor, width: Tensor, keys: NDArray[np.uint64], skeleton: Skeleton
    ) -> tuple[Tensor, Tensor]:
        """Detections (B, J, 2) px and scores (B, J) of true points (B, J, 2) px, drawn by a key per
        row (B,); `width` (B,) px of the images."""
        B, J, _ = points.shape
        kind, luck, swap = torch.from_numpy(uniform(keys, 3 * J)).to(points).view(B, 3, J).unbind(1)
        occluded = kind < self.occluded
        outlier = kind < self.occluded + (1 - self.occluded) * self.outlier
        sigma = torch.where(outlier, self.sigma_outlier, self.sigma)
        sigma = torch.where(occluded, self.sigma_occluded, sigma)
        error = torch.from_numpy(normal(keys, 2 * J)).to(points).view(B, J, 2) * sigma[..., None]

        q = torch.exp(-error.norm(dim=-1) / 20)
        low, high = 0.05 + 0.4 * q * (0.5 + 0.5 * luck), 0.55 + 0.45 * q * (0.8 + 0.2 * luck)
        scores = torch.where(occluded, low, high)
        detections = points + error * (width / 1000)[:, None, None]

        joints, partner = torch.arange(J), torch.tensor(skeleton.flip)
        pair = torch.minimum(joints, partner)  # one number per pair
        source = torch.where(swap[:, pair] < self.swap, partner, joints)
        detections = detections.gather(1, source[..., None].expand(B, J, 2))
        return detections, scores.gather(1, source)

    def posterior(
        self, detections: Tensor, scores: Tensor, width: Tensor, skeleton: Skeleton
    ) -> Mixture:
        """The mixture of the true points, heaviest component first, from detections (B, J, 2) px
        and scores (B, J): weights (B, J, M), loc and scale (B, J, M, 2) px."""
        partner = torch.tensor(skeleton.flip)
        low = scores < 0.5
        high = ~low
        swap = self.swap * (partner != torch.arange(len(partner)))
        swapped_sigma = torch.where(low[:, partner], self.sigma_occluded, self.sigma)
        components: tuple[tuple[Tensor, Tensor, Any], ...] = (
            ((1 - swap) * (1 - self.outlier) * high, detections, self.sigma),
            ((1 - swap) * self.outlier * high, detections, self.sigma_outlier),
            ((1 - swap) * low, detections, self.sigma_occluded),
            (swap.expand_as(scores), detections[:, partner], swapped_sigma),
            (torch.zeros_like(scores), detections, self.sigma),  # up to M
        )
        weight, points, sigma = zip(*components, strict=True)
        loc = torch.stack(points, -2)
        scale = torch.stack([torch.as_tensor(s).expand_as(scores) for s in sigma], -1)
        scale = (scale * (width / 1000)[:, None, None]).to(detections)

        weights = torch.stack(weight, -1).to(detections)
        weights, order = weights.sort(stable=True, dim=-1, descending=True)
        order, scale = order[..., None].expand_as(loc), scale[..., None].expand_as(loc)
        return {"weights": weights, "loc": loc.gather(2, order), "scale": scale.gather(2, order)}


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
