"""MATLAB's files, of version 7.3 (which are HDF5) and the older ones, as plain numpy arrays.

Numbers come as arrays in MATLAB's shape, cells as lists of them in MATLAB's (column) order. Nothing
else is read, and nothing is executed.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Value = NDArray[np.float64] | list[NDArray[np.float64]]


def read_mat(path: Path, names: Sequence[str]) -> dict[str, Value]:
    """The variables of these names that the file has.

    FileNotFoundError, or ValueError with one line that names file and variable.
    """
    import h5py

    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing")
    try:
        read = _read_hdf5 if h5py.is_hdf5(path) else _read_classic
        return read(path, names)
    except _Odd as error:
        raise ValueError(f"{path}: {error}") from None
    except Exception as error:  # both readers fail in many ways on a broken file
        text = " ".join(str(error).split())
        raise ValueError(
            f"{path}: cannot be read as a MATLAB file ({text or type(error).__name__}): "
            "copy it again"
        ) from None


def read_array(path: Path, name: str, made_by: str) -> NDArray[np.float64]:
    """The array `name` of a file of the data set `made_by`. Raises as `read_mat`, and ValueError if
    the file has no such array."""
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file: look at dataset.root")
    found = read_mat(path, [name]).get(name)
    if found is None or isinstance(found, list):
        raise ValueError(f"{path}: no entry `{name}`: not a file of {made_by}")
    return found


class _Odd(Exception):
    """A file that can be read and holds something else."""


def _read_hdf5(path: Path, names: Sequence[str]) -> dict[str, Value]:
    import h5py

    found: dict[str, Value] = {}
    with h5py.File(path) as file:
        for name in (n for n in names if n in file):
            content = file[name][()]
            if content.dtype == object:  # a cell: references to its entries
                found[name] = [_numbers(name, file[r][()].T) for r in content.T.ravel(order="F")]
            else:
                found[name] = _numbers(name, content.T)
    return found


def _read_classic(path: Path, names: Sequence[str]) -> dict[str, Value]:
    from scipy.io import loadmat

    found: dict[str, Value] = {}
    content = loadmat(path, variable_names=list(names))
    for name in (n for n in names if n in content):
        value = content[name]
        if value.dtype == object:
            found[name] = [_numbers(name, x) for x in value.ravel(order="F")]
        else:
            found[name] = _numbers(name, value)
    return found


def _numbers(name: str, value: Any) -> NDArray[np.float64]:
    array = np.asarray(value)
    if array.dtype.kind not in "biuf":
        raise _Odd(f"{name} must hold numbers, not {array.dtype}")
    return array.astype(np.float64)
