"""What looks wrong with 2D keypoints, in one line each: nothing is refused or changed.

    outside   joints that are outside the picture, if its size is given
    axes      people who lie on their side, heads to the left, in nearly all rows: x and y swapped;
              people who stand on their heads: y grows upwards
    layout    arms and legs that are too long for the box around all joints: the joints are in
              another order. The known layout of as many joints with the shortest limbs is named
    origin    joints at (0, 0), which are read as missing

Each is a rule of thumb. Limbs of drawn and of recorded people take .09 to .22 of their box in the
right order, and .3 to .6 in most others (tests/inference/test_plausible.py).
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from posediff.pose.skeleton import SKELETONS, Skeleton

NEARLY_ALL = 0.8  # of the rows
LONGER = 1.3  # limbs of a doubtful layout, compared with those of the best one
LIMB = 0.24  # of the box: limbs of a right order are shorter
TRUNK = ("left_shoulder", "right_shoulder", "left_hip", "right_hip")


def doubts(
    points: Tensor,
    scores: Tensor,
    layout: Skeleton,
    image_size: Sequence[float] | None = None,
) -> list[str]:
    """What looks wrong with points (N, J, 2) in pixels and scores (N, J), 0 for missing joints."""
    at_origin = (points == 0).all(-1) & (scores > 0)
    scores = torch.where(at_origin | ~points.isfinite().all(-1), 0.0, scores)
    found = [_origin(at_origin), _outside(points, scores, image_size)]
    if other := better_layout(points, scores, layout):
        found.append(
            f"arms and legs are implausibly long for layout {layout.name}; {other} fits better: "
            f"layout={other}"
        )
    else:
        found.append(_axes(points, scores, layout))
    return [line for line in found if line]


def better_layout(points: Tensor, scores: Tensor, layout: Skeleton) -> str | None:
    """The layout of as many joints in whose order limbs are clearly shorter, or None."""
    lengths = {
        s.name: limb_length(points, scores, s)
        for s in SKELETONS.values()
        if len(s.joints) == len(layout.joints)
    }
    own, best = lengths[layout.name], min(lengths, key=lengths.__getitem__)
    return best if own > LIMB and own > LONGER * lengths[best] else None


def limb_length(points: Tensor, scores: Tensor, layout: Skeleton) -> float:
    """The mean length of the bones of arms and legs, as a part of the longer side of the box around
    all joints; infinite if none is known."""
    seen = (scores > 0)[..., None]
    low = torch.where(seen, points, torch.inf).amin(1)
    high = torch.where(seen, points, -torch.inf).amax(1)
    inner, outer = (list(ends) for ends in zip(*layout.limbs, strict=True))
    known = (scores[:, inner] > 0) & (scores[:, outer] > 0)
    lengths = (points[:, inner] - points[:, outer]).norm(dim=-1)
    parts = (lengths / (high - low).amax(-1, keepdim=True).clamp(min=1e-9))[known]
    return float(parts.mean()) if len(parts) else torch.inf


def _origin(at_origin: Tensor) -> str | None:
    count = int(at_origin.sum())
    if count == 0:
        return None
    return f"{count} joint{'s' * (count > 1)} at (0, 0) in {len(at_origin)} rows, read as missing"


def _outside(points: Tensor, scores: Tensor, size: Sequence[float] | None) -> str | None:
    if size is None:
        return None
    beyond = ((points < -0.5) | (points > points.new_tensor(list(size)) - 0.5)).any(-1)
    known = scores > 0
    share = float((beyond & known).sum() / known.sum().clamp(min=1))
    if share == 0:
        return None
    width, height = size
    return (
        f"{share:.1%} of the joints are outside the picture of {width:g} x {height:g} pixels: "
        "look at image_size and at the unit of the keypoints"
    )


def _axes(points: Tensor, scores: Tensor, layout: Skeleton) -> str | None:
    if not set(TRUNK) <= set(layout.joints):
        return None
    index = [layout.joints.index(name) for name in TRUNK]
    whole = (scores[:, index] > 0).all(1)
    if not whole.any():
        return None
    trunk = points[whole][:, index]
    up = trunk[:, :2].mean(1) - trunk[:, 2:].mean(1)  # from the hips to the shoulders
    left = float((up[:, 0] < -2 * up[:, 1].abs()).float().mean())
    down = float((up[:, 1] > 2 * up[:, 0].abs()).float().mean())
    if left >= NEARLY_ALL:
        return (
            f"people lie with their heads to the left in {left:.0%} of the rows: are x and y "
            "swapped?"
        )
    if down >= NEARLY_ALL:
        return f"people stand on their heads in {down:.0%} of the rows: does y grow upwards?"
    return None
