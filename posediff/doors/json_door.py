"""The one way to read JSON: UTF-8, of bounded size and depth, each key of an object once.

NaN and Infinity are read as JSON's users write them; who needs finite numbers checks for them.
"""

import gc
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from posediff.doors.limits import refuse_above

STRUCTURE = b'[]{}":'
OTHER = bytes(set(range(256)) - set(STRUCTURE))
AGAIN, SPELLING = "write it again", "correct its path"
SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")


def read_json(path: Path, what: str = "file", remedy: str = AGAIN) -> Any:
    """The content of a file. `what` it is, and what to do about a bad one, are words of errors.

    Raises FileNotFoundError if there is no such file, ValueError if it cannot be used.
    """
    if not path.is_file():
        raise FileNotFoundError(
            f"{path}: no such {what}: {SPELLING if remedy == AGAIN else remedy}"
        )
    refuse_above("json_mb", path, path.stat().st_size / 1e6, "its size in MB")
    return parsed(path.read_bytes(), path, remedy)


def parsed(data: bytes, where: object, remedy: str = AGAIN) -> Any:
    """The content of a text in UTF-8; `where` it is from. Raises ValueError."""
    data = data.removeprefix(b"\xef\xbb\xbf")
    if not data.strip():
        raise ValueError(f"{where}: empty: {remedy}")
    depth, keys = _structure(data)
    refuse_above("depth", where, depth, "the depth of its lists and objects")
    with _without_collector():
        try:
            content = orjson.loads(data)
        except orjson.JSONDecodeError:  # or with NaN; and its words are those of `json`
            return _thorough(data, where, remedy)
        return content if _held(content) == keys else _thorough(data, where, remedy)


def _thorough(data: bytes, where: object, remedy: str) -> Any:
    """The same by the slower reader, which knows NaN, and finds a key that is there twice."""
    try:
        content = json.loads(data.decode("utf-8"), object_pairs_hook=_once)
    except _Twice as error:
        raise ValueError(f"{where}: {error}: {remedy}") from None
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{where}: cut short or no JSON (not in UTF-8: {error.reason}): {remedy}"
        ) from None
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{where}: cut short or no JSON ({error}): {remedy}") from None
    if SURROGATE.search(data):
        try:
            json.dumps(content, ensure_ascii=False).encode("utf-8")
        except UnicodeEncodeError:
            raise ValueError(
                f"{where}: cut short or no JSON (half of a character in a text): {remedy}"
            ) from None
    return content


class _Twice(Exception):
    """A key that an object has twice."""


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        raise _Twice(f"key {next(n for n in names if names.count(n) > 1)!r} twice in an object")
    return found


def _structure(data: bytes) -> tuple[int, int]:
    """The depth of lists and objects, and the number of keys, as the text has them."""
    if b"\\" in data:
        data = re.sub(rb"\\.", b"", data, flags=re.DOTALL)
    marks = np.frombuffer(data.translate(None, OTHER), np.uint8)
    outside = np.cumsum(marks == ord('"'), dtype=np.int64) % 2 == 0
    marks = marks[outside]
    steps = ((marks == ord("[")) | (marks == ord("{"))).astype(np.int8)
    steps -= (marks == ord("]")) | (marks == ord("}"))
    return int(np.cumsum(steps, dtype=np.int64).max(initial=0)), int((marks == ord(":")).sum())


def _held(content: Any) -> int:
    """The number of keys, but for those of objects inside lists that begin with a number."""
    count, waiting = 0, [content]
    while waiting:
        node = waiting.pop()
        if node.__class__ is dict:
            count += len(node)
            node = node.values()
        elif node.__class__ is not list or (node and node[0].__class__ in (float, int)):
            continue
        waiting += [x for x in node if x.__class__ in (dict, list)]
    return count


@contextmanager
def _without_collector() -> Iterator[None]:
    """Without Python's collector of cycles, which would visit millions of new objects in vain."""
    before = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if before:
            gc.enable()
