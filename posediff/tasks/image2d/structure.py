"""A state as the decoder reads it: a heatmap per joint, and masks of joints and bones.

    u     = p / (w - 1, h - 1)                        p: map pixels, as the codec has them
    x     = zeta (2 u - 1)                            a state, (..., J, 2)
    h_j   = exp(-|q - p_j|^2 / (2 sigma^2))           q: the pixels of the map
    M_kps = max_j  s(|q - p_j|, kps sigma)            one channel each: s(d, r) is [d <= r], or
    M_ske = max_ij s(dist(q, p_i p_j), ske sigma)     exp(-d^2 / (2 r^2)) where masks are soft

The masks are unions over joints and bones: a mirror reflects them, but there is nothing to swap.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from posediff.diffusion.choices import one_of
from posediff.pose.affine import mirror_points
from posediff.pose.heatmap import Codec, render
from posediff.pose.skeleton import Skeleton


@dataclass(frozen=True)
class Space:
    """Crop pixels <-> states <-> heatmaps.

    signal_scale   zeta: a joint in the crop is within +-zeta; the noise has deviation 1
    normalise  what u = 0 and 1 are: the middle of the first and last pixel, or their outer edges
    draw       at the point itself, or in the middle of its pixel
    readout    the codec's point, or the centre of mass, which a second mode drags along
    """

    codec: Codec
    signal_scale: float = 2.0
    normalise: Literal["corners", "edges"] = "corners"
    draw: Literal["exact", "rounded"] = "exact"
    readout: Literal["local", "global"] = "local"

    def __post_init__(self) -> None:
        one_of("task.head.space.normalise", self.normalise, ("corners", "edges"))
        one_of("task.head.space.draw", self.draw, ("exact", "rounded"))
        one_of("task.head.space.readout", self.readout, ("local", "global"))

    def state(self, points: Tensor) -> Tensor:
        """Crop pixels (..., J, 2) -> x, not bounded."""
        return self._state(self.codec.to_map(points))

    def drawn(self, x: Tensor) -> Tensor:
        """Map pixels at which a state is drawn; coordinates beyond +-zeta are drawn at the
        border."""
        points = self.on_map(x.clamp(-self.signal_scale, self.signal_scale))
        return points if self.draw == "exact" else (points + 0.5).floor()

    def render(self, points: Tensor) -> Tensor:
        """Map pixels (..., J, 2) -> heatmaps (..., J, h, w) of peak 1."""
        return render(points, self.codec.shape, self.codec.sigma)

    def read(self, maps: Tensor) -> Tensor:
        """Heatmaps (..., J, h, w) -> x."""
        if self.readout == "local":
            return self.state(self.codec.decode(maps)[0])
        density = maps.float().clamp(min=1e-12)
        density = density / density.sum((-2, -1), keepdim=True)
        pixel = torch.arange(max(maps.shape[-2:]), device=maps.device)
        lines = density.sum(-2), density.sum(-1)
        mass = [(line * pixel[: line.shape[-1]]).sum(-1) for line in lines]
        return self._state(torch.stack(mass, -1))

    def mirror(self, x: Tensor, skeleton: Skeleton) -> Tensor:
        """A state in a mirror: x -> -x where the codec is symmetric, nearly so where not."""
        points = self.codec.from_map(self.on_map(x))
        return self.state(mirror_points(points, self.codec.size[0], skeleton))

    def _state(self, points: Tensor) -> Tensor:
        low, extent = self._frame(points)
        return self.signal_scale * (2 * (points - low) / extent - 1)

    def on_map(self, x: Tensor) -> Tensor:
        """x -> map pixels (..., J, 2), not bounded."""
        low, extent = self._frame(x)
        return low + (x / self.signal_scale + 1) / 2 * extent

    def _frame(self, like: Tensor) -> tuple[float, Tensor]:
        """The map pixel of u = 0, and the pixels between u = 0 and u = 1 in x and y."""
        low = 0.0 if self.normalise == "corners" else -0.5
        h, w = self.codec.shape
        return low, like.new_tensor([w - 1 - 2 * low, h - 1 - 2 * low])


class Disagreement:
    """Counts how often two views of a person place a joint more than 3 sigma of a heatmap apart.

    If one view confuses left and right, the mean of the two states is between two peaks.
    """

    apart: Tensor | int
    seen: int

    def __init__(self, space: Space) -> None:
        self.space = space
        self.forget()

    def __call__(self, seen: Tensor, mirrored: Tensor) -> None:
        """Two views of the same states (..., J, 2)."""
        distance = (self.space.on_map(seen) - self.space.on_map(mirrored)).norm(dim=-1)
        self.apart = self.apart + (distance > 3 * self.space.codec.sigma).sum()
        self.seen += distance.numel()

    def forget(self) -> None:
        self.seen = self.apart = 0

    def share(self) -> float:
        return float(self.apart) / max(self.seen, 1)

    def summary(self) -> dict[str, float]:
        return {"flip_apart": round(self.share(), 4)}


class Pair(NamedTuple):
    """A mask of the joints and one of the bones, (B, 1, h, w)."""

    kps: Tensor
    ske: Tensor


@dataclass(frozen=True)
class Masks:
    """Draws the masks of states. kps, ske: radii in units of the heatmap's sigma."""

    codec: Codec
    form: Literal["hard", "soft"] = "hard"
    kps: float = 3.0
    ske: float = 1.0

    def __post_init__(self) -> None:
        one_of("task.head.masks.form", self.form, ("hard", "soft"))
        if min(self.kps, self.ske) <= 0:
            raise ValueError(
                f"task.head.masks.kps and ske must be above 0, got {self.kps} and {self.ske}"
            )

    def __call__(
        self, points: Tensor, bones: Sequence[tuple[int, int]], present: Tensor | None = None
    ) -> Pair:
        """Map pixels (B, J, 2) and the pairs of joints that are bones -> masks. A joint that is not
        `present` (B, J), and its bones, are left out. The capsule of a bone that is a point is a
        disk.
        """
        shape = self.codec.shape
        across, down = (
            torch.arange(n, dtype=points.dtype, device=points.device) for n in reversed(shape)
        )
        dx = across - points[..., 0, None, None]  # (B, J, 1, w)
        dy = down[:, None] - points[..., 1, None, None]  # (B, J, h, 1)
        ends = list(zip(*bones, strict=True))
        from_a = dx[:, ends[0]], dy[:, ends[0]]
        a, b = (points[:, i, :, None, None] for i in ends)
        along = b - a
        unit = along / along.square().sum(2, keepdim=True).clamp(min=1e-6)
        part = (from_a[0] * unit[:, :, 0] + from_a[1] * unit[:, :, 1]).clamp(0, 1)
        off = from_a[0] - part * along[:, :, 0], from_a[1] - part * along[:, :, 1]
        to_joint, to_bone = dx.square() + dy.square(), off[0].square() + off[1].square()
        if present is not None:
            both = present[:, ends[0]] & present[:, ends[1]]
            to_joint = torch.where(present[..., None, None], to_joint, torch.inf)
            to_bone = torch.where(both[..., None, None], to_bone, torch.inf)
        return Pair(self._mask(to_joint, self.kps), self._mask(to_bone, self.ske))

    def _mask(self, squared: Tensor, radius: float) -> Tensor:
        near, r = squared.amin(1, keepdim=True), radius * self.codec.sigma
        if self.form == "hard":  # the rim is inside, however it is rounded
            return (near <= (r + 1e-3) ** 2).to(squared.dtype)
        return torch.exp(-near / (2 * r**2))
