"""The Pose-Decoder: lookup-based multi-scale feature interaction (LMSFI).

    x~   = e (1 + scale(t)) + shift(t),  e = conv(x_t)    x3 = x~, x2 and x1 of half the size each
    A_j  = sigmoid(max over channels of refine_j(x_j))           one mask for channels and joints
    G_j  = layers_j(conv_L(A_j * Z_j) + conv_Z(Z_j))             conv on concat(L_j, Z_j), in parts
    maps = conv(silu(GN(sum_j up(G_j))))

A noisy heatmap has little content, so it only selects where the clip's features are read. Refining
and fusing are Transformers at the first scale, convolutions at the others. All that depends on Z
alone is computed once a clip (`prepare`).
"""

from collections.abc import Mapping, Sequence
from typing import Literal, cast

from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional

from posediff.diffusion.choices import one_of
from posediff.nn.layers import heatmap_layer
from posediff.nn.time import TimeEmbedding
from posediff.nn.transformer import TransformerBlock
from posediff.pose.skeleton import skeleton as named
from posediff.tasks.video2d.strl import SCALES

GROUPS = 8
HEAD = 32  # channels of an attention head

Mode = Literal["lookup", "direct", "none"]


class Convolution(nn.Module):
    """x + 3x3 silu GN x"""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(GROUPS, channels)
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv(functional.silu(self.norm(x)))


