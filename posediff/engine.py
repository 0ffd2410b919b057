"""Training and evaluation as plain functions over plain objects.

The engine uses `model.loss`, `model.sample` and `model.calibrate` only; it reads no configuration
and depends on no task. The random state of a step is set by (seed, step), and the order of the data
is a function of (seed, position), so a training that is resumed at any step ends with the weights,
figures and log of an unbroken one.
"""

import math
import signal
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, cast

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from posediff import checkpoint, micro_batch, processes, run_folder, training_state
from posediff.diffusion import Model, Poses
from posediff.diffusion.choices import one_of
from posediff.diffusion.model import Rule
from posediff.interruption import Stop, Stopped
from posediff.loading import Samples as Samples
from posediff.loading import Subset as Subset
from posediff.loading import batches, in_order, loader
from posediff.metrics.metric import Metric
from posediff.progress import progress
from posediff.rates import constant, never
from posediff.sample import to
from posediff.training_state import TrainingState

Figures = dict[str, float]


def samples_of(frames: int, model: Model) -> int:
    """Number of a model's samples that contain so many frames, at least 1."""
    return max(1, frames // model.head.window.frames)


@dataclass(frozen=True)
class SaveEvery:
    """When states are saved, besides the end of every epoch: after so many steps, or minutes."""

    steps: int | None = None
    minutes: float | None = None

    def __post_init__(self) -> None:
        for name, value in (("steps", self.steps), ("minutes", self.minutes)):
            if value is not None and not value > 0:
                raise ValueError(f"trainer.save_every.{name} must be above 0 or null, got {value}")

    def due(self, steps: int, seconds: float) -> bool:
        """Whether to save, if that was last done so long ago."""
        enough = self.steps is not None and steps >= self.steps
        return enough or (self.minutes is not None and seconds >= 60 * self.minutes)


@dataclass(frozen=True)
class Recipe:
    """An epoch is `epoch_samples` samples, or one pass over the data if that is None.

    `rate` maps the part of training done, 0 .. 1, to a factor of the optimiser's learning rate, and
    `aligned` to the share of a batch that is self-aligned, see `DiffusionModel.loss`.
    """

    epochs: int
    batch_size: int
    epoch_samples: int | None = None
    max_norm: float | None = 1.0  # largest norm of the gradient
    ema: float = 0.999  # of the weights that are scored and kept
    precision: Literal["float32", "bfloat16"] = "float32"
    workers: int = 0
    seed: int = 0
    rate: Callable[[float], float] = constant
    aligned: Callable[[float], float] = never
    save_every: SaveEvery = field(default_factory=SaveEvery)
    micro_batch: int | None = None  # samples of a batch that are in memory at once; null: all

    def __post_init__(self) -> None:
        one_of("trainer.recipe.precision", self.precision, ("float32", "bfloat16"))
        if self.micro_batch is not None and self.micro_batch < 1:
            raise ValueError(f"trainer.micro_batch must be 1 or more, got {self.micro_batch}")

    def steps(self, data: Samples) -> int:
        """Optimiser steps in an epoch; all batches are full."""
        return math.ceil((self.epoch_samples or len(data)) / self.batch_size)


@dataclass(frozen=True)
class Selection:
    """The epoch whose weights are kept: that with the best figure `monitor` of `score`."""

    score: Callable[[Model], Figures]
    monitor: str
    better: Literal["lower", "higher"] = "lower"

    def __post_init__(self) -> None:
        one_of("eval.better", self.better, ("lower", "higher"))

    def improved(self, figures: Figures, best: Figures) -> bool:
        if not best:
            return True
        gain = figures[self.monitor] - best[self.monitor]
        return gain > 0 if self.better == "higher" else gain < 0


@dataclass(frozen=True)
class Outputs:
    """Where a training writes: log.jsonl and checkpoints/{last,previous,best} of a run folder. Of
    several processes, only the first does."""

    folder: Path
    config: Mapping[str, Any]  # of model folders
    settings: Mapping[str, Any] = field(default_factory=dict)  # kept in states, to be compared

    def cut_log(self, size: int) -> None:
        if processes.first():
            run_folder.cut_log(self.folder, size)

    def log(self, line: Mapping[str, Any]) -> None:
        if processes.first():
            run_folder.write_line(self.folder, line)

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
            "optimizer": self.optimizer.state_dict(),
            "average": self.average.state_dict(),
        }
        outputs.save_state(self.model.state_dict(), state)
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

    def due(self) -> bool:
        step, clock = self.saved
        return self.recipe.save_every.due(self.step - step, time.monotonic() - clock)


