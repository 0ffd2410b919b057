"""2D joints of one skeleton as those of another, by joint name.

A joint that both have is taken over. One that the source lacks is a weighted mean of joints that
it has, sum a_i x_i with sum a_i = 1, of scale sqrt(sum (a_i s_i)^2) and of the smallest score. A
joint with neither is *underivable*: it is placed between its neighbours so that a network finds a
finite number there, with score 0, visible 0 and a scale that says how little is known.

The rules for Human3.6M's joints are those of mmpose (759b39c) for COCO, PoseTrack, AI Challenger
and CrowdPose; for Halpe, MPII and mocap17 they are ours. h36m17 <-> mocap17 goes by index and is
approximate: thorax, neck and head of the two lie 5 to 10 cm apart.
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
DETECTED = 0.005  # standard deviation of a detected joint, in image widths: 5 pixels at 1000
MISSING = 1 / 40  # and of a joint that was not detected
Rules = Mapping[str, Sequence[Rule]]  # joint -> rules; the first whose joints exist holds


class Converted(NamedTuple):
    points: Tensor  # (..., J, 2) pixels, all finite
    scores: Tensor  # (..., J)
    scale: Tensor  # (..., J) standard deviation in pixels
    visible: Tensor  # (..., J) 1, or 0 where the joint is underivable


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
# Fitted to motion capture. They want a face with ears; other sources stay with the rules above.
MOCAP: Rules = {
    "thorax": [{"left_shoulder": 0.45, "right_shoulder": 0.45, "pelvis": 0.1}],
    "neck": [_middle("ear")],
    "head": [{"neck": 1.5, "thorax": -0.5}],
}
GUESSES: Rules = {"neck": [{"upper_neck": 0.75, "head_top": 0.25}]}  # where there is no nose


def convert(
    points: Tensor,
    scores: Tensor,
    source: Skeleton,
    target: Skeleton,
    scale: Tensor | None = None,
    width: float = 1000.0,
) -> Converted:
    """Points (..., J_in, 2), scores (..., J_in) in the joints of another skeleton.

    A source joint is missing where its point is not finite or its score is 0. `scale` (..., J_in)
    is its standard deviation, by default DETECTED; `width` is the image's.
    Raises ValueError if the number of joints is not the source's, or if no joint of the target can
    be derived.
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
        deviation[..., j] = _vague(torch.cdist(between, between).amax((-2, -1)), width)
    loc, deviation = _fill(loc, deviation, placed, target, width)

    visible = placed & ~guessed
    lowest = torch.where(used, scores[..., None, :], torch.inf).amin(-1)
    return Converted(loc, torch.where(visible, lowest, 0.0), deviation, visible.to(scores))


def taken_over(source: Skeleton, target: Skeleton) -> Tensor:
    """Which joint of the source each of the target's is, (J,); -1 where it is derived."""
    weights, guessed = _weights(source, target)
    whole = (weights == 1).any(-1) & ~guessed
    return torch.where(whole, weights.argmax(-1), -1)


def by_names(
    points: Tensor, scores: Tensor, names: Sequence[str], skeleton: Skeleton
) -> tuple[Tensor, Tensor]:
    """Joints in any order, with names in the usual spellings (RHip, r_hip, right hip; Neck/Nose),
    in the skeleton's order: (..., N, 2), (..., N) -> (..., J, 2), (..., J). A joint that no name
    stands for is NaN with score 0. Raises ValueError for a name that is not of the skeleton.
    """
    meant = [(name, joint_named(name, skeleton)) for name in names]
    index = [j for _, j in meant if j is not None]
    if foreign := [name for name, j in meant if j is None]:
        raise ValueError(
            f"joint {foreign[0]!r} is none of skeleton {skeleton.name}; drop it, or rename it to "
            f"one of {', '.join(skeleton.joints)}"
        )
    if len(set(index)) != len(index):
        raise ValueError(f"two joints have the same name of skeleton {skeleton.name}: {names}")
    ordered = points.new_full((*points.shape[:-2], len(skeleton.joints), 2), torch.nan)
    confidence = scores.new_zeros(ordered.shape[:-1])
    ordered[..., index, :], confidence[..., index] = points, scores
    return ordered, confidence


