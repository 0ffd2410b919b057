"""Conversion of 2D joints from one skeleton to another, by joint name.

A joint that both have is copied. One that the source lacks is a weighted mean of joints that it
has, sum a_i x_i with sum a_i = 1, of scale sqrt(sum (a_i s_i)^2) and of the smallest score. A joint
with neither is *underivable*: it is placed between its neighbours so that networks read finite
numbers, with score 0, visible 0 and a large scale.

The rules for Human3.6M's joints are those of mmpose (759b39c) for COCO, PoseTrack, AI Challenger
and CrowdPose; for Halpe, MPII and mocap17 they are ours. h36m17 <-> mocap17 goes by index and is
approximate: thorax, neck and head differ by 5 to 10 cm.
"""

import re
from collections.abc import Mapping, Sequence
from functools import cache
from itertools import combinations
from typing import NamedTuple

import torch
from torch import Tensor

from posediff.pose.skeleton import Skeleton

Rule = Mapping[str, float]  # joint -> weight
Rules = Mapping[str, Sequence[Rule]]  # joint -> rules; the first whose joints exist applies
DETECTED = 0.005  # standard deviation of a detected joint, in image widths: 5 pixels at 1000
MISSING = 1 / 40  # smallest standard deviation of an underivable joint, in image widths


class Converted(NamedTuple):
    points: Tensor  # (..., J, 2) pixels, all finite
    scores: Tensor  # (..., J)
    scale: Tensor  # (..., J) standard deviation in pixels
    visible: Tensor  # (..., J) 1, or 0 if the joint is underivable


def _middle(joint: str) -> Rule:
    return {f"left_{joint}": 0.5, f"right_{joint}": 0.5}


HUMAN36M: Rules = {
    "pelvis": [_middle("hip")],
    "spine": [{"pelvis": 0.5, "thorax": 0.5}],
    "thorax": [_middle("shoulder")],
    "neck": [{"nose": 1.0}],
    "head": [
        {"upper_neck": 5 / 12, "head_top": 7 / 12},
        {"head_bottom": 0.5, "head_top": 0.5},
        _middle("eye"),
    ],
}
# Fitted to motion capture. They need a face with ears; other sources use the rules above.
MOCAP: Rules = {
    "thorax": [{"left_shoulder": 0.45, "right_shoulder": 0.45, "pelvis": 0.1}],
    "neck": [_middle("ear")],
    "head": [{"neck": 1.5, "thorax": -0.5}],
}
GUESSES: Rules = {"neck": [{"upper_neck": 0.75, "head_top": 0.25}]}  # without a nose; invisible


def convert(
    points: Tensor,
    scores: Tensor,
    source: Skeleton,
    target: Skeleton,
    scale: Tensor | None = None,
    width: float = 1000.0,
) -> Converted:
    """Points (..., J_in, 2), scores (..., J_in) in the joints of another skeleton.

    A source joint is missing if its point is not finite or its score is 0. `scale` (..., J_in)
    is its standard deviation, by default DETECTED; `width` is the image's.
    Raises ValueError if the number of joints is not the source's, or no joint of the target can be
    derived.
    """
    if points.shape[-2] != len(source.joints):
        raise ValueError(
            f"{points.shape[-2]} joints given, but skeleton {source.name} has {len(source.joints)}"
        )
    given = points.isfinite().all(-1) & (scores > 0)
    points = torch.where(given[..., None], points, 0.0)
    scale = torch.full_like(scores, DETECTED * width) if scale is None else scale
    scale = torch.where(given, scale, 0.0)

    weights, guessed = (x.to(points.device) for x in _weights(source, target))
    weights, used = weights.to(points.dtype), weights != 0
    placed = (given[..., None, :] | ~used).all(-1) & used.any(-1)
    loc = weights @ points
    deviation = (weights**2 @ scale.square()[..., None])[..., 0].sqrt()
    for j in guessed.nonzero()[:, 0].tolist():
        between = points[..., used[j], :]
        deviation[..., j] = _large_scale(torch.cdist(between, between).amax((-2, -1)), width)
    loc, deviation = _fill(loc, deviation, placed, target, width)

    visible = placed & ~guessed
    lowest = torch.where(used, scores[..., None, :], torch.inf).amin(-1)
    return Converted(loc, torch.where(visible, lowest, 0.0), deviation, visible.to(scores))


def taken_over(source: Skeleton, target: Skeleton) -> Tensor:
    """The index in the source of each joint of the target, (J,); -1 if it is derived."""
    weights, guessed = _weights(source, target)
    whole = (weights == 1).any(-1) & ~guessed
    return torch.where(whole, weights.argmax(-1), -1)


