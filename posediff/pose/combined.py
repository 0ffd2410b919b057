"""UDP's combined maps (Huang et al., CVPR 2020): about where a joint is, and how far from there.

    class     1 within r of the joint, 0 beyond        r = 7/128 of the map's longer side
    offset    (mu - q) / r at the pixel q, in x and y
    decode    mu = q + r offset[q],                    q = argmax of the class map, blurred

Three maps a joint, one after another, (..., 3 J, h, w). Lengths run between the middles of the
outer pixels, as in the codec `udp`. A head that reads one heatmap a joint cannot use them.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from einops import rearrange
from torch import Tensor

from posediff.diffusion.choices import one_of
from posediff.pose.heatmap import NAMES, Codec, blur_matrix
from posediff.pose.skeleton import Skeleton

BLUR = 11  # half side of the kernel


@dataclass(frozen=True)
class Combined:
    """As `Codec`, whose geometry it has, but for the maps."""

    size: tuple[int, int] = (192, 256)  # of the crop, W and H
    stride: int = 4

    @property
    def plain(self) -> Codec:
        return Codec("udp", self.size, self.stride)

    @property
    def shape(self) -> tuple[int, int]:
        """Of a map, (h, w)."""
        return self.plain.shape

    @property
    def radius(self) -> float:
        """In map pixels."""
        return 7 / 128 * max(self.shape)

    def encode(self, keypoints: Tensor, visible: Tensor) -> tuple[Tensor, Tensor]:
        """Keypoints (..., J, 2) in crop pixels, visible (..., J) -> (..., 3 J, h, w) and visible.

        The maps of a joint of weight 0 are 0.
        """
        mu = self.plain.to_map(torch.where(visible[..., None] > 0, keypoints, 0.0))
        x, y = (torch.arange(n, dtype=mu.dtype, device=mu.device) for n in reversed(self.shape))
        dx = ((mu[..., 0, None, None] - x) / self.radius).expand(*mu.shape[:-1], *self.shape)
        dy = ((mu[..., 1, None, None] - y[:, None]) / self.radius).expand_as(dx)
        maps = torch.stack([(dx**2 + dy**2 <= 1).to(mu.dtype), dx, dy], -3)
        maps = maps * (visible > 0)[..., None, None, None]
        return rearrange(maps, "... j three h w -> ... (j three) h w"), visible

    def decode(self, maps: Tensor) -> tuple[Tensor, Tensor]:
        """Maps (..., 3 J, h, w) -> keypoints (..., J, 2) in crop pixels and peaks (..., J)."""
        about, *offsets = self._parts(maps)
        rows, columns = (blur_matrix(n, BLUR, about) for n in self.shape)
        middle = blur_matrix(2 * BLUR + 1, BLUR, about)[BLUR]
        peak, index = (rows @ about @ columns / middle.sum() ** 2).flatten(-2).max(-1)
        w = self.shape[1]
        moved = [d.flatten(-2).gather(-1, index[..., None])[..., 0] for d in offsets]
        cell = torch.stack([index % w, index // w], -1)
        return self.plain.from_map(cell + self.radius * torch.stack(moved, -1)), peak

    def error(self, estimate: Tensor, target: Tensor) -> Tensor:
        """The mean square of a class map's error, and in the class of the offsets', (..., J)."""
        inside, x, y = self._parts(target)
        about, dx, dy = self._parts(estimate)
        apart = (dx - x).square() + (dy - y).square()
        return ((about - inside).square() + inside * apart).mean((-2, -1))

    def flip(self, maps: Tensor, skeleton: Skeleton) -> Tensor:
        """Maps (..., 3 J, h, w) in a mirror: reversed in x, sides swapped, x offsets negated."""
        about, dx, dy = (part[..., skeleton.flip, :, :].flip(-1) for part in self._parts(maps))
        return rearrange(torch.stack([about, -dx, dy], -3), "... j three h w -> ... (j three) h w")

    def second_moment(self, maps: Tensor) -> Tensor:
        """As `Codec.second_moment`, of the class maps. (..., J)."""
        return self.plain.second_moment(self._parts(maps)[0])

    def _parts(self, maps: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Class, x offset and y offset, (..., J, h, w) each."""
        about, dx, dy = rearrange(maps.float(), "... (j three) h w -> three ... j h w", three=3)
        return about, dx, dy


def codec(name: str, size: Sequence[int], stride: int = 4, rule: str = "own") -> Codec | Combined:
    """The codec of `dataset.codec` for crops of `size`, W and H: one heatmap a joint, or the three
    of udp_combined. rule: see `Codec`.

    Raises ValueError for an unknown name, and for a stride other than 1, 2, 4 or 8.
    """
    one_of("dataset.codec", name, (*NAMES, "udp_combined"))
    if stride not in (1, 2, 4, 8):
        raise ValueError(f"task.codec.stride must be 1, 2, 4 or 8, got {stride}")
    W, H = size
    if name == "udp_combined":
        return Combined((W, H), stride)
    return Codec(name, (W, H), stride, rule=rule)