def joint_named(name: str, skeleton: Skeleton) -> int | None:
    """The joint that a name in any usual spelling stands for; None where the skeleton has none."""
    return _meanings(skeleton).get(_plain(name))


@cache
def _meanings(skeleton: Skeleton) -> dict[str, int]:
    return {word: j for j, joint in enumerate(skeleton.joints) for word in _spellings(joint)}


def _weights(source: Skeleton, target: Skeleton) -> tuple[Tensor, Tensor]:
    """(J, J_in), with a row of zeros where the source does not tell; (J,) whether it is a guess."""
    face = {"left_eye", "left_ear"} <= set(source.joints)  # PoseTrack's ears are never labelled
    rules = {**HUMAN36M, **MOCAP} if target.name == "mocap17" and face else HUMAN36M

    unit = torch.eye(len(source.joints), dtype=torch.float64)
    own: dict[str, Tensor] = dict(zip(source.joints, unit, strict=True))

    def row(joint: str, rules: Rules) -> Tensor:
        if joint in own:
            return own[joint]
        for rule in rules.get(joint, ()):
            parts = [a * row(name, rules) for name, a in rule.items()]
            if all(part.any() for part in parts):
                return torch.stack(parts).sum(0)
        return torch.zeros_like(unit[0])

    told = torch.stack([row(joint, rules) for joint in target.joints])
    if not told.any():
        raise ValueError(f"no joint of {target.name} can be derived from those of {source.name}")
    guesses = torch.stack([row(joint, GUESSES) for joint in target.joints])
    guessed = guesses.any(1) & ~told.any(1)
    return torch.where(guessed[:, None], guesses, told), guessed


def _fill(
    loc: Tensor, scale: Tensor, known: Tensor, skeleton: Skeleton, width: float
) -> tuple[Tensor, Tensor]:
    """What is unknown goes to the mean of its known neighbours, bone by bone from what is known."""
    empty = ~known.any(-1, keepdim=True)  # nobody there: the middle, as wide as the picture
    loc = torch.where(empty[..., None], width / 2, loc)
    scale, known = torch.where(empty, width / 4, scale), known | empty
    adjacency = skeleton.adjacency().to(loc)
    centre, a, b = _neighbour_pairs(skeleton)
    for _ in skeleton.joints:  # enough for any graph
        if known.all():
            break
        near = adjacency * known[..., None, :]
        count = near.sum(-1)
        mean = near @ loc / count[..., None].clamp(min=1)
        apart = (loc[..., a, :] - loc[..., b, :]).norm(dim=-1) * (known[..., a] & known[..., b])
        at = torch.tensor(centre, device=loc.device).expand_as(apart)
        span = torch.zeros_like(scale).scatter_reduce(-1, at, apart, "amax")
        reached = (count > 0) & ~known
        loc = torch.where(reached[..., None], mean, loc)
        scale = torch.where(reached, _vague(span, width), scale)
        known = known | reached
    return loc, scale


def _neighbour_pairs(skeleton: Skeleton) -> tuple[list[int], list[int], list[int]]:
    """Every joint with every two of its neighbours."""
    near = [row.nonzero()[:, 0].tolist() for row in skeleton.adjacency()]
    triples = [(j, a, b) for j, some in enumerate(near) for a, b in combinations(some, 2)]
    centre, a, b = zip(*triples, strict=True)
    return list(centre), list(a), list(b)


def _vague(span: Tensor, width: float) -> Tensor:
    """The scale of a joint put between others that lie this far apart."""
    return (span / 2).clamp(min=MISSING * width)


SPELLINGS = {
    "pelvis": "hip root midhip",
    "spine": "torso belly",
    "thorax": "neck",  # MPI-INF-3DHP's; where a layout has both, the word is the other's
    "neck": "neckbase necknose",
    "upper_neck": "neck",
    "head_bottom": "neck",
    "head_top": "head tophead",
    "face": "head",
    "ankle": "foot",
    "wrist": "hand",
}


def _spellings(joint: str) -> set[str]:
    side, _, part = joint.partition("_")
    if side not in ("left", "right"):
        return {_plain(joint), *SPELLINGS.get(joint, "").split()}
    parts = [_plain(part), *SPELLINGS.get(part, "").split()]
    return {begin + end for begin in (side, side[0]) for end in parts}


def _plain(name: str) -> str:
    return re.sub("[^a-z0-9]", "", name.lower())