def by_names(
    points: Tensor, scores: Tensor, names: Sequence[str], skeleton: Skeleton
) -> tuple[Tensor, Tensor]:
    """Points and scores in the skeleton's order: (..., N, 2), (..., N) -> (..., J, 2), (..., J).

    `names` of the N joints may be in any usual spelling (RHip, r_hip, right hip; Neck/Nose). A
    joint that is not named is NaN with score 0.
    Raises ValueError if the skeleton lacks a name, or two names are one joint.
    """
    index = []
    for name in names:
        j = joint_named(name, skeleton)
        if j is None:
            raise ValueError(
                f"joint {name!r} is not in skeleton {skeleton.name}; drop it, or rename it to one "
                f"of {', '.join(skeleton.joints)}"
            )
        index.append(j)
    if len(set(index)) != len(index):
        raise ValueError(f"two joints have the same name of skeleton {skeleton.name}: {names}")
    ordered = points.new_full((*points.shape[:-2], len(skeleton.joints), 2), torch.nan)
    confidence = scores.new_zeros(ordered.shape[:-1])
    ordered[..., index, :], confidence[..., index] = points, scores
    return ordered, confidence


def joint_named(name: str, skeleton: Skeleton) -> int | None:
    """The index of a joint, its name in any usual spelling; None if the skeleton has none."""
    return _indices(skeleton).get(_letters(name))


@cache
def _indices(skeleton: Skeleton) -> dict[str, int]:
    return {word: j for j, joint in enumerate(skeleton.joints) for word in _spellings(joint)}


def _weights(source: Skeleton, target: Skeleton) -> tuple[Tensor, Tensor]:
    """Weights (J, J_in), a row of zeros if underivable; (J,) whether a row is of GUESSES."""
    face = {"left_eye", "left_ear"} <= set(source.joints)  # PoseTrack's ears are never labelled
    rules = {**HUMAN36M, **MOCAP} if target.name == "mocap17" and face else HUMAN36M

    unit = torch.eye(len(source.joints), dtype=torch.float64)
    copied: dict[str, Tensor] = dict(zip(source.joints, unit, strict=True))

    def row(joint: str, rules: Rules) -> Tensor:
        if joint in copied:
            return copied[joint]
        for rule in rules.get(joint, ()):
            parts = [a * row(name, rules) for name, a in rule.items()]
            if all(part.any() for part in parts):
                return torch.stack(parts).sum(0)
        return torch.zeros_like(unit[0])

    derived = torch.stack([row(joint, rules) for joint in target.joints])
    if not derived.any():
        raise ValueError(f"no joint of {target.name} can be derived from those of {source.name}")
    guesses = torch.stack([row(joint, GUESSES) for joint in target.joints])
    guessed = guesses.any(1) & ~derived.any(1)
    return torch.where(guessed[:, None], guesses, derived), guessed


def _fill(
    loc: Tensor, scale: Tensor, known: Tensor, skeleton: Skeleton, width: float
) -> tuple[Tensor, Tensor]:
    """Unknown joints at the mean of their known neighbours, bone by bone from the known ones."""
    empty = ~known.any(-1, keepdim=True)  # no joint at all: the middle of the image
    loc = torch.where(empty[..., None], width / 2, loc)
    scale, known = torch.where(empty, width / 4, scale), known | empty
    adjacency = skeleton.adjacency().to(loc)
    centre, a, b = _neighbour_pairs(skeleton).to(loc.device)
    for _ in skeleton.joints:  # enough for any graph
        if known.all():
            break
        near = adjacency * known[..., None, :]
        count = near.sum(-1)
        mean = near @ loc / count[..., None].clamp(min=1)
        distance = (loc[..., a, :] - loc[..., b, :]).norm(dim=-1) * (known[..., a] & known[..., b])
        at = centre.expand_as(distance)
        span = torch.zeros_like(scale).scatter_reduce(-1, at, distance, "amax")
        reached = (count > 0) & ~known
        loc = torch.where(reached[..., None], mean, loc)
        scale = torch.where(reached, _large_scale(span, width), scale)
        known = known | reached
    return loc, scale


def _neighbour_pairs(skeleton: Skeleton) -> Tensor:
    """Every joint with every two of its neighbours, (3, N)."""
    near = [row.nonzero()[:, 0].tolist() for row in skeleton.adjacency()]
    triples = [(j, a, b) for j, some in enumerate(near) for a, b in combinations(some, 2)]
    return torch.tensor(triples).T


def _large_scale(span: Tensor, width: float) -> Tensor:
    """The scale of a joint placed between others of that largest distance."""
    return (span / 2).clamp(min=MISSING * width)


SPELLINGS = {
    "pelvis": "hip root midhip",
    "spine": "torso belly",
    "thorax": "neck",  # in MPI-INF-3DHP; if a layout has another neck, the word means that one
    "neck": "neckbase necknose",
    "upper_neck": "neck",
    "mid_shoulder": "neck",
    "head_bottom": "neck",
    "head_top": "head tophead",
    "face": "head",
    "ankle": "foot",
    "wrist": "hand",
}


def _spellings(joint: str) -> set[str]:
    side, _, part = joint.partition("_")
    if side not in ("left", "right"):
        return {_letters(joint), *SPELLINGS.get(joint, "").split()}
    parts = [_letters(part), *SPELLINGS.get(part, "").split()]
    return {start + end for start in (side, side[0]) for end in parts} | {x + side for x in parts}


def _letters(name: str) -> str:
    return re.sub("[^a-z0-9]", "", name.lower())
