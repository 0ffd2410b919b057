"""The deterministic lifters: from 2D to 3D in one call.

    Encoder        one frame at a time, GraFormer-style
    VideoEncoder   a window of frames at once, MixSTE

Alone they are the baselines of every table; frozen they are the context encoder of `Lift3D` and the
start of `Official`.
"""

from collections.abc import Iterable
from typing import Self

import torch
from torch import Tensor

from posediff.diffusion import Decoded, RegressionHead, Window
from posediff.diffusion.head import Sample, both_views
from posediff.nn.mixste import MixSTE
from posediff.pose.mirror import mirror_pose, mirror_sample
from posediff.pose.skeleton import skeleton as named
from posediff.tasks.lift3d import units
from posediff.tasks.lift3d.network import GraphLifter


class Lifter(RegressionHead):
    """A lifter on a `network` of plain tensors: screen units (..., J, 2) -> metres
    (..., J, 3), features (..., J, network.width).

    `residual` (J, 3) is the RMS error in metres per joint and axis on held-out samples; `calibrate`
    writes it at the end of training, and until then it is zero.
    """

    residual: Tensor
    frozen = False

    def __init__(self, skeleton: str, network: GraphLifter | MixSTE) -> None:
        super().__init__()
        self.skeleton, self.bones, self.network = skeleton, named(skeleton), network
        self.register_buffer("residual", torch.zeros(len(self.bones.joints), 3))

    def freeze(self) -> Self:
        """Stop training: no gradients and no dropout, also inside a model in training mode."""
        self.frozen = True
        return self.requires_grad_(False).eval()

    def train(self, mode: bool = True) -> Self:
        return super().train(mode and not self.frozen)

    def lift(self, uv: Tensor) -> tuple[Tensor, Tensor]:
        """Screen units (..., J, 2) -> root-relative metres (..., J, 3) and features."""
        xyz, features = self.network(uv)
        return self.bones.rooted(xyz), features

    def start(self, uv: Tensor) -> Tensor:
        """The pose that the released refiner starts from."""
        return self.lift(uv)[0]

    def forward(self, sample: Sample) -> Tensor:
        return self.lift(units.screen(sample))[0]

    def loss(self, estimate: Tensor, sample: Sample) -> Tensor:
        """MPJPE in metres of every sample, (B,)."""
        truth = self.bones.rooted(sample["keypoints"])
        return units.of_samples((estimate - truth).norm(dim=-1).mean(-1), sample)

    def decode(self, estimates: Tensor, sample: Sample) -> Decoded:
        return units.decode(estimates, sample, self.bones)

    def single_frames(self, estimates: Tensor, sample: Sample) -> tuple[Tensor, Sample]:
        return units.by_frame(estimates, sample)

    def mirror(self, x: Tensor) -> Tensor:
        return mirror_pose(x, self.bones)

    def mirror_sample(self, sample: Sample) -> Sample:
        return mirror_sample(sample, self.bones)

    @torch.no_grad()
    def calibrate(self, samples: Iterable[Sample]) -> None:
        errors = []
        for sample in samples:
            lifted, frames = self.single_frames(self(sample)[:, None], sample)
            errors.append(lifted[:, 0] - self.bones.rooted(frames["keypoints"]))
        every = torch.cat(errors)
        whole = every.isfinite().all(-1).all(-1)
        if whole.any():
            self.residual.copy_(every[whole].square().mean(0).sqrt())


class Encoder(Lifter):
    """GraFormer-style: width of its features, depth in blocks."""

    def __init__(
        self, skeleton: str, width: int = 96, depth: int = 5, dropout: float = 0.1
    ) -> None:
        super().__init__(
            skeleton, GraphLifter(named(skeleton).adjacency(), width, depth, dropout=dropout)
        )


class VideoEncoder(Lifter):
    """`window` is the number of frames in a window; all of them are lifted at once."""

    def __init__(
        self,
        skeleton: str,
        window: int,
        width: int = 512,
        depth: int = 8,
        heads: int = 8,
        drop_path: float = 0.1,
    ) -> None:
        joints = len(named(skeleton).joints)
        super().__init__(skeleton, MixSTE(joints, window, width, depth, heads, drop_path=drop_path))
        self.window = Window(window)

    def start(self, uv: Tensor) -> Tensor:
        """The start as released: the mean of both views, and not yet relative to the root."""

        def network(uv: Tensor) -> Tensor:
            return self.network(uv)[0]

        return both_views(network, uv, self.mirror, self.mirror)