class Transformer(nn.Sequential):
    """Layers of attention among the pixels of a small map."""

    def __init__(self, channels: int, depth: int) -> None:
        super().__init__(
            *(TransformerBlock(channels, max(1, channels // HEAD)) for _ in range(depth))
        )

    def forward(self, x: Tensor) -> Tensor:
        tokens = rearrange(x, "b c h w -> b (h w) c")
        for layer in self:
            tokens = layer(tokens)
        return rearrange(tokens, "b (h w) c -> b c h w", h=x.shape[-2])


class Interaction(nn.Module):
    """One scale j of LMSFI. `attends`: with Transformers; `fuse` convolutions are one and the rest.

    mode: `lookup`; `direct` fuses concat(x_j, Z_j) without a mask; `none` reads Z_j alone.
    """

    def __init__(
        self,
        channels: int,
        state_channels: int,
        width: int,
        mode: Mode,
        attends: bool,
        refine: int,
        fuse: int,
    ) -> None:
        super().__init__()
        self.mode, kernel = mode, 1 if attends else 3
        self.fuse_z = nn.Conv2d(channels, width, kernel, padding=kernel // 2)
        if mode != "none":
            read = channels if mode == "lookup" else state_channels
            self.fuse_x = nn.Conv2d(read, width, kernel, padding=kernel // 2, bias=False)
            self.refine = stack(state_channels, refine, attends)
        self.layers = stack(width, fuse if attends else fuse - 1, attends)

    def mask(self, x: Tensor) -> Tensor:
        """x_j (B, c, h, w) -> A_j (B, 1, h, w)"""
        return self.refine(x).amax(1, keepdim=True).sigmoid()

    def forward(self, x: Tensor | None, Z: Tensor | None, fused: Tensor) -> Tensor:
        """x_j (B, c, h, w), Z_j (B, C, h, w) and fuse_z(Z_j) -> G_j (B, width, h, w)."""
        y = fused
        if self.mode == "lookup" and x is not None and Z is not None:
            y = y + self.fuse_x(self.mask(x) * Z)
        elif self.mode == "direct" and x is not None:
            y = y + self.fuse_x(self.refine(x))
        return self.layers(y)


class PoseDecoder(nn.Module):
    """x_t (B, J, h, w) and the clip's features -> clean heatmaps (B, J, h, w), over [0, 1].

    channels, state_channels, width: of Z, of x~ and of G. scales: which of 1, 2, 3 take part.
    shift: whether t also shifts x~, or only scales it.
    """

    def __init__(
        self,
        skeleton: str,
        channels: int = 256,
        state_channels: int = 64,
        width: int = 128,
        mode: Mode = "lookup",
        refine: int = 1,
        fuse: int = 2,
        scales: Sequence[int] = SCALES,
        shift: bool = True,
    ) -> None:
        super().__init__()
        one_of("task.head.decoder.mode", mode, ("lookup", "direct", "none"))
        joints = len(named(skeleton).joints)
        check(scales, state_channels, width, fuse)
        c, self.mode, self.scales, self.shift = state_channels, mode, sorted(scales), shift
        if mode != "none":
            self.enter = nn.Conv2d(joints, c, 3, padding=1)
            self.time = TimeEmbedding(c, 2 * c if shift else c)
            self.down = nn.ModuleList(
                nn.Conv2d(c, c, 3, stride=2, padding=1) for _ in range(min(scales), SCALES[-1])
            )
        self.interact = nn.ModuleDict(
            {str(j): Interaction(channels, c, width, mode, j == 1, refine, fuse) for j in scales}
        )
        self.norm = nn.GroupNorm(GROUPS, width)
        self.out = heatmap_layer(width, joints, 3)
        nn.init.zeros_(self.out.bias)  # type: ignore[arg-type]

    def prepare(self, Z: Sequence[Tensor]) -> dict[str, dict[int, Tensor]]:
        """The context of `forward`, all that depends on Z_1, Z_2, ... alone: by scale, fuse_z(Z_j)
        and, where it is looked up, Z_j."""
        fused = {j: cast(Interaction, self.interact[str(j)]).fuse_z(Z[j - 1]) for j in self.scales}
        read = {j: Z[j - 1] for j in self.scales if self.mode == "lookup"}
        return {"fused": fused, "Z": read}

    def forward(
        self, x_t: Tensor, t: Tensor, context: Mapping[str, Mapping[int, Tensor]]
    ) -> Tensor:
        states: dict[int, Tensor] = {} if self.mode == "none" else self.states(x_t, t)
        total: Tensor | float = 0.0
        for j in self.scales:
            fused, Z = context["fused"][j], context["Z"].get(j)
            G = self.interact[str(j)](states.get(j), Z, fused)
            total = total + finest(G, x_t)
        return self.out(functional.silu(self.norm(total)))

    def states(self, x_t: Tensor, t: Tensor) -> dict[int, Tensor]:
        """x_j (B, c, h, w) of every scale, from the finest down."""
        x, time = self.enter(x_t), self.time(t)[..., None, None]
        scale, *shift = time.chunk(2, 1) if self.shift else (time,)
        x = x * (1 + scale) + (shift[0] if shift else 0)
        states, j = {SCALES[-1]: x}, SCALES[-1]
        for down in self.down:
            x, j = down(functional.silu(x)), j - 1
            states[j] = x
        return states


def stack(channels: int, depth: int, attends: bool) -> nn.Module:
    if attends:
        return Transformer(channels, depth)
    return nn.Sequential(*(Convolution(channels) for _ in range(depth)))


def finest(x: Tensor, like: Tensor) -> Tensor:
    """A map at the size of another, where it is not."""
    size = like.shape[-2:]
    return x if x.shape[-2:] == size else functional.interpolate(x, size=size, mode="bilinear")


def check(scales: Sequence[int], state_channels: int, width: int, fuse: int) -> None:
    if not scales or len({*scales}) < len(scales) or not {*scales} <= {*SCALES}:
        raise ValueError(
            f"task.head.decoder.scales must be some of {list(SCALES)}, got {list(scales)}"
        )
    for key, value in (("state_channels", state_channels), ("width", width)):
        if value % GROUPS:
            raise ValueError(f"task.head.decoder.{key} must be a multiple of {GROUPS}, got {value}")
    if fuse < 1:
        raise ValueError(f"task.head.decoder.fuse must be at least 1, got {fuse}")
