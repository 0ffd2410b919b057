"""lift3d as released (GONGJIA0208/Diffpose, Diffpose_video): a lifter's pose, refined in few steps.

    x_0  = [u, v that the lifter reads; x, y, z relative to the root]
    x_t  = alpha[t] x_0 + sigma[t] eps * scale,    scale = [s_u, s_v, 1, 1, 1]
    start: [u, v; the lifter's pose] taken as x_t as it is, without noise

The denoiser has no context. Nothing is drawn at inference, so all hypotheses are equal. The video
version has a lifter of windows (its pose is the mean of both views, not relative to the root) and
refines every frame separately.
"""

import torch
from torch import Tensor

from posediff.diffusion import Decoded, Noise, Output, Prior, RegressionHead, TaskHead
from posediff.diffusion.head import Context, Sample
from posediff.pose.mirror import mirror_sample
from posediff.tasks.lift3d import units
from posediff.tasks.lift3d.encoder import Lifter
from posediff.tasks.lift3d.network import GraphRefiner, framewise


class Official(TaskHead):
    """On plain tensors, after `posediff.load` of a converted checkpoint:

    model.head.refiner(x (B, J, 5), t (B,)) is the released denoiser, which predicts the scaled
    noise; model.head.encoder.network(uv (B, J, 2))[0] is the released lifter, in metres.

    uv_scale: the scale of the noise of u and v, in place of s_u and s_v (video: 0.5).
    """

    predicts = "noise"

    def __init__(
        self,
        encoder: Lifter,
        width: int = 96,
        depth: int = 5,
        dropout: float = 0.1,
        uv_scale: float | None = None,
    ) -> None:
        super().__init__()
        self.uv_scale = uv_scale
        self.encoder = encoder.freeze()
        self.skeleton, self.bones = encoder.skeleton, encoder.bones
        self.window = encoder.window
        self.refiner = GraphRefiner(self.bones.adjacency(), width, depth, dropout=dropout)

    def encode(self, sample: Sample) -> Context:
        uv = units.screen(sample)
        with torch.no_grad():
            xyz = self.encoder.start(uv)
        scale = units.screen_scale(sample["keypoints_2d_scale"], sample)
        if self.uv_scale is not None:
            scale = torch.full_like(scale, self.uv_scale)
        return {
            "start": torch.cat([uv, xyz], -1),
            "scale": torch.cat([scale, torch.ones_like(xyz)], -1),  # 1 m: as released
        }

    def prior(self, context: Context, noise: Noise) -> Prior:
        start = context["start"]
        return Prior(torch.zeros_like(start), context["scale"], init=start, init_is="x_t")

    def denoise(self, x_t: Tensor, t: Tensor, context: Context) -> Output:
        return Output(framewise(self.refiner, x_t, t))

    def target(self, sample: Sample) -> Tensor:
        return units.clean_state(sample, "keypoints_2d", self.bones)

    def loss(
        self, x_t: Tensor, t: Tensor, goal: Tensor, context: Context, sample: Sample
    ) -> Tensor:
        """Squared error of a frame, summed over joints and channels as released."""
        error = self.denoise(x_t, t, context).value - goal
        return units.of_samples(error.square().sum((-2, -1)), sample)

    def decode(self, estimates: Tensor, sample: Sample) -> Decoded:
        return units.decode(estimates[..., 2:], sample, self.bones)

    def baselines(self) -> dict[str, RegressionHead]:
        return {"encoder": self.encoder}

    def single_frames(self, estimates: Tensor, sample: Sample) -> tuple[Tensor, Sample]:
        return units.by_frame(estimates, sample)

    def mirror(self, x: Tensor) -> Tensor:
        return units.mirror_state(x, self.bones)

    def mirror_sample(self, sample: Sample) -> Sample:
        return mirror_sample(sample, self.bones)
