"""Random smooth curves of time, the parts that motions are made of.

wander     a slow drift: a sum of sines
hermite    a cubic Hermite curve through values at key times; slope 0 there unless slopes are given
key_times  irregular key times that cover a clip
alternate  a curve that goes to and fro between 0 and 1
"""

import numpy as np
from numpy.typing import ArrayLike

from posediff.synthetic.body import Array


def wander(rng: np.random.Generator, t: Array, sizes: ArrayLike, pace: float = 0.6) -> Array:
    """Drifts about 0, (F, *sizes.shape), of standard deviation `sizes` and at most `pace` Hz."""
    sizes = np.asarray(sizes, dtype=np.float64)
    rate = rng.uniform(0.15, 1.0, (4, *sizes.shape)) * pace
    phase = rng.uniform(0, 2 * np.pi, (4, *sizes.shape))
    waves = np.sin(2 * np.pi * np.multiply.outer(t, rate) + phase)
    return np.asarray(waves.sum(1) * sizes / np.sqrt(2))


def hermite(t: Array, times: ArrayLike, values: ArrayLike, slopes: ArrayLike = 0.0) -> Array:
    """Curve (*t.shape, *values.shape[1:]); constant before the first and after the last key."""
    times, values = np.asarray(times, dtype=np.float64), np.asarray(values, dtype=np.float64)
    slopes = np.broadcast_to(slopes, values.shape)
    i = np.clip(np.searchsorted(times, t, side="right") - 1, 0, len(times) - 2)
    shape = np.shape(t) + (1,) * (values.ndim - 1)
    span = (times[i + 1] - times[i]).reshape(shape)
    u = np.clip((t - times[i]).reshape(shape) / span, 0.0, 1.0)
    ease = u * u * (3 - 2 * u)
    bend = span * u * (1 - u) * ((1 - u) * slopes[i] - u * slopes[i + 1])
    return np.asarray(values[i] + ease * (values[i + 1] - values[i]) + bend)


def key_times(rng: np.random.Generator, t: Array, shortest: float, longest: float) -> Array:
    """Key times with gaps of shortest to longest seconds, from before t[0] to after t[-1]."""
    gaps = rng.uniform(shortest, longest, 2 + int((t[-1] - t[0] + longest) / shortest))
    return np.asarray(t[0] - rng.uniform(0, longest) + np.cumsum(gaps) - gaps[0])


def alternate(
    rng: np.random.Generator, t: Array, move: tuple[float, float], rest: tuple[float, float]
) -> Array:
    """Curve (F,) between 0 and 1. `rest` and `move` are the shortest and the longest time in
    seconds at either end and on the way between them."""
    shortest, longest = move[0] + rest[0], move[1] + rest[1]
    turns = 3 + int((t[-1] - t[0] + 2 * longest) / shortest)
    gaps = rng.uniform((rest[0], move[0]), (rest[1], move[1]), (turns, 2))
    times = t[0] - rng.uniform(0, 2 * longest) + np.cumsum(gaps)  # end of a rest, of a move, ...
    return hermite(t, times, np.isin(np.arange(2 * turns) % 4, (1, 2)))
