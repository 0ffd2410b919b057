"""lift3d as published: DiffPose, Gong et al., CVPR 2023 (arXiv 2211.16940), frame and video.

    x_0   = [u, v of the true projection; x, y, z relative to the root]         (J, 5)
    x_t   = mu_G + alpha[t] (x_0 - mu_G) + sigma[t] eps_G,   eps_G ~ N(0, sigma_G^2)
    mu_G  = [the drawn component's u, v; the frozen encoder's pose]
    sigma_G = [its scale; the encoder's residual on held-out data]

A component of the 2D mixture is drawn per joint and hypothesis. The denoiser reads x_t, t and the
encoder's features, and predicts x_0 as a correction of the detection and of the encoder's pose.
What the paper does not specify is our choice; ARCHITECTURE.md lists the differences from the
released code.

In the video version the encoder reads a window of frames, and all of them are denoised together,
each with its own draw and its own features; with `temporal` the denoiser attends across frames.
With answers="centre" the middle frame alone is denoised, as published, in windows around every
frame.
"""

from typing import Literal

import torch
from torch import Tensor

from posediff.diffusion import (
    Decoded,
    Noise,
    Output,
    Prior,
    RegressionHead,
    TaskHead,
    Window,
    draw_component,
)
from posediff.diffusion.choices import one_of
from posediff.diffusion.head import Context, Sample
from posediff.pose.camera import normalise
from posediff.pose.mirror import mirror_sample
from posediff.tasks.lift3d import units
from posediff.tasks.lift3d.encoder import Lifter
from posediff.tasks.lift3d.network import ContextDenoiser, framewise


class Lift3D(TaskHead):
    """encoder    frozen; only the denoiser learns
    answers    all frames of a window, or its centre
    temporal   the denoiser attends across all frames of the window
    """

    def __init__(
        self,
        encoder: Lifter,
        width: int = 96,
        depth: int = 3,
        dropout: float = 0.1,
        answers: Literal["all", "centre"] = "all",
        temporal: bool = False,
    ) -> None:
        super().__init__()
        one_of("task.head.answers", answers, ("all", "centre"))
        if temporal and (answers == "centre" or encoder.window.frames == 1):
            raise ValueError(
                "the denoiser cannot attend across frames: for single frames and for "
                "task.head.answers=centre set task.head.temporal=false"
            )
        self.window = Window(encoder.window.frames, centred=answers == "centre")
        self.encoder = encoder.freeze()
        self.skeleton, self.bones = encoder.skeleton, encoder.bones
        self.denoiser = ContextDenoiser(
            self.bones.adjacency(),
            width=width,
            depth=depth,
            context_width=encoder.network.width,
            dropout=dropout,
            window=encoder.window.frames if temporal else None,
        )

    def encode(self, sample: Sample) -> Context:
        if not torch.compiler.is_compiling() and not self.encoder.residual.any():
            raise ValueError("the encoder has no residual: train it with experiment=lift3d_encoder")
        with torch.no_grad():
            xyz, features = self.encoder.lift(units.screen(sample))
        sample = self.answered({**sample, "xyz": xyz, "features": features})
        mixture = sample["mixture"]
        loc = normalise(mixture["loc"].flatten(-3, -2), sample["image_size"])
        return {
            "detected": torch.cat([units.screen(sample), sample["xyz"]], -1),
            "features": self.project(sample["features"]),
            "weights": mixture["weights"],
            "loc": loc.view_as(mixture["loc"]),
            "scale": units.screen_scale(mixture["scale"], sample),
        }

    def answered(self, sample: Sample) -> Sample:
        """The sample, cut to the frames that the denoiser reads."""
        return units.middle(sample) if self.window.centred else sample

    def project(self, features: Tensor) -> Tensor:
        """The share of the features in the denoiser's first layer, once per sample."""
        J, C = features.shape[-2:]
        return self.denoiser.project(features.reshape(-1, J, C)).view(*features.shape[:-1], -1)

    def prior(self, context: Context, noise: Noise) -> Prior:
        """eq. 5 of the paper: one Gaussian of the mixture for every joint and hypothesis."""
        drawn = draw_component(context["weights"], context["loc"], context["scale"], noise)
        xyz = context["detected"][..., 2:]
        loc = torch.cat([drawn.loc, xyz], -1)
        return Prior(loc, torch.cat([drawn.scale, self.encoder.residual.expand_as(xyz)], -1))

    def denoise(self, x_t: Tensor, t: Tensor, context: Context) -> Output:
        correction = framewise(self.denoiser, x_t, t, context["features"])
        return Output(context["detected"] + correction)

    def target(self, sample: Sample) -> Tensor:
        return units.clean_state(self.answered(sample), "target_2d", self.bones)

    def loss(
        self, x_t: Tensor, t: Tensor, goal: Tensor, context: Context, sample: Sample
    ) -> Tensor:
        """Distance per joint in units of the state, (B,). Joints without 2D contribute their 3D
        part only. The distance itself, as in the encoder's loss and in MPJPE: its square did worse.
        """
        sample = self.answered(sample)
        error = self.denoise(x_t, t, context).value - goal
        uv = error[..., :2].norm(dim=-1) * sample["visible"]
        distance: Tensor = uv + error[..., 2:].norm(dim=-1)
        return units.of_samples(distance.mean(-1), sample)

    def decode(self, estimates: Tensor, sample: Sample) -> Decoded:
        return units.decode(estimates[..., 2:], sample, self.bones)

    def baselines(self) -> dict[str, RegressionHead]:
        return {"encoder": self.encoder}

    def single_frames(self, estimates: Tensor, sample: Sample) -> tuple[Tensor, Sample]:
        return units.by_frame(estimates, self.answered(sample))

    def mirror(self, x: Tensor) -> Tensor:
        return units.mirror_state(x, self.bones)

    def mirror_sample(self, sample: Sample) -> Sample:
        return mirror_sample(sample, self.bones)
