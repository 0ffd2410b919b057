"""UDP's combined maps (Huang et al., CVPR 2020): a coarse region of each joint, and offsets in it.

    class     1 within r of the joint, 0 beyond        r = 7/128 of the map's longer side
    offset    (mu - q) / r at the pixel q, in x and y
    decode    mu = q + r offset[q],                    q = argmax of the class map, blurred

Three maps per joint, one after another, (..., 3 J, h, w). Lengths are measured between pixel
centres, as in the codec `udp`. A head that reads one heatmap per joint cannot use these maps.
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
    """A codec with the methods and the geometry of `Codec`, but three maps per joint."""

    size: tuple[int, int] = (192, 256)  # of the crop, W and H
    stride: int = 4

    @property
    def plain(self) -> Codec:
        return Codec("udp", self.size, self.stride)

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width of a map."""
        return self.plain.shape

    @property
    def radius(self) -> float:
        """r in map pixels."""
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
        region, *offsets = self._parts(maps)
        rows, columns = (blur_matrix(n, BLUR, region) for n in self.shape)
        kernel = blur_matrix(2 * BLUR + 1, BLUR, region)[BLUR]
        peak, index = (rows @ region @ columns / kernel.sum() ** 2).flatten(-2).max(-1)
        w = self.shape[1]
        offset = [d.flatten(-2).gather(-1, index[..., None])[..., 0] for d in offsets]
        cell = torch.stack([index % w, index // w], -1)
        return self.plain.from_map(cell + self.radius * torch.stack(offset, -1)), peak

    def error(self, estimate: Tensor, target: Tensor) -> Tensor:
        """Mean square of the class error, plus that of the offset error where the target's class
        is 1, (..., J)."""
        region, x, y = self._parts(target)
        estimated, dx, dy = self._parts(estimate)
        distance = (dx - x).square() + (dy - y).square()
        return ((estimated - region).square() + region * distance).mean((-2, -1))

    def flip(self, maps: Tensor, skeleton: Skeleton) -> Tensor:
        """Mirrored maps (..., 3 J, h, w): reversed in x, sides swapped, x offsets negated."""
        region, dx, dy = (part[..., skeleton.flip, :, :].flip(-1) for part in self._parts(maps))
        return rearrange(torch.stack([region, -dx, dy], -3), "... j three h w -> ... (j three) h w")

    def second_moment(self, maps: Tensor) -> Tensor:
        """`Codec.second_moment` of the class maps, (..., J)."""
        return self.plain.second_moment(self._parts(maps)[0])

    def _parts(self, maps: Tensor) -> tuple[Tensor, ...]:
        """Class, x offset and y offset, (..., J, h, w) each."""
        return rearrange(maps.float(), "... (j three) h w -> three ... j h w", three=3).unbind()


def codec(name: str, size: Sequence[int], stride: int = 4, rule: str = "own") -> Codec | Combined:
    """The codec of that name for crops of `size` (W, H): `Combined` for udp_combined, else `Codec`.

    Raises ValueError if the name or the rule (see `Codec`) is unknown, or the stride is not 1, 2, 4
    or 8.
    """
    one_of("dataset.codec", name, (*NAMES, "udp_combined"))
    if stride not in (1, 2, 4, 8):
        raise ValueError(f"task.codec.stride must be 1, 2, 4 or 8, got {stride}")
    W, H = size
    if name == "udp_combined":
        return Combined((W, H), stride)
    return Codec(name, (W, H), stride, rule=rule)
