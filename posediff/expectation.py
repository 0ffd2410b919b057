"""Expected time and memory of a command, before it begins, in one line: measured on a batch.

What is measured leaves no trace: a training runs two steps of a copy of its model, and the random
state is restored.
"""

import copy
from collections.abc import Callable
from typing import Any

import torch

from posediff import engine
from posediff.diffusion import Model
from posediff.loading import readable
from posediff.progress import expects, second_of, seconds_of
from posediff.sample import to


def training(model: Model, data: Any, held_out: Any, recipe: engine.Recipe, batch: int) -> str:
    """The line of a training: its steps, and a pass over the held-out data after each epoch."""
    size = recipe.micro_batch or recipe.batch_size
    rows = list(range(min(size, len(data))))
    with torch.random.fork_rng(devices=_devices(model)):
        trial = copy.deepcopy(model).train()
        step = second_of(lambda: _step(trial, readable(data, rows)))
        step *= max(1.0, recipe.batch_size / size)
        scored = pass_over(trial.eval(), held_out, min(batch, len(held_out)), seconds_of)
    steps = recipe.steps(data)
    seconds = recipe.epochs * (steps * step + scored)
    return expects(seconds, f"{recipe.epochs} epochs of {steps} steps")


def evaluation(model: Model, data: Any, batch: int) -> str:
    """The line of an evaluation of all samples."""
    with torch.random.fork_rng(devices=_devices(model)):
        seconds = pass_over(model, data, max(1, min(batch, len(data) // 20)), second_of)
    return expects(seconds, f"{len(data):,} samples")


def pass_over(
    model: Model, data: Any, count: int, timed: Callable[[Callable[[], object]], float]
) -> float:
    """Seconds for the answers to all samples, by those of the first `count` as they are `timed`: a
    whole batch, once, before a training, whose memory may be most in scoring; a twentieth of all,
    at most a batch, twice, before an evaluation."""
    rows, device = list(range(count)), next(model.parameters()).device
    with torch.no_grad():
        one = timed(lambda: model.sample(to(readable(data, rows), device)))
    return one * len(data) / count


def _step(model: Model, sample: Any) -> None:
    device = next(model.parameters()).device
    model.zero_grad(set_to_none=True)
    model(to(sample, device)).backward()


def _devices(model: Model) -> list[torch.device]:
    """The devices whose random state is restored besides the CPU's."""
    device = next(model.parameters()).device
    return [device] if device.type == "cuda" else []
