"""Embeddings of the timestep."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from posediff.nn.fast import one_of_equal
from posediff.nn.layers import linear


class Sinusoid(nn.Module):
    """[sin(t w_k), cos(t w_k)] of a number of steps t, w_k = 1e4^(-k / (width/2 - 1)).

    (B,) -> (B, width), in float64, as float32 is wrong by 2e-5 at t = 999.
    Raises ValueError if the width is odd or below 4.
    """

    frequencies: Tensor

    def __init__(self, width: int) -> None:
        super().__init__()
        if width < 4 or width % 2:
            raise ValueError(f"the width of a time embedding must be even and >= 4, got {width}")
        k = torch.arange(width // 2, dtype=torch.float64)
        w = torch.exp(k * (-math.log(1e4) / (width // 2 - 1)))
        self.register_buffer("frequencies", w, persistent=False)

    def forward(self, t: Tensor) -> Tensor:
        angle = t[:, None] * self.frequencies
        return torch.cat([angle.sin(), angle.cos()], dim=1)


class TimeEmbedding(nn.Module):
    """Two linear layers on a `Sinusoid`: t (B,) -> (B, out).

    Returns (1, out) without gradients if all of t is one step.
    """

    def __init__(self, width: int, channels_out: int) -> None:
        super().__init__()
        self.sinusoid = Sinusoid(width)
        self.fc1, self.fc1_bias = linear(width, 4 * width)
        self.fc2, self.fc2_bias = linear(4 * width, channels_out)

    def forward(self, t: Tensor) -> Tensor:
        wave = self.sinusoid(one_of_equal(t)).to(self.fc1.dtype)
        h = functional.silu(functional.linear(wave, self.fc1, self.fc1_bias))
        return functional.linear(h, self.fc2, self.fc2_bias)
