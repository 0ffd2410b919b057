"""D3DP (Shan et al., ICCV 2023): diffusion of the 3D poses of a window of frames.

    x_0 = [x, y, z relative to the root] of all frames                              (F, J, 3) metres
    x_t = alpha[t] x_0 + sigma[t] eps,   eps ~ N(0, 1 / signal_scale^2)

The reverse process starts from a draw. The network, a MixSTE with an embedding of t, reads the 2D
and x_t clamped to +-1.1 m, and predicts x_0. The process clamps that, too (`task.bound`): a joint
further from the root cannot be predicted. The released code multiplies poses by `signal_scale`
before noise is added; here the noise is divided by it, which is equivalent, and states are metres.

Equal to paTRICK-swk/D3DP with converted weights; its flip test is `FlipTest`, its start and steps
those of DDIM with eta 1. The root is noised and denoised like all others; `decode` sets it to 0.
"""

import torch
from torch import Tensor

from posediff.diffusion import Decoded, Noise, Output, Prior, TaskHead, Window
from posediff.diffusion.head import Context, Sample
from posediff.nn.mixste import MixSTE
from posediff.pose.mirror import mirror_pose, mirror_sample
from posediff.pose.skeleton import skeleton as named
from posediff.tasks.lift3d import units

REACH = 1.1  # metres, the largest coordinate that the network is shown


class D3DP(TaskHead):
    """`window` frames long; width, depth, heads and drop_path are those of MixSTE."""

    def __init__(
        self,
        skeleton: str,
        window: int,
        width: int = 512,
        depth: int = 8,
        heads: int = 8,
        drop_path: float = 0.1,
        signal_scale: float = 1.0,
    ) -> None:
        super().__init__()
        if signal_scale <= 0:
            raise ValueError(f"task.head.signal_scale must be above 0, got {signal_scale}")
        self.signal_scale, self.window = signal_scale, Window(window)
        self.skeleton, self.bones = skeleton, named(skeleton)
        joints = len(self.bones.joints)
        self.denoiser = MixSTE(
            joints, window, width, depth, heads, channels_in=5, timed=True, drop_path=drop_path
        )

    def encode(self, sample: Sample) -> Context:
        return {"uv": units.screen(sample)}

    def prior(self, context: Context, noise: Noise) -> Prior:
        uv = context["uv"]
        loc = uv.new_zeros(*uv.shape[:-1], 3)
        return Prior(loc, torch.full_like(loc, 1 / self.signal_scale))

    def denoise(self, x_t: Tensor, t: Tensor, context: Context) -> Output:
        seen = torch.cat([context["uv"], x_t.clamp(-REACH, REACH)], -1)
        return Output(self.denoiser(seen, t)[0])

    def target(self, sample: Sample) -> Tensor:
        return self.bones.rooted(sample["keypoints"])

    def loss(
        self, x_t: Tensor, t: Tensor, goal: Tensor, context: Context, sample: Sample
    ) -> Tensor:
        """MPJPE in metres, over all joints."""
        error = (self.denoise(x_t, t, context).value - goal).norm(dim=-1)
        return units.of_samples(error.mean(-1), sample)

    def decode(self, estimates: Tensor, sample: Sample) -> Decoded:
        """Poses with the root at 0; the other joints stay, as released."""
        others = estimates.new_ones(len(self.bones.joints), 1)
        others[self.bones.root] = 0
        return units.decode(estimates * others, sample, self.bones)

    def single_frames(self, estimates: Tensor, sample: Sample) -> tuple[Tensor, Sample]:
        return units.by_frame(estimates, sample)

    def mirror(self, x: Tensor) -> Tensor:
        return mirror_pose(x, self.bones)

    def mirror_sample(self, sample: Sample) -> Sample:
        return mirror_sample(sample, self.bones)
