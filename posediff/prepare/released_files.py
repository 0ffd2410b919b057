"""Released checkpoint files -> their weights. Nothing in them is ever run.

    a list   [weights, optimizer state, epoch, step, EMA weights]; the last may be missing
             (GONGJIA0208: GCNdiff, GCNpose). Keys of the weights begin with `module.`, those of the
             EMA do not
    a dict   with the weights at `model_pos`, keys with `module.` (MixSTE, D3DP). There may be more
             in it: D3DP's holds a numpy RandomState, which torch's weights_only refuses

A pickle is a program that may call whatever it names. The reader lets in what makes tensors, and
gives every name of numpy and _codecs an inert stand-in, so that such an object is never built.
"""

import pickle
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import IO, Any

import torch
from torch import Tensor

Weights = Mapping[str, Tensor]

REAL = {
    ("collections", "OrderedDict"): OrderedDict,
    ("torch._utils", "_rebuild_tensor_v2"): torch._utils._rebuild_tensor_v2,
    ("torch._utils", "_rebuild_parameter"): torch._utils._rebuild_parameter,
}


class Inert:
    """Stands for an object that is not built; takes whatever it is given."""

    def __init__(self, *_: object) -> None: ...
    def __setstate__(self, state: object) -> None: ...


class Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if module.split(".")[0] in ("numpy", "_codecs"):
            return Inert
        if (module, name) not in REAL:
            raise pickle.UnpicklingError(f"it names {module}.{name}")
        return REAL[module, name]


def _load(file: IO[bytes], **options: Any) -> Any:
    return Unpickler(file, **options).load()


def read(path: Path) -> tuple[Weights, Weights | None]:
    """The weights and the EMA weights, if there are any, of a file in a released layout.

    Raises:
        FileNotFoundError: no such file.
        ValueError: damaged, more than tensors and numpy's numbers in it, or another layout.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file; give the released .pth or .bin files")
    restricted: Any = SimpleNamespace(__name__="restricted", Unpickler=Unpickler, load=_load)
    try:
        content = torch.load(path, "cpu", pickle_module=restricted, weights_only=False)
    except Exception as error:  # a broken stream can fail in any way
        why = str(error).partition("\n")[0] if isinstance(error, pickle.UnpicklingError) else ""
        why = f" ({why})" if why else ""
        raise ValueError(f"{path}: damaged, or holds more than tensors{why}; not read") from None
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
