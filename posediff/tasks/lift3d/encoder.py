"""The deterministic lifter: one 2D pose to one 3D pose, GraFormer-style.

Alone it is the baseline of every table; frozen it is the context encoder of `Lift3D` and the start
of `OfficialFrame`.
"""

from collections.abc import Iterable
from typing import Self

import torch
from torch import Tensor, nn

from posediff.diffusion import Decoded
from posediff.diffusion.head import Sample
from posediff.pose.skeleton import skeleton as named
from posediff.tasks.lift3d import pose
from posediff.tasks.lift3d.network import GraphLifter


class Encoder(nn.Module):
    """A `RegressionHead`. `lift` is the network on plain tensors.

    `residual` (J, 3) is the RMS error in metres per joint and axis on held-out samples; `calibrate`
    writes it at the end of training, and until then it is zero.
    """

    residual: Tensor
    frozen = False

    def __init__(
        self, skeleton: str, width: int = 96, depth: int = 5, dropout: float = 0.1
    ) -> None:
        super().__init__()
        self.skeleton, self.bones = skeleton, named(skeleton)
        self.network = GraphLifter(self.bones.adjacency(), width, depth, dropout=dropout)
        self.register_buffer("residual", torch.zeros(len(self.bones.joints), 3))

    def freeze(self) -> Self:
        """No more training: neither gradients nor dropout, whatever holds the encoder does."""
        self.frozen = True
        return self.requires_grad_(False).eval()

    def train(self, mode: bool = True) -> Self:
        return super().train(mode and not self.frozen)

    def lift(self, uv: Tensor) -> tuple[Tensor, Tensor]:
        """Screen units (B, J, 2) -> root-relative metres (B, J, 3), features (B, J, width)."""
        xyz, features = self.network(uv)
        return pose.rooted(xyz, self.bones), features

    def forward(self, sample: Sample) -> Tensor:
        return self.lift(pose.screen(sample))[0]

    def loss(self, estimate: Tensor, sample: Sample) -> Tensor:
        """MPJPE in metres of every sample, (B,)."""
        truth = pose.rooted(sample["keypoints"], self.bones)
        errors: Tensor = (estimate - truth).norm(dim=-1)
        return errors.mean(-1)

    def decode(self, estimates: Tensor, sample: Sample) -> Decoded:
        return pose.decode(estimates, sample, self.bones)

    @torch.no_grad()
    def calibrate(self, samples: Iterable[Sample]) -> None:
        errors = [self(s) - pose.rooted(s["keypoints"], self.bones) for s in samples]
        self.residual.copy_(torch.cat(errors).square().mean(0).sqrt())
