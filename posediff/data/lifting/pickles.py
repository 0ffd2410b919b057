"""Reads the pickles of the field, numpy object arrays in npz files, without executing them.

A pickle is a program that may call whatever it names. Here the few names that numpy writes stand
for inert classes of this file, which only record what they are given; every other name is refused.
When the stream has ended without complaint, arrays are made of the recorded bytes. For files of
others alone: what posediff writes is free of pickles.
"""

import io
import pickle
import re
import zipfile
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray


def read_npz(path: Path) -> dict[str, Any]:
    """The entries of an npz file, an object array of no dimension as the object inside it.

    ValueError, naming file and entry, where the entry holds anything but numpy arrays of numbers or
    text, dict, list, tuple, str, bytes and numbers. Arrays may be read-only.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            entries = {name.removesuffix(".npy"): archive.read(name) for name in archive.namelist()}
    except zipfile.BadZipFile as error:
        raise ValueError(f"{path}: not an npz file ({error})") from None
    return {name: _read_npy(io.BytesIO(data), f"{path}: {name}") for name, data in entries.items()}


def read_pickle(stream: IO[bytes], name: str) -> Any:
    """One pickled object, under the rules of read_npz; text of Python 2 is taken as latin1."""
    try:
        return _finished(_Unpickler(stream, encoding="latin1").load(), {})
    except Exception as error:  # a broken stream can fail in any way
        text = " ".join(str(error).split())
        raise ValueError(f"{name}: cannot be read: {text or type(error).__name__}") from None


def _read_npy(stream: IO[bytes], name: str) -> Any:
    form = np.lib.format
    try:
        wide = form.read_magic(stream) > (1, 0)
        header = form.read_array_header_2_0 if wide else form.read_array_header_1_0
        if not header(stream)[2].hasobject:
            stream.seek(0)
            return form.read_array(stream, allow_pickle=False)
    except ValueError as error:
        raise ValueError(f"{name}: not a numpy array ({error})") from None
    value = read_pickle(stream, name)
    return value.item() if isinstance(value, np.ndarray) and value.ndim == 0 else value


class _Inert:
    """Stands for a name in the pickle. With a __setstate__ of its own no state goes elsewhere."""

    def __setstate__(self, state: Any) -> None:
        raise pickle.UnpicklingError(f"{type(self).__name__} with a state")


class _Bytes(_Inert):
    """Bytes, written by Python 3 under protocol 2 as latin1 text."""

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
        dtype: np.dtype[Any] = np.dtype(self.order + self.code)
        return dtype


class _Array(_Inert):
    """numpy's _reconstruct, whose arguments say nothing yet, and the state that follows it."""

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
                flat[i] = _finished(node, done)
        else:
            flat = np.frombuffer(_raw(data), dtype)
        return flat.reshape(shape, order="F" if fortran else "C")


class _Buffer(_Array):
    """numpy's _frombuffer: arrays under protocol 5."""

    def __init__(self, data: Any, kind: Any, shape: Any, order: str) -> None:
        self.state = 1, shape, kind, order == "F", data


class _Scalar(_Array):
    """numpy's scalar."""

    def __init__(self, kind: Any, data: Any) -> None:
        self.state = 1, (), kind, False, data


def _names() -> dict[tuple[str, str], type[_Inert]]:
    numpy = {"_reconstruct": _Array, "scalar": _Scalar, "_frombuffer": _Buffer}
    return {
        ("numpy", "ndarray"): _Inert,
        ("numpy", "dtype"): _Dtype,
        ("_codecs", "encode"): _Bytes,
        **{(module, "bytes"): _Bytes for module in ("builtins", "__builtin__")},
        **{
            (f"numpy.{core}.{module}", name): stand_in
            for core in ("core", "_core")
            for module in ("multiarray", "numeric")
            for name, stand_in in numpy.items()
        },
    }


class _Unpickler(pickle.Unpickler):
    known = _names()

    def find_class(self, module: str, name: str) -> type[_Inert]:
        if (module, name) not in self.known:
            raise pickle.UnpicklingError(
                f"it names {module}.{name}, and only numpy arrays, dict, list, tuple, str and "
                "numbers are let in"
            )
        return self.known[module, name]


def _finished(node: Any, done: dict[int, Any]) -> Any:
    """The node with arrays for stand-ins; what the pickle shares is made once."""
    if node is None or isinstance(node, str | bytes | bytearray | bool | int | float):
        return node
    if id(node) not in done:
        done[id(node)] = _made(node, done)
    return done[id(node)]


def _made(node: Any, done: dict[int, Any]) -> Any:
    match node:
        case dict():
            return {_finished(k, done): _finished(v, done) for k, v in node.items()}
        case list() | tuple():
            return type(node)(_finished(item, done) for item in node)
        case _Scalar():
            return node.array(done).item()
        case _Array():
            return node.array(done)
    raise pickle.UnpicklingError(f"it holds a {type(node).__name__}")


def _raw(data: str | bytes) -> bytes:
    return data.encode("latin1") if isinstance(data, str) else data
