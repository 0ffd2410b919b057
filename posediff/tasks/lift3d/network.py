"""The graph networks of lift3d. B batch, J joints; t (B,) counts timesteps.

They take single poses. `framewise` calls one on windows, (B, F, J, C), every frame for itself; only
a ContextDenoiser that was made for windows mixes their frames.

    GraphLifter      2D -> 3D and features: GraFormer, the released GCNpose without its dead parts
    GraphRefiner     the released denoiser GCNdiff, which sees x_t and t only
    ContextDenoiser  the denoiser of the paper, which also sees the features of a frozen lifter

Their graph basis is float64 and follows the dtype of the input, so `.double()` is exact throughout.
"""

from collections.abc import Callable

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional

from posediff.nn.fast import dropout, in_chunks
from posediff.nn.graph import (
    ChebConv,
    GraphFF,
    LayerNorm,
    SelfAttention,
    chebyshev_basis,
    normalised_graph,
)
from posediff.nn.time import TimeEmbedding
from posediff.nn.transformer import TransformerBlock

RESIDUAL_DROPOUT = 0.25  # of GraFormer, in the released code


def framewise(network: Callable[..., Tensor], x: Tensor, t: Tensor, *more: Tensor) -> Tensor:
    """network(x, t, *more) on windows (B, F, J, C), t (B,), as on single poses (B F, J, C)."""
    if x.ndim == 3:
        return network(x, t, *more)
    y = network(x.flatten(0, 1), t.repeat_interleave(x.shape[1]), *(m.flatten(0, 1) for m in more))
    return y.view(*x.shape[:-1], -1)


class GraFormerBlock(nn.Module):
    """h += MHA(LN h);  h += GraphFF(LN h);  h += relu Cheb(relu Cheb(h) + time)."""

    recomputable = True

    def __init__(self, width: int, heads: int, p: float, residual_p: float) -> None:
        super().__init__()
        self.p, self.residual_p = p, residual_p
        self.norm1, self.attention = LayerNorm(width), SelfAttention(width, heads, p)
        self.norm2, self.feed_forward = LayerNorm(width), GraphFF(width)
        self.conv1, self.conv2 = ChebConv(width, width), ChebConv(width, width)

    def forward(self, h: Tensor, basis: Tensor, graph: Tensor, time: Tensor | None) -> Tensor:
        h = h + dropout(self.attention(self.norm1(h)), self.residual_p, self.training)
        h = h + dropout(self.feed_forward(self.norm2(h), graph), self.residual_p, self.training)
        r = dropout(self.conv1(h, basis).relu_(), self.p, self.training)
        r = r if time is None else r + time
        return h + dropout(self.conv2(r, basis).relu_(), self.p, self.training)


class GraFormer(nn.Module):
    """x (B, J, in), time (B, 1, depth width) or None -> (B, J, out), and h after the last block."""

    basis: Tensor

    def __init__(
        self,
        adjacency: Tensor,
        channels_in: int,
        channels_out: int,
        width: int,
        depth: int,
        dropout: float,
        heads: int = 4,
    ) -> None:
        super().__init__()
        self.register_buffer("basis", chebyshev_basis(adjacency), persistent=False)
        self.graphs = nn.Parameter(torch.eye(len(adjacency)).repeat(depth, 1, 1))
        self.input, self.output = ChebConv(channels_in, width), ChebConv(width, channels_out)
        self.blocks = nn.ModuleList(
            GraFormerBlock(width, heads, dropout, RESIDUAL_DROPOUT) for _ in range(depth)
        )

    def forward(self, x: Tensor, time: Tensor | None = None) -> tuple[Tensor, Tensor]:
        B, depth, J = x.shape[0], len(self.graphs), self.basis.shape[-1]
        if x.shape[1] != J:
            raise ValueError(f"a network of {J} joints was given {x.shape[1]}")
        basis = self.basis.to(x.dtype).expand(B, -1, -1)
        graphs = normalised_graph(self.graphs)[:, None].expand(-1, B, -1, -1)
        times = [None] * depth if time is None else time.chunk(depth, dim=-1)
        h = self.input(x, basis)
        for block, graph, bias in zip(self.blocks, graphs.unbind(), times, strict=True):
            h = block(h, basis, graph, bias)
        return self.output(h, basis), h


class GraphLifter(nn.Module):
    """Screen-normalised keypoints (B, J, 2) -> pose (B, J, 3), features (B, J, width)."""

    def __init__(
        self, adjacency: Tensor, width: int = 96, depth: int = 5, dropout: float = 0.1
    ) -> None:
        super().__init__()
        self.width = width
        self.body = GraFormer(adjacency, 2, 3, width, depth, dropout)

    def forward(self, uv: Tensor) -> tuple[Tensor, Tensor]:
        xyz, features = in_chunks(self.body, uv)
        return xyz, features


