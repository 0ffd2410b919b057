"""The camera of a rendered image: a pinhole without distortion, for arrays of NumPy."""

from typing import NamedTuple

import numpy as np

from posediff.synthetic.body import Array, unit


class Lens(NamedTuple):
    rotation: Array  # (3, 3) world -> camera
    centre: Array  # (3,) in the world
    focal: float  # pixels
    size: tuple[int, int]  # of the image, width and height

    def to_camera(self, points: Array) -> Array:
        """Camera coordinates of points (..., 3) in the world: x right, y down, z forward."""
        return np.asarray((points - self.centre) @ self.rotation.T)

    def project(self, points: Array) -> Array:
        """Pixels (..., 2) of points (..., 3) in camera coordinates."""
        middle = (np.array(self.size) - 1) / 2
        return np.asarray(self.focal * points[..., :2] / points[..., 2:] + middle)


def looking(way: Array, roll: float | Array) -> Array:
    """Rotation world -> camera (..., 3, 3) of a camera that looks along `way` (..., 3), rolled by
    `roll` radians, a number or (..., 1)."""
    ahead = unit(way)
    level = unit(np.cross(ahead, (0.0, 0.0, 1.0)))
    below = np.cross(ahead, level)
    right = np.cos(roll) * level + np.sin(roll) * below
    return np.stack([right, np.cross(ahead, right), ahead], -2)
