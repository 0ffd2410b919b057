"""Small layers that several networks share."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from posediff.nn import fast


def heatmap_layer(channels: int, maps: int, kernel: int = 1) -> nn.Conv2d:
    """The last layer of a network for heatmaps; its output starts near 0, as most of a map is 0."""
    layer = nn.Conv2d(channels, maps, kernel, padding=kernel // 2)
    torch.nn.init.normal_(layer.weight, std=1e-3)
    return layer


def linear(channels_in: int, channels_out: int) -> tuple[Tensor, Tensor]:
    """Weight and bias of a new nn.Linear."""
    layer = nn.Linear(channels_in, channels_out)
    return layer.weight, layer.bias


def deconvolution(channels_in: int, channels_out: int) -> tuple[nn.Module, ...]:
    """Layers from a map to one of twice the size, by a transposed convolution."""
    deconv = nn.ConvTranspose2d(channels_in, channels_out, 4, stride=2, padding=1, bias=False)
    return deconv, nn.BatchNorm2d(channels_out), nn.ReLU(inplace=True)


def interpolation(channels_in: int, channels_out: int) -> tuple[nn.Module, ...]:
    """Layers from a map to one of twice the size, by bilinear interpolation and a convolution."""
    twice = nn.Upsample(scale_factor=2.0, mode="bilinear")
    conv = nn.Conv2d(channels_in, channels_out, 3, padding=1, bias=False)
    return twice, conv, nn.BatchNorm2d(channels_out), nn.ReLU(inplace=True)


class SameConv(nn.Conv2d):
    """A convolution padded as TensorFlow's `same`: ceil(n / stride) outputs, an odd row or column
    is padded at the bottom or right."""

    def forward(self, x: Tensor) -> Tensor:
        (kernel, _), (stride, _) = self.kernel_size, self.stride
        h, w = ((-(-n // stride) - 1) * stride + kernel - n for n in x.shape[-2:])
        padding = h // 2
        if h != w or h % 2:
            x, padding = functional.pad(x, (w // 2, w - w // 2, h // 2, h - h // 2)), 0
        if self.groups > 1:
            return fast.depthwise(x, self.weight, self.bias, stride, padding)
        return functional.conv2d(x, self.weight, self.bias, stride, padding)