def fit(
    model: Model,
    data: Samples,
    optimizer: torch.optim.Optimizer,
    recipe: Recipe,
    selection: Selection,
    outputs: Outputs,
    state: TrainingState | None = None,
) -> Figures:
    """Train, from a state or from the beginning, and keep the best averaged weights.

    Returns the figures of the best epoch. Raises Stopped after a signal, once a state is saved.
    """
    if recipe.aligned(1.0) > 0 and model.sampler is None:
        raise ValueError(
            "trainer.self_aligned.share must be 0 for a method without diffusion: it has no states"
        )
    processes.share_statistics(model)
    training = Training(model, optimizer, recipe)
    if state is not None:
        training.restore(state, recipe.steps(data))
    kept = state.trainer.get("log") if state is not None else 0
    if kept is not None:
        outputs.cut_log(kept)
    with Stop() as stop:
        while training.epoch < recipe.epochs:
            stop.check()
            train_one_epoch(training, data, outputs, stop)
            end_epoch(training, data, selection, outputs, stop)
    return training.best


def train_one_epoch(training: Training, data: Samples, outputs: Outputs, stop: Stop) -> None:
    """The steps of the epoch that are left."""
    model, recipe = training.model, training.recipe
    model.train()
    micro_batch.refuse(model, recipe.micro_batch)
    data.set_epoch(training.epoch)
    steps, notes = recipe.steps(data), dict[str, str]()
    first, end = training.epoch * steps, (training.epoch + 1) * steps
    left = end - training.step
    rows = batches(len(data), recipe.batch_size, recipe.seed, training.step, left)
    own = processes.share(recipe.batch_size)
    loading = loader(data, [batch[own] for batch in rows], recipe.workers)
    for sample in progress(loading, left, f"epoch {training.epoch + 1}", notes):
        loss = train_one_step(training, sample, training.step / (steps * recipe.epochs))
        lr = training.optimizer.param_groups[0]["lr"]
        outputs.log({"step": training.step, "loss": loss, "lr": lr})
        training.total, training.step = training.total + loss, training.step + 1
        notes["loss"] = f"{training.total / (training.step - first):.4g}"
        asked = processes.any_of(bool(stop.asked))
        if asked or processes.any_of(training.due()):
            training.save(outputs)
            if asked:
                raise Stopped(stop.asked or signal.SIGTERM)


def train_one_step(training: Training, sample: Any, done: float) -> float:
    """The loss of a batch, once the weights have followed its gradient; `done` is the part of the
    training before it."""
    model, optimizer, recipe = training.model, training.optimizer, training.recipe
    torch.manual_seed(step_seed(training) + (processes.number() << 56))
    for group, lr in zip(optimizer.param_groups, training.base, strict=True):
        group["lr"] = lr * recipe.rate(done)
    optimizer.zero_grad(set_to_none=True)
    value = gradients(training, sample, recipe.aligned(done))
    if recipe.max_norm is not None:
        nn.utils.clip_grad_norm_(model.parameters(), recipe.max_norm)
    optimizer.step()
    training.average.update_parameters(model)
    return value


