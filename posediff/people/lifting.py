"""People in 2D -> the same in 3D, and what of the 2D goes into it.

carry="point" lifts the 2D pose. carry="posterior" lifts each of the K hypotheses of the 2D, in one
draw: hypothesis k of the 3D is a draw of what the lifter makes of hypothesis k of the 2D, so that
the two stay together, and doubt in 2D becomes spread in 3D. Its noise is that of hypothesis k with
carry="point", opposite pairs included. A 2D model with one heatmap a joint has as many hypotheses
as the lifter, drawn from it as a density. benchmarks/carry.py compares the two.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from numbers import Integral
from typing import Any, Literal, NamedTuple

import torch
from einops import rearrange, repeat
from torch import Tensor

from posediff.diffusion import Hypotheses, Model, Noise, Poses
from posediff.diffusion.noise import Id, Numbered
from posediff.inference.lift import enough, lifted
from posediff.inference.lifting_input import Tracks
from posediff.pose.skeleton import skeleton
from posediff.sample import parts, take, to

BATCH = 32  # crops at once

Carry = Literal["posterior", "point"]


class Draws(NamedTuple):
    """Numbers of hypotheses and steps, as in training if None, the seed, and what of the 2D is
    lifted. drawn: the hypotheses that are drawn from a heatmap, 0 for none."""

    hypotheses: int | None = None
    steps: int | None = None
    seed: int = 0
    carry: Carry = "posterior"
    drawn: int = 0

    def into(self, lifter: Model | None) -> "Draws":
        """The same with as many draws from a heatmap as the lifter has hypotheses, if it reads
        them. Raises ValueError if hypotheses or steps are no whole number above 0."""
        for name, value in (("hypotheses", self.hypotheses), ("steps", self.steps)):
            if value is not None and not (isinstance(value, Integral) and value > 0):
                raise ValueError(f"{name} must be a whole number above 0, not {value!r}")
        if lifter is None or self.carry == "point":
            return self
        return self._replace(drawn=self.of(lifter).hypotheses or lifter.hypotheses)

    def of(self, model: Model) -> "Draws":
        """The same for a model without steps, which has one answer."""
        return self if model.sampler is not None else self._replace(hypotheses=None, steps=None)

    def described(self, model: Model) -> str:
        """Draws of a model, in words."""
        K, steps = self.of(model)[:2]
        K, steps = K or model.hypotheses, steps or model.steps
        drawn = f"{K} hypothes{'es' if K > 1 else 'is'}, {steps} step{'s' * (steps > 1)}"
        return f"{drawn}, seed {self.seed}"

    def predict(self, model: Model, sample: Mapping[str, Any]) -> Poses:
        """The 2D poses of a sample, with hypotheses to carry."""
        device = next(model.parameters()).device
        K, steps, seed = self.of(model)[:3]
        answers = list[Poses]()
        for part in parts(sample, BATCH):
            found = model.sample(to(part, device), K, steps, seed)
            poses = model.aggregate(found).recalibrated(model.recalibration)
            answers.append(_with_draws(poses, found, self.drawn, seed).cpu())
        return Poses.cat(answers)


def _with_draws(poses: Poses, found: Hypotheses, count: int, seed: int) -> Poses:
    """Poses of one heatmap a joint with `count` hypotheses drawn from it; others as they are.

    Everybody has the same random numbers, so that a hypothesis is the same draw in all frames of a
    video, and does not tremble.
    """
    draw = found.decoded.draw
    if count < 2 or draw is None or poses.hypotheses.shape[1] > 1:
        return poses
    u = Noise(seed, ["draws"], count).uniform((count, *poses.keypoints.shape[1:]))
    every = draw(u.expand(len(poses), *u.shape)).to(poses.keypoints)
    spread = (every - poses.keypoints[:, None]).square().sum(-1).mean(1).sqrt()
    return replace(poses, hypotheses=every, spread=spread)


class Rows(NamedTuple):
    """N people in one frame each, to be lifted together."""

    poses: Poses
    names: Sequence[Id]
    tracks: Tensor  # (N,) people of two numbers are never seen as one
    frames: Tensor  # (N,)


def poses_3d(model: Model, rows: Rows, draws: Draws) -> list[Poses | None]:
    """The 3D pose of every row, None if too few joints are known.

    carry "posterior": hypothesis k is lifted from hypothesis k of the 2D, in one draw each; the
    pose is their mean. 2D of one hypothesis, and carry "point": the 2D pose is lifted, in several.
    """
    seen = rows.poses
    known = enough(seen.keypoints, seen.scores, seen.skeleton, skeleton(model.head.skeleton))
    answers: list[Poses | None] = [None] * len(seen)
    here = known.nonzero()[:, 0].tolist()
    if here:
        some = Rows(seen[here], *(take(column, here) for column in rows[1:]))
        several = draws.carry == "posterior" and seen.hypotheses.shape[1] > 1
        for i, pose in zip(here, (_pairs if several else _points)(model, some, draws), strict=True):
            answers[i] = pose
    return answers


def _points(model: Model, rows: Rows, draws: Draws) -> Poses:
    """Rows of known joints, lifted from their 2D poses."""
    seen, (K, steps, seed) = rows.poses, draws.of(model)[:3]
    given = Tracks(seen.keypoints, seen.scores, rows.names, rows.tracks, rows.frames)
    return lifted(model, given, seen.skeleton, hypotheses=K, steps=steps, seed=seed).poses


def _pairs(model: Model, rows: Rows, draws: Draws) -> Poses:
    """Rows of known joints, lifted from all their K hypotheses, each of which has an image and, in
    a video, windows of its own."""
    K = rows.poses.hypotheses.shape[1]
    split = Rows(
        replace(
            rows.poses,
            keypoints=rearrange(rows.poses.hypotheses, "n k j d -> (n k) j d"),
            scores=repeat(rows.poses.scores, "n j -> (n k) j", k=K),
        ),
        [Numbered(str(name), k) for name in rows.names for k in range(K)],
        repeat(rows.tracks, "n -> n k", k=K).mul(K).add(torch.arange(K)).flatten(),
        repeat(rows.frames, "n -> (n k)", k=K),
    )
    single = _points(model, split, draws._replace(hypotheses=1))
    every = rearrange(single.keypoints, "(n k) j d -> n k j d", k=K)
    mean = every.mean(1)
    spread = (every - mean[:, None]).square().sum(-1).mean(1).sqrt()
    scores = rearrange(single.scores, "(n k) j -> n k j", k=K).mean(1)
    poses = Poses(mean, scores, every, spread, single.skeleton)
    return poses.recalibrated(model.recalibration)
