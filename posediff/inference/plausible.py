"""Doubts about 2D keypoints, in one line each: nothing is refused or changed.

    outside   joints that are outside the picture, if its size is given
    axes      people who lie on their side, heads to the left, in nearly all rows: x and y swapped;
              people who stand on their heads: y grows upwards
    layout    arms, legs and trunk are not as long, compared with the box around all joints, as
              those of people: the joints are in another order. The known layout of as many joints
              that fits best is named
    origin    joints at (0, 0), which are read as missing

Each is a rule of thumb. The `misfit` of drawn people is .03 to .05 in the right order and .1 to .24
in others, that of people in COCO .09 and .16 (tests/inference/test_plausible.py).
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from posediff.pose.skeleton import SKELETONS, Skeleton

NEARLY_ALL, ROWS = 0.8, 5  # of at least so many rows: one person may well lie or stand so
WORSE = 1.4  # misfit of a doubtful layout, compared with that of the best one
PROPORTIONS = {  # of people in pictures: mean lengths as parts of the box around all joints
    ("shoulder", "elbow"): 0.20,
    ("elbow", "wrist"): 0.18,
    ("hip", "knee"): 0.27,
    ("knee", "ankle"): 0.27,
    ("shoulder", "hip"): 0.33,
}
TRUNK = ("left_shoulder", "right_shoulder", "left_hip", "right_hip")


def doubts(
    points: Tensor,
    scores: Tensor,
    layout: Skeleton,
    image_size: Sequence[float] | None = None,
) -> list[str]:
    """Doubts about points (N, J, 2) in pixels and scores (N, J), 0 for missing joints."""
    at_origin = (points == 0).all(-1) & (scores > 0)
    scores = torch.where(at_origin | ~points.isfinite().all(-1), 0.0, scores)
    found = [_origin(at_origin), _outside(points, scores, image_size)]
    if other := better_layout(points, scores, layout):
        found.append(
            f"arms, legs and trunk are not as those of people in layout {layout.name}; {other} "
            f"fits better: layout={other}"
        )
    else:
        found.append(_axes(points, scores, layout))
    return [line for line in found if line]


def better_layout(points: Tensor, scores: Tensor, layout: Skeleton) -> str | None:
    """The layout of as many joints that fits clearly better, or None."""
    found = {
        s.name: misfit(points, scores, s)
        for s in SKELETONS.values()
        if len(s.joints) == len(layout.joints)
    }
    best = min(found, key=found.__getitem__)
    return best if found[layout.name] > WORSE * found[best] else None


def misfit(points: Tensor, scores: Tensor, layout: Skeleton) -> float:
    """The mean difference between the lengths of arms, legs and trunk, as parts of the longer side
    of the box around all joints, and PROPORTIONS; infinite if none is known."""
    seen = (scores > 0)[..., None]
    low = torch.where(seen, points, torch.inf).amin(1)
    high = torch.where(seen, points, -torch.inf).amax(1)
    extent, differences = (high - low).amax(-1).clamp(min=1e-9), list[Tensor]()
    for ends, part in PROPORTIONS.items():
        for side in ("left", "right"):
            a, b = (layout.joints.index(f"{side}_{joint}") for joint in ends)
            known = (scores[:, a] > 0) & (scores[:, b] > 0)
            length = (points[:, a] - points[:, b]).norm(dim=-1) / extent
            differences.append((length - part).abs()[known])
    every = torch.cat(differences)
    return float(every.mean()) if len(every) else torch.inf


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
    if whole.sum() < ROWS:
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
