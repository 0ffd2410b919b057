"""MixSTE (Zhang et al., CVPR 2022): a transformer over the joints and the frames of a window.

Tokens are (B, F, J, C): batch, frames, joints, channels. Spatial blocks are attention among the
joints of a frame, temporal blocks among the frames of a joint, and both alternate:

    h = Linear(x) + positions of joints [+ embedding of t]
    h = norm_S(spatial block(h));  h = norm_T(temporal block(h [+ positions of frames, once]))
    y = Linear(LayerNorm(h))

The two norms are shared by all blocks. Names of parameters are the released ones
(GONGJIA0208/Diffpose_video; with `timed`, paTRICK-swk/D3DP), so that their weights load unchanged.
"""

import torch
from einops import rearrange
from torch import Tensor, nn

from posediff.nn.time import Sinusoid
from posediff.nn.transformer import EPS, TransformerBlock


class MixSTE(nn.Module):
    """x (B, F, J, channels_in) -> y (B, F, J, channels_out), features (B, F, J, width).

    `features` are the input of the output layer. The learned positions fix the length of a window.
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
        channels_in: int = 2,
        timed: bool = False,
        drop_path: float = 0.1,
        channels_out: int = 3,
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
        self.STEblocks, self.TTEblocks = (
            nn.ModuleList(TransformerBlock(width, heads, 2.0, drop) for drop in drops)
            for _ in range(2)
        )
        self.Spatial_norm, self.Temporal_norm = nn.LayerNorm(width, EPS), nn.LayerNorm(width, EPS)
        self.head = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, channels_out))

    def forward(self, x: Tensor, t: Tensor | None = None) -> tuple[Tensor, Tensor]:
        B, F, J = x.shape[:3]
        frames, joints = self.Temporal_pos_embed.shape[1], self.Spatial_pos_embed.shape[1]
        if (frames, joints) != (F, J):
            raise ValueError(
                f"a network of {frames} frames and {joints} joints was given windows of {F} frames "
                f"and {J} joints"
            )
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
        """Embedding of timesteps, (B,) -> (B, width)."""
        sinusoid, fc1, gelu, fc2 = self.time_mlp
        return fc2(gelu(fc1(sinusoid(t).to(self.Spatial_pos_embed.dtype))))
