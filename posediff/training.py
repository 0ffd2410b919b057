"""A training as far as it has come, and where it writes."""

import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.optim.swa_utils import AveragedModel

from posediff import checkpoint, processes, run_folder, sharding, training_state
from posediff.diffusion import Model
from posediff.recipe import Figures, Recipe
from posediff.training_state import TrainingState


@dataclass(frozen=True)
class Outputs:
    """Files of a training: log.jsonl and checkpoints/{last,previous,best} of a run folder. Of
    several processes, only the first does."""

    folder: Path
    config: Mapping[str, Any]  # of model folders
    settings: Mapping[str, Any] = field(default_factory=dict)  # kept in states, to be compared
    after_epoch: Callable[[], None] = lambda: None  # called when its line and its state are written

    def cut_log(self, size: int) -> None:
        if processes.first():
            run_folder.cut_log(self.folder, size)

    def log(self, line: Mapping[str, Any]) -> None:
        if processes.first():
            run_folder.write_line(self.folder, line)

    def end_epoch(self) -> None:
        if processes.first():
            self.after_epoch()

    def save_best(self, weights: Mapping[str, Tensor]) -> None:
        if processes.first():
            checkpoint.save(self.folder / run_folder.BEST, weights, self.config)

    def save_state(self, weights: Mapping[str, Tensor], state: Mapping[str, Any]) -> None:
        """Keep a state, and how much of log.jsonl belongs to it."""
        if processes.first():
            more = {"log": run_folder.log_size(self.folder), "settings": dict(self.settings)}
            training_state.save(self.folder, weights, self.config, {**state, **more})


class Training:
    """A training as far as it has come: all that a state holds, see `training_state`."""

    def __init__(self, model: Model, optimizer: torch.optim.Optimizer, recipe: Recipe) -> None:
        self.model, self.optimizer, self.recipe = model, optimizer, recipe
        self.average = AveragedModel(model, multi_avg_fn=averaging(recipe.ema))
        self.base = [group["lr"] for group in optimizer.param_groups]
        self.epoch = self.step = 0  # done
        self.best = Figures()  # of the best epoch
        self.total = self.seconds = 0.0  # of this epoch: losses, and time
        self.clock = time.monotonic()
        self.saved = (0, self.clock)  # step and time

    def save(self, outputs: Outputs) -> None:
        self.tick()
        state = {
            "epoch": self.epoch,
            "steps": self.step,
            "best": self.best,
            "total": self.total,
            "seconds": self.seconds,
            "base": self.base,
            "optimizer": sharding.whole(self.optimizer.state_dict()),
            "average": self.average.state_dict(),
        }
        outputs.save_state(sharding.whole(self.model.state_dict()), state)
        self.saved = (self.step, self.clock)

    def restore(self, state: TrainingState, steps: int) -> None:
        """Go on from a state; `steps` are those of an epoch. States of older versions are of the
        end of an epoch."""
        kept = state.trainer
        checkpoint.load_weights(self.model, state.weights, "the state of the training")
        self.average.load_state_dict(kept["average"])
        self.optimizer.load_state_dict(kept["optimizer"])
        self.base = kept["base"]
        # keys of one identity, so that files of equal states are equal to the byte
        self.best = {sys.intern(key): x for key, x in kept["best"].items()}
        self.epoch = kept["epoch"]
        self.step = kept.get("steps", self.epoch * steps)
        self.total, self.seconds = kept.get("total", 0.0), kept.get("seconds", 0.0)
        self.saved = (self.step, self.clock)

    def tick(self) -> None:
        """Count the time until now."""
        now = time.monotonic()
        self.seconds, self.clock = self.seconds + now - self.clock, now

    @property
    def seed(self) -> int:
        """Seed of the random numbers of the next step."""
        return (self.recipe.seed << 20) + self.step

    def due(self) -> bool:
        step, clock = self.saved
        return self.recipe.save_every.due(self.step - step, time.monotonic() - clock)


def averaging(decay: float) -> Callable[[Any, Any, Any], None]:
    """The exponential mean of weights, with the decay (1 + n) / (10 + n) at step n, at most
    `decay`: a short run is not the mean of its own first steps.
    """

    @torch.no_grad()
    def update(means: list[Tensor], values: list[Tensor], seen: Tensor | int) -> None:
        torch._foreach_lerp_(means, values, 1 - min(decay, (1 + int(seen)) / (10 + int(seen))))

    return update
