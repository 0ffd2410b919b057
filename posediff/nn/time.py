"""Embeddings of the timestep."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from posediff.nn.fast import one_of_equal
from posediff.nn.layers import linear


class TimeEmbedding(nn.Module):
    """Two linear layers on [sin(t w_k), cos(t w_k)], w_k = 1e4^(-k / (width/2 - 1)).

    t (B,) counts steps and is not scaled. Returns (B, out), or without gradients (1, out) if all
    of t is one step.
    """

    frequencies: Tensor

    def __init__(self, width: int, channels_out: int) -> None:
        super().__init__()
        self.register_buffer("frequencies", frequencies(width), persistent=False)
        self.fc1, self.fc1_bias = linear(width, 4 * width)
        self.fc2, self.fc2_bias = linear(4 * width, channels_out)

    def forward(self, t: Tensor) -> Tensor:
        wave = sinusoid(one_of_equal(t), self.frequencies).to(self.fc1.dtype)
        h = functional.silu(functional.linear(wave, self.fc1, self.fc1_bias))
        return functional.linear(h, self.fc2, self.fc2_bias)


def frequencies(width: int) -> Tensor:
    """w_k = 1e4^(-k / (width/2 - 1)) of a time embedding, float64 (width / 2,)."""
    if width < 4 or width % 2:
        raise ValueError(f"the width of a time embedding must be even and >= 4, got {width}")
    k = torch.arange(width // 2, dtype=torch.float64)
    return torch.exp(k * (-math.log(1e4) / (width // 2 - 1)))


def sinusoid(t: Tensor, frequencies: Tensor) -> Tensor:
    """sin and cos of t (B,) times frequencies (C / 2,), in their dtype: float64 -> (B, C)"""
    angle = t[:, None] * frequencies
    return torch.cat([angle.sin(), angle.cos()], dim=1)
