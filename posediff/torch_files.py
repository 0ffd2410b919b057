"""Weight files of other projects, as torch.save writes them: tensors and plain Python values.

No other object is built and no code is run. NumPy's objects beside the weights (a random state, a
score) are read as an `Inert`. `write_torch` is for files of our own.
"""

import re
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

NUMPY = [
    *("numpy.ndarray", "numpy.dtype"),
    *(
        f"numpy.{core}.multiarray.{name}"
        for core in ("core", "_core")
        for name in ("_reconstruct", "scalar")
    ),
    *(f"numpy.random._pickle.__{name}_ctor" for name in ("randomstate", "bit_generator")),
    "numpy.random._mt19937.MT19937",
]


class Inert:
    """Replaces an object that is not built, and ignores its content."""

    def __init__(self, *_: object) -> None: ...
    def __setstate__(self, state: object) -> None: ...


WRAPPINGS = (  # keys around a state dict
    *("state_dict", "model_state_dict", "model_state", "model", "module", "net", "network"),
    *("weights", "params", "ema_state_dict", "state_dict_ema", "model_ema", "ema"),
)


def state_of(content: Any) -> dict[str, Tensor]:
    """The tensors by name in the content of a file; of nested ones under the usual keys the first
    with the most. Empty if there are none."""
    if not isinstance(content, Mapping):
        return {}
    state = {key: x for key, x in content.items() if isinstance(x, Tensor)}
    inner = (state_of(content[key]) for key in WRAPPINGS if isinstance(content.get(key), Mapping))
    return max((state, *inner), key=len)


def write_torch(content: Mapping[str, Any], path: Path) -> None:
    """torch.save. Raises OSError, which names the file, if the disk is full."""
    try:
        torch.save(dict(content), path)
    except RuntimeError as error:  # torch's word for it
        why = str(error).partition("\n")[0]
        raise OSError(f"{path}: cannot be written, is the disk full? ({why})") from None


def refuse_program(path: Path) -> None:
    """Raise ValueError for a TorchScript archive, which is code to be run."""
    try:
        if not zipfile.is_zipfile(path):
            return
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, RuntimeError):
        return  # torch.load says what is wrong with it
    if any(re.search(r"(^|/)(constants\.pkl|code/)", name) for name in names):
        raise ValueError(
            f"{path}: a TorchScript archive, which is a program and is not run: save the state "
            "dict of its model alone"
        )


def read_torch(path: Path) -> Any:
    """The content of a file, on the CPU.

    Raises:
        FileNotFoundError: no such file.
        ValueError: the file is damaged, or contains an object that is not NumPy's.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such weight file")
    refuse_program(path)
    try:
        with torch.serialization.safe_globals([(Inert, name) for name in NUMPY]):
            return torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise OSError(f"{path}: cannot be read ({error})") from None
    except Exception as error:  # torch.load fails in many ways on damaged files
        other = re.search(r"GLOBAL ([\w.]+)", str(error))
        if other:
            raise ValueError(
                f"{path}: contains {other[1]} beside its weights, which posediff does not "
                "unpickle: save the state dict alone"
            ) from None
        raise ValueError(f"{path}: damaged or no weight file; download it again") from None
