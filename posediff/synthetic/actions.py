"""Kinds of motion, each a random smooth function of time.

    motion(kind, build, frames, rng) -> joints in the world, 50 frames a second

Every kind starts from `stand` or `walk`, in which a body breathes, sways and looks around, and
changes what it needs. Everything that varies between clips is drawn from `rng`: amounts, tempo,
side, and the phase of the action at which the clip starts.
"""

from collections.abc import Callable

import numpy as np

from posediff.diffusion.choices import one_of
from posediff.synthetic.body import SIDES, Array, Build, Pose, joints
from posediff.synthetic.curves import alternate, hermite, key_times, wander
from posediff.synthetic.gait import GRAVITY, Gait, loop_route, right, stand, sway_route, walk
from posediff.synthetic.hands import blend, raise_hand, targets, visit, wrists_at

RATE = 50.0  # frames a second
ROOM = 1.6  # metres: the pelvis stays within this radius of the origin


def motion(kind: str, build: Build, frames: int, rng: np.random.Generator) -> Array:
    """One clip of `kind` (a key of KINDS) at a random place and heading: (F, 17, 3) metres in the
    order of h36m17, z up, the floor at 0. Raises ValueError if `kind` is unknown or `frames` is
    below 1."""
    one_of("kind", kind, KINDS)
    if frames < 1:
        raise ValueError(f"frames must be at least 1, got {frames}")
    world = joints(build, KINDS[kind](build, np.arange(frames) / RATE, rng))
    turn, away = rng.uniform(0, 2 * np.pi, 2)
    path = world[:, 0, :2]
    middle = (path.min(0) + path.max(0)) / 2
    room = max(ROOM - np.linalg.norm(path - middle, axis=-1).max(), 0.0)
    turned = (world[..., :2] - middle) @ np.stack([right(turn), right(turn + np.pi / 2)])
    world[..., :2] = turned + room * np.sqrt(rng.random()) * right(away)
    return world


def walking(build: Build, t: Array, rng: np.random.Generator) -> Pose:
    """A walk round the room, sometimes with a hand at the ear or the chin."""
    U = rng.uniform
    pace = U(0.8, 1.55)  # speed in m/s of a leg of 0.87 m; it grows as the leg's square root
    speed = pace * (build.leg / 0.87) ** 0.5
    gait = Gait(
        period=1.03 * (pace / 1.35) ** -0.45 * (build.leg / 0.87) ** 0.5 * U(0.95, 1.05),
        duty=0.62 - 0.03 * (pace - 1.2),
        heel=U(0.8, 1.05),
        lift=U(0.03, 0.06),
        bounce=0.010 + 0.018 * pace,
        swing=U(0.2, 0.35) * pace,
        elbow=U(0.2, 0.5),
    )
    pose = walk(build, t, rng, loop_route(rng, speed), gait)
    pose.chest[:, 1] += 0.03 * speed
    if rng.random() < 0.25:
        raise_hand(t, rng, pose, side=int(rng.integers(2)))
    return pose


def running(build: Build, t: Array, rng: np.random.Generator) -> Pose:
    """A jog round the room, sometimes on the spot."""
    U = rng.uniform
    speed = U(1.5, 2.3) * (rng.random() < 0.8)
    gait = Gait(
        period=U(0.66, 0.74),
        duty=0.38,
        heel=U(1.0, 1.2),
        lift=0.06 + U(0.04, 0.09) * speed,
        bounce=-U(0.018, 0.03),
        swing=U(0.45, 0.7),
        elbow=U(1.3, 1.8),
    )
    pose = walk(build, t, rng, loop_route(rng, speed), gait)
    pose.chest[:, 1] += U(0.08, 0.2)
    pose.hips[:, 1] += 0.1
    return pose


