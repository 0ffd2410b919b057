"""An articulated body in the h36m17 layout: bone lengths, and forward kinematics of a pose.

A pose is given by the position and heading of the pelvis, the turns of hips, chest and head, the
ankles in the world and the wrists relative to their shoulders. The other joints follow from the
bones:

    trunk   child = parent + R bone
    limb    root and end given, d = |end - root| kept within the joint's limits; the middle joint,
            knee or elbow, is  a = (upper^2 - lower^2 + d^2) / 2d  along the line from root to
            end and  sqrt(upper^2 - a^2)  off it, towards the side to which the joint bends
    height  the pelvis is as high as both legs allow, less the crouch

Axes: world x right, y forward, z up for a body of heading 0; metres, radians. The pair of limbs is
always (right, left). A turn is (yaw to the left, lean forward, tilt to the right).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

SIDES = np.array([1.0, -1.0])  # right is +x
KNEE = np.radians((4, 150))  # flexion, 0 is straight: the joint's range of motion
ELBOW = np.radians((4, 148))
SOFT = 0.004  # metres over which a limb slows down at its limit
REACH = 0.997  # of a leg's length in a standing body: some 9 degrees in the knee


@dataclass(frozen=True)
class Build:
    """Bone lengths in metres, the same on both sides."""

    hip: float  # pelvis to either hip
    thigh: float
    shin: float
    ankle: float  # height of the ankle above the floor
    spine: float  # pelvis to spine
    chest: float  # spine to thorax
    neck: float  # thorax to neck, which is near the nose
    head: float  # neck to the top
    shoulder: float  # thorax to either shoulder
    upper_arm: float
    forearm: float

    @property
    def leg(self) -> float:
        return self.thigh + self.shin

    @property
    def arm(self) -> float:
        return self.upper_arm + self.forearm


# Bone lengths over stature: adults of Human3.6M's proportions.
MEAN = Build(0.075, 0.252, 0.257, 0.047, 0.133, 0.147, 0.069, 0.066, 0.086, 0.159, 0.143)


def build(rng: np.random.Generator) -> Build:
    """Random adult of 1.5 to 1.95 m with long or short legs, narrow or wide; each bone varies."""
    stature = np.clip(rng.normal(1.71, 0.09), 1.5, 1.95)
    legs, width, arms = rng.normal(1.0, (0.02, 0.05, 0.02))
    ratio = {"thigh": legs, "shin": legs, "spine": 2 - legs, "chest": 2 - legs}
    ratio |= {"hip": 2 - width, "shoulder": width, "upper_arm": arms, "forearm": arms}
    variation = np.clip(rng.normal(1.0, 0.025, len(vars(MEAN))), 0.93, 1.07)
    lengths = (
        stature * mean * ratio.get(bone, 1.0) * k
        for (bone, mean), k in zip(vars(MEAN).items(), variation, strict=True)
    )
    return Build(*map(float, lengths))


@dataclass
class Pose:
    """F frames of a body."""

    pelvis: Array  # (F, 2) on the floor
    crouch: Array  # (F,) metres below the height of straight legs
    heading: Array  # (F,) radians to the left of y
    hips: Array  # (F, 3) turn from the heading: yaw, lean, tilt
    chest: Array  # (F, 3) the same
    head: Array  # (F, 3) the same
    ankles: Array  # (F, 2, 3) in the world
    wrists: Array  # (F, 2, 3) from the shoulder, in the axes of the heading
    splay: Array  # (F, 2) outward turn of the knees


def joints(body: Build, pose: Pose) -> Array:
    """The body's joints in the world, (F, 17, 3) metres in the order of h36m17."""
    heading = _yaw(pose.heading)
    hips, chest = rotation(pose.hips + heading), rotation(pose.chest + heading)
    waist = rotation((pose.hips + pose.chest) / 2 + heading)
    head, upright = rotation(pose.head + heading), rotation(heading)

    height = hip_height(body, pose) - pose.crouch
    pelvis = np.concatenate([pose.pelvis, height[:, None]], -1)
    spine = pelvis + waist @ (0.0, 0.0, body.spine)
    thorax = spine + chest @ (0.0, 0.0, body.chest)
    neck = thorax + head @ (body.neck * unit(np.array([0.0, 0.45, 1.0])))
    top = neck + head @ (body.head * unit(np.array([0.0, -0.4, 1.0])))

    hip = pelvis[:, None] + np.einsum("fij,sj->fsi", hips, _hips(body))
    toes = (pose.heading + pose.hips[:, 0])[:, None] - SIDES * pose.splay
    hinge = rotation(_yaw(toes))[..., 0]  # the axis of the knees points to the right
    forward = np.cross(hinge, pose.ankles - hip)
    knee, ankle = limb(hip, pose.ankles, body.thigh, body.shin, forward, KNEE)

    shoulder = thorax[:, None] + np.einsum("fij,fsj->fsi", chest, _shoulders(body, pose.wrists))
    wrists = shoulder + np.einsum("fij,fsj->fsi", upright, pose.wrists)
    outward = np.einsum("fij,fsj->fsi", upright, _elbow_side(body, pose.wrists))
    elbow, wrist = limb(shoulder, wrists, body.upper_arm, body.forearm, outward, ELBOW)

    right, left = 0, 1
    leg, arm = np.stack([hip, knee, ankle], 2), np.stack([shoulder, elbow, wrist], 2)
    trunk = np.stack([spine, thorax, neck, top], 1)
    parts = [pelvis[:, None], leg[:, right], leg[:, left], trunk, arm[:, left], arm[:, right]]
    return np.concatenate(parts, 1)


