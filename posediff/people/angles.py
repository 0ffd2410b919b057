"""Angles of the joints of 3D poses, in degrees, and their mean and intervals over hypotheses.

With the points of a pose, in axes of which `up` is the vertical,

    u = the trunk, from the middle of the hips to the middle of the shoulders
    knee, elbow flexion     the angle between the bone above the joint and the bone below it:
                            0 straight, 90 a right angle
    hip flexion             atan2(b . f, -b . u / |u|) of the thigh b, where f = w x u / |w x u| is
                            forward and w goes from the right hip to the left one: 0 along the trunk
                            downwards, 90 forward, negative backward; a movement to the side is left
                            out, and a thigh that points straight to the side has no such angle
    shoulder elevation      the angle between the upper arm and -u: 0 hanging, 90 horizontal to any
                            side, 180 above the head. An angle of flexion, as that of the hip, jumps
                            by 360 above the head and does not exist to the side, where arms go
    trunk lean              the angle between u and the vertical: 0 upright, 90 horizontal

An angle is NaN if a point of it is NaN or two of its points coincide.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from posediff.diffusion.aggregate import quantiles
from posediff.pose.skeleton import Skeleton

BENDS = {"knee": ("hip", "knee", "ankle"), "elbow": ("shoulder", "elbow", "wrist")}
SIDES = ("left", "right")
MOVES = ("knee_flexion", "hip_flexion", "elbow_flexion", "shoulder_elevation")
ANGLES = (*(f"{side}_{move}" for move in MOVES for side in SIDES), "trunk_lean")
NEEDED = tuple(
    f"{side}_{part}" for side in SIDES for part in (*BENDS["knee"], *BENDS["elbow"])
)  # joints of a skeleton
UP = (0.0, -1.0, 0.0)  # of a camera that is held level
INTERVALS = (0.5, 0.9)


class Angles(NamedTuple):
    """The distribution of A angles, in degrees. An interval may leave -180..180 where its mean does
    not, so that its ends are always in order."""

    mean: Tensor  # (..., A)
    low: Tensor  # (..., A, 2) of the 50 % and the 90 % interval
    high: Tensor  # (..., A, 2)


def joint_angles(poses: Tensor, skeleton: Skeleton, up: tuple[float, ...] = UP) -> Tensor:
    """The angles ANGLES of poses (..., J, 3), in degrees (..., 9).

    Raises ValueError if the skeleton lacks a joint of NEEDED.
    """
    if missing := set(NEEDED) - set(skeleton.joints):
        raise ValueError(f"skeleton {skeleton.name} has no {min(missing)}, which angles need")
    at = {name: poses[..., skeleton.joints.index(name), :] for name in NEEDED}
    across = at["left_hip"] - at["right_hip"]
    shoulders, hips = (at[f"left_{p}"] + at[f"right_{p}"] for p in ("shoulder", "hip"))
    trunk = (shoulders - hips) / 2
    found = {"trunk_lean": _between(trunk, trunk.new_tensor(up))}
    for side in SIDES:
        for part, names in BENDS.items():
            a, b, c = (at[f"{side}_{name}"] for name in names)
            found[f"{side}_{part}_flexion"] = _between(b - a, c - b)
        thigh = at[f"{side}_knee"] - at[f"{side}_hip"]
        arm = at[f"{side}_elbow"] - at[f"{side}_shoulder"]
        found[f"{side}_hip_flexion"] = _swing(thigh, trunk, across)
        found[f"{side}_shoulder_elevation"] = _between(arm, -trunk)
    return torch.stack([found[name] for name in ANGLES], -1)


def angle_intervals(angles: Tensor) -> Angles:
    """Mean and central intervals of K hypotheses of angles (..., K, A) in degrees.

    Angles are counted from their circular mean, so that 179 and -179 are neighbours. The ends of an
    interval are order statistics, at p (K + 1) for the quantile p and linear between them: among
    exchangeable hypotheses and the truth, the interval covers its share. Fewer than 19 hypotheses
    cannot reach 90 %: theirs goes from the least to the largest and covers (K - 1) / (K + 1).
    """
    turns = torch.deg2rad(angles)
    centre = torch.rad2deg(torch.atan2(turns.sin().sum(-2), turns.cos().sum(-2)))
    offsets = (angles - centre[..., None, :] + 180) % 360 - 180
    sizes = torch.tensor(INTERVALS, dtype=angles.dtype, device=angles.device)
    low, high = (_quantiles(offsets, (1 + sign * sizes) / 2) for sign in (-1, 1))
    return Angles(centre + offsets.mean(-2), centre[..., None] + low, centre[..., None] + high)


def _quantiles(x: Tensor, levels: Tensor) -> Tensor:
    """Quantiles (..., A, L) of x (..., K, A); NaN if one of the K is."""
    return quantiles(x.mT, levels).where(~x.isnan().any(-2)[..., None], torch.nan)


def _between(a: Tensor, b: Tensor) -> Tensor:
    """The angle between vectors (..., 3), 0..180; exact near 0 and 180, where the arc cosine of
    their product is not."""
    across = torch.linalg.cross(a, b.expand_as(a)).norm(dim=-1)
    known = (a.norm(dim=-1) > 0) & (b.norm(dim=-1) > 0)
    return torch.rad2deg(torch.atan2(across, (a * b).sum(-1))).where(known, torch.nan)


def _swing(bone: Tensor, trunk: Tensor, width: Tensor) -> Tensor:
    forward = torch.linalg.cross(width, trunk)
    length, reach = trunk.norm(dim=-1), forward.norm(dim=-1)
    ahead, down = (bone * forward).sum(-1) / reach, -(bone * trunk).sum(-1) / length
    known = (bone.norm(dim=-1) > 0) & (length > 0) & (reach > 0)
    return torch.rad2deg(torch.atan2(ahead, down)).where(known, torch.nan)
