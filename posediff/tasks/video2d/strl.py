"""The SpatioTemporal Representation Learner: the frames of a clip as one feature map, once a clip.

features_f = backbone(frame_f)                             the same backbone for every frame
X_0        = concat_f (patches(features_f) + position_f)   tokens of all frames, 1/16 of the crop
X_i        = FFN(attention(X_i-1))                         pre-norm, in space and time jointly
Z          = MLP(LN(X_L))                                  of the F tokens of a place, one
"""

from collections.abc import Sequence
from typing import Literal

from einops import rearrange
from torch import Tensor, nn, zeros

from posediff.diffusion.choices import one_of
from posediff.nn.backbone import Backbone, Input, frame_rows
from posediff.nn.layers import deconvolution, interpolation
from posediff.nn.transformer import TransformerBlock
from posediff.nn.vit import initialise

CELL = 16  # pixels of the crop along a side of a cell of Z, for any stride of the backbone
SCALES = (1, 2, 3)  # Z at stride 16, 8 and 4; heatmaps have that of the last


class STRL(nn.Module):
    """Features (B, F, C_in, h, w) of any stride up to 16 -> Z (B, C, H / 16, W / 16).

    size      of the crop, W and H
    patch     cells of Z along a side of a token; the MLP unfolds tokens larger than a cell
    merge     the F tokens of a place: concatenated for the MLP, or their mean (of depth 0, the
              plain mean of frames)
    """

    def __init__(
        self,
        channels_in: int,
        stride: int,
        size: Sequence[int],
        frames: int,
        channels: int = 256,
        patch: int = 1,
        depth: int = 4,
        heads: int = 8,
        ratio: int = 4,
        merge: Literal["mlp", "mean"] = "mlp",
    ) -> None:
        super().__init__()
        one_of("task.clip_features.merge", merge, ("mlp", "mean"))
        side = CELL * patch
        if any(n % side for n in size):
            raise ValueError(f"sizes of crops must be multiples of {side}, got {tuple(size)}")
        if channels % heads:
            raise ValueError(
                f"task.clip_features.channels {channels} must be a multiple of {heads} heads"
            )
        self.frames, self.patch, self.merge = frames, patch, merge
        self.embed = nn.Conv2d(channels_in, channels, side // stride, stride=side // stride)
        self.position = nn.Parameter(zeros(frames, size[0] * size[1] // side**2, channels))
        self.layers = nn.Sequential(
            *(TransformerBlock(channels, heads, ratio) for _ in range(depth))
        )
        self.norm = nn.LayerNorm(channels)
        self.mlp = nn.Sequential(
            nn.Linear(channels * (frames if merge == "mlp" else 1), channels),
            nn.GELU(),
            nn.Linear(channels, channels * patch**2),
        )
        self.apply(initialise)
        nn.init.trunc_normal_(self.position, std=0.02)

    def forward(self, features: Tensor) -> Tensor:
        F, p = self.frames, self.patch
        x = self.embed(rearrange(features, "b f c h w -> (b f) c h w"))
        h = x.shape[-2]
        x = rearrange(x, "(b f) c h w -> b f (h w) c", f=F) + self.position
        x = self.norm(self.layers(rearrange(x, "b f n c -> b (f n) c")))
        if self.merge == "mlp":
            x = rearrange(x, "b (f n) c -> b n (f c)", f=F)
        else:
            x = rearrange(x, "b (f n) c -> b f n c", f=F).mean(1)
        return rearrange(self.mlp(x), "b (h w) (p q c) -> b c (h p) (w q)", h=h, p=p, q=p)


class ClipFeatures(nn.Module):
    """Frames (B, F, 3, H, W) -> Z at the strides 16, 8 and 4, as far as `scales` goes: a list of
    (B, channels, H / stride, W / stride).

    What heads of video2d share, with or without a diffusion; the weights do not depend on `scales`.
    offsets: of the frames, from the key frame. depth, heads, ratio, patch, merge: of the `STRL`.
    up: `deconv` or `bilinear`, to twice the size.
    """

    def __init__(
        self,
        backbone: Backbone,
        size: Sequence[int],
        offsets: Sequence[int],
        channels: int = 256,
        patch: int = 1,
        depth: int = 4,
        heads: int = 8,
        ratio: int = 4,
        merge: Literal["mlp", "mean"] = "mlp",
        up: Literal["deconv", "bilinear"] = "deconv",
        scales: int = SCALES[-1],
    ) -> None:
        super().__init__()
        one_of("task.clip_features.up", up, ("deconv", "bilinear"))
        self.backbone, self.size, self.channels = backbone.bare(), tuple(size), channels
        read = (self.backbone.channels, self.backbone.stride, size, len(offsets))
        self.strl = STRL(*read, channels, patch, depth, heads, ratio, merge)
        finer = deconvolution if up == "deconv" else interpolation
        self.up = nn.ModuleList(nn.Sequential(*finer(channels, channels)) for _ in SCALES[1:])
        self.scales = scales

    def forward(self, frames: Input) -> list[Tensor]:
        (W, H), F = self.size, self.strl.frames
        if isinstance(frames, Tensor) and frames.shape[1:] != (F, 3, H, W):
            wanted, got = f"{F} frames of {W} x {H}", tuple(frames.shape[1:])
            raise ValueError(f"{wanted} are wanted, got {got}: set dataset.offsets and size")
        features = self.backbone(frame_rows(frames))
        Z = [self.strl(rearrange(features, "(b f) c h w -> b f c h w", f=F))]
        for up in self.up[: self.scales - 1]:
            Z.append(up(Z[-1]))
        return Z
