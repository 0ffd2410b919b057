"""HRNet: deep high-resolution representation learning (Sun et al., CVPR 2019, arXiv 1902.09212).

Parallel branches of stride 4, 8, 16, 32 have width, 2, 4, 8 times width channels. After every four
residual blocks each branch reads all others:

    y_i = relu( sum_j f_ij(x_j) )      f_ij   j = i  the identity
                                              j > i  1x1 convolution, nearest upsampling
                                              j < i  i - j convolutions 3x3 of stride 2

The features are those of the finest branch. Entries are named as in the public weight files.
"""

from collections.abc import Sequence

from torch import Tensor, nn

from posediff.nn.backbone import Backbone, upsample


class HRNet(Backbone):
    """`width` is 32 for W32, 48 for W48.

    With `joints` the original's last 1x1 convolution is included, and the channels are heatmaps.
    """

    optional = ("final_layer",)

    def __init__(self, width: int = 32, joints: int | None = None) -> None:
        super().__init__()
        self.channels = joints or width
        c = [width, 2 * width, 4 * width, 8 * width]
        self.conv1, self.bn1 = conv(3, 64, stride=2), nn.BatchNorm2d(64)
        self.conv2, self.bn2 = conv(64, 64, stride=2), nn.BatchNorm2d(64)
        self.layer1 = nn.Sequential(Bottleneck(64), *(Bottleneck(256) for _ in range(3)))
        self.transition1 = Transition([256], c[:2])
        self.stage2 = nn.Sequential(Exchange(c[:2]))
        self.transition2 = Transition(c[:2], c[:3])
        self.stage3 = nn.Sequential(*(Exchange(c[:3]) for _ in range(4)))
        self.transition3 = Transition(c[:3], c)
        self.stage4 = nn.Sequential(Exchange(c), Exchange(c), Exchange(c, outputs=1))
        self.final_layer = nn.Conv2d(width, joints, 1) if joints else nn.Identity()

    def maps(self, image: Tensor) -> list[Tensor]:
        x = self.bn1(self.conv1(image)).relu_()
        x = self.layer1(self.bn2(self.conv2(x)).relu_())
        xs = self.stage2(self.transition1([x]))
        xs = self.stage3(self.transition2(xs))
        return self.stage4(self.transition3(xs))

    def join(self, maps: Sequence[Tensor]) -> Tensor:
        return self.final_layer(*maps)


def conv(channels_in: int, channels_out: int, kernel: int = 3, stride: int = 1) -> nn.Conv2d:
    """A convolution without bias, as batch normalisation follows."""
    return nn.Conv2d(channels_in, channels_out, kernel, stride, kernel // 2, bias=False)


def conv_bn(channels_in: int, channels_out: int, kernel: int = 3, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        conv(channels_in, channels_out, kernel, stride), nn.BatchNorm2d(channels_out)
    )


def conv_bn_relu(channels_in: int, channels_out: int, stride: int = 1) -> nn.Sequential:
    return conv_bn(channels_in, channels_out, stride=stride).append(nn.ReLU(inplace=True))


class Bottleneck(nn.Module):
    """relu(x + 1x1 relu 3x3 relu 1x1 (x)) with 256 channels out and 64 inside."""

    recomputable = True

    def __init__(self, channels_in: int) -> None:
        super().__init__()
        self.conv1, self.bn1 = conv(channels_in, 64, kernel=1), nn.BatchNorm2d(64)
        self.conv2, self.bn2 = conv(64, 64), nn.BatchNorm2d(64)
        self.conv3, self.bn3 = conv(64, 256, kernel=1), nn.BatchNorm2d(256)
        self.downsample = nn.Identity() if channels_in == 256 else conv_bn(channels_in, 256, 1)

    def forward(self, x: Tensor) -> Tensor:
        y = self.bn1(self.conv1(x)).relu_()
        y = self.bn2(self.conv2(y)).relu_()
        return self.bn3(self.conv3(y)).add_(self.downsample(x)).relu_()


class BasicBlock(nn.Module):
    """relu(x + 3x3 relu 3x3 (x))"""

    recomputable = True

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1, self.bn1 = conv(channels, channels), nn.BatchNorm2d(channels)
        self.conv2, self.bn2 = conv(channels, channels), nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        y = self.bn1(self.conv1(x)).relu_()
        return self.bn2(self.conv2(y)).add_(x).relu_()


class Transition(nn.ModuleList):
    """Adds a branch of half the resolution, made from the coarsest one."""

    def __init__(self, before: Sequence[int], after: Sequence[int]) -> None:
        kept = (
            nn.Identity() if a == b else conv_bn_relu(b, a)
            for b, a in zip(before, after, strict=False)
        )
        super().__init__([*kept, nn.Sequential(conv_bn_relu(before[-1], after[-1], stride=2))])

    def forward(self, xs: list[Tensor]) -> list[Tensor]:
        return [step(x) for step, x in zip(self, [*xs, xs[-1]], strict=True)]


class Exchange(nn.Module):
    """Four residual blocks on every branch, then each of the first `outputs` reads all."""

    def __init__(self, channels: Sequence[int], outputs: int | None = None) -> None:
        super().__init__()
        self.branches = nn.ModuleList(
            nn.Sequential(*(BasicBlock(c) for _ in range(4))) for c in channels
        )
        self.fuse_layers = nn.ModuleList(
            nn.ModuleList(resample(channels, j, i) for j in range(len(channels)))
            for i in range(outputs or len(channels))
        )

    def forward(self, xs: list[Tensor]) -> list[Tensor]:
        xs = [branch(x) for branch, x in zip(self.branches, xs, strict=True)]
        return [self.fuse(i, xs) for i in range(len(self.fuse_layers))]

    def fuse(self, i: int, xs: list[Tensor]) -> Tensor:
        total = xs[i]
        for j, x in enumerate(xs):
            if j != i:
                y = self.fuse_layers[i][j](x)  # type: ignore[index]
                total = total + (upsample(y, total) if j > i else y)
        return total.relu()


def resample(channels: Sequence[int], j: int, i: int) -> nn.Module:
    """f_ij without the upsampling."""
    if j == i:
        return nn.Identity()
    if j > i:
        return conv_bn(channels[j], channels[i], kernel=1)
    steps = [conv_bn_relu(channels[j], channels[j], stride=2) for _ in range(i - j - 1)]
    return nn.Sequential(*steps, conv_bn(channels[j], channels[i], stride=2))
