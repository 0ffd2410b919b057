"""Choices by name, as configurations make them."""

from collections.abc import Sequence


def one_of(key: str, value: str, allowed: Sequence[str]) -> None:
    """ValueError where the value of a key is none of those allowed."""
    if value not in allowed:
        raise ValueError(f"{key} must be one of {', '.join(allowed)}, got {value!r}")
