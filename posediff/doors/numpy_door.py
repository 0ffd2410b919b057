"""The one way to read .npy and .npz: arrays of numbers and text, without pickles, whose sizes are
compared with the bytes that are there before anything is allocated.
"""

import io
import math
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from posediff.doors.limits import refuse_array

MAGIC = b"\x93NUMPY"
PICKLED = (
    "no plain array (pickled Python objects are not read); save numbers: "
    "np.save(path, np.asarray(values, dtype=np.float32))"
)


def read_npy(path: Path, remedy: str = "save it again") -> NDArray[Any]:
    """The array of a file. Raises FileNotFoundError or ValueError."""
    with _open(path) as file:
        if file.read(6) != MAGIC:
            raise ValueError(f"{path}: {PICKLED}")
        file.seek(0)
        return array_of(file, path, path.stat().st_size, remedy)


def read_npz(
    path: Path, remedy: str = "save it again", only: Sequence[str] = ()
) -> dict[str, NDArray[Any]]:
    """The arrays of a file, by name; if it has the first of `only`, no others than these.

    Raises FileNotFoundError or ValueError.
    """
    found = members(path, remedy, only)
    return {
        name: array_of(io.BytesIO(data), f"{path}: entry {name}", len(data), remedy)
        for name, data in found.items()
    }


def members(
    path: Path, remedy: str = "save it again", only: Sequence[str] = ()
) -> dict[str, bytes]:
    """The content of the .npy files inside an .npz, by name; `only` as in `read_npz`.

    Raises FileNotFoundError or ValueError.
    """
    found = dict[str, bytes]()
    try:
        with _open(path) as file, zipfile.ZipFile(file) as archive:
            parts = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}
            if only and only[0] in parts:
                parts = {name: info for name, info in parts.items() if name in only}
            whole = sum(info.file_size for info in parts.values())
            refuse_array(path, whole, path.stat().st_size)
            for name, info in parts.items():
                refuse_array(f"{path}: entry {info.filename}", info.file_size, info.compress_size)
                with archive.open(info) as member:
                    data = member.read(info.file_size)
                    if len(data) < info.file_size or member.read(1):
                        raise ValueError(f"entry {info.filename} is not of the size it claims")
                found[name] = data
    except FileNotFoundError:
        raise
    except (
        *(zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError, RuntimeError),
        *(NotImplementedError, OverflowError, IndexError, MemoryError, UnicodeDecodeError),
    ) as error:
        if str(error).startswith(str(path)):
            raise
        raise ValueError(
            f"{path}: cut short or no NumPy file ({reason(error)}): {remedy}"
        ) from None
    return found


def header(stream: IO[bytes], where: object, remedy: str) -> np.dtype[Any]:
    """The type of an array, once its shape has been compared with the bytes behind the header, but
    for Python's objects. The stream is at the beginning again. Raises ValueError."""
    form = np.lib.format
    try:
        version = form.read_magic(stream)
        reader = form.read_array_header_1_0 if version == (1, 0) else form.read_array_header_2_0
        if version not in ((1, 0), (2, 0), (3, 0)):
            raise ValueError(f"version {version}")
        shape, _, dtype = reader(stream)
        if any(not isinstance(n, int) or n < 0 for n in shape):
            raise ValueError(f"its shape is {shape}")
    except Exception as error:  # numpy evaluates the header's words, which fails in many ways
        raise ValueError(
            f"{where}: cut short or no NumPy file ({reason(error)}): {remedy}"
        ) from None
    at = stream.tell()
    size, there = math.prod(shape) * dtype.itemsize, stream.seek(0, io.SEEK_END) - at
    stream.seek(0)
    if not dtype.hasobject and size > there:
        raise ValueError(
            f"{where}: cut short or no NumPy file (an array of shape {shape} has {size} bytes, "
            f"{there} are there): {remedy}"
        )
    return dtype


def array_of(stream: IO[bytes], where: object, size: int, remedy: str) -> NDArray[Any]:
    """The array of a .npy stream of `size` bytes. Raises ValueError."""
    refuse_array(where, size, size)
    if header(stream, where, remedy).hasobject:
        raise ValueError(f"{where}: {PICKLED}")
    try:
        found: NDArray[Any] = np.lib.format.read_array(stream, allow_pickle=False)
    except (ValueError, OSError, EOFError, TypeError, MemoryError) as error:
        raise ValueError(
            f"{where}: cut short or no NumPy file ({reason(error)}): {remedy}"
        ) from None
    return found


def reason(error: Exception) -> str:
    """The first 200 letters of a message, on one line."""
    return " ".join(str(error).split())[:200] or type(error).__name__


def _open(path: Path) -> IO[bytes]:
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file")
    if not path.stat().st_size:
        raise ValueError(f"{path}: the file is empty")
    return path.open("rb")
