"""MoveNet (Google, 2021): a MobileNetV2, a feature pyramid to stride 4, and heads for people.

    x_s  = the last block's output at stride s = 4, 8;  block 9's at 16;  1280 channels at 32
    y_32 = lateral x_32,   y_s = relu merge ( up(y_2s) + lateral x_s )        s = 16, 8, 4
    maps of the heads      y_4 -> depthwise 3x3, 1x1, relu, 1x1

Batch norms are folded into the convolutions; `up` is bilinear. Entries are named as in the weight
files movenet_thunder.safetensors and movenet_multipose.safetensors. Maps are channels_last, which
is up to twice as fast on a CPU.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from posediff.nn.backbone import RGB, Backbone
from posediff.nn.layers import SameConv

STAGES = (  # blocks, stride, expansion, channels at width 1
    (1, 1, 1, 16),
    (2, 2, 6, 24),
    (3, 2, 6, 32),
    (4, 2, 6, 64),
    (3, 1, 6, 96),
    (3, 2, 6, 160),
    (1, 1, 6, 320),
)
TAPS = (9, 5, 2)  # blocks that the pyramid reads, at stride 16, 8, 4
TOPS = (12, 5, 2)  # the last blocks at stride 16, 8, 4
READ = sorted({*TAPS, *TOPS})
DEEP = 1280  # channels of x_32
MERGED = (64, 32, 24, 24)  # channels of y_32 .. y_4
HIDDEN = 96  # channels inside a head
THUNDER, MULTIPOSE = 1.75, 1.5  # widths of the two public networks
POSE = {"heatmap": 17, "center": 1, "regress": 34, "offset": 34}  # heads and their channels
PEOPLE = {**POSE, "box_scale": 2, "box_offset": 2}


class MoveNet(Backbone):
    """The network as released. Its features are y_4; `answers` are the maps of all heads.

    width: THUNDER or MULTIPOSE. heads: POSE or PEOPLE, the channels of heads by name.
    """

    channels = MERGED[-1]
    mean: RGB = (127.5, 127.5, 127.5)
    std: RGB = (127.5, 127.5, 127.5)

    def __init__(self, width: float, heads: Mapping[str, int]) -> None:
        super().__init__()
        c = scaled(32, width)
        self.stem = SameConv(3, c, 3, stride=2)
        self.blocks, outputs = nn.ModuleList(), list[int]()
        for blocks, stride, expansion, channels in STAGES:
            for i in range(blocks):
                out = scaled(channels, width)
                self.blocks.append(MobileBlock(c, out, expansion, 1 if i else stride))
                outputs.append(c := out)
        self.last = nn.Conv2d(c, DEEP, 1)
        read, joined = (DEEP, *(outputs[i] for i in TAPS)), (MERGED[0], *MERGED[:-1])
        self.lateral = nn.ModuleList(nn.Conv2d(a, b, 1) for a, b in zip(read, joined, strict=True))
        self.merge = nn.ModuleList(
            Separable(a, b) for a, b in zip(joined[1:], MERGED[1:], strict=True)
        )
        self.heads = nn.ModuleDict({name: MapHead(MERGED[-1], n) for name, n in heads.items()})
        self.map_channels = (DEEP, *(outputs[i] + y for i, y in zip(TOPS, MERGED[1:], strict=True)))

    def maps(self, image: Tensor) -> list[Tensor]:
        """x_32, and the last block's output with y_s at the strides 16, 8, 4."""
        return self.after(self.before(image, len(self.blocks)))

    def before(self, image: Tensor, block: int) -> dict[int, Tensor]:
        """Outputs of first blocks that the network reads, by their index: those below `block` of
        READ, and the output of the last of them."""
        image = image.contiguous(memory_format=torch.channels_last)
        return self._through({-1: functional.relu6(self.stem(image), inplace=True)}, block)

    def after(self, outputs: Mapping[int, Tensor]) -> list[Tensor]:
        """The maps from the outputs of `before`."""
        outputs = self._through(dict(outputs), len(self.blocks))
        deep = functional.relu6(self.last(outputs[len(self.blocks) - 1]), inplace=True)
        y, maps = self.lateral[0](deep), [deep]
        for lateral, merge, tap, top in zip(self.lateral[1:], self.merge, TAPS, TOPS, strict=True):
            y = merge(upsampled(y, outputs[tap]) + lateral(outputs[tap]))
            maps.append(torch.cat([outputs[top], y], 1))
        return maps

    def _through(self, outputs: dict[int, Tensor], end: int) -> dict[int, Tensor]:
        """The outputs with those of the blocks from the last one on, up to `end`."""
        first = max(outputs)
        x = outputs[first]
        for i in range(first + 1, end):
            outputs[i] = x = self.blocks[i](x)
        return {i: x for i, x in outputs.items() if i in (*READ, end - 1)}

    def join(self, maps: Sequence[Tensor]) -> Tensor:
        return maps[-1][:, -self.channels :]

    def answers(self, image: Tensor) -> dict[str, Tensor]:
        """The maps of the heads by name, (B, channels, H / 4, W / 4).

        heatmap and center are logits. The others are in cells, y before x and height before width:
        regress from the center to a joint, offset and box_offset from a cell to the point in it,
        box_scale of a person.
        """
        features = self(image)
        return {name: head(features) for name, head in self.heads.items()}

    def layers_above(self, name: str) -> int:
        if name.startswith("stem."):
            return 1 + len(self.blocks)
        return len(self.blocks) - int(name.split(".")[1]) if name.startswith("blocks.") else 0


