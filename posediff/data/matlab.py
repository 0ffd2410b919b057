"""Numbers in MATLAB's files, of version 7.3 (which are HDF5) and older, as numpy arrays.

An array has MATLAB's shape, a cell is a list of arrays in MATLAB's (column) order. Nothing else is
read, and nothing is executed.
"""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from posediff.doors import hdf5_door
from posediff.doors.limits import refuse_array

Value = NDArray[np.float64] | list[NDArray[np.float64]]


def read_mat(path: Path, names: Sequence[str]) -> dict[str, Value]:
    """The variables of these names that the file has.

    Raises FileNotFoundError if there is no such file, ValueError if it is damaged or a variable is
    not numeric.
    """
    import h5py

    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing")
    try:
        found = _read_hdf5(path, names) if h5py.is_hdf5(path) else _read_classic(path, names)
    except Exception as error:  # both readers fail in many ways on a broken file
        text = " ".join(str(error).split())
        if isinstance(error, ValueError) and text.startswith(str(path)):  # one of our own
            raise
        raise ValueError(
            f"{path}: cannot be read as a MATLAB file ({text or type(error).__name__}): "
            "copy it again"
        ) from None

    def numbers(name: str, value: Any) -> NDArray[np.float64]:
        array = np.asarray(value)
        if array.dtype.kind not in "biuf":
            raise ValueError(f"{path}: {name} must be numeric, got {array.dtype}")
        return array.astype(np.float64)

    return {
        name: [numbers(name, x) for x in value] if isinstance(value, list) else numbers(name, value)
        for name, value in found.items()
    }


def read_array(path: Path, name: str, made_by: str) -> NDArray[np.float64]:
    """The array `name` of a file of the data set `made_by`.

    Raises as `read_mat`, and ValueError if the file has no such array.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file: look at dataset.root")
    found = read_mat(path, [name]).get(name)
    if found is None or isinstance(found, list):
        raise ValueError(f"{path}: no entry `{name}`: not a file of {made_by}")
    return found


def _read_hdf5(path: Path, names: Sequence[str]) -> dict[str, Any]:
    with hdf5_door.opened(path, "copy it again") as root:
        found = {name: root.raw(name).T for name in names if name in root}
        return {
            name: [root.raw(r).T for r in x.ravel(order="F")] if x.dtype == object else x
            for name, x in found.items()  # a cell: references to its entries
        }


def _read_classic(path: Path, names: Sequence[str]) -> dict[str, Any]:
    from scipy.io import loadmat, whosmat

    for name, shape, _ in whosmat(path):
        if name in names:
            refuse_array(f"{path}: {name}", 8 * math.prod(shape), path.stat().st_size)
    content = loadmat(path, variable_names=list(names))
    found = {name: content[name] for name in names if name in content}
    return {name: list(x.ravel(order="F")) if x.dtype == object else x for name, x in found.items()}
