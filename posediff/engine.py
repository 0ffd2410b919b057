"""Training and evaluation as plain functions over plain objects.

The engine uses `model.loss`, `model.sample` and `model.calibrate` only; it reads no configuration
and depends on no task. The random state of a step is set by (seed, step), and the order of the data
is a function of (seed, position), so a training that is resumed at any step ends with the weights,
figures and log of an unbroken one.
"""

import math
import signal
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from itertools import islice
from typing import Any, cast

import torch
from torch import Tensor, nn

from posediff import micro_batch, processes, sharding
from posediff.diffusion import Model, Poses
from posediff.diffusion.model import Rule
from posediff.interruption import Stop, Stopped
from posediff.loading import Samples as Samples
from posediff.loading import Subset as Subset
from posediff.loading import batches, in_order, stream
from posediff.metrics.metric import Metric
from posediff.progress import progress
from posediff.recipe import Figures as Figures
from posediff.recipe import Recipe as Recipe
from posediff.recipe import SaveEvery as SaveEvery
from posediff.recipe import Selection as Selection
from posediff.sample import to
from posediff.training import Outputs as Outputs
from posediff.training import Training
from posediff.training_state import TrainingState

Timing = Callable[[str], AbstractContextManager[None]]  # of a part of a step, by its name


def samples_of(frames: int, model: Model) -> int:
    """Number of a model's samples that contain so many frames, at least 1."""
    return max(1, frames // model.head.window.frames)


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
    training = prepared(model, data, optimizer, recipe, state)
    kept = state.trainer.get("log") if state is not None else 0
    if kept is not None:
        outputs.cut_log(kept)
    with Stop() as stop:
        loading = batches_from(training, data)
        while training.epoch < recipe.epochs:
            train_one_epoch(training, data, loading, outputs, stop)
            end_epoch(training, data, selection, outputs, stop)
            leave_if(processes.any_of(bool(stop.asked)), stop)
    return training.best


def prepared(
    model: Model,
    data: Samples,
    optimizer: torch.optim.Optimizer,
    recipe: Recipe,
    state: TrainingState | None = None,
) -> Training:
    """A training before its next step. Raises ValueError if the model cannot follow the recipe."""
    if recipe.aligned(1.0) > 0 and model.sampler is None:
        raise ValueError(
            "trainer.self_aligned.share must be 0 for a method without diffusion: it has no states"
        )
    processes.share_statistics(model)
    training = Training(model, optimizer, recipe)
    if state is not None:
        training.restore(state, recipe.steps(data))
    if recipe.shard:
        sharding.shard(model, optimizer, recipe.batch_size)
    return training


def batches_from(training: Training, data: Samples) -> Iterator[Any]:
    """This process's share of every batch that is left."""
    recipe, steps = training.recipe, training.recipe.steps(data)
    left = max(0, recipe.epochs * steps - training.step)
    rows = batches(len(data), recipe.batch_size, recipe.seed, training.step, left)
    own = processes.share(recipe.batch_size)
    return stream(data, (batch[own] for batch in rows), training.step, steps, recipe.workers)


def train_one_epoch(
    training: Training, data: Samples, loading: Iterator[Any], outputs: Outputs, stop: Stop
) -> None:
    """The steps of the epoch that are left."""
    model, recipe = training.model, training.recipe
    model.train()
    micro_batch.refuse(model, recipe.micro_batch)
    steps, notes = recipe.steps(data), dict[str, str]()
    first, end = training.epoch * steps, (training.epoch + 1) * steps
    left = end - training.step
    for sample in progress(islice(loading, left), left, f"epoch {training.epoch + 1}", notes):
        loss = train_one_step(training, sample, training.step / (steps * recipe.epochs))
        lr = training.optimizer.param_groups[0]["lr"]
        outputs.log({"step": training.step, "loss": loss, "lr": lr})
        training.total, training.step = training.total + loss, training.step + 1
        notes["loss"] = f"{training.total / (training.step - first):.4g}"
        asked = processes.any_of(bool(stop.asked))
        if asked or processes.any_of(training.due()):
            training.save(outputs)
            leave_if(asked, stop)


def leave_if(asked: bool, stop: Stop) -> None:
    """Raise Stopped if any process was asked to stop, so that all leave at the same step."""
    if asked:
        raise Stopped(stop.asked or signal.SIGTERM)


def untimed(part: str) -> nullcontext[None]:
    return nullcontext()


def train_one_step(training: Training, sample: Any, done: float, clock: Timing = untimed) -> float:
    """The loss of a batch, once the weights have followed its gradient; `done` is the part of the
    training before it. clock: a context for every part of the step."""
    model, optimizer, recipe = training.model, training.optimizer, training.recipe
    torch.manual_seed(training.seed + (processes.number() << 56))
    for group, lr in zip(optimizer.param_groups, training.base, strict=True):
        group["lr"] = lr * recipe.rate(done)
    optimizer.zero_grad(set_to_none=True)
    value = gradients(training, sample, recipe.aligned(done), clock)
    if recipe.max_norm is not None:
        with clock("clip"):
            nn.utils.clip_grad_norm_(model.parameters(), recipe.max_norm)
    with clock("optimizer"):
        optimizer.step()
    with clock("average"), sharding.together(model):
        training.average.update_parameters(model)
    return value


def gradients(training: Training, sample: Any, aligned: float, clock: Timing) -> float:
    """The loss of a batch, whose gradients are left in the weights."""
    model, recipe, value, in_parts = training.model, training.recipe, 0.0, False
    device, bf16 = next(model.parameters()).device, recipe.precision == "bfloat16"
    split = micro_batch.split(sample, recipe.micro_batch, model, training.seed, recipe.batch_size)
    for part, noise, weight in split:
        with clock("copy"):
            part = to(part, device)
        with clock("forward"), torch.autocast(device.type, torch.bfloat16, enabled=bf16):
            loss: Tensor = weight * model(part, aligned, noise)
        value, in_parts = value + loss.item(), noise is not None
        with clock("backward"):
            loss.backward()  # type: ignore[no-untyped-call]  # of any loss: other processes wait
    value = processes.total(value)
    if not math.isfinite(value):
        raise ValueError(f"the loss is {value} at step {training.step}: lower trainer.optimizer.lr")
    if not recipe.shard:
        with clock("backward"):
            processes.add_gradients(model)
    return micro_batch.square(model, value) if model.squared and in_parts else value


def scored(training: Training, selection: Selection, outputs: Outputs, stop: Stop) -> Figures:
    """The figures of the mean of the weights. A signal ends their computation at once, unless other
    processes wait in it: these leave together, at its end."""
    average = cast(Model, training.average.module)
    if processes.count() > 1:
        return selection.score(average)
    try:
        with stop.anywhere():
            return selection.score(average)
    except KeyboardInterrupt:
        training.save(outputs)  # its steps are done, and will not be done again
        raise


def no_figure(monitor: str, figures: Iterable[str]) -> ValueError:
    return ValueError(f"eval.monitor={monitor}: no such figure, only {', '.join(figures)}")


def end_epoch(
    training: Training, data: Samples, selection: Selection, outputs: Outputs, stop: Stop
) -> None:
    """Score the mean of the weights, keep it if it is the best, and save the state."""
    found, recipe = scored(training, selection, outputs, stop), training.recipe
    training.tick()
    steps, monitor = recipe.steps(data), selection.monitor
    plain = {name: float(x) for name, x in found.items()}  # states have no numbers of NumPy
    figures = {"loss": training.total / steps, **plain}
    if monitor not in figures:
        training.save(outputs)
        raise no_figure(monitor, plain)
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
        outputs.save_best(training.average.module.state_dict())
    training.epoch, training.total, training.seconds = training.epoch + 1, 0.0, 0.0
    training.save(outputs)
    outputs.end_epoch()


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
