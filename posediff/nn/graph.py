"""Layers over the joints of a skeleton. Tensors are (B, J, C): batch, joints, channels.

Graph convolution. With A = adjacency + I, every row divided by its sum, and L = I - A,

    y = sum_k T_k x W_k + b,      T_0 = I,  T_1 = L,  T_2 = 2 L L - I       (Chebyshev, order 2)

Graph feed-forward. With a learned graph A_hat and its column sums,

    y = G relu(G x U + c) V + d,      G = D A_hat D,  D_jj = (sum_i A_hat_ij + 1e-5)^(-1/2)

Layer norm, as in GraFormer: y = w (x - mean) / (std + 1e-6) + b, where std has n - 1 below.

What mixes joints is the same for a whole batch, and T for all layers. So a layer owns the mixing of
channels only; T and G are made once per forward, by the network, and handed in as (B, ...).
"""

import math
from collections.abc import Callable
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional


def chebyshev_basis(adjacency: Tensor) -> Tensor:
    """T_0, T_1, T_2 of a 0/1 adjacency (J, J), in float64: rows (j, k) of (3 J, J) give (T_k x)_j.

    The row-normalised A is not symmetric, hence neither are T_1 and T_2.
    """
    identity = torch.eye(len(adjacency), dtype=torch.float64)
    a = adjacency.double() + identity
    laplacian = identity - a / a.sum(dim=1, keepdim=True)
    orders = [identity, laplacian, 2 * laplacian @ laplacian - identity]
    return torch.stack(orders, dim=1).flatten(0, 1)


def normalised_graph(graph: Tensor) -> Tensor:
    """G of A_hat (..., J, J). A column of negative sum counts as 0, where the original says NaN."""
    d = (graph.sum(dim=-2).clamp(min=0) + 1e-5).rsqrt()
    return d[..., :, None] * graph * d[..., None, :]


def linear(channels_in: int, channels_out: int) -> tuple[Tensor, Tensor]:
    """Weight and bias as nn.Linear begins them."""
    layer = nn.Linear(channels_in, channels_out)
    return layer.weight, layer.bias


def own(layer: nn.Module) -> tuple[Tensor, ...]:
    """A layer's own parameters in order of definition. At batch 1 to look them up by name, one by
    one, and to call an nn.Linear with them, would take as long as to multiply by them.
    """
    return cast(tuple[Tensor, ...], tuple(layer._parameters.values()))


class ChebConv(nn.Module):
    """Graph convolution of order 2: x (B, J, in), basis (B, 3 J, J) -> (B, J, out)."""

    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(channels_out, 3 * channels_in))
        self.bias = nn.Parameter(torch.zeros(channels_out))
        # by the fans of the released shape (3, 1, in, out): a branch beside a residual begins small
        nn.init.normal_(self.weight, std=(2 * channels_in * channels_out) ** -0.5)

    def forward(self, x: Tensor, basis: Tensor) -> Tensor:
        weight, bias = own(self)
        neighbours = torch.bmm(basis, x).view(x.shape[0], x.shape[1], -1)  # channels (k, in)
        return functional.linear(neighbours, weight, bias)


class LayerNorm(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.ones(width)), nn.Parameter(torch.zeros(width))
        self.unbiased = torch.tensor(math.sqrt(width / (width - 1)), dtype=torch.float64)

    def forward(self, x: Tensor) -> Tensor:
        # The fused kernel divides by the biased std, and std = sqrt(n / (n - 1)) / rstd puts that
        # right. rstd counts as a constant in the gradient, which so misses a share of 1e-6 / std.
        weight, bias = own(self)
        y, _, rstd = torch.native_layer_norm(x, weight.shape, weight, None, 1e-30)
        return torch.addcdiv(bias, y, torch.add(self.unbiased, rstd, alpha=1e-6))


def dropout(x: Tensor, p: float, training: bool) -> Tensor:
    """Drops entries with probability p, to the nearest 1/256, and scales the others up.

    On a CPU one random byte decides an entry, which is several times quicker than torch's dropout.
    """
    if not training:
        return x
    kept = round(256 * (1 - p))
    if not x.is_cpu or not 0 < kept < 256:
        return functional.dropout(x, p)
    words = torch.empty(-(-x.numel() // 8), dtype=torch.int64).random_(-(2**63), None)
    decisive = words.view(torch.uint8)[: x.numel()].view(x.shape)
    return x * (decisive < kept).to(x.dtype).mul_(256 / kept)


class SelfAttention(nn.Module):
    """Multi-head attention among the joints: (B, J, C) -> (B, J, C)."""

    def __init__(self, width: int, heads: int = 4, p: float = 0.1) -> None:
        super().__init__()
        if width % heads:
            raise ValueError(f"width must be divisible by heads, got {width} and {heads}")
        self.heads, self.p = heads, p
        self.qkv, self.qkv_bias = linear(width, 3 * width)
        self.out, self.out_bias = linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        qkv, qkv_bias, out, out_bias = own(self)
        B, J, C = x.shape
        heads = functional.linear(x, qkv, qkv_bias).view(B, J, 3, self.heads, C // self.heads)
        q, k, v = heads.permute(2, 0, 3, 1, 4).unbind()  # each (B, heads, J, C / heads)
        attend = self.attend if torch.is_grad_enabled() else functional.scaled_dot_product_attention
        mixed = attend(q, k, v).transpose(1, 2).reshape(B, J, C)
        return functional.linear(mixed, out, out_bias)

    def attend(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Spelled out: on a CPU the gradient of the fused kernel takes longer than all of this."""
        q, k = (q * q.shape[-1] ** -0.5).flatten(0, 1), k.flatten(0, 1)
        weights = dropout(torch.bmm(q, k.transpose(1, 2)).softmax(-1), self.p, self.training)
        return torch.bmm(weights, v.flatten(0, 1)).view_as(v)


class GraphFF(nn.Module):
    """Feed-forward layer that mixes joints by a graph: (B, J, C), G (B, J, J) -> (B, J, C)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.fc1, self.fc1_bias = linear(width, 2 * width)
        self.fc2, self.fc2_bias = linear(2 * width, width)

    def forward(self, x: Tensor, graph: Tensor) -> Tensor:
        fc1, fc1_bias, fc2, fc2_bias = own(self)
        y = functional.linear(torch.bmm(graph, x), fc1, fc1_bias).relu_()
        # G (y V) rather than (G y) V: half as wide
        return torch.baddbmm(fc2_bias, graph, functional.linear(y, fc2))


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
        fc1, fc1_bias, fc2, fc2_bias = own(self)
        sampling = len(t) > 1 and t.is_cpu and not torch.is_grad_enabled()
        if sampling and bool((t == t[0]).all()):
            t = t[:1]
        h = functional.linear(sinusoid(t, self.frequencies).to(fc1.dtype), fc1, fc1_bias)
        return functional.linear(functional.silu(h), fc2, fc2_bias)


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


def in_chunks(
    network: Callable[..., tuple[Tensor, ...]], *inputs: Tensor, rows: int = 128, together: int = 1
) -> tuple[Tensor, ...]:
    """network(*inputs), on a CPU so few rows at a time that what passes between layers stays in
    cache: a third of the time of a large batch, more than a tenth of it with gradients. So many
    rows as belong `together` are never parted.
    """
    rows = together * max(1, rows // together)
    if not inputs[0].is_cpu or len(inputs[0]) <= rows:
        return network(*inputs)
    parts = [network(*part) for part in zip(*(torch.split(x, rows) for x in inputs), strict=True)]
    return tuple(torch.cat(outputs) for outputs in zip(*parts, strict=True))
