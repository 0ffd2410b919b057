"""Read published pickles, numpy object arrays in npz files, without executing them.

A pickle is a program that may call any function by name. Here the few names that numpy writes are
replaced by inert classes, which only record their arguments; every other name is refused. Arrays
are made of the recorded bytes after the stream has ended without an error. Files that posediff
writes have no pickles.
"""

import io
import pickle
import re
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from posediff.doors import numpy_door


def read_npz(path: Path) -> dict[str, Any]:
    """The entries of an npz file; an object array without dimensions is the object inside it.

    Arrays may be read-only. Raises ValueError if the file is damaged or an entry contains other
    types than numpy arrays of numbers or text, dict, list, tuple, str, bytes and numbers.
    """
    entries = numpy_door.members(path, "copy it again")
    return {name: _read_npy(io.BytesIO(data), f"{path}: {name}") for name, data in entries.items()}


def read_pickle(stream: IO[bytes], name: str) -> Any:
    """One pickled object, with types as in `read_npz`; text of Python 2 is read as latin1.

    Raises ValueError, with `name`, if it is damaged or contains other types.
    """
    try:
        return _resolved(_Unpickler(stream, encoding="latin1").load(), {})
    except Exception as error:  # a broken stream can fail in any way
        text = " ".join(str(error).split())
        raise ValueError(f"{name}: cannot be read: {text or type(error).__name__}") from None


def _read_npy(stream: io.BytesIO, name: str) -> Any:
    remedy = "copy it again"
    if not numpy_door.header(stream, name, remedy).hasobject:
        return numpy_door.array_of(stream, name, stream.getbuffer().nbytes, remedy)
    np.lib.format.read_magic(stream)
    size = 2 if stream.getvalue()[6] == 1 else 4  # bytes of the header's length
    stream.seek(int.from_bytes(stream.read(size), "little"), io.SEEK_CUR)
    value = read_pickle(stream, name)
    return value.item() if isinstance(value, np.ndarray) and value.ndim == 0 else value


class _Inert:
    """Base of the replacements. Its __setstate__ prevents a state from setting attributes."""

    def __setstate__(self, state: Any) -> None:
        raise pickle.UnpicklingError(f"{type(self).__name__} with a state")


class _Bytes(_Inert):
    """Bytes, which Python 3 writes as latin1 text under protocol 2."""

    def __new__(cls, text: str = "", encoding: str = "latin1") -> bytes:  # type: ignore[misc]
        return _raw(text)


class _Dtype(_Inert):
    def __init__(self, code: Any, *_: object) -> None:
        if not re.fullmatch(r"[biufcSU]\d{1,9}|O[48]?", code):
            raise pickle.UnpicklingError(f"arrays of type {code!r} are not read")
        self.code, self.order = code, "|"

    def __setstate__(self, state: Any) -> None:
        _, self.order, *_ = state
        if self.order not in tuple("<>=|"):
            raise pickle.UnpicklingError(f"byte order {self.order!r}")

    def dtype(self) -> np.dtype[Any]:
        return np.dtype(f"{self.order}{self.code}")


class _Array(_Inert):
    """numpy's _reconstruct, whose arguments are not needed, and the state that follows it."""

    def __init__(self, *_: object) -> None:
        self.state: Any = None

    def __setstate__(self, state: Any) -> None:
        self.state = state

    def array(self, done: dict[int, Any]) -> NDArray[Any]:
        _, shape, kind, fortran, data = self.state
        dtype = kind.dtype()
        if dtype.hasobject:
            flat = np.empty(len(data), dtype)
            for i, node in enumerate(data):
                flat[i] = _resolved(node, done)
        else:
            flat = np.frombuffer(_raw(data), dtype)
        return flat.reshape(shape, order="F" if fortran else "C")


class _Buffer(_Array):
    """numpy's _frombuffer, for arrays under protocol 5."""

    def __init__(self, data: Any, kind: Any, shape: Any, order: str) -> None:
        self.state = 1, shape, kind, order == "F", data


class _Scalar(_Array):
    """numpy's scalar."""

    def __init__(self, kind: Any, data: Any) -> None:
        self.state = 1, (), kind, False, data


NAMES: dict[tuple[str, str], type[_Inert]] = {
    ("numpy", "ndarray"): _Inert,
    ("numpy", "dtype"): _Dtype,
    ("_codecs", "encode"): _Bytes,
    ("builtins", "bytes"): _Bytes,
    ("__builtin__", "bytes"): _Bytes,
}
for module in ("core.multiarray", "core.numeric", "_core.multiarray", "_core.numeric"):
    NAMES[f"numpy.{module}", "_reconstruct"] = _Array
    NAMES[f"numpy.{module}", "scalar"] = _Scalar
    NAMES[f"numpy.{module}", "_frombuffer"] = _Buffer


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> type[_Inert]:
        if (module, name) not in NAMES:
            raise pickle.UnpicklingError(
                f"it names {module}.{name}, and only numpy arrays, dict, list, tuple, str and "
                "numbers are allowed"
            )
        return NAMES[module, name]


def _resolved(node: Any, done: dict[int, Any]) -> Any:
    """The node with arrays in place of inert objects; `done`, by id, keeps shared parts shared."""
    if id(node) not in done:
        done[id(node)] = _resolve(node, done)
    return done[id(node)]


def _resolve(node: Any, done: dict[int, Any]) -> Any:
    match node:
        case None | str() | bytes() | bytearray() | bool() | int() | float():
            return node
        case dict():
            return {_resolved(k, done): _resolved(v, done) for k, v in node.items()}
        case list() | tuple():
            return type(node)(_resolved(item, done) for item in node)
        case _Scalar():
            return node.array(done).item()
        case _Array():
            return node.array(done)
    raise pickle.UnpicklingError(f"it contains a {type(node).__name__}")


def _raw(data: str | bytes) -> bytes:
    return data.encode("latin1") if isinstance(data, str) else data
