"""Mixtures of diagonal Gaussians, fitted by weighted EM to heatmaps or to samples.

    p(x)   = sum_m w_m prod_d N(x_d; mu_md, s_md^2)
    r_nm   = w_m N_m(x_n) / p(x_n)                                      expectation
    w_m    = sum_n v_n r_nm,   mu_m = sum_n v_n r_nm x_n / w_m,         maximisation
    s_m^2  = max(sum_n v_n r_nm x_n^2 / w_m - mu_m^2, floor^2)

v_n is the weight of a point, sum v = 1: the cell's share of a heatmap (the limit of infinitely many
draws from it), or 1 / N for N samples. As the floor is a bound of the maximisation, the likelihood
L = sum_n v_n log p(x_n) never falls. All joints of a batch are fitted at once and independently,
in float64; results are always finite.

A mixture is a dict of weights (..., M), loc and scale (..., M, D), heaviest component first; those
of weight 0 are padding, with the loc of the heaviest.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from posediff.pose.affine import invert, transform
from posediff.pose.heatmap import Codec

Mixture = dict[str, Tensor]

COMPONENTS = 5  # M of the method
FLOOR = 0.5  # pixels: smallest scale of a 2D point
CELL = 12**-0.5  # scale of a uniform density over one cell
MIN_WEIGHT = 1e-4  # lighter components are removed
TINY = torch.finfo(torch.float64).tiny


class Fit(NamedTuple):
    mixture: Mixture
    likelihood: Tensor  # (...), L of the last iteration


def fit(
    points: Tensor,
    weights: Tensor | None = None,
    components: int = COMPONENTS,
    floor: float = FLOOR,
    seed: int = 0,
    start: Tensor | None = None,
    iterations: int = 50,
    tolerance: float = 1e-6,
) -> Fit:
    """EM on points (..., N, D) with weights (..., N), equal by default; the two broadcast.

    start (..., P): the indices of points where components start, -1 for none; other starts are
    drawn as in k-means++, with one `seed` for all. A fit ends when L gains less than `tolerance`.
    Weights that sum to 0 count as equal.
    """
    x = points.double()
    shape = x.shape[:-1] if weights is None else weights.shape
    v = x.new_ones(shape) if weights is None else weights.double()
    v = torch.where(v.sum(-1, keepdim=True) > 0, v, 1.0)
    v = v / v.sum(-1, keepdim=True)
    middle = x.mean(-2, keepdim=True)  # squares of centred coordinates lose fewer digits
    x = x - middle
    w, loc, variance = _first_state(x, v, components, floor, seed, start)
    likelihood = torch.full_like(v[..., 0], -torch.inf)
    for _ in range(iterations):
        densities = _log_density(x, w, loc, variance)
        total = densities.logsumexp(-1)
        now = (v * total).sum(-1)
        active = (now - likelihood >= tolerance)[..., None, None]  # a stopped fit gains 0 later
        likelihood = torch.maximum(likelihood, now)
        if not active.any():
            break
        parts = v.unsqueeze(-1) * (densities - total.unsqueeze(-1)).exp()
        old, new = (w, loc, variance), _maximise(x, parts, loc, floor)
        w, loc, variance = (torch.where(active, b, a) for a, b in zip(old, new, strict=True))
    return Fit(_finished(w[..., 0], loc + middle, variance.sqrt(), floor), likelihood)


def from_samples(samples: Tensor, components: int = COMPONENTS, seed: int = 0) -> Mixture:
    """The mixture of the K hypotheses of every joint, (..., K, J, D) in pixels."""
    return fit(samples.transpose(-3, -2), None, components, FLOOR, seed).mixture


def from_heatmaps(
    maps: Tensor,
    codec: Codec,
    affine: Tensor | None = None,
    image_size: Tensor | None = None,
    components: int = COMPONENTS,
    samples: int | None = None,
    seed: int = 0,
) -> tuple[Mixture, Tensor]:
    """Mixtures of heatmaps (B, J, h, w) in image pixels and scores (B, J), as a lifter reads them.

    affine (B, 2, 3) maps image pixels to crop pixels (None: the crop is the image), image_size
    (B, 2) is the image's. Negative values count as 0; with `samples`, that many draws from the map
    are fitted instead of the map itself. A map without positive values has one component in the
    middle of the image, its scale a quarter of the width, and score 0. A rotated crop keeps the
    variance along each image axis and loses the correlation.
    Raises ValueError if maps have another size than the codec's, or are not finite.
    """
    if maps.shape[-2:] != codec.shape:
        raise ValueError(f"maps of {(*maps.shape[-2:],)}, but the codec's are {codec.shape}")
    if not maps.isfinite().all():
        raise ValueError("heatmaps are not finite: check the model or the file they are from")
    density = maps.double().clamp(min=0)
    h, w = codec.shape
    cells = torch.stack(torch.meshgrid(torch.arange(w), torch.arange(h), indexing="xy"), -1)
    x, v = cells.flatten(0, 1).to(density), density.flatten(-2)
    if samples is None:
        mixture = fit(x, v, components, CELL, seed, start=peaks(density, components)).mixture
    else:
        u = torch.rand(samples, generator=torch.Generator().manual_seed(seed), dtype=v.dtype)
        mixture = fit(x[_draw(v, u)], None, components, CELL, seed).mixture
    loc, scale = codec.from_map(mixture["loc"]), codec.from_map(mixture["scale"])
    if affine is not None:
        back = invert(affine.double())
        loc = transform(loc.flatten(1, 2), back).view_as(loc)
        scale = (scale.square() @ back[..., :2].square().mT.unsqueeze(1)).sqrt()
    size = scale.new_tensor(codec.size) if image_size is None else image_size.to(scale)
    peak = density.amax((-2, -1))
    return _filled({**mixture, "loc": loc, "scale": scale}, peak <= 0, size), peak


def moments(mixture: Mixture) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation along every axis, each (..., D)."""
    w, loc, scale = mixture["weights"].unsqueeze(-1), mixture["loc"], mixture["scale"]
    mean = (w * loc).sum(-2)
    variance = (w * (scale.square() + (loc - mean.unsqueeze(-2)).square())).sum(-2)
    return mean, variance.sqrt()


