"""The camera of a drawn picture: a pinhole without distortion. It holds arrays of NumPy, as all of
the drawn body does."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from posediff.synthetic.body import unit

Array = NDArray[np.float64]


class Lens(NamedTuple):
    rotation: Array  # (3, 3) world -> camera
    centre: Array  # (3,) in the world
    focal: float  # pixels
    size: tuple[int, int]  # of the picture, width and height

    def seen(self, points: Array) -> Array:
        """World (..., 3) -> camera, x right, y down, z ahead."""
        seen: Array = (points - self.centre) @ self.rotation.T
        return seen

    def project(self, seen: Array) -> Array:
        middle = (np.array(self.size) - 1) / 2
        pixels: Array = self.focal * seen[..., :2] / seen[..., 2:] + middle
        return pixels


def looking(way: NDArray[np.float64], roll: float) -> NDArray[np.float64]:
    """The rotation world -> camera of a camera that looks this way, rolled a little (radians)."""
    ahead = unit(way)
    level = unit(np.cross(ahead, (0.0, 0.0, 1.0)))
    below = np.cross(ahead, level)
    right = np.cos(roll) * level + np.sin(roll) * below
    return np.stack([right, np.cross(ahead, right), ahead])