def turning(build: Build, t: Array, rng: np.random.Generator) -> Pose:
    """Steps on the spot to face one direction after another: eyes first, then shoulders."""
    U = rng.uniform
    times = key_times(rng, t, 1.0, 2.2)
    headings = np.cumsum(rng.choice([-1.0, 1.0], len(times)) * U(0.3, 1.6, len(times)))
    route = sway_route(rng, U(0.05, 0.2, 2), U(0.5, 1.2, 2), times, headings)
    gait = Gait(U(0.9, 1.2), duty=0.62, heel=0.5, lift=0.05, bounce=0.006, swing=0.08, elbow=0.6)
    pose = walk(build, t, rng, route, gait)
    ahead = hermite(t + 0.3, times, headings) - hermite(t, times, headings)
    pose.head[:, 0] += 0.8 * ahead
    pose.chest[:, 0] += 0.3 * ahead
    return pose


def dancing(build: Build, t: Array, rng: np.random.Generator) -> Pose:
    """Steps, hips, shoulders and arms to one beat."""
    U = rng.uniform
    period = U(0.9, 1.3)
    beat = 2 * np.pi / period
    times = key_times(rng, t, 1.0, 3.0)
    headings = np.cumsum(rng.normal(0, 0.6, len(times)))
    route = sway_route(rng, U(0.04, 0.12, 2), beat / np.array([2, 4]), times, headings)
    gait = Gait(period, 0.58, heel=U(0.6, 1), lift=U(0.03, 0.12), bounce=-0.02, swing=0, elbow=1)
    pose = walk(build, t, rng, route, gait)
    rhythm = np.sin(beat * t[:, None] * rng.choice([1, 2], 6) + U(0, 6, 6))
    pose.hips += rhythm[:, :3] * U(0.03, 0.2, 3) * [1, 0.4, 1]
    pose.chest -= rhythm[:, :3] * U(0.03, 0.2, 3) * [1, 0.6, 0.7]
    places = targets(build, rng, len(times), reach=(0.5, 0.8), up=(-1.2, 0.9), out=(-0.2, 0.9))
    pose.wrists = visit(t, times, places) + 0.08 * rhythm[:, None, 3:] * U(0.3, 1, (2, 3))
    return pose


def talking(build: Build, t: Array, rng: np.random.Generator) -> Pose:
    """Gestures with one hand or both; a free hand may go to the ear or the chin."""
    U = rng.uniform
    pose = stand(build, t, rng)
    times = key_times(rng, t, 1.2, 3.0)
    pose.pelvis[:, 0] += hermite(t, times, U(-0.06, 0.06, len(times)))
    pose.head += hermite(t, times, rng.normal(0, (0.35, 0.12, 0.06), (len(times), 3)))
    pose.chest += hermite(t, times, rng.normal(0, (0.12, 0.05, 0.04), (len(times), 3)))
    first, both = int(rng.integers(2)), rng.random() < 0.4
    for side in (first, 1 - first) if both else (first,):
        times = key_times(rng, t, 0.35, 1.1)
        places = targets(
            build, rng, len(times), reach=(0.45, 0.75), up=(-0.9, 0.1), out=(-0.4, 0.4)
        )
        pose.wrists[:, side] = visit(t, times, places[:, side]) + wander(rng, t, (0.015,) * 3)
    if not both and rng.random() < 0.5:
        raise_hand(t, rng, pose, side=1 - first)
    return pose


def waving(build: Build, t: Array, rng: np.random.Generator) -> Pose:
    """A forearm, or both, waved to and fro above a raised elbow."""
    U = rng.uniform
    pose = stand(build, t, rng)
    raised = alternate(rng, t, move=(0.6, 1.0), rest=(1.2, 2.5))
    first, both = int(rng.integers(2)), rng.random() < 0.25
    for side in (first, 1 - first) if both else (first,):
        lift, ahead, out = U(-0.5, 0.9), U(0.1, 0.5), SIDES[side]
        upper = np.array([np.cos(lift) * out, ahead, np.sin(lift)])
        angle = U(-0.1, 0.4) + U(0.3, 0.7) * np.sin(2 * np.pi * U(0.9, 2.2) * t)
        fore = np.stack([np.sin(angle) * out, 0.2 + 0 * t, np.cos(angle)], -1)
        hand = build.upper_arm * upper / np.linalg.norm(upper) + build.forearm * fore
        pose.wrists[:, side] = blend(raised[:, None], pose.wrists[:, side], hand)
        pose.chest[:, 2] -= raised * out * U(0.0, 0.12)
    return pose


