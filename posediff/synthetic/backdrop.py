"""What is behind the people of a rendered picture: a floor and a wall, or grass and sky, and things
there that have edges, lines and grain, out of focus to some degree. RGB 0..1, float32."""

import numpy as np
from numpy.typing import NDArray

Layer = NDArray[np.float32]  # (h, w, 3) or (h, w)
Colour = NDArray[np.float64]  # RGB


def backdrop(rng: np.random.Generator, size: tuple[int, int], horizon: float) -> Layer:
    """A picture (h, w, 3) of (width, height) `size`; the floor begins in row `horizon`."""
    import cv2

    width, height = size
    wall, floor = colour(rng), colour(rng)
    fade = np.linspace(0, rng.uniform(-0.25, 0.25), height)[:, None]
    rows = np.where(np.arange(height)[:, None] < horizon, wall + fade, floor - fade)
    ground = np.ascontiguousarray(np.broadcast_to(rows[:, None], (height, width, 3)), np.float32)
    for _ in range(rng.integers(3, 12)):
        _thing(rng, ground)
    for _ in range(rng.integers(0, 4)):
        _lines(rng, ground)
    for strength, octaves in ((0.14, 8), (0.05, 3)):
        ground += strength * noise(rng, size, octaves)[..., None]
    soft = cv2.GaussianBlur(ground, (0, 0), rng.uniform(0.2, 2.5))
    return np.asarray(np.clip(soft, 0, 1), np.float32)


def colour(rng: np.random.Generator) -> Colour:
    """Rather dull, now and then bright."""
    chroma = 0.25 if rng.random() < 0.2 else 0.08
    return np.clip(rng.uniform(0.08, 0.92) + rng.normal(0, chroma, 3), 0.02, 0.98)


def noise(rng: np.random.Generator, size: tuple[int, int], octaves: int) -> Layer:
    """Clouds of all sizes (h, w), about 0, mostly within +-1."""
    import cv2

    width, height = size
    total = np.zeros((height, width), np.float32)
    for octave in range(octaves):
        cells = 2 ** (octave + 1)
        shape = cells + 1, cells * width // height + 1
        coarse = rng.normal(0, 0.6 ** (octave + 1), shape).astype(np.float32)
        total += cv2.resize(coarse, size, interpolation=cv2.INTER_LINEAR)
    return total


def _thing(rng: np.random.Generator, ground: Layer) -> None:
    """A window, a door, a field: four corners, see-through to some degree."""
    import cv2

    size = ground.shape[1::-1]
    (left, top), (right, bottom) = np.sort(rng.uniform(-0.2, 1.2, (2, 2)), 0)
    corners = np.array([(left, top), (right, top), (right, bottom), (left, bottom)])
    corners = (corners + rng.uniform(-0.06, 0.06, (4, 2))) * size
    painted = cv2.fillConvexPoly(ground.copy(), _whole(corners), colour(rng).tolist())
    thick = rng.uniform(0.3, 1.0)
    cv2.addWeighted(painted, thick, ground, 1 - thick, 0, dst=ground)


def _lines(rng: np.random.Generator, ground: Layer) -> None:
    """A fence, boards, tiles: parallel lines that fan out a little."""
    import cv2

    size = np.array(ground.shape[1::-1])
    at, way = rng.uniform(0, 1, 2) * size, rng.normal(0, 0.5, 2) * size
    step = rng.normal(0, 0.04, 2) * size
    shade, thick = colour(rng).tolist(), int(rng.integers(1, 5))
    for n in range(rng.integers(3, 16)):
        ends = _whole(np.stack([at + n * step, at + way + n * step * rng.uniform(0.9, 1.1)]))
        cv2.line(ground, ends[0].tolist(), ends[1].tolist(), shade, thick, cv2.LINE_AA)


def _whole(points: NDArray[np.float64]) -> NDArray[np.int32]:
    return np.round(points).astype(np.int32)
