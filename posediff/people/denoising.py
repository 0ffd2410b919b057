"""The reverse process of a lifter as a film: the hypotheses of one person, step by step, from where
they start to the answer."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from posediff.data.lifting.windows import windowed
from posediff.diffusion import Model, Poses
from posediff.inference.lift import lifted
from posediff.inference.lifting_input import Tracks
from posediff.people.frame import Person
from posediff.pose.skeleton import skeleton
from posediff.sample import to
from posediff.visual.canvas import Canvas, Picture
from posediff.visual.film import write_film
from posediff.visual.palette import INK
from posediff.visual.pose3d import WIDTH, draw_views

STEPS, HYPOTHESES = 24, 20  # of a film
RATE, HELD = 8.0, 12  # images a second, and how often the last one is shown
BAR = 30  # pixels above the views


class Joints2D(NamedTuple):
    """The 2D of one person."""

    points: Tensor  # (J, 2) pixels
    scores: Tensor  # (J,)
    layout: str

    @classmethod
    def of(cls, person: Person) -> "Joints2D":
        points, scores = torch.from_numpy(person.keypoints_2d), torch.from_numpy(person.scores)
        return cls(points, scores, person.skeleton_2d)


def film_denoising(model: Model, joints: Joints2D, path: str | Path, seed: int = 0) -> Path:
    """Write the denoising of a person as .gif or .mp4. Returns the path.

    Raises ValueError if the model has no steps, or too few joints are known.
    """
    states = list(denoised(model, joints, seed, STEPS, HYPOTHESES))
    if not states:
        raise ValueError(f"{path}: the lifter has no steps of 3D states; use one with a diffusion")
    pictures = list(_pictures(states))
    write_film(Path(path), [*pictures, *pictures[-1:] * HELD], RATE)
    return Path(path)


def denoised(
    model: Model, joints: Joints2D, seed: int = 0, steps: int | None = None, hypotheses: int = 1
) -> Iterator[tuple[int, Poses]]:
    """The states of the reverse process by timestep, the answer last, as that of -1."""
    first = torch.zeros(1, dtype=torch.long)
    row = Tracks(joints.points[None], joints.scores[None], ["denoising"], first, first)
    sample = to(
        lifted(model, row, joints.layout, seed=seed).sample, next(model.parameters()).device
    )
    if model.head.window.frames > 1:
        sample = windowed(sample, *model.head.window)
    for t, drawn in model.states(sample, hypotheses, steps, seed):
        yield t, model.aggregate(drawn)[0].cpu()


def _pictures(states: list[tuple[int, Poses]]) -> Iterator[Picture]:
    """Both views at the scale of the answer."""
    answer = states[-1][1]
    for n, (t, pose) in enumerate(states):
        views = draw_views(pose, skeleton(pose.skeleton), answer.keypoints)
        canvas = Canvas(2 * WIDTH, BAR)
        words = "the answer" if t < 0 else f"step {n + 1} of {len(states) - 1}, t = {t}"
        canvas.text((16, 20), f"{len(pose.hypotheses)} hypotheses: {words}", INK, 12, bold=True)
        yield torch.cat([torch.from_numpy(canvas.finish()), torch.from_numpy(views)]).numpy()