def reaching(build: Build, t: Array, rng: np.random.Generator) -> Pose:
    """Objects reached for, high and low, with either hand; trunk and eyes follow."""
    U = rng.uniform
    pose = stand(build, t, rng)
    times = key_times(rng, t, 0.7, 1.4)
    N = len(times)
    used = rng.random((N, 2, 1)) < 0.5
    places = targets(build, rng, N, reach=(0.75, 0.99), up=(-0.9, 1.0), out=(-0.5, 0.9))
    home = pose.wrists[:1] + rng.normal(0, 0.04, (N, 2, 3))
    pose.wrists = (
        visit(t, times, np.where(used, places, home)) + wander(rng, t, (0.01,) * 3)[:, None]
    )

    aim = (used * places / build.arm).sum(1)
    turn, low = -aim[:, 0], used.max((1, 2)) * np.clip(0.4 - aim[:, 2], 0.0, 1.0)
    pose.chest += hermite(t, times, np.stack([0.35 * turn, U(0.3, 0.8) * low, -0.1 * turn], -1))
    pose.hips += hermite(t, times, np.stack([0.15 * turn, U(0.1, 0.3) * low, 0 * low], -1))
    pose.head += hermite(t, times, np.stack([0.4 * turn, 0.3 * low - 0.2 * aim[:, 2], 0 * low], -1))
    pose.crouch += hermite(t, times, U(0.0, 0.15) * low)
    return pose


def sitting(build: Build, t: Array, rng: np.random.Generator) -> Pose:
    """Down on a chair, there with the hands in the lap or gesturing, and up again."""
    U = rng.uniform
    pose = stand(build, t, rng)
    down = alternate(rng, t, move=(1.0, 1.7), rest=(0.8, 2.5))
    pose.crouch += down * (0.95 * build.leg + build.ankle - U(0.42, 0.52))
    pose.pelvis[:, 1] -= down * U(0.3, 0.38) * build.leg / 0.87
    pose.ankles[..., 0] += SIDES * U(0.0, 0.08)
    pose.splay += down[:, None] * U(0.0, 0.3)
    bowed = 4 * down * (1 - down) * U(0.5, 0.8)
    pose.chest[:, 1] += bowed + down * U(-0.1, 0.35)
    pose.hips[:, 1] += bowed + down * U(-0.3, 0.0)
    pose.head[:, 1] += 0.3 * bowed
    knees = np.stack([-SIDES * U(-0.02, 0.12), U(0.2, 0.4, 2), -U(0.3, 0.4, 2)], -1)
    times = key_times(rng, t, 0.5, 1.4)
    places = targets(build, rng, len(times), reach=(0.45, 0.75), up=(-0.8, 0.2), out=(-0.4, 0.3))
    idle = rng.random((len(times), 2, 1)) < U(0.3, 1.2)
    lap = visit(t, times, np.where(idle, knees, places)) + wander(rng, t, (0.01,) * 3)[:, None]
    pose.wrists = blend(down[:, None, None], pose.wrists, lap)
    return pose


def squatting(build: Build, t: Array, rng: np.random.Generator) -> Pose:
    """Knee bends, deep or shallow, arms forward."""
    U = rng.uniform
    pose = stand(build, t, rng)
    down = alternate(rng, t, move=(0.6, 1.1), rest=(0.1, 0.5))
    depth = U(0.28, 0.62)
    pose.ankles[..., 0] += SIDES * U(0.0, 0.12)
    pose.splay += U(0.1, 0.4)
    pose.crouch += down * depth * build.leg
    pose.pelvis[:, 1] -= down * depth * U(0.2, 0.35)
    pose.chest[:, 1] += down * depth * U(0.6, 2.2)
    pose.hips[:, 1] += down * depth * U(0.4, 1.2)
    pose.head[:, 1] += down * U(0.0, 0.3)
    arms = wrists_at(build, swing=U(0.9, 1.7), abduction=U(-0.1, 0.25), elbow=U(0.1, 1.2))
    pose.wrists = blend((down * U(0.3, 1.0))[:, None, None], pose.wrists, arms)
    return pose


