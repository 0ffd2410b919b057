"""Released checkpoint files -> their weights.

a list   [weights, optimizer state, epoch, step, EMA weights]; the last may be missing
         (GONGJIA0208: GCNdiff, GCNpose). Keys of the weights begin with `module.`, those of the
         EMA do not
a dict   with the weights at `model_pos`, keys with `module.` (MixSTE, D3DP). There may be more
         in it: D3DP's holds a numpy RandomState
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from posediff.torch_files import read_torch

Weights = Mapping[str, Tensor]


def read(path: Path) -> tuple[Weights, Weights | None]:
    """The weights and the EMA weights, if there are any, of a file in a released layout.

    Raises as `read_torch`, and ValueError for another layout.
    """
    content = read_torch(path)
    if isinstance(content, Mapping) and _is_weights(content.get("model_pos")):
        return _plain(content["model_pos"]), None
    if isinstance(content, list) and len(content) >= 4 and _is_weights(content[0]):
        return _plain(content[0]), next(filter(_is_weights, content[4:]), None)
    raise ValueError(
        f"{path}: not in a released layout, a list that begins with weights or a dict with "
        "weights at model_pos"
    )


def _plain(weights: Weights) -> Weights:
    return {key.removeprefix("module."): x for key, x in weights.items()}


def _is_weights(x: Any) -> bool:
    return isinstance(x, Mapping) and len(x) > 0 and all(map(torch.is_tensor, x.values()))