class GraphRefiner(nn.Module):
    """State (B, J, 5), t (B,) -> (B, J, 5): in the released preset, the noise times its scale."""

    def __init__(
        self, adjacency: Tensor, width: int = 96, depth: int = 5, dropout: float = 0.1
    ) -> None:
        super().__init__()
        self.body = GraFormer(adjacency, 5, 5, width, depth, dropout)
        self.time = TimeEmbedding(width, 4 * width)
        self.time_in_block = nn.Linear(4 * width, depth * width)  # of all blocks in one product

    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        return in_chunks(self.refine, x, t)[0]

    def refine(self, x: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
        # swish once more, though the embedding holds one already: so it was released
        time = self.time_in_block(functional.silu(self.time(t)))[:, None]
        y: tuple[Tensor, Tensor] = self.body(x, time)
        return y


class ContextBlock(nn.Module):
    """h += relu Cheb(relu Cheb(h));  h += MHA(LN h)."""

    recomputable = True

    def __init__(self, width: int, heads: int, p: float) -> None:
        super().__init__()
        self.p = p
        self.conv1, self.conv2 = ChebConv(width, width), ChebConv(width, width)
        self.norm, self.attention = LayerNorm(width), SelfAttention(width, heads, p)

    def forward(self, h: Tensor, basis: Tensor) -> Tensor:
        r = dropout(self.conv1(h, basis).relu_(), self.p, self.training)
        h = h + dropout(self.conv2(r, basis).relu_(), self.p, self.training)
        return h + self.attention(self.norm(h))


class AcrossFrames(nn.Module):
    """Every joint attends to itself in the other frames of its window: (B F, J, C) -> the same."""

    def __init__(self, window: int, width: int, heads: int, drop_path: float = 0.0) -> None:
        super().__init__()
        self.positions = nn.Parameter(0.02 * torch.randn(1, window, width))
        self.block = TransformerBlock(width, heads, ratio=2.0, drop_path=drop_path)

    def forward(self, h: Tensor) -> Tensor:
        F, J = self.positions.shape[1], h.shape[1]
        tracks = rearrange(h, "(b f) j c -> (b j) f c", f=F) + self.positions
        return rearrange(self.block(tracks), "(b j) f c -> (b f) j c", j=J)


class ContextDenoiser(nn.Module):
    """The paper's denoiser: state (B, J, 5), t (B,), context (B, J, width) -> (B, J, 5).

    Fusion is one graph convolution over [h ; f_ST ; f_D] and so linear in its parts. That of f_ST,
    the lifter's features, is `project(features)`, once per sample. f_D, the embedding of t, is the
    same at all joints; as L 1 = 0 (rows of A sum to 1), a convolution maps it by W_0 - W_2 alone,
    and that linear map is the last one of the embedding. A new network returns 0.

    window: the length of the windows whose frames, rows in order, see each other after every block;
    None, if every pose is denoised by itself.
    """

    basis: Tensor

    def __init__(
        self,
        adjacency: Tensor,
        channels: int = 5,
        width: int = 96,
        depth: int = 3,
        heads: int = 4,
        context_width: int = 96,
        dropout: float = 0.1,
        window: int | None = None,
    ) -> None:
        super().__init__()
        self.register_buffer("basis", chebyshev_basis(adjacency), persistent=False)
        self.input, self.fuse = ChebConv(channels, width), ChebConv(width, width)
        self.context, self.time = ChebConv(context_width, width), TimeEmbedding(width, width)
        self.blocks = nn.ModuleList(ContextBlock(width, heads, dropout) for _ in range(depth))
        self.across = nn.ModuleList(
            nn.Identity() if window is None else AcrossFrames(window, width, heads)
            for _ in range(depth)
        )
        self.together = window or 1
        self.output = ChebConv(width, channels)
        nn.init.zeros_(self.output.weight)

    def project(self, features: Tensor) -> Tensor:
        """The share of f_ST in the fusion: (B, J, context_width) -> (B, J, width)."""
        return self.context(features, self.joint_mixing(features))

    def forward(self, x: Tensor, t: Tensor, context: Tensor) -> Tensor:
        return in_chunks(self.denoise, x, t, context, together=self.together)[0]

    def denoise(self, x: Tensor, t: Tensor, context: Tensor) -> tuple[Tensor]:
        basis = self.joint_mixing(x)
        h = self.fuse(self.input(x, basis), basis) + context + self.time(t)[:, None]
        for block, across in zip(self.blocks, self.across, strict=True):
            h = across(block(h, basis))
        return (self.output(h, basis),)

    def joint_mixing(self, x: Tensor) -> Tensor:
        return self.basis.to(x.dtype).expand(x.shape[0], -1, -1)
