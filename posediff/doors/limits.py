"""Bounds of what a file may claim before memory is taken for it: `limits` of the configuration.

A size that a header states is compared with a limit here and, where possible, with the bytes that
are there. A command sets the limits once, by `use`; whoever imports the library has the
defaults, and may call it, too.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

SMALL = 64e6  # bytes that may always be taken, however small the file is


@dataclass
class Limits:
    json_mb: float = 2048  # of a JSON file
    depth: float = 64  # of lists and objects inside each other
    array_mb: float = 16384  # of an array, unpacked
    ratio: float = 200  # of an array of over 64 MB to the bytes in the file that contain it
    megapixels: float = 250  # of an image
    setting: float = 100_000  # of a whole number in a model's config.json
    weights: float = 16  # numbers that a config.json may ask for, by those in its weight file
    left_out: float = 0.05  # part of samples, images, annotations or videos that may be left out


CURRENT = Limits()


def use(given: Mapping[str, Any]) -> None:
    """Set the limits, keys as in `Limits`. Raises ValueError unless each is a number above 0."""
    known = {field.name for field in fields(Limits)}
    for name, value in given.items():
        if name not in known:
            raise ValueError(f"limits.{name}: no such limit, only {', '.join(sorted(known))}")
        if isinstance(value, bool) or not isinstance(value, int | float) or not value > 0:
            raise ValueError(f"limits.{name} must be a number above 0, got {value!r}")
    for name, value in given.items():
        setattr(CURRENT, name, float(value))


def refuse_above(limit: str, where: object, value: float, what: str) -> None:
    """Raise ValueError if `value`, which is `what` of the file or entry `where`, is above a limit.

    limit: the name of a field of `Limits`.
    """
    most = getattr(CURRENT, limit)
    if value > most:
        raise ValueError(
            f"{where}: {what} is {value:,.6g}, more than limits.{limit}={most:g}: damaged, or set "
            f"limits.{limit} higher if it is right"
        )


def refuse_array(where: object, size: int, stored: int) -> None:
    """Raise ValueError for an array of `size` bytes that `stored` ones cannot contain."""
    refuse_above("array_mb", where, size / 1e6, "its size in MB")
    if size > SMALL:
        refuse_above("ratio", where, size / max(stored, 1), "its size by the bytes that contain it")


def refuse_left_out(lines: Sequence[str], count: int, what: str) -> None:
    """Raise ValueError if too many of `count` samples or entries cannot be used.

    lines: why, of each; the first is in the error. what: they are, in the plural.
    """
    if len(lines) > CURRENT.left_out * count:
        raise ValueError(
            f"{lines[0]} ({len(lines)} of the {count:,} {what} cannot be used, more than "
            f"limits.left_out={CURRENT.left_out:g} of them)"
        )
