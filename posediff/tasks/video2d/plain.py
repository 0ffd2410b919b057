"""The baseline without diffusion: the same clip features, and one convolution to heatmaps.

`Regression(Plain(...))` is backbone, STRL, two deconvolutions and a 1x1 convolution; with the key
frame alone it is a single-frame model.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

import torch
from torch import Tensor, nn

from posediff.diffusion import Decoded
from posediff.diffusion.choices import one_of
from posediff.diffusion.head import Sample
from posediff.nn.backbone import Backbone
from posediff.pose.crop import mirror_crop, read_heatmaps
from posediff.pose.heatmap import Codec
from posediff.pose.skeleton import skeleton as named
from posediff.tasks.video2d.strl import ClipFeatures

STRIDE = 4  # of heatmaps


class Plain(nn.Module):
    """A `RegressionHead`. Keywords from offsets on: `ClipFeatures`; mask: see `Video2D`."""

    def __init__(
        self,
        skeleton: str,
        backbone: Backbone,
        codec: str = "quarter",
        size: Sequence[int] = (192, 256),
        offsets: Sequence[int] = (-2, -1, 0, 1, 2),
        channels: int = 256,
        patch: int = 1,
        strl: Mapping[str, Any] | None = None,
        merge: Literal["mlp", "mean"] = "mlp",
        up: Literal["deconv", "bilinear"] = "deconv",
        mask: Literal["visible", "none"] = "visible",
    ) -> None:
        super().__init__()
        one_of("loss.mask", mask, ("visible", "none"))
        self.skeleton, self.bones, self.mask = skeleton, named(skeleton), mask
        self.clip = ClipFeatures(backbone, size, offsets, channels, patch, strl, merge, up)
        W, H = size
        self.codec = Codec(codec, (W, H), STRIDE)
        self.out = nn.Conv2d(channels, len(self.bones.joints), 1)
        nn.init.normal_(self.out.weight, std=1e-3)  # heatmaps are nearly 0 nearly everywhere

    def forward(self, sample: Sample) -> Tensor:
        y: Tensor = self.out(self.clip(sample["frames"])[-1])
        return y

    def loss(self, estimate: Tensor, sample: Sample) -> Tensor:
        target, weight = self.codec.encode(sample["keypoints"], sample["visible"])
        weight = weight if self.mask == "visible" else torch.ones_like(weight)
        return (weight * self.codec.error(estimate, target)).mean(-1)

    def decode(self, estimates: Tensor, sample: Sample) -> Decoded:
        return read_heatmaps(estimates, self.codec, sample["affine"])

    def mirror(self, maps: Tensor) -> Tensor:
        return self.codec.flip(maps, self.bones)

    def mirror_sample(self, sample: Sample) -> Sample:
        return mirror_crop(sample, "frames", self.codec.size[0], self.bones)

    def rows(self, estimates: Tensor, sample: Sample) -> tuple[Tensor, Sample]:
        return estimates, sample

    def calibrate(self, samples: Iterable[Sample]) -> None:
        """A heatmap tells its own uncertainty."""
