"""The baseline without diffusion: the same clip features, and one convolution to heatmaps.

`Regression(Plain(...))` is backbone, STRL, two deconvolutions and a 1x1 convolution; with the key
frame alone it is a single-frame model.
"""

from collections.abc import Callable
from typing import Literal

from torch import Tensor

from posediff.diffusion import Decoded, RegressionHead
from posediff.diffusion.choices import one_of
from posediff.diffusion.head import Sample
from posediff.nn.backbone import Backbone
from posediff.nn.layers import heatmap_layer
from posediff.pose.crop import JOINT_WEIGHTS, heatmap_errors, mirror_crop, read_heatmaps
from posediff.pose.heatmap import Codec
from posediff.pose.skeleton import skeleton as named
from posediff.tasks.video2d.strl import ClipFeatures


class Plain(RegressionHead):
    """clip: makes `ClipFeatures` around the backbone. joint_weight: see `heatmap_errors`."""

    def __init__(
        self,
        skeleton: str,
        codec: Codec,
        backbone: Backbone,
        clip: Callable[..., ClipFeatures],
        joint_weight: Literal["linear", "squared", "none"] = "linear",
    ) -> None:
        super().__init__()
        one_of("task.joint_weight", joint_weight, JOINT_WEIGHTS)
        self.skeleton, self.bones, self.codec = skeleton, named(skeleton), codec
        self.clip, self.joint_weight = clip(backbone), joint_weight
        self.out = heatmap_layer(self.clip.channels, len(self.bones.joints))

    @property
    def pretrained(self) -> Backbone:
        return self.clip.backbone

    def forward(self, sample: Sample) -> Tensor:
        return self.out(self.clip(sample["frames"])[-1])

    def loss(self, estimate: Tensor, sample: Sample) -> Tensor:
        goal = self.codec.encode(sample["keypoints"], sample["visible"])
        return heatmap_errors(self.codec, estimate, *goal, self.joint_weight).mean(-1)

    def decode(self, estimates: Tensor, sample: Sample) -> Decoded:
        return read_heatmaps(estimates, self.codec, sample["affine"])

    def mirror(self, x: Tensor) -> Tensor:
        return self.codec.flip(x, self.bones)

    def mirror_sample(self, sample: Sample) -> Sample:
        return mirror_crop(sample, "frames", self.codec.size[0], self.bones)
