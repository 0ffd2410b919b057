"""Cost of a person on this machine, measured, and steps and K that fit into a budget of time.

The time of a model that gives K hypotheses in S steps is a + b K + c K S: what is read once, what
is done once for every hypothesis, and every step. Three runs on a grey picture give the three;
nothing of it depends on what is seen. The detector looks once at a picture, whoever is in it, and
is not counted.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import torch

from posediff.diffusion import Model, Poses
from posediff.inference.photo_input import people_sample
from posediff.inference.request import data_settings
from posediff.people.lifting import Draws, Rows, poses_3d
from posediff.pose.skeleton import skeleton
from posediff.progress import expects, second_of, seconds_of_many

PLAIN, POINT = Draws(), Draws(carry="point")  # of pictures, and of keypoints alone
MOST = 50  # hypotheses; more do not change the mean, nor what is known of the spread
FEWEST = 5  # hypotheses, before steps are left out


Run = Callable[[int, int], object]  # of K hypotheses and S steps


class Cost(NamedTuple):
    """Seconds of a person for K hypotheses in S steps, see above."""

    once: float
    hypothesis: float
    step: float

    def seconds(self, hypotheses: int, steps: int) -> float:
        return self.once + hypotheses * (self.hypothesis + steps * self.step)


def measured(run: Run, hypotheses: int, steps: int) -> Cost:
    """The cost of `run(K, S)`, from K of 1 and `hypotheses`, and S of 1 and `steps`."""
    one = second_of(lambda: run(1, 1))
    if hypotheses == 1:
        more = second_of(lambda: run(1, steps)) if steps > 1 else one
        step = max(more - one, 0.0) / max(steps - 1, 1)
        return Cost(max(one - step, 0.0), 0.0, step)
    several = second_of(lambda: run(hypotheses, 1))
    whole = second_of(lambda: run(hypotheses, steps)) if steps > 1 else several
    each = max(several - one, 0.0) / (hypotheses - 1)
    step = max(whole - several, 0.0) / (hypotheses * (steps - 1)) if steps > 1 else 0.0
    step = min(step, each) if steps > 1 else 0.0
    return Cost(max(one - each, 0.0), each - step, step)


class Trial(NamedTuple):
    """A model with a person whom nobody has seen."""

    role: str
    model: Model
    run: Run
    frames: int  # that one run answers for

    def asked(self, draws: Draws) -> tuple[int, int]:
        """The hypotheses and steps of an estimation."""
        own = draws.of(self.model)
        return own.hypotheses or self.model.hypotheses, own.steps or max(self.model.steps, 1)


def trials(models: Mapping[str, Model], draws: Draws, film: bool, rows: int = 1) -> Iterator[Trial]:
    """The models of an estimation in their order. film: the picture is one of a video, so that a
    window of frames is lifted at once; rows: or at least so many."""
    seen = None
    for role, model in models.items():
        if role == "lift3d":
            frames = max(rows, model.head.window.frames if film else 1)
            person = _unseen(model) if seen is None else seen
            yield Trial(role, model, _lifting(model, person, draws, frames), frames)
        else:
            sample = _grey(model)
            yield Trial(role, model, _seeing(model, sample, draws), 1)
            seen = Draws(seed=draws.seed).predict(model, sample)
            seen = replace(seen, scores=torch.ones_like(seen.scores))


def costs(models: Mapping[str, Model], draws: Draws, film: bool = False) -> dict[str, Cost]:
    """The cost of a person in a picture in every model of an estimation, by role."""
    return {
        trial.role: Cost(*(x / trial.frames for x in measured(trial.run, *trial.asked(draws))))
        for trial in trials(models, draws, film)
    }


def expected(
    models: Mapping[str, Model],
    count: int,
    what: str,
    draws: Draws = PLAIN,
    film: bool = False,
    rows: int = 1,
) -> str:
    """Time of `count` people in one picture each, and memory, in one line. film,
    rows: as of `trials`."""
    seconds = 0.0
    for trial in trials(models, draws, film, rows):
        run = partial(trial.run, *trial.asked(draws))
        seconds += seconds_of_many(run, -(-count // trial.frames))
    return expects(seconds, what)


def within(
    milliseconds: float, draws: Draws, models: Mapping[str, Model], found: Mapping[str, Cost]
) -> Draws:
    """The draws with the most steps and hypotheses whose cost is at most the budget of a person;
    those that are given stay.

    Steps are those of each model's training, as long as FEWEST hypotheses fit; then hypotheses are
    as many as fit, at most MOST. Raises ValueError if not even one in one step fits, with the least
    budget.
    """
    if not milliseconds > 0:
        raise ValueError(f"budget_ms must be above 0 milliseconds, got {milliseconds}")
    several = any(model.sampler is not None for model in models.values())
    most = max(model.steps for model in models.values())

    def seconds(hypotheses: int, steps: int) -> float:
        total = 0.0
        for role, cost in found.items():
            own = models[role].sampler is not None
            total += cost.seconds(hypotheses if own else 1, min(steps, models[role].steps))
        return total

    def fits(hypotheses: int, steps: int) -> bool:
        return 1000 * seconds(hypotheses, steps) <= milliseconds

    few = draws.hypotheses or (FEWEST if several else 1)
    choices = [draws.steps] if draws.steps else range(most, 0, -1)
    steps = next((s for s in choices if fits(few, s)), choices[-1])
    if draws.hypotheses or not several:
        K = few if fits(few, steps) else 0
    else:
        K = next((k for k in range(MOST, 0, -1) if fits(k, steps)), 0)
    if K == 0:
        least = 1000 * seconds(draws.hypotheses or 1, choices[-1])
        raise ValueError(
            f"budget_ms={milliseconds:g}: a person takes {least:.0f} ms on this machine at the "
            "least; give more time, fewer hypotheses or steps, or quicker models"
        )
    return draws._replace(hypotheses=K if several else None, steps=steps if several else None)


def _seeing(model: Model, sample: Mapping[str, Any], draws: Draws) -> Run:
    if model.sampler is None:
        return lambda K, S: draws._replace(hypotheses=None, steps=None).predict(model, sample)
    return lambda K, S: draws._replace(hypotheses=K, steps=S).predict(model, sample)


def _lifting(model: Model, person: Poses, draws: Draws, F: int) -> Callable[[int, int], object]:
    """Lifts a person whose 2D has K hypotheses, or is a point, in F successive frames."""
    frames = torch.arange(F)

    def run(K: int, S: int) -> object:
        drawn = person
        if draws.carry == "posterior":
            drawn = replace(person, hypotheses=person.keypoints[:, None].repeat(1, K, 1, 1))
        several = Poses.cat([drawn] * F)
        rows = Rows(several, [str(i) for i in range(F)], torch.zeros_like(frames), frames)
        return poses_3d(model, rows, draws._replace(hypotheses=K, steps=S))

    return run


def _grey(model: Model) -> dict[str, Any]:
    """A sample of a person in a grey picture, as the 2D model reads it."""
    settings = data_settings(model, "size", "codec", "mean", "std")
    sample = people_sample(np.full((256, 192, 3), 127, np.uint8), "grey", None, **settings)
    if "offsets" in model.trained_on:
        F = len(model.trained_on["offsets"])
        image = sample.pop("image")
        sample["frames"] = image[:, None].repeat(1, F, 1, 1, 1)
        sample["frames_valid"] = torch.ones(1, F)
    return sample


def _unseen(model: Model) -> Poses:
    """A person whose 2D is not read from a picture."""
    J = len(skeleton(model.head.skeleton).joints)
    points = 100 + 200 * torch.rand(1, J, 2, generator=torch.Generator().manual_seed(0))
    ones = torch.ones(1, J)
    return Poses(points, ones, points[:, None], 5 * ones, model.head.skeleton)
