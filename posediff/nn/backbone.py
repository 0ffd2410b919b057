"""The interface of backbones, and a feature pyramid that two of them share.

    features = join(maps(image))

The maps are those of the public weights, which may be frozen; joining them is learned.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Self

from torch import Tensor, nn
from torch.nn import functional

RGB = tuple[float, float, float]
Input = Tensor | Mapping[str, Tensor]  # crops, or the maps of crops


class Backbone(nn.Module, ABC):
    """A network from crops to features of stride 4.

    `mean` and `std` belong to the weights: images are (RGB 0..255 - mean) / std. `optional` names
    layers of `join`: a public weight file may lack them, and they keep their values then.
    """

    channels: int
    stride: int = 4
    mean: RGB = (123.675, 116.28, 103.53)  # of ImageNet
    std: RGB = (58.395, 57.12, 57.375)
    optional: tuple[str, ...] = ()
    frozen: bool = False

    @abstractmethod
    def maps(self, image: Tensor) -> list[Tensor]:
        """(B, 3, H, W) -> maps (B, C_i, H / stride_i, W / stride_i)"""

    def join(self, maps: Sequence[Tensor]) -> Tensor:
        """The maps as features, (B, channels, H / stride, W / stride); the only map by default."""
        (features,) = maps
        return features

    def forward(self, image: Input) -> Tensor:
        """(B, 3, H, W), H and W multiples of 4, or the maps of such crops by any names, in order
        -> (B, channels, H / stride, W / stride)"""
        return self.join(self.maps(image) if isinstance(image, Tensor) else [*image.values()])

    def freeze(self) -> None:
        """Keep all layers but `learning` as they are: no gradients, evaluation mode."""
        self.frozen = True
        for name, parameter in self.named_parameters():
            parameter.requires_grad_(name.startswith(self.learning))
        self.train(self.training)

    def train(self, mode: bool = True) -> Self:
        super().train(mode)
        for name, child in self.named_children():
            if self.frozen and not name.startswith(self.learning):
                child.eval()
        return self

    @property
    def learning(self) -> tuple[str, ...]:
        """Prefixes of the names of what learns in a frozen backbone."""
        return self.optional

    def bare(self) -> "Backbone":
        """This backbone without layers that only upsample its features to stride 4, if it has any.

        Changes it in place, with its `channels` and `stride`.
        """
        return self

    def layers_above(self, name: str) -> int:
        """Number of layers after that of a parameter, for learning rates by depth; 0 by default."""
        return 0


def frame_rows(clips: Input) -> Input:
    """Frames (B, F, ...), or their maps, as images (B F, ...)."""
    if isinstance(clips, Tensor):
        return clips.flatten(0, 1)
    return {name: x.flatten(0, 1) for name, x in clips.items()}


class Pyramid(nn.Module):
    """Feature maps of several strides, finest first, as one of the finest: 1x1, add up, 3x3.

    Sizes need not halve exactly, so a coarse map is upsampled to the size of the next finer one.
    """

    def __init__(self, channels_in: Sequence[int], channels_out: int) -> None:
        super().__init__()
        self.lateral = nn.ModuleList(nn.Conv2d(c, channels_out, 1) for c in channels_in)
        self.smooth = nn.Conv2d(channels_out, channels_out, 3, padding=1)

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        *finer, y = (lateral(x) for lateral, x in zip(self.lateral, maps, strict=True))
        for x in reversed(finer):
            y = x + upsample(y, x)
        return self.smooth(y)


def upsample(x: Tensor, like: Tensor) -> Tensor:
    """A map at the size of another, by nearest neighbours."""
    return functional.interpolate(x, size=like.shape[-2:], mode="nearest")