def gradients(training: Training, sample: Any, aligned: float) -> float:
    """The loss of a batch, whose gradients are left in the weights."""
    model, recipe, value = training.model, training.recipe, 0.0
    device, bf16 = next(model.parameters()).device, recipe.precision == "bfloat16"
    seed = step_seed(training)
    split = micro_batch.split(sample, recipe.micro_batch, model, seed, recipe.batch_size)
    for part, noise, weight in split:
        with torch.autocast(device.type, torch.bfloat16, enabled=bf16):
            loss: Tensor = weight * model(to(part, device), aligned, noise)
        value += loss.item()
        if math.isfinite(value):
            loss.backward()  # type: ignore[no-untyped-call]
    value = processes.total(value)
    if not math.isfinite(value):
        raise ValueError(f"the loss is {value} at step {training.step}: lower trainer.optimizer.lr")
    processes.add_gradients(model)
    return value


def step_seed(training: Training) -> int:
    return (training.recipe.seed << 20) + training.step


def end_epoch(
    training: Training, data: Samples, selection: Selection, outputs: Outputs, stop: Stop
) -> None:
    """Score the mean of the weights, keep it if it is the best, and save the state."""
    average, recipe = cast(Model, training.average.module), training.recipe
    try:
        with stop.anywhere():
            scored = selection.score(average)
    except KeyboardInterrupt:
        training.save(outputs)  # its steps are done, and will not be done again
        raise
    training.tick()
    steps, monitor = recipe.steps(data), selection.monitor
    figures = {"loss": training.total / steps, **scored}
    line = {"epoch": training.epoch + 1, **figures}
    outputs.log({**line, "seconds": training.seconds})
    improved = selection.improved(figures, training.best)
    print(
        f"epoch {line['epoch']}/{recipe.epochs}  loss {figures['loss']:.4g}  "
        f"{monitor} {figures[monitor]:.4g}"
        f"  {steps * recipe.batch_size / max(training.seconds, 1e-9):.0f} samples/s"
        f"{'  (best so far)' if improved else ''}",
        flush=True,
    )
    if improved:
        training.best = line
        outputs.save_best(average.state_dict())
    training.epoch, training.total, training.seconds = training.epoch + 1, 0.0, 0.0
    training.save(outputs)


@torch.no_grad()
def evaluate(
    model: Model,
    data: Samples,
    metric: Metric,
    rules: Mapping[str, Rule],
    batch_size: int,
    seed: int = 0,
    workers: int = 0,
    label: str = "scoring",
    hypotheses: int | None = None,
) -> Figures:
    """Score every aggregation rule on the same draws of every sample. hypotheses: K, by default
    that of the model."""
    device = next(model.parameters()).device
    model.eval()

    def answered(sample: Any) -> tuple[dict[str, Poses], Any]:
        drawn = model.sample(to(sample, device), hypotheses, seed=seed)
        return {name: rule(drawn) for name, rule in rules.items()}, drawn.sample

    own = in_order(data, batch_size, workers, label, processes.turns())
    for answers, sample in processes.merged(map(answered, own)):
        for name, poses in answers.items():
            metric.update(name, poses, sample)
    return metric.compute()


@torch.no_grad()
def calibrate(model: Model, data: Samples, batch_size: int) -> None:
    """Let a model measure its errors on held-out samples, on the device where it is."""
    device = next(model.parameters()).device
    model.eval()
    batches = in_order(data, batch_size, label="calibrating")
    model.calibrate(to(sample, device) for sample in batches)


def averaging(decay: float) -> Callable[[Any, Any, Any], None]:
    """The exponential mean of weights, with the decay (1 + n) / (10 + n) at step n, at most
    `decay`: a short run is not the mean of its own first steps.
    """

    @torch.no_grad()
    def update(means: list[Tensor], values: list[Tensor], seen: Tensor | int) -> None:
        torch._foreach_lerp_(means, values, 1 - min(decay, (1 + int(seen)) / (10 + int(seen))))

    return update
