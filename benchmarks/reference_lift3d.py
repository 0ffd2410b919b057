"""The released lift3d networks in plain PyTorch: a yardstick for speed, and a second opinion.

Written for this comparison from what the released networks do, with the work they do and no more
care than they take: every graph convolution makes its basis anew (12 times per forward), and has a
matrix product for every order; the learned graph is repeated and normalised for every sample, twice
per layer; query, key and value are separate; an attention mask hides nothing; relu runs on both
sides of a dropout. Parameters have the released names, so released weights load as they are.
Not part of the library: that is posediff.tasks.lift3d.network.
"""

import math

import torch
from torch import Tensor, nn


class Cheb(nn.Module):
    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(3, 1, channels_in, channels_out))
        self.bias = nn.Parameter(torch.zeros(1, 1, channels_out))
        nn.init.xavier_normal_(self.weight)

    def forward(self, x: Tensor, a: Tensor) -> Tensor:
        neighbours = torch.matmul(self.basis(a).unsqueeze(1), x)  # (3, B, J, in)
        return torch.matmul(neighbours, self.weight).sum(dim=0) + self.bias

    def basis(self, a: Tensor) -> Tensor:
        """T_0, T_1, T_2 of L = I - D a D. Rows of `a` sum to 1 already, so that D = I."""
        identity = torch.eye(len(a), dtype=a.dtype)
        d = torch.diag(a.sum(dim=-1) ** -0.5)
        laplacian = identity - d @ a @ d
        orders = torch.zeros(3, *a.shape, dtype=a.dtype)
        orders[0], orders[1] = identity, laplacian
        orders[2] = 2 * laplacian @ orders[1] - orders[0]
        return orders


class Norm(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.a_2, self.b_2 = nn.Parameter(torch.ones(width)), nn.Parameter(torch.zeros(width))

    def forward(self, x: Tensor) -> Tensor:
        mean, std = x.mean(dim=-1, keepdim=True), x.std(dim=-1, keepdim=True)
        return self.a_2 * (x - mean) / (std + 1e-6) + self.b_2


class SelfAttention(nn.Module):
    def __init__(self, width: int, heads: int = 4) -> None:
        super().__init__()
        self.linears = nn.ModuleList(nn.Linear(width, width) for _ in range(4))
        self.dropout, self.heads = nn.Dropout(0.1), heads

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        b, j, c = x.shape
        q, k, v = (
            linear(x).view(b, j, self.heads, c // self.heads).transpose(1, 2)
            for linear in self.linears[:3]
        )
        scores = torch.matmul(q, k.transpose(-2, -1)) / math.sqrt(c // self.heads)
        scores = scores.masked_fill(mask.unsqueeze(1) == 0, -1e9)
        mixed = torch.matmul(self.dropout(torch.softmax(scores, dim=-1)), v)
        return self.linears[3](mixed.transpose(1, 2).contiguous().view(b, j, c))


class GraphLinear(nn.Module):
    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__()
        self.fc = nn.Linear(channels_in, channels_out)

    def forward(self, x: Tensor, a_hat: Tensor) -> Tensor:
        graphs = a_hat.unsqueeze(0).repeat(len(x), 1, 1)
        d = (graphs.sum(dim=1) + 1e-5) ** -0.5
        return self.fc(torch.bmm(d[:, :, None] * graphs * d[:, None, :], x))


class FeedForward(nn.Module):
    def __init__(self, width: int, joints: int) -> None:
        super().__init__()
        self.A_hat = nn.Parameter(torch.eye(joints))
        self.gconv1, self.gconv2 = GraphLinear(width, 2 * width), GraphLinear(2 * width, width)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.gconv2(self.relu(self.gconv1(x, self.A_hat)), self.A_hat)


class Residual(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm, self.dropout = Norm(width), nn.Dropout(0.25)


class AttentionBlock(nn.Module):
    def __init__(self, width: int, joints: int) -> None:
        super().__init__()
        self.self_attn = SelfAttention(width)
        self.feed_forward = FeedForward(width, joints)
        self.sublayer = nn.ModuleList(Residual(width) for _ in range(2))

    def forward(self, h: Tensor, mask: Tensor) -> Tensor:
        first, second = self.sublayer
        h = h + first.dropout(self.self_attn(first.norm(h), mask))
        return h + second.dropout(self.feed_forward(second.norm(h)))


class Convolution(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.gconv, self.relu, self.dropout = Cheb(width, width), nn.ReLU(), nn.Dropout(0.1)

    def forward(self, x: Tensor, a: Tensor) -> Tensor:
        return self.relu(self.dropout(self.relu(self.gconv(x, a))))


class ConvolutionBlock(nn.Module):
    def __init__(self, width: int, timed: bool) -> None:
        super().__init__()
        self.gconv1, self.gconv2 = Convolution(width), Convolution(width)
        if timed:
            self.temb_proj = nn.Linear(4 * width, width)

    def forward(self, h: Tensor, a: Tensor, temb: Tensor | None) -> Tensor:
        r = self.gconv1(h, a)
        if temb is not None:
            r = r + self.temb_proj(swish(temb))[:, None, :]
        return h + self.gconv2(r, a)


def swish(x: Tensor) -> Tensor:
    return x * torch.sigmoid(x)


def sinusoid(t: Tensor, width: int) -> Tensor:
    half = width // 2
    w = torch.exp(torch.arange(half, dtype=t.dtype) * -(math.log(10000) / (half - 1)))
    angle = t[:, None] * w[None, :]
    return torch.cat([torch.sin(angle), torch.cos(angle)], dim=1)


class Released(nn.Module):
    """GCNdiff if `timed` (forward takes t), GCNpose if not: its `temb` is there but never used."""

    def __init__(
        self, adjacency: Tensor, channels_in: int, channels_out: int, timed: bool, width: int = 96
    ) -> None:
        super().__init__()
        a = adjacency + torch.eye(len(adjacency), dtype=adjacency.dtype)
        self.a, self.timed = a / a.sum(dim=1, keepdim=True), timed
        self.gconv_input = Cheb(channels_in, width)
        self.gconv_layers = nn.ModuleList(ConvolutionBlock(width, timed) for _ in range(5))
        self.atten_layers = nn.ModuleList(AttentionBlock(width, len(a)) for _ in range(5))
        self.gconv_output = Cheb(width, channels_out)
        self.temb = nn.Module()
        self.temb.dense = nn.ModuleList(
            [nn.Linear(width, 4 * width), nn.Linear(4 * width, 4 * width)]
        )

    def forward(self, x: Tensor, t: Tensor | None = None) -> Tensor:
        temb, mask = None, torch.ones(1, 1, len(self.a), dtype=torch.bool)
        if self.timed:
            temb = sinusoid(t.to(x.dtype), self.temb.dense[0].in_features)
            temb = self.temb.dense[1](swish(self.temb.dense[0](temb)))
        h = self.gconv_input(x, self.a)
        for attention, convolution in zip(self.atten_layers, self.gconv_layers, strict=True):
            h = convolution(attention(h, mask), self.a, temb)
        return self.gconv_output(h, self.a)


def denoiser(adjacency: Tensor) -> Released:
    """GCNdiff: (B, 17, 5), (B,) -> (B, 17, 5). 1 025 674 parameters."""
    return Released(adjacency, 5, 5, timed=True)


def lifter(adjacency: Tensor) -> Released:
    """GCNpose: (B, 17, 2) -> (B, 17, 3). 839 432 parameters."""
    return Released(adjacency, 2, 3, timed=False)
