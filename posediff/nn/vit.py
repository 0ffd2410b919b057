"""ViTPose: a plain vision transformer and two deconvolutions (Xu et al., 2022, arXiv 2204.12484).

    tokens = patches(image) + position[1:] + position[:1]
    tokens += proj attention(LN tokens);   tokens += MLP(LN tokens)           depth times
    features = 1x1 ( relu BN deconv )^2 (LN tokens)                           stride 16 -> 4

There is no class token, but `pos_embed` has its slot, which is added to every patch. Patches are
16 x 16 with a margin of 2. Parameters are named as in the public weight files.
"""

from collections import OrderedDict
from collections.abc import Sequence

from einops import rearrange
from torch import Tensor, nn, zeros

from posediff.diffusion.choices import one_of
from posediff.nn.backbone import Backbone
from posediff.nn.layers import deconvolution
from posediff.nn.transformer import TransformerBlock

PATCH = 16
VARIANTS = {  # width, depth, heads
    "small": (384, 12, 12),
    "base": (768, 12, 12),
    "large": (1024, 24, 16),
    "huge": (1280, 32, 16),
}


class ViT(Backbone):
    """`size` is (width, height) of the crops, multiples of 16.

    Features are the 256 channels after the deconvolutions, projected to `features`. With `joints`
    the original's last 1x1 convolution replaces the projection: channels are heatmaps.
    Raises ValueError if the variant is unknown, or the size is not a multiple of 16.
    """

    optional = ("deconv_layers", "final_layer", "project")

    def __init__(
        self,
        variant: str = "base",
        size: Sequence[int] = (192, 256),
        features: int = 64,
        joints: int | None = None,
    ) -> None:
        super().__init__()
        one_of("backbone.network.variant", variant, VARIANTS)
        if any(side % PATCH for side in size):
            raise ValueError(f"the crop size must be multiples of {PATCH}, got {tuple(size)}")
        width, depth, heads = VARIANTS[variant]
        self.channels = joints or features
        self.grid = size[1] // PATCH, size[0] // PATCH
        self.pos_embed = nn.Parameter(zeros(1, 1 + self.grid[0] * self.grid[1], width))
        self.patch_embed = nn.Sequential(
            OrderedDict(proj=nn.Conv2d(3, width, PATCH, stride=PATCH, padding=2))
        )
        self.blocks = nn.Sequential(*(TransformerBlock(width, heads) for _ in range(depth)))
        self.last_norm = nn.LayerNorm(width, eps=1e-6)
        self.deconv_layers = nn.Sequential(*deconvolution(width, 256), *deconvolution(256, 256))
        self.project = nn.Identity() if joints else nn.Conv2d(256, features, 1)
        self.final_layer = nn.Conv2d(256, joints, 1) if joints else nn.Identity()
        self.apply(initialise)
        nn.init.trunc_normal_(self.pos_embed, std=0.02)

    def bare(self) -> "ViT":
        self.deconv_layers, self.project = nn.Sequential(), nn.Identity()
        self.final_layer = nn.Identity()
        self.channels, self.stride = self.last_norm.normalized_shape[0], PATCH
        return self

    def layers_above(self, name: str) -> int:
        if name.startswith(("patch_embed.", "pos_embed")):
            return 1 + len(self.blocks)
        return len(self.blocks) - int(name.split(".")[1]) if name.startswith("blocks.") else 0

    def maps(self, image: Tensor) -> list[Tensor]:
        """The tokens, (B, 3, H, W) -> (B, width, H / 16, W / 16)."""
        h, w = self.grid
        if image.shape[-2:] != (h * PATCH, w * PATCH):
            got, built = f"{image.shape[-1]} x {image.shape[-2]}", f"{w * PATCH} x {h * PATCH}"
            raise ValueError(f"this ViT is for crops of {built}, got {got}: set dataset.size")
        x = rearrange(self.patch_embed(image), "b c h w -> b (h w) c")
        x = self.blocks(x + self.pos_embed[:, 1:] + self.pos_embed[:, :1])
        return [rearrange(self.last_norm(x), "b (h w) c -> b c h w", h=h)]

    def join(self, maps: Sequence[Tensor]) -> Tensor:
        (tokens,) = maps
        return self.final_layer(self.project(self.deconv_layers(tokens)))


def initialise(module: nn.Module) -> None:
    if isinstance(module, nn.Linear):
        nn.init.trunc_normal_(module.weight, std=0.02)
        nn.init.zeros_(module.bias)
