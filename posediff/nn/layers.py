"""Small layers that several networks share."""

import torch
from torch import Tensor, nn
from torch.nn import functional


def heatmap_layer(channels: int, maps: int, kernel: int = 1) -> nn.Conv2d:
    """The last layer of a network that says heatmaps. It begins near 0, as heatmaps are nearly 0
    nearly everywhere."""
    layer = nn.Conv2d(channels, maps, kernel, padding=kernel // 2)
    torch.nn.init.normal_(layer.weight, std=1e-3)
    return layer


def linear(channels_in: int, channels_out: int) -> tuple[Tensor, Tensor]:
    """Weight and bias of a new nn.Linear."""
    layer = nn.Linear(channels_in, channels_out)
    return layer.weight, layer.bias


class Twice(nn.Module):
    """A map of twice the size, by bilinear interpolation."""

    def forward(self, x: Tensor) -> Tensor:
        return functional.interpolate(x, scale_factor=2.0, mode="bilinear")


def deconvolution(channels_in: int, channels_out: int) -> tuple[nn.Module, ...]:
    """Layers that make a map of twice the size by a transposed convolution."""
    deconv = nn.ConvTranspose2d(channels_in, channels_out, 4, stride=2, padding=1, bias=False)
    return deconv, nn.BatchNorm2d(channels_out), nn.ReLU(inplace=True)


def interpolation(channels_in: int, channels_out: int) -> tuple[nn.Module, ...]:
    """Layers that make a map of twice the size by interpolation and a convolution."""
    conv = nn.Conv2d(channels_in, channels_out, 3, padding=1, bias=False)
    return Twice(), conv, nn.BatchNorm2d(channels_out), nn.ReLU(inplace=True)
