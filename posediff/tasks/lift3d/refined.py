"""A trunk for windows that stands on a lifter of single frames.

    mu, log s, h = the lifter's trunk on every frame, which does not learn
    h    = Linear([h; mu, log s; its input]);   depth times: across frames, then across joints
    mu, log s += Linear(LayerNorm(h)), zero at the beginning

A new model answers as the lifter does, so that training is spent on what other frames add. Ours.
"""

from typing import Self

import torch
from einops import rearrange
from torch import Tensor, nn

from posediff.nn.transformer import EPS, TransformerBlock
from posediff.tasks.lift3d.network import AcrossFrames
from posediff.tasks.lift3d.posterior import INPUTS, OUTPUTS, Posterior, Trunk


class Refiner(nn.Module):
    """x (B, F, J, 4) -> (B, F, J, 6) and features (B, F, J, width)."""

    def __init__(
        self, lifter: Trunk, window: int, width: int, depth: int, heads: int, drop_path: float
    ) -> None:
        super().__init__()
        self.width = width
        self.input = nn.Linear(lifter.width + OUTPUTS + INPUTS, width)
        drops = [drop_path * i / max(depth - 1, 1) for i in range(depth)]
        self.across = nn.ModuleList(
            AcrossFrames(window, width, heads, drop_path=drop) for drop in drops
        )
        self.joints = nn.ModuleList(TransformerBlock(width, heads, 2.0, drop) for drop in drops)
        self.norm, self.output = nn.LayerNorm(width, EPS), nn.Linear(width, OUTPUTS)
        nn.init.zeros_(self.output.weight)
        nn.init.zeros_(self.output.bias)

    def forward(self, x: Tensor, answer: Tensor, features: Tensor) -> tuple[Tensor, Tensor]:
        h = self.input(torch.cat([features, answer, x], -1))
        h = rearrange(h, "b f j c -> (b f) j c")
        for across, joints in zip(self.across, self.joints, strict=True):
            h = joints(across(h))
        h = rearrange(h, "(b f) j c -> b f j c", f=x.shape[1])
        return answer + self.output(self.norm(h)), h


class RefinedTrunk(Trunk):
    """encoder    a lifter of single frames, preset posterior; its trunk does not learn
    window     frames
    width, depth, heads   of the refinement; dropout: of the paths of its last blocks

    Raises ValueError if the encoder has another skeleton or reads windows.
    """

    def __init__(
        self,
        encoder: Posterior,
        skeleton: str,
        window: int,
        width: int = 96,
        depth: int = 2,
        dropout: float = 0.1,
        heads: int = 4,
    ) -> None:
        if encoder.skeleton != skeleton or encoder.window.frames != 1:
            raise ValueError(
                f"task.head.trunk.encoder must be a lifter of single frames of {skeleton}, got "
                f"{encoder.window.frames} frames of {encoder.skeleton}"
            )
        refiner = Refiner(encoder.trunk, window, width, depth, heads, dropout)
        super().__init__(skeleton, refiner, width, window)
        self.encoder = encoder.requires_grad_(False)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        B, F = x.shape[:2]
        if self.window != F:
            raise ValueError(f"a network of {self.window} frames was given windows of {F}")
        with torch.no_grad():
            found = self.encoder.trunk(x.flatten(0, 1))
        answer, features = (y.unflatten(0, (B, F)) for y in found)
        refined: tuple[Tensor, Tensor] = self.network(x, answer, features)
        return refined

    def train(self, mode: bool = True) -> Self:
        super().train(mode)
        self.encoder.eval()  # no dropout in what does not learn
        return self
