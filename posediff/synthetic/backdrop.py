"""The background of a rendered image: a floor and a wall, or grass and sky, with shapes, lines and
grain, blurred by a random amount. RGB 0..1, float32."""

import numpy as np
from numpy.typing import NDArray

from posediff.synthetic.body import Array

Layer = NDArray[np.float32]  # (h, w, 3) or (h, w)


def backdrop(rng: np.random.Generator, size: tuple[int, int], horizon: float) -> Layer:
    """Random background (h, w, 3) of (width, height) `size`; the floor starts in row `horizon`."""
    import cv2

    width, height = size
    wall, floor = colour(rng), colour(rng)
    fade = np.linspace(0, rng.uniform(-0.25, 0.25), height)[:, None]
    rows = np.where(np.arange(height)[:, None] < horizon, wall + fade, floor - fade)
    ground = rows[:, None].repeat(width, 1).astype(np.float32)
    for _ in range(rng.integers(3, 12)):
        _shape(rng, ground)
    for _ in range(rng.integers(0, 4)):
        _lines(rng, ground)
    for strength, octaves in ((0.14, 8), (0.05, 3)):
        ground += strength * noise(rng, size, octaves)[..., None]
    soft = cv2.GaussianBlur(ground, (0, 0), rng.uniform(0.2, 2.5))
    return np.asarray(np.clip(soft, 0, 1), np.float32)


def colour(rng: np.random.Generator) -> Array:
    """Random colour: mostly dull, sometimes bright."""
    chroma = 0.25 if rng.random() < 0.2 else 0.08
    return np.clip(rng.uniform(0.08, 0.92) + rng.normal(0, chroma, 3), 0.02, 0.98)


def noise(rng: np.random.Generator, size: tuple[int, int], octaves: int) -> Layer:
    """Random clouds of all sizes (h, w), about 0, mostly within +-1."""
    import cv2

    width, height = size
    total = np.zeros((height, width), np.float32)
    for octave in range(octaves):
        cells = 2 ** (octave + 1)
        shape = cells + 1, cells * width // height + 1
        coarse = rng.normal(0, 0.6 ** (octave + 1), shape).astype(np.float32)
        total += cv2.resize(coarse, size, interpolation=cv2.INTER_LINEAR)
    return total


def _shape(rng: np.random.Generator, ground: Layer) -> None:
    """Draw a window, a door or a field: four corners, partly transparent."""
    import cv2

    size = ground.shape[1::-1]
    (left, top), (right, bottom) = np.sort(rng.uniform(-0.2, 1.2, (2, 2)), 0)
    corners = np.array([(left, top), (right, top), (right, bottom), (left, bottom)])
    corners = (corners + rng.uniform(-0.06, 0.06, (4, 2))) * size
    whole = np.round(corners).astype(np.int32)
    painted = cv2.fillConvexPoly(ground.copy(), whole, colour(rng).tolist())
    opacity = rng.uniform(0.3, 1.0)
    cv2.addWeighted(painted, opacity, ground, 1 - opacity, 0, dst=ground)


def _lines(rng: np.random.Generator, ground: Layer) -> None:
    """Draw a fence, boards or tiles: nearly parallel lines."""
    import cv2

    size = np.array(ground.shape[1::-1])
    first, along = rng.uniform(0, 1, 2) * size, rng.normal(0, 0.5, 2) * size
    step = rng.normal(0, 0.04, 2) * size
    shade, thick = colour(rng).tolist(), int(rng.integers(1, 5))
    for n in range(rng.integers(3, 16)):
        ends = np.stack([first + n * step, first + along + n * step * rng.uniform(0.9, 1.1)])
        start, end = np.round(ends).astype(int).tolist()
        cv2.line(ground, start, end, shade, thick, cv2.LINE_AA)
