"""The pre-norm transformer block of MixSTE and ViT. Parameters have the released names."""

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional

from posediff.nn import fast

EPS = 1e-6  # of the layer norms


class Attention(nn.Module):
    """Multi-head self-attention, (B, N, C) -> (B, N, C).

    Raises ValueError if the width is not divisible by the number of heads.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        if width % heads:
            raise ValueError(f"width must be divisible by heads, got {width} and {heads}")
        self.heads = heads
        self.qkv, self.proj = nn.Linear(width, 3 * width), nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = rearrange(self.qkv(x), "b n (three h c) -> three b h n c", three=3, h=self.heads)
        mixed = fast.attention(q, k, v, 0.0, self.training)
        return self.proj(rearrange(mixed, "b h n c -> b n (h c)"))


class MLP(nn.Module):
    """Two layers with a GELU between, (..., width) -> (..., width)."""

    def __init__(self, width: int, inner: int) -> None:
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(width, inner), nn.Linear(inner, width)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(functional.gelu(self.fc1(x)))


class TransformerBlock(nn.Module):
    """h += attention(LN h);  h += MLP(LN h). Each sum is dropped in training with `drop_path`."""

    recomputable = True

    def __init__(self, width: int, heads: int, ratio: float = 4.0, drop_path: float = 0.0) -> None:
        super().__init__()
        self.drop_path = drop_path
        self.norm1, self.attn = nn.LayerNorm(width, EPS), Attention(width, heads)
        self.norm2, self.mlp = nn.LayerNorm(width, EPS), MLP(width, int(ratio * width))

    def forward(self, h: Tensor) -> Tensor:
        h = h + self.dropped(self.attn(self.norm1(h)))
        return h + self.dropped(self.mlp(self.norm2(h)))

    def dropped(self, branch: Tensor) -> Tensor:
        """Stochastic depth: the branch of a row is scaled up as a whole, or replaced by 0."""
        if not self.training or self.drop_path == 0:
            return branch
        keep = 1 - self.drop_path
        kept = torch.rand(len(branch), 1, 1, device=branch.device) < keep
        return branch * kept.to(branch.dtype) / keep
