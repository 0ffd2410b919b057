"""A small backbone that trains without pretrained weights in minutes on a CPU.

Residual blocks at stride 4, 8, 16 and 32, at which the receptive field covers a small crop, and a
pyramid back to stride 4. Group normalisation, so that outputs do not depend on the batch.
"""

from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn

from posediff.nn.backbone import Backbone, Pyramid

WIDTHS = (32, 48, 64, 96)  # at stride 4, 8, 16, 32


class Small(Backbone):
    """`features` channels out; 0.76 M parameters with 64, 0.1 GMAC at 128 x 96."""

    optional = ("pyramid",)

    def __init__(self, features: int = 64) -> None:
        super().__init__()
        self.channels = features
        self.stem = nn.Sequential(conv_norm(3, 16, 2), nn.SiLU(inplace=True))
        self.stages = nn.ModuleList(
            nn.Sequential(conv_norm(a, b, 2), SmallBlock(b), SmallBlock(b))
            for a, b in pairwise((16, *WIDTHS))
        )
        self.pyramid = Pyramid(WIDTHS, features)

    def maps(self, image: Tensor) -> list[Tensor]:
        """Feature maps of stride 4, 8, 16, 32."""
        x, maps = self.stem(image), []
        for stage in self.stages:
            x = stage(x)
            maps.append(x)
        return maps

    def join(self, maps: Sequence[Tensor]) -> Tensor:
        return self.pyramid(maps)


def conv_norm(channels_in: int, channels_out: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(channels_in, channels_out, 3, stride, padding=1, bias=False),
        nn.GroupNorm(channels_out // 8, channels_out),
    )


class SmallBlock(nn.Module):
    """x + GN 3x3 silu GN 3x3 silu x; the identity at the start."""

    recomputable = True

    def __init__(self, channels: int) -> None:
        super().__init__()
        first, second = conv_norm(channels, channels), conv_norm(channels, channels)
        self.residual = nn.Sequential(nn.SiLU(), *first, nn.SiLU(inplace=True), *second)
        nn.init.zeros_(self.residual[-1].weight)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        return x + self.residual(x)
