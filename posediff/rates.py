"""Factors of the learning rate, and shares of a batch, by the part of training done, 0 .. 1."""

import math
from collections.abc import Callable, Mapping, Sequence


def constant(done: float, **others: object) -> float:
    """1. Options of `others` are ignored: where this replaces the rate of a trainer, the options of
    that one stay in the configuration."""
    return 1.0


def never(done: float) -> float:
    return 0.0


def exponential(done: float, last: float) -> float:
    """An exponential decay to the part `last`: r ** n for the factor r per epoch, over n epochs."""
    return math.pow(last, done)


def stairs(done: float, at: Sequence[float], warmup: float = 0.0) -> float:
    """Linear over the first part `warmup`, then a tenth from each of the parts `at` on."""
    if done < warmup:
        return done / warmup
    return float(0.1 ** sum(done >= step for step in at))


def cosine(done: float, warmup: float = 0.0) -> float:
    """Linear over the first part `warmup` of training, then a half cosine down to 0."""
    if done < warmup:
        return done / warmup
    return (1 + math.cos(math.pi * (done - warmup) / (1 - warmup))) / 2


def self_aligned(given: Mapping[str, float] | None) -> Callable[[float], float]:
    """The share of a batch that is self-aligned, of the part of training done: `share` from the
    part `from` on; None is never.

    Raises ValueError for a value outside 0 .. 1.
    """
    if given is None:
        return never
    for key in ("share", "from"):
        if not isinstance(given[key], int | float) or not 0 <= given[key] <= 1:
            raise ValueError(f"trainer.self_aligned.{key} must be in 0 .. 1, got {given[key]!r}")
    share, begin = given["share"], given["from"]
    return lambda done: share if done >= begin else 0.0