def hip_height(body: Build, pose: Pose) -> Array:
    """Height of the pelvis (F,) at which the more stretched leg is straight; the higher a foot is
    above the other, the less its leg limits the pelvis."""
    hips = np.einsum("fij,sj->fsi", rotation(pose.hips + _yaw(pose.heading)), _hips(body))
    aside = pose.ankles[..., :2] - pose.pelvis[:, None] - hips[..., :2]
    square = (REACH * body.leg) ** 2 - np.square(aside).sum(-1)
    foot = pose.ankles[..., 2]
    height = foot - hips[..., 2] + np.sqrt(np.maximum(square, 1e-4))
    height += 10 * np.square(foot - foot.min(-1, keepdims=True))
    return -_smooth_maximum(-height[:, 0], -height[:, 1])  # the lower of the two


def limb(
    root: Array, end: Array, upper: float, lower: float, side: Array, flexion: Array
) -> tuple[Array, Array]:
    """Middle and end joint of a limb that reaches for `end` and bends towards `side`.

    flexion: its limits (least, most) in radians. If `end` is out of reach, the limb points to it.
    """
    straight, folded = np.sqrt(upper**2 + lower**2 + 2 * upper * lower * np.cos(flexion))
    along = end - root
    d = np.linalg.norm(along, axis=-1, keepdims=True)
    along = along / d
    d = straight - _smooth_maximum(straight - _smooth_maximum(d, folded), 0.0)
    a = (upper**2 - lower**2 + d**2) / (2 * d)
    across = unit(side - (side * along).sum(-1, keepdims=True) * along)
    return root + a * along + np.sqrt(upper**2 - a**2) * across, root + d * along


def rotation(turn: Array) -> Array:
    """Matrices (..., 3, 3) of turns (..., 3)."""
    (c, a, e), (s, b, f) = np.moveaxis(np.cos(turn), -1, 0), np.moveaxis(np.sin(turn), -1, 0)
    rows = (
        (c * e + s * b * f, -s * a, c * f - s * b * e),
        (s * e - c * b * f, c * a, s * f + c * b * e),
        (-a * f, -b, a * e),
    )
    return np.stack([np.stack(row, -1) for row in rows], -2)


def unit(x: Array) -> Array:
    return np.asarray(x / np.linalg.norm(x, axis=-1, keepdims=True))


def _hips(body: Build) -> Array:
    return SIDES[:, None] * [body.hip, 0.0, 0.0]


def _shoulders(body: Build, wrists: Array) -> Array:
    """Shoulders from the thorax (F, 2, 3): up if the hand is raised, forward if it reaches out."""
    _, forward, up = np.moveaxis(wrists / body.arm, -1, 0)
    raised, drawn = 0.2 * (1 + up) ** 2 / 2 - 0.15, 0.3 * forward
    flat = np.cos(raised)
    return body.shoulder * np.stack(
        [SIDES * flat * np.cos(drawn), flat * np.sin(drawn), np.sin(raised)], -1
    )


def _elbow_side(body: Build, wrists: Array) -> Array:
    """Side to which elbows bend: down, outward and back; not back if the hand is raised."""
    up = np.clip(wrists[..., 2] / body.arm, -1, 1)
    return np.stack([SIDES * (0.55 + 0.25 * up), -0.5 + 0.5 * up, -0.6 + 0 * up], -1)


def _smooth_maximum(x: Array, y: Array | float) -> Array:
    """max(x, y) with its corner rounded over SOFT."""
    return SOFT * np.logaddexp(x / SOFT, y / SOFT)


def _yaw(angle: Array) -> Array:
    return angle[..., None] * [1.0, 0.0, 0.0]
