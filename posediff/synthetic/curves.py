"""Smooth random curves of time, of which motions are made.

wander   an idle drift: a sum of slow sines
course   through key values at key times, cubic Hermite; at rest there unless slopes are given
beats    irregular key times that cover a clip;  alternate: to and fro between 0 and 1
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]


def wander(rng: np.random.Generator, t: Array, sizes: ArrayLike, pace: float = 0.6) -> Array:
    """Drifts about 0, (F, *sizes.shape), of standard deviation `sizes` and at most `pace` Hz."""
    sizes = np.asarray(sizes, dtype=np.float64)
    rate = rng.uniform(0.15, 1.0, (4, *sizes.shape)) * pace
    phase = rng.uniform(0, 2 * np.pi, (4, *sizes.shape))
    waves = np.sin(2 * np.pi * np.multiply.outer(t, rate) + phase)
    return np.asarray(waves.sum(1) * sizes / np.sqrt(2))


def course(t: Array, times: ArrayLike, values: ArrayLike, slopes: ArrayLike = 0.0) -> Array:
    """(*t.shape, *values.shape[1:]); before the first and after the last key the curve rests."""
    times, values = np.asarray(times, dtype=np.float64), np.asarray(values, dtype=np.float64)
    slopes = np.broadcast_to(slopes, values.shape)
    i = np.clip(np.searchsorted(times, t, side="right") - 1, 0, len(times) - 2)
    shape = np.shape(t) + (1,) * (values.ndim - 1)
    span = (times[i + 1] - times[i]).reshape(shape)
    u = np.clip((t - times[i]).reshape(shape) / span, 0.0, 1.0)
    ease = u * u * (3 - 2 * u)
    bend = span * u * (1 - u) * ((1 - u) * slopes[i] - u * slopes[i + 1])
    return np.asarray(values[i] + ease * (values[i + 1] - values[i]) + bend)


def beats(rng: np.random.Generator, t: Array, shortest: float, longest: float) -> Array:
    """Key times with gaps of shortest to longest seconds, from before t[0] to after t[-1]."""
    gaps = rng.uniform(shortest, longest, 2 + int((t[-1] - t[0] + longest) / shortest))
    return np.asarray(t[0] - rng.uniform(0, longest) + np.cumsum(gaps) - gaps[0])


def alternate(
    rng: np.random.Generator, t: Array, move: tuple[float, float], rest: tuple[float, float]
) -> Array:
    """(F,) between 0 and 1: rests at either end for `rest` seconds and takes `move` to cross."""
    shortest, longest = move[0] + rest[0], move[1] + rest[1]
    turns = 3 + int((t[-1] - t[0] + 2 * longest) / shortest)
    gaps = rng.uniform((rest[0], move[0]), (rest[1], move[1]), (turns, 2))
    times = t[0] - rng.uniform(0, 2 * longest) + np.cumsum(gaps)  # end of a rest, of a move, ...
    return course(t, times, np.isin(np.arange(2 * turns) % 4, (1, 2)))