class MultiPose(MoveNet):
    """MultiPose Lightning, which finds people."""

    def __init__(self) -> None:
        super().__init__(MULTIPOSE, PEOPLE)


class Thunder(MoveNet):
    """The backbone of Thunder without its heads; the maps of all strides are joined by new layers:

        z_32 = relu 1x1 x_32,   z_s = relu 3x3 ( up(z_2s) + 1x1 maps_s )      s = 16, 8, 4

    features: channels of z. learned: the number of blocks, counted from the last, that learn with
    the layers after them also if the backbone is frozen; 0: none, nor those layers.
    """

    optional = ("pyramid",)

    def __init__(self, features: int = 64, learned: int = 0) -> None:
        super().__init__(THUNDER, {})
        if not 0 <= learned < len(self.blocks):
            most = len(self.blocks) - 1
            raise ValueError(f"backbone.network.learned must be in 0..{most}, got {learned}")
        self.channels, self.first_learned = features, len(self.blocks) - learned
        self.pyramid = TopDown(self.map_channels, features)

    @property
    def learning(self) -> tuple[str, ...]:
        if self.first_learned == len(self.blocks):
            return self.optional
        blocks = range(self.first_learned, len(self.blocks))
        return (*self.optional, "last", "lateral", "merge", *(f"blocks.{i}." for i in blocks))

    def maps(self, image: Tensor) -> list[Tensor]:
        """Maps of layers that do not learn: those of MoveNet, or outputs of its first blocks."""
        if self.first_learned == len(self.blocks):
            return super().maps(image)
        return list(self.before(image, self.first_learned).values())

    def join(self, maps: Sequence[Tensor]) -> Tensor:
        if self.first_learned < len(self.blocks):
            last = self.first_learned - 1
            indices = [*(i for i in READ if i < last), last]
            maps = self.after(dict(zip(indices, maps, strict=True)))
        return self.pyramid(maps)


class MobileBlock(nn.Module):
    """1x1 to `expansion` times the channels, 3x3 per channel, 1x1 back; + x if shapes agree."""

    recomputable = True

    def __init__(self, channels_in: int, channels_out: int, expansion: int, stride: int) -> None:
        super().__init__()
        inner, self.expands = expansion * channels_in, expansion > 1
        if self.expands:
            self.expand = nn.Conv2d(channels_in, inner, 1)
        self.depthwise = SameConv(inner, inner, 3, stride=stride, groups=inner)
        self.project = nn.Conv2d(inner, channels_out, 1)
        self.residual = stride == 1 and channels_in == channels_out

    def forward(self, x: Tensor) -> Tensor:
        y = functional.relu6(self.expand(x), inplace=True) if self.expands else x
        y = self.project(functional.relu6(self.depthwise(y), inplace=True))
        return y + x if self.residual else y


class Separable(nn.Module):
    """relu 1x1 of a 3x3 per channel."""

    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(
            channels_in, channels_in, 3, padding=1, groups=channels_in, bias=False
        )
        self.pointwise = nn.Conv2d(channels_in, channels_out, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.pointwise(self.depthwise(x)).relu_()


class MapHead(Separable):
    """A head with `channels_out` maps."""

    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__(channels_in, HIDDEN)
        self.out = nn.Conv2d(HIDDEN, channels_out, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(super().forward(x))


class TopDown(nn.Module):
    """Maps of several strides, coarsest first, as one of the finest: see `Thunder`."""

    def __init__(self, channels_in: Sequence[int], channels_out: int) -> None:
        super().__init__()
        self.lateral = nn.ModuleList(nn.Conv2d(c, channels_out, 1) for c in channels_in)
        self.smooth = nn.ModuleList(
            nn.Conv2d(channels_out, channels_out, 3, padding=1) for _ in channels_in[1:]
        )

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        deep, *finer = (x.contiguous(memory_format=torch.channels_last) for x in maps)
        z = self.lateral[0](deep).relu_()
        for lateral, smooth, x in zip(self.lateral[1:], self.smooth, finer, strict=True):
            z = smooth(upsampled(z, x) + lateral(x)).relu_()
        return z


def scaled(channels: int, width: float) -> int:
    """Channels of a width, to the nearest multiple of 8."""
    return int(channels * width + 4) // 8 * 8


def upsampled(x: Tensor, like: Tensor) -> Tensor:
    """A map at the size of another, bilinear with half-pixel centres."""
    return functional.interpolate(x, size=like.shape[-2:], mode="bilinear", align_corners=False)
