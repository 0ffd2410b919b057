"""The coarse head: a backbone and one convolution to heatmaps.

It is the first stage of `Image2D`, with a loss of its own, and alone the baseline of every table:
`Regression(Coarse(...))`, or `Regression(model.head.coarse)` for the coarse map of a trained
diffusion. An estimate of both is a heatmap per joint, (B, J, h, w); with the codec udp_combined,
which is for a coarse head alone, three per joint.
"""

from typing import Literal

from torch import Tensor
from torch.nn import functional

from posediff.diffusion import Decoded, RegressionHead
from posediff.diffusion.choices import one_of
from posediff.diffusion.head import Sample
from posediff.nn.backbone import Backbone
from posediff.nn.layers import heatmap_layer
from posediff.pose.combined import Combined
from posediff.pose.crop import JOINT_WEIGHTS, heatmap_errors, mirror_crop, read_heatmaps
from posediff.pose.heatmap import Codec
from posediff.pose.skeleton import skeleton as named


class Coarse(RegressionHead):
    """backbone       image (B, 3, H, W) -> features (B, backbone.channels, H / 4, W / 4)
    codec          of crops of W x H, with heatmaps of stride 1, 2, 4 or 8
    joint_weight   of a joint in the loss, see `heatmap_errors`
    half           half the loss, as in HRNet's code
    ohkm           only the joints of the largest loss count, so many of a sample (online hard
                   keypoint mining, HRNet's code: 8); None: all
    """

    def __init__(
        self,
        skeleton: str,
        backbone: Backbone,
        codec: Codec | Combined,
        joint_weight: Literal["linear", "squared", "none"] = "linear",
        half: bool = False,
        ohkm: int | None = None,
    ) -> None:
        super().__init__()
        one_of("task.coarse.joint_weight", joint_weight, JOINT_WEIGHTS)
        self.skeleton, self.bones, self.codec = skeleton, named(skeleton), codec
        self.backbone, self.joint_weight = backbone, joint_weight
        self.factor = 0.5 if half else 1.0
        self.ohkm, J = ohkm, len(self.bones.joints)
        if ohkm is not None and not 0 < ohkm <= J:
            raise ValueError(f"task.coarse.ohkm must be null, or 1 to {J} joints, got {ohkm}")
        self.out = heatmap_layer(backbone.channels, 3 * J if isinstance(codec, Combined) else J)

    @property
    def pretrained(self) -> Backbone:
        return self.backbone

    def features(self, sample: Sample) -> Tensor:
        """x_fea at the stride of the heatmaps, (B, C, h, w)."""
        image, (W, H) = sample["image"], self.codec.size
        if isinstance(image, Tensor) and image.shape[-2:] != (H, W):
            raise ValueError(f"a crop of {W} x {H} is wanted, got {tuple(image.shape)}: set size")
        x: Tensor = self.backbone(image)
        if self.codec.stride > 4:
            return functional.avg_pool2d(x, self.codec.stride // 4)
        if self.codec.stride < 4:
            return functional.interpolate(x, size=self.codec.shape, mode="bilinear")
        return x

    def forward(self, sample: Sample) -> Tensor:
        return self.out(self.features(sample))

    def loss(self, estimate: Tensor, sample: Sample) -> Tensor:
        return self.error(estimate, *self.codec.encode(sample["keypoints"], sample["visible"]))

    def error(self, estimate: Tensor, target: Tensor, weight: Tensor) -> Tensor:
        """The mean square over pixels and joints, of which some weigh nothing, (B,)."""
        joints = heatmap_errors(self.codec, estimate, target, weight, self.joint_weight)
        if self.ohkm is not None:
            joints = joints.topk(self.ohkm).values
        return self.factor * joints.mean(-1)

    def decode(self, estimates: Tensor, sample: Sample) -> Decoded:
        return read_heatmaps(estimates, self.codec, sample["affine"])

    def mirror(self, x: Tensor) -> Tensor:
        return self.codec.flip(x, self.bones)

    def mirror_sample(self, sample: Sample) -> Sample:
        return mirror_crop(sample, "image", self.codec.size[0], self.bones)
