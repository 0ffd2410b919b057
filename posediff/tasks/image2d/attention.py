"""Spatial-channel cross-attention (SC-CA): the joints' features attend to the bones'.

    x_kps = x_fea M_kps,   x_ske = x_fea M_ske
    A     = A_c + A_s,     Q of x_kps, K and V of x_ske,      guide = x_kps + A

    A_c   channels attend to channels, over all N pixels, in groups of d (DaViT, Ding et al. 2022)
            cross:  V softmax(N^-1/2 Q^T K)^T         the equation
            davit:  Q softmax(d^-1/2 K^T V)^T         DaViT's released code
    A_s   pixels attend to pixels, softmax(d^-1/2 Q K^T) V, inside windows

A mask has one channel, so it commutes with the projections, which have no bias: Wq (x_fea M) =
M (Wq x_fea). They are made once per image; a step only masks them.
"""

from collections.abc import Mapping, Sequence
from typing import Literal

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional

from posediff.diffusion.choices import one_of
from posediff.tasks.image2d.structure import Pair


class ChannelAttention(nn.Module):
    def __init__(self, width: int, groups: int, form: Literal["cross", "davit"]) -> None:
        super().__init__()
        self.groups, self.form = groups, form
        self.qkv = nn.Conv2d(width, 3 * width, 1, bias=False)
        self.out = nn.Conv2d(width, width, 1, bias=False)

    def project(self, x: Tensor) -> Tensor:
        """Features (B, C, h, w) -> queries, keys and values (B, 3, groups, d, h w)."""
        qkv: Tensor = self.qkv(x)
        return rearrange(qkv, "b (n g d) h w -> b n g d (h w)", n=3, g=self.groups)

    def forward(self, qkv: Tensor, masks: Pair) -> Tensor:
        """(B, 3, groups, d, h w) -> (B, C, h, w)."""
        kps, ske = (rearrange(m, "b 1 h w -> b 1 1 (h w)") for m in masks)
        q, k, v = qkv.unbind(1)
        q, k, v = q * kps, k * ske, v * ske
        d, N = q.shape[-2:]
        if self.form == "cross":
            mixed = (N**-0.5 * q @ k.mT).softmax(-1) @ v
        else:
            mixed = (d**-0.5 * k @ v.mT).softmax(-1) @ q
        h, w = masks.kps.shape[-2:]
        return self.out(rearrange(mixed, "b g d (h w) -> b (g d) h w", h=h, w=w))


class WindowAttention(nn.Module):
    """Attention inside windows. The map is padded to whole windows; the padding is masked."""

    def __init__(self, width: int, heads: int, window: int) -> None:
        super().__init__()
        self.heads, self.window = heads, window
        self.qkv = nn.Conv2d(width, 3 * width, 1, bias=False)
        self.out = nn.Conv2d(width, width, 1, bias=False)

    def project(self, x: Tensor) -> Tensor:
        """Features (B, C, h, w) -> queries, keys and values (B, 3, windows, heads, pixels, d)."""
        windows = self._partition(self.qkv(x))
        return rearrange(windows, "b n p (three i d) -> b three n i p d", three=3, i=self.heads)

    def forward(self, qkv: Tensor, masks: Pair) -> Tensor:
        """(B, 3, windows, heads, pixels, d) -> (B, C, h, w)."""
        kps, ske = (self._partition(m).unsqueeze(2) for m in masks)
        q, k, v = qkv.unbind(1)
        logits = q.shape[-1] ** -0.5 * (q * kps) @ (k * ske).mT
        h, w = masks.kps.shape[-2:]
        if h % self.window or w % self.window:
            real = self._partition(torch.ones_like(masks.kps[:1])) > 0
            logits = logits.masked_fill(~real.unsqueeze(2).mT, -torch.inf)
        mixed = logits.softmax(-1) @ (v * ske)
        merged = rearrange(
            mixed,
            "b (m n) i (r s) d -> b (i d) (m r) (n s)",
            m=-(-h // self.window),
            r=self.window,
        )
        return self.out(merged[..., :h, :w])

    def _partition(self, x: Tensor) -> Tensor:
        """(B, C, h, w) -> (B, windows, pixels, C), zero where a window leaves the map."""
        h, w = x.shape[-2:]
        x = functional.pad(x, (0, -w % self.window, 0, -h % self.window))
        return rearrange(x, "b c (m r) (n s) -> b (m n) (r s) c", r=self.window, s=self.window)


class Guide(nn.Module):
    """The masked features that join x_fea in the decoder's condition.

    `condition` names the masks: both bring SC-CA, one of them its features alone, none nothing.
    `heads` None is one head, or group of channels, for every 32 channels.
    """

    def __init__(
        self,
        width: int,
        condition: Sequence[str] = ("kps", "ske"),
        window: int = 7,
        heads: int | None = None,
        channel: Literal["cross", "davit"] = "cross",
        kind: Literal["both", "spatial", "channel", "none"] = "both",
    ) -> None:
        super().__init__()
        for name in condition:
            one_of("task.head.guide.condition", name, ("kps", "ske"))
        one_of("task.head.guide.channel", channel, ("cross", "davit"))
        one_of("task.head.guide.kind", kind, ("both", "spatial", "channel", "none"))
        heads = heads or max(width // 32, 1)
        if width % heads:
            raise ValueError(
                f"task.head.guide.heads must divide {width} feature channels, got {heads}"
            )
        self.condition = sorted(condition)
        self.attention = nn.ModuleDict()
        if self.condition == ["kps", "ske"] and kind in ("both", "channel"):
            self.attention["channel"] = ChannelAttention(width, heads, channel)
        if self.condition == ["kps", "ske"] and kind in ("both", "spatial"):
            self.attention["spatial"] = WindowAttention(width, heads, window)

    def project(self, x_fea: Tensor) -> dict[str, Tensor]:
        """Once per image: the projections of the features that `forward` reads."""
        if not self.condition:
            return {}
        parts = {k: part.project(x_fea) for k, part in self.attention.items()}  # type: ignore[operator]
        return {"features": x_fea, **parts}

    def forward(self, projected: Mapping[str, Tensor], masks: Pair) -> Tensor:
        """Once per step: x_kps + A, or one mask's features, (B, C, h, w)."""
        x = projected["features"] * (masks.kps if "kps" in self.condition else masks.ske)
        for name, part in self.attention.items():
            x = x + part(projected[name], masks)
        return x