def peaks(maps: Tensor, count: int) -> Tensor:
    """Cells of the strongest local maxima of maps (..., h, w), (..., count), -1 for none.

    A plateau counts with its first cell.
    """
    h, w = maps.shape[-2:]
    order = torch.arange(h * w, 0, -1, dtype=maps.dtype, device=maps.device).view(h, w)
    ranked = maps + 1e-12 * maps.amax((-2, -1), keepdim=True) * order / (h * w)
    around = torch.nn.functional.max_pool2d(ranked.flatten(0, -3)[:, None], 3, 1, 1)
    is_peak = (ranked >= around.view_as(maps)) & (maps > 0)
    height, cell = torch.where(is_peak, maps, 0.0).flatten(-2).topk(min(count, h * w), -1)
    return torch.where(height > 0, cell, -1)


def _first_state(
    x: Tensor, v: Tensor, components: int, floor: float, seed: int, start: Tensor | None
) -> tuple[Tensor, Tensor, Tensor]:
    """One maximisation in which each point belongs to the nearest starting centre only."""
    u = torch.rand(components, generator=torch.Generator().manual_seed(seed))
    every = x.expand(*v.shape, x.shape[-1])
    nearest, distance = torch.zeros_like(v, dtype=torch.long), torch.ones_like(v)
    centres = []
    for m in range(components):
        cell = _draw(v * distance, u[[m]])  # k-means++: by weight and squared distance
        if start is not None and m < start.shape[-1]:
            given = start[..., [m]]
            cell = torch.where(given >= 0, given, cell)
        centres.append(every.take_along_dim(cell[..., None], -2))
        squared = (every - centres[-1]).square().sum(-1)
        nearest = torch.where(squared < distance, m, nearest) if m else nearest
        distance = torch.minimum(distance, squared) if m else squared
    parts = v.unsqueeze(-1) * torch.nn.functional.one_hot(nearest, components)
    return _maximise(x, parts, torch.cat(centres, -2), floor)


def _maximise(
    x: Tensor, parts: Tensor, before: Tensor, floor: float
) -> tuple[Tensor, Tensor, Tensor]:
    """Weights (..., M, 1), loc and variance (..., M, D) of parts (..., N, M) = v r.

    An empty component keeps its loc.
    """
    weight = parts.sum(-2).unsqueeze(-1)
    alive = weight > TINY / MIN_WEIGHT
    share = weight.clamp(min=TINY / MIN_WEIGHT)
    loc = torch.where(alive, parts.mT @ x / share, before)
    variance = parts.mT @ x.square() / share - loc.square()
    return weight, loc, torch.where(alive, variance, 0.0).clamp(min=floor**2)


def _log_density(x: Tensor, weight: Tensor, loc: Tensor, variance: Tensor) -> Tensor:
    """log w_m N_m(x_n), (..., N, M)."""
    precision = 1 / variance
    square = x.square() @ precision.mT - 2 * (x @ (loc * precision).mT)
    log_2_pi = torch.log(x.new_tensor(2 * torch.pi))
    rest = (loc.square() * precision + variance.log() + log_2_pi).sum(-1)
    return weight.mT.log() - (square + rest.unsqueeze(-2)) / 2


def _finished(weights: Tensor, loc: Tensor, scale: Tensor, floor: float) -> Mixture:
    """Light components removed, heaviest first; the weights sum to 1."""
    weights = torch.where(weights < MIN_WEIGHT, 0.0, weights)
    weights = weights / weights.sum(-1, keepdim=True)
    weights, order = weights.sort(stable=True, dim=-1, descending=True)
    loc, scale = (part.take_along_dim(order.unsqueeze(-1), -2) for part in (loc, scale))
    live = weights.unsqueeze(-1) > 0
    loc = torch.where(live, loc, loc[..., :1, :])
    return {"weights": weights, "loc": loc, "scale": torch.where(live, scale, floor)}


def _draw(v: Tensor, u: Tensor) -> Tensor:
    """Indices of cells drawn by weight v (..., N), from uniform u (count,): (..., count)."""
    share = v.cumsum(-1)
    found = torch.searchsorted(share, u.to(v) * share[..., -1:], right=True)
    return found.clamp(max=v.shape[-1] - 1)


def _filled(mixture: Mixture, empty: Tensor, size: Tensor) -> Mixture:
    """Joints that are `empty` (B, J) replaced by one component: see `from_heatmaps`."""
    weights, loc, scale = mixture["weights"], mixture["loc"], mixture["scale"]
    one = torch.eye(weights.shape[-1]).to(weights)[0]
    size, joint = size.reshape(-1, 1, 1, 2), empty[..., None, None]
    return {
        "weights": torch.where(empty.unsqueeze(-1), one, weights),
        "loc": torch.where(joint, (size - 1) / 2, loc),
        "scale": torch.where(joint, size[..., :1] / 4, scale),
    }
