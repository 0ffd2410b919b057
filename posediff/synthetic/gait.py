"""A body on its two feet: idle, or stepping along a route.

route        time -> place on the floor (..., 2) and heading (...); may rest or turn
ankle_paths  footprints beside the place of the route about the middle of every stance; the foot
             rests there, rises over its ball, and moves to the next print
walk         pelvis, trunk and arms that belong to those steps
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from posediff.synthetic.body import SIDES, Array, Build, Pose, hip_height
from posediff.synthetic.curves import hermite, wander
from posediff.synthetic.hands import wrists_at

Route = Callable[[Array], tuple[Array, Array]]

GRAVITY = 9.81
BALL = 0.14  # metres from the ankle to the ball of the foot
HEEL = 0.05  # metres from the ankle to the heel, also along the foot
TOE_UP = 0.35  # radians, as the heel reaches the floor
LATE = 0.09  # of a period: a foot lands less far ahead of the body than it leaves behind it
STEP = 0.1  # seconds between the places of a route that give its acceleration


def stand(build: Build, t: Array, rng: np.random.Generator) -> Pose:
    """Idle, facing y: weight from foot to foot, arms hanging, small movements everywhere."""
    U, F = rng.uniform, len(t)
    stance = np.stack([SIDES * build.hip * U(0.8, 1.5), SIDES * U(-0.08, 0.08)], -1)
    ankles = np.concatenate([stance, np.full((2, 1), build.ankle)], -1)
    wrists = wrists_at(
        build,
        swing=U(-0.15, 0.15, 2) + wander(rng, t, (0.05, 0.05)),
        abduction=U(0.1, 0.25, 2) + wander(rng, t, (0.02, 0.02)),
        elbow=U(0.15, 0.5, 2) + wander(rng, t, (0.06, 0.06)),
    )
    return Pose(
        pelvis=wander(rng, t, (0.02, 0.01)) + U((0.0, -0.01), (0.0, 0.03)),
        crouch=0.01 + wander(rng, t, 0.003),
        heading=wander(rng, t, 0.04),
        hips=wander(rng, t, (0.03, 0.015, 0.02)) + U((0.0, -0.05, 0.0), (0.0, 0.08, 0.0)),
        chest=wander(rng, t, (0.05, 0.03, 0.025)) + U((0.0, -0.02, 0.0), (0.0, 0.16, 0.0)),
        head=wander(rng, t, (0.15, 0.06, 0.04)) + U((-0.2, -0.1, -0.06), (0.2, 0.25, 0.06)),
        ankles=np.tile(ankles, (F, 1, 1)),
        wrists=wrists,
        splay=np.tile(U(0.05, 0.25, 2), (F, 1)),
    )


def loop_route(rng: np.random.Generator, speed: float) -> Route:
    """Route round an ellipse of some 3 m at a constant speed (m/s), in a random direction."""
    axes, turn = rng.uniform(1.25, 1.6) * rng.uniform(0.85, 1.0, 2), rng.uniform(0, 2 * np.pi)
    way, start = rng.choice([-1.0, 1.0]), rng.uniform(0, 10)
    angle = np.linspace(0, 2 * np.pi, 2049)
    ring = axes * np.stack([np.cos(angle), way * np.sin(angle)], -1)
    length = np.concatenate([[0.0], np.linalg.norm(np.diff(ring, axis=0), axis=-1).cumsum()])

    def route(time: Array) -> tuple[Array, Array]:
        a = np.interp((start + speed * time) % length[-1], length, angle)
        place = axes * np.stack([np.cos(a), way * np.sin(a)], -1)
        ahead = axes * np.stack([-np.sin(a), way * np.cos(a)], -1)
        place = place @ [[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]]
        return place, np.arctan2(-ahead[..., 0], ahead[..., 1]) + turn

    return route


def sway_route(
    rng: np.random.Generator, size: Array, pace: Array, times: ArrayLike, headings: ArrayLike
) -> Route:
    """Route on the spot: sines of `size` (2,) metres and `pace` (2,) rad/s; turns through
    headings (N,) at their times (N,)."""
    phase = rng.uniform(0, 6, 2)

    def route(time: Array) -> tuple[Array, Array]:
        place = size * np.sin(np.multiply.outer(time, pace) + phase)
        return place, hermite(time, times, headings)

    return route


class Gait(NamedTuple):
    period: float  # seconds for two steps
    duty: float  # share of a period in which a foot rests; below a half both feet leave the floor
    heel: float  # radians to which a foot tips over its ball until it leaves the floor
    lift: float  # metres that it swings above that
    bounce: float  # metres that the pelvis rises over a supporting leg; negative for a runner
    swing: float  # of the arms, radians
    elbow: float  # mean flexion, radians


def ankle_paths(build: Build, t: Array, route: Route, gait: Gait, phase: float) -> Array:
    """Ankles (F, 2, 3). The right foot is in the middle of its stance if t / period + phase is a
    whole number, the left half a period later."""
    rest, swing = gait.duty * gait.period, (1 - gait.duty) * gait.period
    steps = np.arange(np.floor(t[0] / gait.period) - 2, np.ceil(t[-1] / gait.period) + 4)
    heading = route(t)[1]
    forward = np.stack([-np.sin(heading), np.cos(heading)], -1)

    def lifted(level: float, *moments: Array) -> Array:
        """0 at the first and the last of three moments of every step, `level` at the second."""
        times = np.stack(moments, -1).ravel()
        return hermite(t, times, np.tile([0.0, level, 0.0], len(steps)))

    ankles = np.empty((len(t), 2, 3))
    for side in (0, 1):
        middle = (steps + side / 2 - phase) * gait.period
        lands, leaves = middle - rest / 2, middle + rest / 2
        place, heading = route(middle - LATE * gait.period)
        prints = place + SIDES[side] * 0.8 * build.hip * right(heading)
        resting = np.stack([lands, leaves - 0.15 * swing], -1).ravel()
        foot = hermite(t, resting, prints.repeat(2, 0))
        toe = lifted(TOE_UP, lands - 0.3 * swing, lands, middle - 0.3 * rest)
        tip = lifted(gait.heel, middle + 0.1 * rest, leaves + 0.05 * swing, leaves + 0.75 * swing)
        up = lifted(gait.lift, leaves, leaves + 0.4 * swing, leaves + swing)
        roll = BALL * (1 - np.cos(tip)) - build.ankle * np.sin(toe)
        ankles[:, side, :2] = foot + roll[:, None] * forward
        ankles[:, side, 2] = build.ankle + BALL * np.sin(tip) + HEEL * np.sin(toe) + up
    return ankles


def walk(build: Build, t: Array, rng: np.random.Generator, route: Route, gait: Gait) -> Pose:
    """Steps along a route, from a random phase of the gait."""
    U, phase = rng.uniform, rng.random()
    pose = stand(build, t, rng)
    place, heading = route(t)
    pose.ankles = ankle_paths(build, t, route, gait, phase)
    pose.heading = pose.heading / 2 + heading

    cycle = t / gait.period + phase
    over = np.cos(2 * np.pi * cycle)  # 1: the right foot is in the middle of its stance
    strike = np.cos(2 * np.pi * (cycle + 0.45 * gait.duty))  # 1: the right heel lands
    yaw = U(0.05, 0.12) * strike
    pose.hips += np.stack([yaw, 0 * t, U(0.02, 0.06) * over], -1)
    pose.chest -= np.stack([U(0.5, 1.2) * yaw, 0 * t, U(0.0, 0.03) * over], -1)

    lean = np.arctan(lateral_acceleration(route, t) / GRAVITY)  # into the bend
    for turn, share in (pose.hips, 1 / 3), (pose.chest, 1 / 2), (pose.head, 1 / 3):
        turn[:, 2] += share * lean
    aside = U(0.01, 0.03) * over + build.leg * np.tan(lean)
    pose.pelvis = place + pose.pelvis / 2 + aside[:, None] * right(heading)

    swing = -gait.swing * strike[:, None] * SIDES
    elbow = gait.elbow + U(0.3, 0.7) * np.maximum(swing, -0.2) + wander(rng, t, (0.05, 0.05))
    abduction = U(0.1, 0.25, 2) + wander(rng, t, (0.02, 0.02))
    swing = swing - 0.15 * gait.elbow + U(-0.1, 0.1)
    pose.wrists = wrists_at(build, swing, abduction, elbow)

    # As high as the legs allow at their longest, so that the way up and down stays a clean wave.
    wave = gait.bounce * np.cos(4 * np.pi * (cycle + 0.03))
    room = hip_height(build, pose) - wave
    pose.crouch = room - room.min()
    return pose


def lateral_acceleration(route: Route, t: Array) -> Array:
    """Acceleration along a route towards the right of its heading, m/s^2."""
    (before, _), (place, heading), (after, _) = route(t - STEP), route(t), route(t + STEP)
    return np.asarray(((before + after - 2 * place) / STEP**2 * right(heading)).sum(-1))


def right(heading: Array) -> Array:
    return np.stack([np.cos(heading), np.sin(heading)], -1)
