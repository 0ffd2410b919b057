"""The check of a choice that is made by name, for the whole library."""

from collections.abc import Iterable
from difflib import get_close_matches


def one_of(key: str, value: object, allowed: Iterable[str]) -> None:
    """Check the value of a configuration key.

    Raises ValueError if the value is none of those allowed.
    """
    names = list(allowed)
    if value not in names:
        near = get_close_matches(str(value).strip().lower(), names, 2)
        hint = f"; did you mean {' or '.join(near)}?" if near else ""
        raise ValueError(f"{key} must be one of {', '.join(names)}, got {value!r}{hint}")
