"""Random places and smooth paths of the wrists, relative to their shoulders.

A path interpolates distance and direction separately, so that the hand moves round its shoulder
and not through it; between opposite directions it passes in front of the body.
"""

import numpy as np
from numpy.typing import ArrayLike

from posediff.synthetic.body import SIDES, Array, Build, Pose, unit
from posediff.synthetic.curves import alternate, hermite, wander


def wrists_at(build: Build, swing: ArrayLike, abduction: ArrayLike, elbow: ArrayLike) -> Array:
    """Wrists (F, 2, 3) of arms by their angles in radians, 0 if they hang straight down: swing
    forward, abduction to the side, flexion of the elbow, each (F, 2) or broadcast to it."""
    swing, abduction, elbow, _ = np.broadcast_arrays(swing, abduction, elbow, SIDES)

    def direction(swing: Array, abduction: Array) -> Array:
        flat = np.cos(abduction)
        parts = [SIDES * np.sin(abduction), flat * np.sin(swing), -flat * np.cos(swing)]
        return np.stack(parts, -1)

    upper = build.upper_arm * direction(swing, abduction)
    return np.asarray(upper + build.forearm * direction(swing + elbow, abduction * np.cos(elbow)))


def targets(
    build: Build,
    rng: np.random.Generator,
    number: int,
    reach: tuple[float, float],
    up: tuple[float, float],
    out: tuple[float, float],
) -> Array:
    """Random places for both wrists, (number, 2, 3). Ranges: reach in arm lengths, up from the
    horizontal and outward from straight ahead in radians."""
    far, rise, aside = (rng.uniform(*span, (number, 2)) for span in (reach, up, out))
    flat = np.cos(rise)
    ahead = np.stack([SIDES * flat * np.sin(aside), flat * np.cos(aside), np.sin(rise)], -1)
    return np.asarray(build.arm * far[..., None] * ahead)


def visit(t: Array, times: ArrayLike, places: Array) -> Array:
    """A path round the shoulder through places (N, ..., 3) at their times (N,)."""
    return _cartesian(hermite(t, times, _polar(places)))


def blend(share: Array, start: Array, end: Array) -> Array:
    """The place after a share (..., 1) in 0..1 of the path round the shoulder."""
    polar = _polar(start)
    return _cartesian(polar + share * (_polar(end) - polar))


def raise_hand(t: Array, rng: np.random.Generator, pose: Pose, side: int) -> None:
    """Move one hand of the pose to the ear (a phone call) or to the chin, several times."""
    ear, chin = [-0.06 * SIDES[side], 0.08, 0.16], [-0.14 * SIDES[side], 0.17, 0.08]
    place = rng.normal((ear, chin)[rng.integers(2)], 0.02) + wander(rng, t, (0.008,) * 3)
    raised = alternate(rng, t, move=(0.7, 1.1), rest=(1.0, 4.0))[:, None]
    pose.wrists[:, side] = blend(raised, pose.wrists[:, side], place)


def _polar(place: Array) -> Array:
    """Direction and distance (..., 4) of places (..., 3)."""
    far = np.linalg.norm(place, axis=-1, keepdims=True)
    return np.concatenate([place / far, far], -1)


def _cartesian(polar: Array) -> Array:
    way, far = polar[..., :3], polar[..., 3:]
    short = 1 - np.square(way).sum(-1, keepdims=True)  # 0 at either end of a path
    return far * unit(way + short * [0.0, 1.0, 0.0])
