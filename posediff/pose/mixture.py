"""Mixtures of diagonal Gaussians, fitted by weighted EM to heatmaps or to samples.

    p(x)   = sum_m w_m prod_d N(x_d; mu_md, s_md^2)
    r_nm   = w_m N_m(x_n) / p(x_n)                                      expectation
    w_m    = sum_n v_n r_nm,   mu_m = sum_n v_n r_nm x_n / w_m,         maximisation
    s_m^2  = max(sum_n v_n r_nm x_n^2 / w_m - mu_m^2, floor^2)

v_n is the weight of a point, sum v = 1: of a heatmap's cell its share of the map (the limit of
infinitely many draws from it), of a sample 1 / N. As the floor is a bound of the maximisation, the
likelihood L = sum_n v_n log p(x_n) never falls. All joints of a batch are fitted at once, none of
them knows another, and everything is float64; nothing is ever NaN.

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
FLOOR = 0.5  # pixels: no sample of a 2D point is surer
CELL = 12**-0.5  # the deviation of a uniform density over one cell
LEAST = 1e-4  # a component of less weight is none
TINY = torch.finfo(torch.float64).tiny


class Fit(NamedTuple):
    """What EM found."""

    mixture: Mixture
    likelihood: Tensor  # (...), L of the last iteration


def fit(
    points: Tensor,
    weights: Tensor | None = None,
    components: int = COMPONENTS,
    floor: float = FLOOR,
    seed: int = 0,
    begin: Tensor | None = None,
    iterations: int = 50,
    tolerance: float = 1e-6,
) -> Fit:
    """EM on points (..., N, D) with weights (..., N), all alike by default; the two broadcast.

    begin (..., P): the numbers of points where components begin, -1 for none; the rest is drawn
    as k-means++ does, with one `seed` for all. A fit ends when L gains less than `tolerance`.
    Weights that sum to 0 count as all alike.
    """
    x = points.double()
    shape = x.shape[:-1] if weights is None else weights.shape
    v = x.new_ones(shape) if weights is None else weights.double()
    v = torch.where(v.sum(-1, keepdim=True) > 0, v, 1.0)
    v = v / v.sum(-1, keepdim=True)
    middle = x.mean(-2, keepdim=True)  # squares of coordinates lose fewer digits about it
    x = x - middle
    state = _begin(x, v, components, floor, seed, begin)
    likelihood = torch.full_like(v[..., 0], -torch.inf)
    for _ in range(iterations):
        each = _log_density(x, *state)
        total = each.logsumexp(-1)
        now = (v * total).sum(-1)
        active = now - likelihood >= tolerance  # what has stopped gains 0 from then on
        likelihood = torch.maximum(likelihood, now)
        if not active.any():
            break
        parts = v.unsqueeze(-1) * (each - total.unsqueeze(-1)).exp()
        better = _maximise(x, parts, state[1], floor)
        here = active.view(*active.shape, 1, 1)
        w, loc, variance = (torch.where(here, b, s) for b, s in zip(better, state, strict=True))
        state = w, loc, variance
    w, loc, variance = state
    return Fit(_finished(w[..., 0], loc + middle, variance.sqrt(), floor), likelihood)


def from_samples(samples: Tensor, components: int = COMPONENTS, seed: int = 0) -> Mixture:
    """Of the K hypotheses of every joint, (..., K, J, D) in pixels."""
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
    """The 2D evidence of a lift3d sample from heatmaps (B, J, h, w): mixture and scores (B, J).

    affine (B, 2, 3) leads from picture to crop pixels (None: the crop is the picture), image_size
    (B, 2) is the picture's. What is negative in a map counts as 0; `samples` fits so many draws
    from it instead of the map itself. A map without anything positive is one component amid the
    picture, a quarter of its width wide, and its score is 0. A turned crop keeps the variances of
    its axes and loses their correlation.

    Raises ValueError for maps of another size than the codec's, or that are not finite.
    """
    if maps.shape[-2:] != codec.shape:
        raise ValueError(f"maps of {(*maps.shape[-2:],)}, but the codec's are {codec.shape}")
    if not maps.isfinite().all():
        raise ValueError("heatmaps are not finite: look at the model or the file they came from")
    density = maps.double().clamp(min=0)
    h, w = codec.shape
    cells = torch.stack(torch.meshgrid(torch.arange(w), torch.arange(h), indexing="xy"), -1)
    x, v = cells.flatten(0, 1).to(density), density.flatten(-2)
    if samples is None:
        found = fit(x, v, components, CELL, seed, begin=peaks(density, components)).mixture
    else:
        found = fit(x[_draw(v, samples, seed)], None, components, CELL, seed).mixture
    loc, scale = codec.from_map(found["loc"]), codec.from_map(found["scale"])
    if affine is not None:
        back = invert(affine.double())
        loc = transform(loc.flatten(1, 2), back).view_as(loc)
        scale = (scale.square() @ back[..., :2].square().mT.unsqueeze(1)).sqrt()
    size = scale.new_tensor(codec.size) if image_size is None else image_size.to(scale)
    peak = density.amax((-2, -1))
    return _unknown({**found, "loc": loc, "scale": scale}, peak <= 0, size), peak


def moments(mixture: Mixture) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation along every axis, each (..., D)."""
    w, loc, scale = mixture["weights"].unsqueeze(-1), mixture["loc"], mixture["scale"]
    mean = (w * loc).sum(-2)
    variance = (w * (scale.square() + (loc - mean.unsqueeze(-2)).square())).sum(-2)
    return mean, variance.sqrt()


