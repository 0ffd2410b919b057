"""MixSTE (Zhang et al., CVPR 2022): a transformer over the joints and over the frames of a clip.

Tokens are (B, F, J, C): batch, frames, joints, channels. A spatial block lets the joints of a frame
attend to each other, a temporal block the frames of a joint, and both take turns:

    h = Linear(x) + positions of joints [+ embedding of t]
    h = norm_S(spatial block(h));  h = norm_T(temporal block(h [+ positions of frames, once]))
    y = Linear(LayerNorm(h))

The two norms are shared by all blocks. Names of parameters are the released ones
(GONGJIA0208/Diffpose_video; with `timed`, paTRICK-swk/D3DP), so that their weights fit as they are.
"""

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional

from posediff.nn.graph import frequencies, sinusoid

EPS = 1e-6  # of every layer norm but the one of the head


class Attention(nn.Module):
    """Multi-head self-attention: (..., N, C) -> (..., N, C)."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        if width % heads:
            raise ValueError(f"width must be divisible by heads, got {width} and {heads}")
        self.heads = heads
        self.qkv, self.proj = nn.Linear(width, 3 * width), nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = rearrange(self.qkv(x), "b n (three h c) -> three b h n c", three=3, h=self.heads)
        mixed = functional.scaled_dot_product_attention(q, k, v)
        y: Tensor = self.proj(rearrange(mixed, "b h n c -> b n (h c)"))
        return y


class MLP(nn.Module):
    """Two layers with a GELU between; (..., width) -> (..., width). Names are the released ones."""

    def __init__(self, width: int, inner: int) -> None:
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(width, inner), nn.Linear(inner, width)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.fc2(functional.gelu(self.fc1(x)))
        return y


class Block(nn.Module):
    """h += attention(LN h);  h += MLP(LN h). In training each sum is left out with `drop_path`."""

    def __init__(self, width: int, heads: int, ratio: float, drop_path: float) -> None:
        super().__init__()
        self.drop_path = drop_path
        self.norm1, self.attn = nn.LayerNorm(width, EPS), Attention(width, heads)
        self.norm2, self.mlp = nn.LayerNorm(width, EPS), MLP(width, int(ratio * width))

    def forward(self, h: Tensor) -> Tensor:
        h = h + self.dropped(self.attn(self.norm1(h)))
        return h + self.dropped(self.mlp(self.norm2(h)))

    def dropped(self, branch: Tensor) -> Tensor:
        """Stochastic depth: the branch of a row is kept whole and scaled up, or left out."""
        if not self.training or self.drop_path == 0:
            return branch
        keep = 1 - self.drop_path
        kept = torch.rand(len(branch), 1, 1, device=branch.device) < keep
        return branch * kept.to(branch.dtype) / keep


class Sinusoid(nn.Module):
    """t (B,), a number of steps -> (B, width), in float64, as float32 is off by 2e-5 at t = 999."""

    frequencies: Tensor

    def __init__(self, width: int) -> None:
        super().__init__()
        self.register_buffer("frequencies", frequencies(width), persistent=False)

    def forward(self, t: Tensor) -> Tensor:
        return sinusoid(t, self.frequencies)


class MixSTE(nn.Module):
    """x (B, F, J, channels_in) -> y (B, F, J, channels_out), features (B, F, J, width).

    `features` are what the output layer reads. The learned positions fix the frames of a window.
    timed: t (B,) is embedded and added to all tokens. drop_path: of the last block, in training; it
    grows from 0 at the first.
    """

    def __init__(
        self,
        joints: int,
        window: int,
        width: int = 512,
        depth: int = 8,
        heads: int = 8,
        ratio: float = 2.0,
        channels_in: int = 2,
        channels_out: int = 3,
        timed: bool = False,
        drop_path: float = 0.1,
    ) -> None:
        super().__init__()
        self.width = width
        self.Spatial_pos_embed = nn.Parameter(0.02 * torch.randn(1, joints, width))
        self.Temporal_pos_embed = nn.Parameter(0.02 * torch.randn(1, window, width))
        self.Spatial_patch_to_embedding = nn.Linear(channels_in, width)
        if timed:
            self.time_mlp = nn.Sequential(
                Sinusoid(width),
                nn.Linear(width, 2 * width),
                nn.GELU(),
                nn.Linear(2 * width, width),
            )
        drops = [drop_path * i / max(depth - 1, 1) for i in range(depth)]
        self.STEblocks = nn.ModuleList(Block(width, heads, ratio, drop) for drop in drops)
        self.TTEblocks = nn.ModuleList(Block(width, heads, ratio, drop) for drop in drops)
        self.Spatial_norm, self.Temporal_norm = nn.LayerNorm(width, EPS), nn.LayerNorm(width, EPS)
        self.head = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, channels_out))

    def forward(self, x: Tensor, t: Tensor | None = None) -> tuple[Tensor, Tensor]:
        B, F = x.shape[:2]
        if self.Temporal_pos_embed.shape[1] != F:
            made = self.Temporal_pos_embed.shape[1]
            raise ValueError(f"a network of {made} frames was given windows of {F}")
        h = self.Spatial_patch_to_embedding(x) + self.Spatial_pos_embed
        if t is not None:
            h = h + self.embed(t)[:, None, None]
        h = rearrange(h, "b f j c -> (b f) j c")
        for i, (spatial, temporal) in enumerate(zip(self.STEblocks, self.TTEblocks, strict=True)):
            h = self.Spatial_norm(spatial(h))
            h = rearrange(h, "(b f) j c -> (b j) f c", b=B)
            h = h if i else h + self.Temporal_pos_embed
            h = self.Temporal_norm(temporal(h))
            h = rearrange(h, "(b j) f c -> (b f) j c", b=B)
        h = rearrange(h, "(b f) j c -> b f j c", b=B)
        return self.head(h), h

    def embed(self, t: Tensor) -> Tensor:
        """What all tokens of a clip at timestep t are told. (B,) -> (B, width)"""
        wave, fc1, gelu, fc2 = self.time_mlp
        y: Tensor = fc2(gelu(fc1(wave(t).to(self.Spatial_pos_embed.dtype))))
        return y
