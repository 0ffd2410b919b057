"""video2d: spatiotemporal diffusion for 2D pose in video (Feng et al., arXiv 2307.16687).

    x_0 = s (2 H - 1)                 heatmaps H of the key frame, over [0, 1]        (J, h, w)
    x_t = alpha[t] x_0 + sigma[t] eps
    Z   = STRL(frames)                the clip, once
    H^  = decoder(x_t, Z, t),         L = |H^ - H|^2

Heatmaps themselves are diffused; inference starts from noise alone, with as many steps and noise
sets as one likes. No code of the paper is public and much of it is unknown; what is ours is a key
of conf/preset/reconstruction.yaml.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import torch
from torch import Tensor

from posediff.diffusion import Decoded, Noise, Output, Prior, TaskHead
from posediff.diffusion.choices import one_of
from posediff.diffusion.head import Context, Sample
from posediff.nn.backbone import Backbone
from posediff.pose.crop import mirror_crop, read_heatmaps
from posediff.pose.heatmap import Codec
from posediff.pose.skeleton import skeleton as named
from posediff.tasks.video2d.decoder import PoseDecoder
from posediff.tasks.video2d.plain import STRIDE
from posediff.tasks.video2d.strl import SCALES, ClipFeatures


class Video2D(TaskHead):
    """Keywords of the parts: offsets .. up `ClipFeatures`, state_channels .. time `PoseDecoder`.

    range     x_0 is s (2 H - 1), or s H (unit01); `scale` is s
    mask      of the loss: joints without a label weigh nothing (visible), or are trained to be
              nowhere (none)
    """

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
        state_channels: int = 64,
        lookup: Mapping[str, Any] | None = None,
        scales: Sequence[int] = SCALES,
        time: Mapping[str, Any] | None = None,
        range: Literal["symmetric", "unit01"] = "symmetric",
        scale: float = 1.0,
        mask: Literal["visible", "none"] = "visible",
    ) -> None:
        super().__init__()
        one_of("head.range", range, ("symmetric", "unit01"))
        one_of("loss.mask", mask, ("visible", "none"))
        self.skeleton, self.bones = skeleton, named(skeleton)
        self.symmetric, self.scale, self.mask = range == "symmetric", scale, mask
        W, H = size
        self.codec = Codec(codec, (W, H), STRIDE)
        parts = (*(lookup or {}).items(), *(time or {}).items())
        self.decoder = PoseDecoder(
            len(self.bones.joints), channels, state_channels, scales=scales, **dict(parts)
        )
        self.clip = ClipFeatures(
            backbone, size, offsets, channels, patch, strl, merge, up, max(scales)
        )

    def encode(self, sample: Sample) -> Context:
        return self.decoder.prepare(self.clip(sample["frames"]))

    def prior(self, context: Context, noise: Noise) -> Prior:
        some = next(iter(context.values()))
        return Prior.standard(some.new_zeros(len(some), len(self.bones.joints), *self.codec.shape))

    def denoise(self, x_t: Tensor, t: Tensor, context: Context) -> Output:
        return Output(self.state(self.decoder(x_t, t, context)))

    def target(self, sample: Sample) -> Tensor:
        return self.state(self.codec.encode(sample["keypoints"], sample["visible"])[0])

    def loss(
        self, x_t: Tensor, t: Tensor, goal: Tensor, context: Context, sample: Sample
    ) -> Tensor:
        """On heatmaps over [0, 1], not clipped."""
        target, weight = self.codec.encode(sample["keypoints"], sample["visible"])
        weight = weight if self.mask == "visible" else torch.ones_like(weight)
        return (weight * self.codec.error(self.decoder(x_t, t, context), target)).mean(-1)

    def decode(self, estimates: Tensor, sample: Sample) -> Decoded:
        """States (B, K, J, h, w) -> annotation pixels."""
        return read_heatmaps(self.heatmaps(estimates), self.codec, sample["affine"])

    def state(self, maps: Tensor) -> Tensor:
        return self.scale * (2 * maps - 1 if self.symmetric else maps)

    def heatmaps(self, state: Tensor) -> Tensor:
        maps = state / self.scale
        return (maps + 1) / 2 if self.symmetric else maps

    def mirror(self, x: Tensor) -> Tensor:
        return self.codec.flip(x, self.bones)

    def mirror_sample(self, sample: Sample) -> Sample:
        return mirror_crop(sample, "frames", self.codec.size[0], self.bones)
