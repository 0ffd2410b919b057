"""Random numbers of a sample, which depend neither on its batch nor on its place there.

A key is 64 well-mixed bits made of what identifies the draw (seed, clip, frame, epoch). The i-th
number of a key is splitmix64's i-th output from that state (Steele, Lea and Flood, OOPSLA 2014):

    bits(key, i) = mix(key + (i + 1) * 0x9E3779B97F4A7C15)          modulo 2^64

so that any rows can be drawn at once, in any order, without the state of a generator.
"""

import hashlib
import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

GOLDEN = np.uint64(0x9E3779B97F4A7C15)
NORMAL = 1 << 32  # the first index of normal numbers, far above those of uniform ones


def keys(seed: int, *parts: ArrayLike) -> NDArray[np.uint64]:
    """A key (B,) per row of the integer arrays `parts`, which broadcast; their order counts."""
    key = _mix(np.array([seed % 2**64], np.uint64) + GOLDEN)
    for part in parts:
        key = _mix((key ^ np.atleast_1d(part).astype(np.uint64)) + GOLDEN)
    return key


def name_keys(names: Sequence[str]) -> NDArray[np.uint64]:
    """A 64-bit checksum per name, the same on every machine: a part for `keys`."""
    digests = (hashlib.blake2b(name.encode(), digest_size=8).digest() for name in names)
    return np.array([int.from_bytes(digest, "little") for digest in digests], np.uint64)


def uniform(keys: NDArray[np.uint64], n: int, first: int = 0) -> NDArray[np.float64]:
    """Numbers first .. first + n - 1 of keys (B,), (B, n) in [0, 1)."""
    bits = _mix(keys[:, None] + np.arange(first + 1, first + n + 1, dtype=np.uint64) * GOLDEN)
    return (bits >> np.uint64(11)).astype(np.float64) * 2.0**-53  # as many bits as float64 has


def normal(keys: NDArray[np.uint64], n: int) -> NDArray[np.float64]:
    """Numbers (B, n) of N(0, 1) by Box and Muller, independent of the first 2^32 uniform ones."""
    u = uniform(keys, n + n % 2, first=NORMAL)
    radius = np.sqrt(-2 * np.log1p(-u[:, 0::2]))  # 1 - u is never 0
    angle = 2 * np.pi * u[:, 1::2]
    pairs = np.stack([radius * np.cos(angle), radius * np.sin(angle)], -1)
    return pairs.reshape(len(keys), -1)[:, :n]


def lasting(
    keys_: NDArray[np.uint64],
    sequence: NDArray[np.uint64],
    frame: NDArray[np.int64],
    shares: Sequence[Sequence[float]],
    n: int,
) -> NDArray[np.float64]:
    """Numbers (B, n) of N(0, 1) that resemble each other in near frames of a sequence.

    Each (D, share) of `shares` is a part of the variance that changes over D frames: normal numbers
    at every D-th frame of the sequence, by its key (B,), and between them the two neighbours by
    distance. The rest is drawn anew by the keys (B,) of the frames.
    """
    x = math.sqrt(max(0.0, 1 - sum(share for _, share in shares))) * normal(keys_, n)
    for duration, share in shares:
        node, past = np.divmod(frame, int(duration))
        b = past[:, None] / duration
        before, after = (normal(keys(int(duration), sequence, node + i), n) for i in (0, 1))
        x += math.sqrt(share) * ((1 - b) * before + b * after) / np.hypot(1 - b, b)
    return x


def correlation_over(lag: int, duration: int) -> float:
    """The correlation of numbers of `lasting` that change over `duration` frames, `lag` frames
    apart, in the mean over where they lie between two nodes."""
    place = np.arange(duration)
    moved, b = place + lag, place / duration
    c = moved % duration / duration
    same = (1 - b) * (1 - c) + b * c
    shared = np.select([moved // duration == 0, moved // duration == 1], [same, b * (1 - c)], 0.0)
    return float((shared / np.hypot(1 - b, b) / np.hypot(1 - c, c)).mean())


def _mix(z: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """The finaliser of splitmix64: a bijection of 64 bits."""
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))
