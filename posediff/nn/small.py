"""A small backbone that learns from nothing in minutes on a CPU.

Residual blocks at stride 4, 8, 16 and 32, where a person of a small crop fits into one view, and a
pyramid that brings all back to stride 4. Group normalisation, as training and evaluation then see
the same network whatever the batch.
"""

from torch import Tensor, nn

from posediff.nn.backbone import Backbone, Pyramid

WIDTHS = (32, 48, 64, 96)  # at stride 4, 8, 16, 32


class Small(Backbone):
    """`features` channels out; 0.76 M parameters with 64, 0.1 GMAC at 128 x 96."""

    def __init__(self, features: int = 64) -> None:
        super().__init__()
        self.channels = features
        self.stem = nn.Sequential(down(3, 16), nn.SiLU(inplace=True))
        self.stages, channels = nn.ModuleList(), 16
        for width in WIDTHS:
            self.stages.append(
                nn.Sequential(down(channels, width), SmallBlock(width), SmallBlock(width))
            )
            channels = width
        self.pyramid = Pyramid(WIDTHS, features)

    def forward(self, image: Tensor) -> Tensor:
        x, maps = self.stem(image), []
        for stage in self.stages:
            x = stage(x)
            maps.append(x)
        return self.pyramid(maps)


def down(channels_in: int, channels_out: int) -> nn.Sequential:
    """Half as fine."""
    return nn.Sequential(
        nn.Conv2d(channels_in, channels_out, 3, stride=2, padding=1, bias=False),
        nn.GroupNorm(channels_out // 8, channels_out),
    )


class SmallBlock(nn.Module):
    """x + GN 3x3 silu GN 3x3 silu x; begins as the identity."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.residual = nn.Sequential(
            nn.SiLU(),
            nn.Conv2d(channels, channels, 3, padding=1, bias=False),
            nn.GroupNorm(channels // 8, channels),
            nn.SiLU(inplace=True),
            nn.Conv2d(channels, channels, 3, padding=1, bias=False),
            nn.GroupNorm(channels // 8, channels),
        )
        nn.init.zeros_(self.residual[-1].weight)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        return x + self.residual(x)