def lifting(build: Build, t: Array, rng: np.random.Generator) -> Pose:
    """An object picked up from the floor, with one hand or both, by the knees or the back."""
    U = rng.uniform
    pose = stand(build, t, rng)
    down = alternate(rng, t, move=(0.8, 1.3), rest=(0.2, 0.7))
    knees = U(0.1, 0.5)
    bow = (1.6 - 1.6 * knees) * U(0.85, 1.1)
    pose.ankles[..., 1] += SIDES * U(-0.15, 0.15)
    pose.crouch += down * knees * build.leg
    pose.pelvis[:, 1] -= down * (0.12 + 0.12 * knees)
    pose.chest[:, 1] += down * bow
    pose.hips[:, 1] += down * bow * U(0.55, 0.75)
    pose.head[:, 1] += down * bow * U(0.6, 0.9)
    carried = wrists_at(build, swing=U(0.1, 0.5), abduction=U(-0.05, 0.1), elbow=U(1.0, 1.7))
    grasp = np.stack([-SIDES * U(0.0, 0.12), U(0.0, 0.2, 2), -U(0.85, 0.97, 2) * build.arm], -1)
    held = blend(down[:, None, None], carried, grasp) + wander(rng, t, (0.008,) * 3)[:, None]
    if rng.random() < 0.4:
        pose.wrists = held
    else:
        side = rng.integers(2)
        pose.wrists[:, side] = held[:, side]
        pose.chest[:, 0] += down * SIDES[side] * U(0.1, 0.4)
        pose.chest[:, 2] += down * SIDES[side] * U(0.0, 0.2)
    return pose


def jumping(build: Build, t: Array, rng: np.random.Generator) -> Pose:
    """Jumps straight up: dip, push off, flight under gravity, landing."""
    U = rng.uniform
    pose = stand(build, t, rng)
    times, rises, speeds, swings = [], [], [], []
    clock = -U(0.0, 2.0)
    while clock < t[-1]:
        top = U(0.06, 0.35)
        dip, launch = U(0.12, 0.2) + 0.5 * top, np.sqrt(2 * GRAVITY * top)
        push = 2.2 * dip / launch
        moves = U(0.1, 0.6), U(0.35, 0.6), push, 2 * launch / GRAVITY, push, U(0.4, 0.6)
        times += list(clock + np.cumsum(moves))
        rises += [0.0, -dip, 0.0, 0.0, -dip * U(0.6, 0.9), 0.0]
        speeds += [0.0, 0.0, launch, -launch, 0.0, 0.0]
        swings += [0.1, -U(0.3, 0.8), 0.5 + top * U(2.0, 4.0), U(0.6, 1.2), U(0.1, 0.6), 0.1]
        clock = times[-1]
    rise = hermite(t, times, rises, speeds)
    air = 0.015 * np.logaddexp(0.0, rise / 0.015)  # the heels leave the floor a little early
    sunk = air - rise
    pose.ankles[..., 2] += air[:, None]
    pose.ankles[..., 1] -= 0.25 * air[:, None]
    pose.crouch += sunk
    pose.pelvis[:, 1] -= 0.3 * sunk
    for turn, share in (pose.chest, 2.0), (pose.hips, 1.2), (pose.head, 0.8):
        turn[:, 1] += share * sunk
    swing = hermite(t, times, swings)[:, None] + wander(rng, t, (0.08, 0.08))
    elbow = U(0.3, 0.8, 2) + wander(rng, t, (0.1, 0.1))
    pose.wrists = wrists_at(build, swing, abduction=U(0.1, 0.4, 2), elbow=elbow)
    return pose


