"""video2d: spatiotemporal diffusion for 2D pose in video (Feng et al., arXiv 2307.16687).

    x_0 = s (2 H - 1)                 heatmaps H of the key frame, over [0, 1]        (J, h, w)
    x_t = alpha[t] x_0 + sigma[t] eps
    Z   = STRL(frames)                the clip, once
    H^  = decoder(x_t, Z, t),         L = |H^ - H|^2

Heatmaps themselves are diffused; inference starts from noise alone, with as many steps and noise
sets as one likes. No code of the paper is public and much of it is unknown; what is ours is a key
of conf/preset/reconstruction.yaml.
"""

from collections.abc import Callable
from typing import Literal

from torch import Tensor

from posediff.diffusion import Decoded, Noise, Output, Prior, TaskHead
from posediff.diffusion.choices import one_of
from posediff.diffusion.head import Context, Sample
from posediff.nn.backbone import Backbone
from posediff.pose.crop import JOINT_WEIGHTS, heatmap_errors, mirror_crop, read_heatmaps
from posediff.pose.heatmap import Codec
from posediff.pose.skeleton import skeleton as named
from posediff.tasks.video2d.decoder import PoseDecoder
from posediff.tasks.video2d.strl import ClipFeatures


class Video2D(TaskHead):
    """clip           makes `ClipFeatures` around the backbone, as far as the decoder reads them
    range          x_0 is s (2 H - 1), or s H (unit01); `signal_scale` is s
    joint_weight   of a joint in the loss, see `heatmap_errors`
    """

    def __init__(
        self,
        skeleton: str,
        codec: Codec,
        backbone: Backbone,
        decoder: PoseDecoder,
        clip: Callable[..., ClipFeatures],
        range: Literal["symmetric", "unit01"] = "symmetric",
        signal_scale: float = 1.0,
        joint_weight: Literal["linear", "squared", "none"] = "linear",
    ) -> None:
        super().__init__()
        one_of("task.head.range", range, ("symmetric", "unit01"))
        one_of("task.joint_weight", joint_weight, JOINT_WEIGHTS)
        self.skeleton, self.bones, self.codec = skeleton, named(skeleton), codec
        self.symmetric, self.signal_scale, self.joint_weight = (
            range == "symmetric",
            signal_scale,
            joint_weight,
        )
        self.decoder, self.clip = decoder, clip(backbone, scales=max(decoder.scales))

    @property
    def pretrained(self) -> Backbone:
        return self.clip.backbone

    def encode(self, sample: Sample) -> Context:
        return self.decoder.prepare(self.clip(sample["frames"]))

    def prior(self, context: Context, noise: Noise) -> Prior:
        some, J = next(iter(context["fused"].values())), len(self.bones.joints)
        return Prior.standard(some.new_zeros(some.shape[0], J, *self.codec.shape))

    def denoise(self, x_t: Tensor, t: Tensor, context: Context) -> Output:
        return Output(self.state(self.decoder(x_t, t, context)))

    def target(self, sample: Sample) -> Tensor:
        return self.state(self.codec.encode(sample["keypoints"], sample["visible"])[0])

    def loss(
        self, x_t: Tensor, t: Tensor, goal: Tensor, context: Context, sample: Sample
    ) -> Tensor:
        """The loss of heatmaps over [0, 1], not clipped."""
        clean = self.codec.encode(sample["keypoints"], sample["visible"])
        estimate = self.decoder(x_t, t, context)
        return heatmap_errors(self.codec, estimate, *clean, self.joint_weight).mean(-1)

    def decode(self, estimates: Tensor, sample: Sample) -> Decoded:
        """States (B, K, J, h, w) -> annotation pixels."""
        return read_heatmaps(self.heatmaps(estimates), self.codec, sample["affine"])

    def state(self, maps: Tensor) -> Tensor:
        return self.signal_scale * (2 * maps - 1 if self.symmetric else maps)

    def heatmaps(self, state: Tensor) -> Tensor:
        maps = state / self.signal_scale
        return (maps + 1) / 2 if self.symmetric else maps

    def mirror(self, x: Tensor) -> Tensor:
        return self.codec.flip(x, self.bones)

    def mirror_sample(self, sample: Sample) -> Sample:
        return mirror_crop(sample, "frames", self.codec.size[0], self.bones)