def mode(mixture: Mixture) -> Tensor:
    """The centre of the heaviest component, (..., D)."""
    heaviest = mixture["weights"].argmax(-1)[..., None, None]
    return mixture["loc"].take_along_dim(heaviest, -2).squeeze(-2)


def peaks(maps: Tensor, count: int) -> Tensor:
    """The cells of the strongest local maxima of maps (..., h, w), (..., count), -1 for none.

    Of a plateau the first cell counts.
    """
    h, w = maps.shape[-2:]
    order = torch.arange(h * w, 0, -1, dtype=maps.dtype, device=maps.device).view(h, w)
    ranked = maps + 1e-12 * maps.amax((-2, -1), keepdim=True) * order / (h * w)
    around = torch.nn.functional.max_pool2d(ranked.flatten(0, -3)[:, None], 3, 1, 1)
    is_peak = (ranked >= around.view_as(maps)) & (maps > 0)
    height, cell = torch.where(is_peak, maps, 0.0).flatten(-2).topk(min(count, h * w), -1)
    return torch.where(height > 0, cell, -1)


def _begin(
    x: Tensor, v: Tensor, components: int, floor: float, seed: int, begin: Tensor | None
) -> tuple[Tensor, Tensor, Tensor]:
    """Every point to the nearest of the centres where components begin."""
    luck = torch.rand(components, generator=torch.Generator().manual_seed(seed)).tolist()
    every = x.expand(*v.shape, x.shape[-1])
    near, away = torch.zeros_like(v, dtype=torch.long), torch.ones_like(v)
    centres = []
    for m, u in enumerate(luck):
        share = (v * away).cumsum(-1)  # k-means++: by weight and squared distance
        cell = (share <= u * share[..., -1:]).sum(-1).clamp(max=v.shape[-1] - 1)
        if begin is not None and m < begin.shape[-1]:
            cell = torch.where(begin[..., m] >= 0, begin[..., m], cell)
        centres.append(every.take_along_dim(cell[..., None, None], -2))
        squared = (every - centres[-1]).square().sum(-1)
        near = torch.where(squared < away, m, near) if m else near
        away = torch.minimum(away, squared) if m else squared
    parts = v.unsqueeze(-1) * torch.nn.functional.one_hot(near, components)
    return _maximise(x, parts, torch.cat(centres, -2), floor)


def _maximise(
    x: Tensor, parts: Tensor, before: Tensor, floor: float
) -> tuple[Tensor, Tensor, Tensor]:
    """Weights (..., M, 1), loc and variance (..., M, D) of parts (..., N, M) = v r.

    A component that nothing belongs to stays where it was.
    """
    weight = parts.sum(-2).unsqueeze(-1)
    alive = weight > TINY / LEAST
    share = weight.clamp(min=TINY / LEAST)
    loc = torch.where(alive, parts.mT @ x / share, before)
    variance = parts.mT @ x.square() / share - loc.square()
    return weight, loc, torch.where(alive, variance, 0.0).clamp(min=floor**2)


def _log_density(x: Tensor, weight: Tensor, loc: Tensor, variance: Tensor) -> Tensor:
    """log w_m N_m(x_n), (..., N, M)."""
    sure = 1 / variance
    square = x.square() @ sure.mT - 2 * (x @ (loc * sure).mT)
    rest = (loc.square() * sure + variance.log() + torch.log(x.new_tensor(2 * torch.pi))).sum(-1)
    return weight.mT.log() - (square + rest.unsqueeze(-2)) / 2


def _finished(weights: Tensor, loc: Tensor, scale: Tensor, floor: float) -> Mixture:
    """Without components that are none, heaviest first; the weights sum to 1."""
    weights = torch.where(weights < LEAST, 0.0, weights)
    weights = weights / weights.sum(-1, keepdim=True)
    weights, order = weights.sort(stable=True, dim=-1, descending=True)
    loc, scale = (part.take_along_dim(order.unsqueeze(-1), -2) for part in (loc, scale))
    live = weights.unsqueeze(-1) > 0
    loc = torch.where(live, loc, loc[..., :1, :])
    return {"weights": weights, "loc": loc, "scale": torch.where(live, scale, floor)}


def _draw(v: Tensor, count: int, seed: int) -> Tensor:
    """The numbers of `count` cells drawn by weight v (..., N), (..., count)."""
    u = torch.rand(count, generator=torch.Generator().manual_seed(seed), dtype=v.dtype)
    share = v.cumsum(-1)
    found = torch.searchsorted(share, (u * share[..., -1:]).contiguous(), right=True)
    return found.clamp(max=v.shape[-1] - 1)


def _unknown(mixture: Mixture, empty: Tensor, size: Tensor) -> Mixture:
    """Where a joint is `empty` (B, J): one component amid the picture, a quarter of it wide."""
    middle = ((size - 1) / 2).expand(len(empty), 2)[:, None, None]
    wide = (size[..., :1] / 4).expand(len(empty), 1)[:, None, None]
    one = torch.zeros_like(mixture["weights"])
    one[..., 0] = 1
    weights = torch.where(empty.unsqueeze(-1), one, mixture["weights"])
    empty = empty[..., None, None]
    return {
        "weights": weights,
        "loc": torch.where(empty, middle, mixture["loc"]),
        "scale": torch.where(empty, wide, mixture["scale"]),
    }
