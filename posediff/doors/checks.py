"""Checks of values from files: numbers that are finite and in range, integers that are integers,
booleans that are booleans.

`where` names the file and the entry in the error, a ValueError.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

SINGLE = 3.0e38  # nearly the largest number in float32
INTEGER = 2**53  # up to which float64 has every integer


@contextmanager
def reading(where: object, form: str) -> Iterator[None]:
    """Raise ValueError in place of what a reader of nested values meets in those of another form,
    and name `where` in a ValueError that does not.

    form: what they should be, in the error.
    """
    try:
        yield
    except ValueError as e:
        if str(where).split(": ")[0] in str(e):
            raise
        raise ValueError(f"{where}: {' '.join(str(e).split())[:300]}") from e
    except (KeyError, IndexError, TypeError, AttributeError, OverflowError, ArithmeticError) as e:
        raise ValueError(f"{where}: {form} ({type(e).__name__}: {str(e)[:100]})") from None
    except (RuntimeError, RecursionError, MemoryError, StopIteration) as e:
        raise ValueError(f"{where}: {form} ({type(e).__name__}: {str(e)[:100]})") from None


def mapping(where: object, value: Any) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise ValueError(f"{where} must be an object, not {shown(value)}")
    return dict(value)


def listing(where: object, value: Any) -> list[Any]:
    if not isinstance(value, list | tuple):
        raise ValueError(f"{where} must be a list, not {shown(value)}")
    return list(value)


def entries(where: object, value: Any) -> list[dict[str, Any]]:
    """A list of objects."""
    found = listing(where, value)
    for n, entry in enumerate(found):
        if entry.__class__ is not dict:
            mapping(f"{where}[{n}]", entry)
    return found


def text(where: object, value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{where} must be a text, not {shown(value)}")
    return value


def flag(where: object, value: Any) -> bool:
    """true or false, or 1 or 0."""
    if not isinstance(value, bool) and not (isinstance(value, int | float) and value in (0, 1)):
        raise ValueError(f"{where} must be true or false (1 or 0), not {shown(value)}")
    return bool(value)


def integer(where: object, value: Any, low: int = -INTEGER, high: int = INTEGER) -> int:
    """A whole number in low .. high; 3.0 is one."""
    right = isinstance(value, int | float) and not isinstance(value, bool)
    if not right or value != value or not low <= value <= high or value != int(value):
        between = f"{low} .. {high}" if (low, high) != (-INTEGER, INTEGER) else "+-2^53"
        raise ValueError(f"{where} must be an integer in {between}, not {shown(value)}")
    return int(value)


def number(where: object, value: Any, low: float = -SINGLE, high: float = SINGLE) -> float:
    """A finite number in low .. high."""
    right = isinstance(value, int | float) and not isinstance(value, bool)
    if not right or not low <= value <= high:
        between = f" in {low:g} .. {high:g}" if (low, high) != (-SINGLE, SINGLE) else ""
        raise ValueError(f"{where} must be a finite number{between}, not {shown(value)}")
    return float(value)


def identity(where: object, value: Any) -> int | str:
    """An integer or a text."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError(f"{where} must be an integer or a string, got {shown(value)}")
    return value


def as_array(value: Any) -> NDArray[np.float64] | None:
    """Real numbers of any nesting as float64, None if they are no numbers, or are not in rows of
    one length; NaN stays."""
    try:
        array = np.asarray(value)
        if array.dtype.kind not in "iuf" and array.size:
            return None
        return array.astype(np.float64)
    except (ValueError, TypeError, OverflowError, RecursionError):
        return None


def array(where: object, value: Any, *shape: int, nan: bool = False) -> NDArray[np.float64]:
    """Numbers of a shape, -1 for any length, that float32 can hold. nan: whether NaN is one."""
    found = as_array(value)
    fits = found is not None and len(found.shape) == len(shape)
    if found is None or not fits or any(n not in (-1, m) for n, m in zip(shape, found.shape)):  # noqa: B905
        wanted = ", ".join("any" if n < 0 else str(n) for n in shape)
        raise ValueError(f"{where} must be finite numbers of shape ({wanted}), not {shown(value)}")
    good = np.abs(found) <= SINGLE
    if nan:
        good |= np.isnan(found)
    if not good.all():
        first = np.argwhere(~good)[0].tolist()
        raise ValueError(
            f"{where} must be finite, and {shown(first) if shape else 'it'} is "
            f"{found[tuple(first)]:g}"
        )
    return found


def of_words(where: object, words: Sequence[str], nan: bool = False) -> NDArray[np.float64]:
    """Numbers (N,) of the words of a line of text, each of which float32 can hold.

    nan: whether `nan` is one, and an empty word is NaN. Raises ValueError that names the column.
    """
    try:
        values = np.array([word if word.strip() else "nan" for word in words], np.float64)
    except (ValueError, OverflowError):
        values = np.array([np.inf if read_word(word) is None else 0.0 for word in words])
    good = np.abs(values) <= SINGLE
    if nan:
        good |= np.isnan(values)
    for n in np.flatnonzero(~good)[:1]:
        what = "is no number" if read_word(words[n]) is None else "is not finite, or too large"
        raise ValueError(f"{where}, column {n + 1}: {words[n][:60]!r} {what}; correct it")
    return values


def read_word(word: str) -> float | None:
    """The number of a word, which may be infinite; NaN for an empty one, None for text."""
    try:
        return float(word.strip() or "nan")
    except ValueError:
        return None


def representable(where: object, values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Numbers unchanged. Raises ValueError for one that is finite, but too large for float32."""
    for place in np.argwhere(np.isfinite(values) & (np.abs(values) > SINGLE))[:1]:
        raise ValueError(f"{where}: {values[tuple(place)]:g} at {place.tolist()} is too large")
    return values


def shown(value: Any, most: int = 60) -> str:
    """A value in short: its repr, or what it is."""
    if isinstance(value, list | tuple | Mapping) and len(value) > 8:
        kind = "an object" if isinstance(value, Mapping) else "a list"
        return f"{kind} of {len(value)}"
    if isinstance(value, np.ndarray):
        return f"an array of shape {value.shape} of {value.dtype}"
    if isinstance(value, int) and abs(value) > 10**most:
        return "a number of very many digits"
    words = repr(value)
    return words if len(words) <= most else f"{words[:most]}..."
