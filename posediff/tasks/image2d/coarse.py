"""The coarse head: a backbone and one convolution to heatmaps.

It is the first stage of `Image2D`, with a loss of its own, and alone the baseline of every table:
`Regression(Coarse(...))`, or `Regression(model.head.coarse)` for the coarse map of a trained
diffusion. Evidence of both is a heatmap per joint, (B, J, h, w); of the codec udp_combined, which
is for a coarse head alone, three.
"""

from collections.abc import Iterable, Sequence
from typing import Literal

from torch import Tensor, nn
from torch.nn import functional

from posediff.diffusion import Decoded
from posediff.diffusion.choices import one_of
from posediff.diffusion.head import Sample
from posediff.nn.backbone import Backbone
from posediff.pose.combined import Combined
from posediff.pose.crop import mirror_crop, read_heatmaps
from posediff.pose.heatmap import Codec
from posediff.pose.skeleton import skeleton as named


class Coarse(nn.Module):
    """A `RegressionHead`.

    backbone    image (B, 3, H, W) -> features (B, backbone.channels, H / 4, W / 4)
    size        of the crop, W and H; `stride` of the heatmaps: 1, 2, 4 or 8
    weight      of a joint in the loss: as it is (linear), or squared as in HRNet's code
    half        of the loss, as in HRNet's code
    ohkm        so many joints of a sample, those of the largest loss, are its loss (online hard
                keypoint mining, HRNet's code: 8); None: all
    """

    def __init__(
        self,
        skeleton: str,
        backbone: Backbone,
        codec: str = "udp",
        size: Sequence[int] = (192, 256),
        stride: int = 4,
        weight: Literal["linear", "squared"] = "linear",
        half: bool = False,
        ohkm: int | None = None,
    ) -> None:
        super().__init__()
        one_of("loss.weight", weight, ("linear", "squared"))
        if stride not in (1, 2, 4, 8):
            raise ValueError(f"stride must be 1, 2, 4 or 8, got {stride}")
        self.skeleton, self.bones = skeleton, named(skeleton)
        self.backbone, self.squared = backbone, weight == "squared"
        self.factor = 0.5 if half else 1.0
        self.ohkm, J = ohkm, len(self.bones.joints)
        if ohkm is not None and not 0 < ohkm <= J:
            raise ValueError(f"loss.ohkm must be null, or 1 to {J} joints, got {ohkm}")
        W, H = size
        combined = codec == "udp_combined"
        self.codec = Combined((W, H), stride) if combined else Codec(codec, (W, H), stride)
        self.out = nn.Conv2d(backbone.channels, 3 * J if combined else J, 1)
        nn.init.normal_(self.out.weight, std=1e-3)  # heatmaps are nearly 0 nearly everywhere

    def features(self, sample: Sample) -> Tensor:
        """x_fea at the stride of the heatmaps, (B, C, h, w)."""
        image, (W, H) = sample["image"], self.codec.size
        if image.shape[-2:] != (H, W):
            raise ValueError(f"a crop of {W} x {H} is wanted, got {tuple(image.shape)}: set size")
        x: Tensor = self.backbone(image)
        if self.codec.stride > 4:
            return functional.avg_pool2d(x, self.codec.stride // 4)
        if self.codec.stride < 4:
            return functional.interpolate(x, size=self.codec.shape, mode="bilinear")
        return x

    def forward(self, sample: Sample) -> Tensor:
        y: Tensor = self.out(self.features(sample))
        return y

    def loss(self, estimate: Tensor, sample: Sample) -> Tensor:
        """Of heatmaps against those of the sample's keypoints, (B,)."""
        return self.error(estimate, *self.codec.encode(sample["keypoints"], sample["visible"]))

    def error(self, estimate: Tensor, target: Tensor, weight: Tensor) -> Tensor:
        """Squared, (B,): the mean over pixels and joints, of which some weigh nothing."""
        weight = weight.square() if self.squared else weight
        joints = weight * self.codec.error(estimate, target)
        if self.ohkm is not None:
            joints = joints.topk(self.ohkm).values
        return self.factor * joints.mean(-1)

    def decode(self, estimates: Tensor, sample: Sample) -> Decoded:
        return read_heatmaps(estimates, self.codec, sample["affine"])

    def mirror(self, maps: Tensor) -> Tensor:
        return self.codec.flip(maps, self.bones)

    def mirror_sample(self, sample: Sample) -> Sample:
        return mirror_crop(sample, "image", self.codec.size[0], self.bones)

    def rows(self, estimates: Tensor, sample: Sample) -> tuple[Tensor, Sample]:
        return estimates, sample

    def calibrate(self, samples: Iterable[Sample]) -> None:
        """Nothing to measure: a heatmap tells its own uncertainty."""