def boxing(build: Build, t: Array, rng: np.random.Generator) -> Pose:
    """Guard up, knees slightly bent, moving; straight punches, single and in series."""
    U = rng.uniform
    pose = stand(build, t, rng)
    lead = rng.choice([1.0, -1.0], p=[0.3, 0.7]) * SIDES  # most have the left foot in front
    pose.ankles[..., 1] += lead * U(0.12, 0.22)
    pose.ankles[..., 0] += SIDES * U(0.02, 0.08)
    pose.crouch += U(0.06, 0.14) + wander(rng, t, 0.012, pace=2.0)
    pose.pelvis += wander(rng, t, (0.04, 0.04), pace=1.2)
    pose.chest += wander(rng, t, (0.04, 0.04, 0.05), pace=1.5)
    pose.chest[:, 1] += U(0.05, 0.25)
    for turn in pose.chest, pose.hips:
        turn[:, 0] += lead[0] * U(0.2, 0.5)
    guard = np.stack([-SIDES * U(0.02, 0.12), U(0.27, 0.36, 2), U(-0.12, 0.08, 2)], -1)
    pose.wrists = guard + wander(rng, t, (0.02,) * 3, pace=1.5)[:, None]
    clock = -U(0.0, 1.0)
    while clock < t[-1]:
        side, out, back = rng.integers(2), U(0.16, 0.24), U(0.22, 0.32)
        punch = hermite(t, clock + np.cumsum([0.0, out, back]), [0.0, 1.0, 0.0])
        aim = np.array([-SIDES[side] * U(-0.05, 0.2), 1.0, U(-0.3, 0.15)])
        target = U(0.85, 0.98) * build.arm * aim / np.linalg.norm(aim)
        pose.wrists[:, side] += punch[:, None] * (target - guard[side])
        pose.chest[:, 0] += punch * SIDES[side] * U(0.3, 0.6)
        pose.hips[:, 0] += punch * SIDES[side] * U(0.1, 0.25)
        clock += out + back + (U(-0.12, 0.1) if rng.random() < 0.6 else U(0.2, 0.9))
    return pose


def kicking(build: Build, t: Array, rng: np.random.Generator) -> Pose:
    """Front kicks: weight on the other leg, knee up, foot out, back, down."""
    U, side = rng.uniform, rng.integers(2)
    pose = stand(build, t, rng)
    rise = U(0.7, 1.6)  # of the leg from the vertical
    home = pose.ankles[0, side]
    hip = np.array([build.hip * SIDES[side], 0.0, build.ankle + 0.98 * build.leg])
    knee_up = hip + build.leg * np.array([0.0, U(0.1, 0.3), -U(0.45, 0.6)])
    aim = np.array([U(-0.1, 0.2) * SIDES[side], np.sin(rise), -np.cos(rise)])
    out = hip + U(0.92, 1.0) * build.leg * aim
    times, places, weight, lean = [], [], [], []
    clock = -U(0.0, 2.5)
    while clock < t[-1]:
        moves = U((0.2, 0.3, 0.28, 0.2, 0.3, 0.35), (0.8, 0.45, 0.36, 0.28, 0.4, 0.5))
        times += list(clock + np.cumsum(moves))
        places += [home, home, knee_up, out, knee_up, home]
        weight += [0.0, 1.0, 1.0, 1.0, 1.0, 0.2]
        lean += [0.0, 0.0, 0.4, 1.0, 0.5, 0.0]
        clock = times[-1]
    over, back = hermite(t, times, weight), hermite(t, times, lean)
    pose.ankles[:, side] = hermite(t, times, places)
    pose.pelvis[:, 0] += 0.8 * over * pose.ankles[0, 1 - side, 0]
    pose.crouch += over * U(0.01, 0.04)
    pose.chest[:, 1] -= back * U(0.1, 0.35)
    pose.hips[:, 1] -= back * U(0.1, 0.3)
    pose.hips[:, 0] += back * SIDES[side] * U(0.0, 0.3)
    pose.chest[:, 0] -= back * SIDES[side] * U(0.1, 0.4)
    arms = wrists_at(build, swing=U(-0.4, 0.8, 2), abduction=U(0.3, 0.8, 2), elbow=U(0.3, 1.5, 2))
    pose.wrists = blend((0.3 + 0.6 * over)[:, None, None], pose.wrists, arms)
    return pose


Act = Callable[[Build, Array, np.random.Generator], Pose]
ACTS: tuple[Act, ...] = (
    walking, running, turning, dancing, talking, waving, reaching, sitting, squatting, lifting,
    jumping, boxing, kicking,
)  # fmt: skip
KINDS = {act.__name__: act for act in ACTS}
