"""SGDD, the decoder: a U-Net that predicts the clean heatmaps.

It reads concat(h_t, x_c): the heatmaps of x_t and the condition x_c = (guide, x_fea). The paper
gives its width C at the first scale and 2 C at the last, H/8; the rest is our choice: two
residual blocks (GroupNorm, SiLU, 3x3) a scale, 3x3 of stride 2 down, 1x1 and nearest up, skips
concatenated. The stem is linear, so the part of it that reads x_fea is computed once per image.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from posediff.diffusion.choices import one_of
from posediff.nn.layers import heatmap_layer
from posediff.nn.time import TimeEmbedding
from posediff.pose.skeleton import skeleton as named

GROUPS = 8


class ResidualBlock(nn.Module):
    """`time` (B, T) scales and shifts the second norm, if the block was made with such a width."""

    recomputable = True

    def __init__(self, channels_in: int, channels: int, time_width: int | None) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.GroupNorm(GROUPS, channels_in), nn.GroupNorm(GROUPS, channels)
        self.conv1 = nn.Conv2d(channels_in, channels, 3, padding=1)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)
        self.film = None if time_width is None else nn.Linear(time_width, 2 * channels)
        self.skip: nn.Module = nn.Identity()
        if channels_in != channels:
            self.skip = nn.Conv2d(channels_in, channels, 1)

    def forward(self, x: Tensor, time: Tensor | None) -> Tensor:
        y = self.norm2(self.conv1(functional.silu(self.norm1(x))))
        if self.film is not None and time is not None:
            scale, shift = self.film(time)[..., None, None].chunk(2, 1)
            y = torch.addcmul(shift, y, 1 + scale)
        return self.skip(x) + self.conv2(functional.silu(y))


class Stage(nn.ModuleList):
    """Residual blocks in a row, at one scale."""

    def forward(self, x: Tensor, time: Tensor | None) -> Tensor:
        for block in self:
            x = block(x, time)
        return x


class SGDD(nn.Module):
    """features: channels of x_fea, and of the guide that joins it unless `condition` is empty.

    time: `film` embeds t (a sinusoid and two layers, 4 C wide), with `none` the network reads
    the noise level from the heatmaps.
    """

    def __init__(
        self,
        skeleton: str,
        features: int,
        condition: Sequence[str] = ("kps", "ske"),
        channels: int = 64,
        blocks: int = 2,
        multipliers: Sequence[int] = (1, 1, 2, 2),
        time: Literal["film", "none"] = "film",
    ) -> None:
        super().__init__()
        one_of("task.head.decoder.time", time, ("film", "none"))
        joints = len(named(skeleton).joints)
        if channels % GROUPS:
            raise ValueError(
                f"task.head.decoder.channels must be a multiple of {GROUPS}, got {channels}"
            )
        widths = [channels * m for m in multipliers]
        T = 4 * channels if time == "film" else None
        self.time = None if T is None else TimeEmbedding(channels, T)
        seen = joints + (features if condition else 0)
        self.stem = nn.Conv2d(seen, widths[0], 3, padding=1)
        self.stem_features = nn.Conv2d(features, widths[0], 3, padding=1, bias=False)

        def stage(channels_in: int, channels: int) -> Stage:
            first = ResidualBlock(channels_in, channels, T)
            return Stage([first, *(ResidualBlock(channels, channels, T) for _ in range(1, blocks))])

        self.down, self.shrink = nn.ModuleList([stage(widths[0], widths[0])]), nn.ModuleList()
        self.up, self.expand = nn.ModuleList(), nn.ModuleList()
        for fine, coarse in pairwise(widths):
            self.shrink.append(nn.Conv2d(fine, fine, 3, stride=2, padding=1))
            self.down.append(stage(fine, coarse))
            self.expand.append(nn.Conv2d(coarse, fine, 1))
            self.up.append(stage(2 * fine, fine))
        self.norm = nn.GroupNorm(GROUPS, widths[0])
        self.out = heatmap_layer(widths[0], joints, 3)

    def forward(self, maps: Tensor, guide: Tensor | None, stem: Tensor, t: Tensor) -> Tensor:
        """h_t (B, J, h, w), guide (B, C, h, w), stem_features(x_fea), t (B,) -> (B, J, h, w)."""
        time = None if self.time is None else functional.silu(self.time(t))
        seen = maps if guide is None else torch.cat([maps, guide], 1)
        x, skips = stem + self.stem(seen), []
        for stage, shrink in zip(self.down, [*self.shrink, None], strict=True):
            x = stage(x, time)
            if shrink is not None:
                skips.append(x)
                x = shrink(x)
        for stage, expand, skip in zip(
            reversed(self.up), reversed(self.expand), reversed(skips), strict=True
        ):
            x = functional.interpolate(expand(x), size=skip.shape[-2:])
            x = stage(torch.cat([skip, x], 1), time)
        return self.out(functional.silu(self.norm(x)))
