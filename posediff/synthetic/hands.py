"""Where the hands of a body go: places for wrists, as seen from the shoulder.

Ways from one place to the next keep distance and direction apart, so that a hand swings round its
shoulder instead of cutting through it; of two opposite directions the way leads past the front.
"""

import numpy as np
from numpy.typing import ArrayLike

from posediff.synthetic.body import SIDES, Array, Build, Pose, unit
from posediff.synthetic.curves import alternate, course, wander


def hang(build: Build, swing: ArrayLike, spread: ArrayLike, elbow: ArrayLike) -> Array:
    """Wrists of arms by their angles: swing forward, spread to the side and flexion of the elbow,
    radians, each (F, 2) or broadcast to it -> (F, 2, 3)."""
    swing, spread, elbow, _ = np.broadcast_arrays(swing, spread, elbow, SIDES)

    def direction(swing: Array, spread: Array) -> Array:
        flat = np.cos(spread)
        return np.stack([SIDES * np.sin(spread), flat * np.sin(swing), -flat * np.cos(swing)], -1)

    upper = build.upper_arm * direction(swing, spread)
    return np.asarray(upper + build.forearm * direction(swing + elbow, spread * np.cos(elbow)))


def spots(
    build: Build,
    rng: np.random.Generator,
    number: int,
    reach: tuple[float, float],
    up: tuple[float, float],
    out: tuple[float, float],
) -> Array:
    """Random places for both hands, (number, 2, 3): reach in arm lengths, up from the horizontal
    and outward from straight ahead in radians."""
    far, rise, aside = (rng.uniform(*span, (number, 2)) for span in (reach, up, out))
    flat = np.cos(rise)
    ahead = np.stack([SIDES * flat * np.sin(aside), flat * np.cos(aside), np.sin(rise)], -1)
    return np.asarray(build.arm * far[..., None] * ahead)


def visit(t: Array, times: ArrayLike, places: Array) -> Array:
    """A course through places (N, ..., 3), round the shoulder."""
    return _cartesian(course(t, times, _polar(places)))


def blend(share: Array, here: Array, there: Array) -> Array:
    """From here to there, round the shoulder; share in 0..1 needs the trailing axis."""
    start = _polar(here)
    return _cartesian(start + share * (_polar(there) - start))


def raise_hand(build: Build, t: Array, rng: np.random.Generator, pose: Pose, side: int) -> None:
    """Takes a hand of the pose to the ear, as on the phone, or to the chin, now and then."""
    ear, chin = [-0.06 * SIDES[side], 0.08, 0.16], [-0.14 * SIDES[side], 0.17, 0.08]
    place = rng.normal((ear, chin)[rng.integers(2)], 0.02) + wander(rng, t, (0.008,) * 3)
    raised = alternate(rng, t, move=(0.7, 1.1), rest=(1.0, 4.0))[:, None]
    pose.wrists[:, side] = blend(raised, pose.wrists[:, side], place)


def _polar(place: Array) -> Array:
    """(..., 3) -> direction and distance (..., 4)."""
    far = np.linalg.norm(place, axis=-1, keepdims=True)
    return np.concatenate([place / far, far], -1)


def _cartesian(polar: Array) -> Array:
    way, far = polar[..., :3], polar[..., 3:]
    short = 1 - np.square(way).sum(-1, keepdims=True)  # 0 at either end
    return far * unit(way + short * [0.0, 1.0, 0.0])
