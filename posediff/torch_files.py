"""Weight files of other projects, as torch.save writes them: tensors and plain Python values.

No other object is built and no code is run. NumPy's objects beside the weights (a random state, a
score) are read as an `Inert`.
"""

import re
from pathlib import Path
from typing import Any

import torch

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


def read_torch(path: Path) -> Any:
    """The content of a file, on the CPU.

    Raises:
        FileNotFoundError: no such file.
        ValueError: the file is damaged, or contains an object that is not NumPy's.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such weight file")
    try:
        with torch.serialization.safe_globals([(Inert, name) for name in NUMPY]):
            return torch.load(path, map_location="cpu", weights_only=True)
    except OSError:
        raise
    except Exception as error:  # torch.load fails in many ways on damaged files
        other = re.search(r"GLOBAL ([\w.]+)", str(error))
        if other:
            raise ValueError(
                f"{path}: contains {other[1]} beside its weights, which posediff does not "
                "unpickle: save the state dict alone"
            ) from None
        raise ValueError(f"{path}: damaged or no weight file; download it again") from None
