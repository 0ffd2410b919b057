"""Layers over the joints of a skeleton. Tensors are (B, J, C): batch, joints, channels.

Graph convolution. With A = adjacency + I, every row divided by its sum, and L = I - A,

    y = sum_k T_k x W_k + b,      T_0 = I,  T_1 = L,  T_2 = 2 L L - I       (Chebyshev, order 2)

Graph feed-forward. With a learned graph A_hat and its column sums,

    y = G relu(G x U + c) V + d,      G = D A_hat D,  D_jj = (sum_i A_hat_ij + 1e-5)^(-1/2)

T is the same for all layers, and T and G for the whole batch. So a layer has the weights that mix
channels only; the network makes T and G once per forward pass and passes them as (B, ...).
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from posediff.nn.fast import attention, layer_norm, parameters
from posediff.nn.layers import linear


def chebyshev_basis(adjacency: Tensor) -> Tensor:
    """T_0, T_1, T_2 of a 0/1 adjacency (J, J), float64 (3 J, J): (T_k x)_j is row (j, k) times x.

    The row-normalised A is not symmetric, hence neither are T_1 and T_2.
    """
    identity = torch.eye(len(adjacency), dtype=torch.float64)
    a = adjacency.double() + identity
    laplacian = identity - a / a.sum(dim=1, keepdim=True)
    orders = [identity, laplacian, 2 * laplacian @ laplacian - identity]
    return torch.stack(orders, dim=1).flatten(0, 1)


def normalised_graph(graph: Tensor) -> Tensor:
    """G of A_hat (..., J, J). A column of negative sum counts as 0; it is NaN in the original."""
    d = (graph.sum(dim=-2).clamp(min=0) + 1e-5).rsqrt()
    return d[..., :, None] * graph * d[..., None, :]


class ChebConv(nn.Module):
    """Graph convolution of order 2: x (B, J, in), basis (B, 3 J, J) -> (B, J, out)."""

    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(channels_out, 3 * channels_in))
        self.bias = nn.Parameter(torch.zeros(channels_out))
        # by the fans of the released shape (3, 1, in, out): a residual branch starts small
        nn.init.normal_(self.weight, std=(2 * channels_in * channels_out) ** -0.5)

    def forward(self, x: Tensor, basis: Tensor) -> Tensor:
        neighbours = torch.bmm(basis, x).view(x.shape[0], x.shape[1], -1)  # channels (k, in)
        return functional.linear(neighbours, **parameters(self))


class LayerNorm(nn.Module):
    """w (x - mean) / (std + 1e-6) + b, where std divides by n - 1, as in GraFormer."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.ones(width)), nn.Parameter(torch.zeros(width))

    def forward(self, x: Tensor) -> Tensor:
        return layer_norm(x, **parameters(self))


class SelfAttention(nn.Module):
    """Multi-head attention among the joints, (B, J, C) -> (B, J, C).

    Raises ValueError if the width is not divisible by the number of heads.
    """

    def __init__(self, width: int, heads: int = 4, p: float = 0.1) -> None:
        super().__init__()
        if width % heads:
            raise ValueError(f"width must be divisible by heads, got {width} and {heads}")
        self.heads, self.p = heads, p
        self.qkv, self.qkv_bias = linear(width, 3 * width)
        self.out, self.out_bias = linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        (B, J, C), own = x.shape, parameters(self)
        heads = functional.linear(x, own["qkv"], own["qkv_bias"]).view(B, J, 3, self.heads, -1)
        q, k, v = heads.permute(2, 0, 3, 1, 4).unbind()  # each (B, heads, J, C / heads)
        mixed = attention(q, k, v, self.p, self.training).transpose(1, 2).reshape(B, J, C)
        return functional.linear(mixed, own["out"], own["out_bias"])


class GraphFF(nn.Module):
    """Feed-forward layer that mixes joints by a graph: (B, J, C), G (B, J, J) -> (B, J, C)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.fc1, self.fc1_bias = linear(width, 2 * width)
        self.fc2, self.fc2_bias = linear(2 * width, width)

    def forward(self, x: Tensor, graph: Tensor) -> Tensor:
        own = parameters(self)
        y = functional.linear(torch.bmm(graph, x), own["fc1"], own["fc1_bias"]).relu_()
        # G (y V) rather than (G y) V: half as wide
        return torch.baddbmm(own["fc2_bias"], graph, functional.linear(y, own["fc2"]))
