"""Training and evaluation as plain functions over plain objects.

The engine uses `model.loss`, `model.sample` and `model.calibrate` only; it reads no configuration
and depends on no task. The random state of a step is set by (seed, step), and the order of the data
is a function of (seed, position), so a resumed run ends with the weights of an unbroken one.
"""

import json
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol, cast

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel
from torch.utils.data import DataLoader, Dataset

from posediff import checkpoint
from posediff.diffusion import Model
from posediff.diffusion.choices import one_of
from posediff.diffusion.model import Rule
from posediff.metrics.metric import Metric
from posediff.progress import progress
from posediff.sample import to

Figures = dict[str, float]


class Samples(Protocol):
    """A map-style data set of whole batches, whose randomness is drawn again every epoch."""

    def __len__(self) -> int: ...
    def __getitems__(self, rows: list[int]) -> dict[str, Any]: ...
    def set_epoch(self, epoch: int) -> None: ...


class Subset:
    """`count` samples of a data set, evenly spaced; all of them if it has no more."""

    def __init__(self, data: Samples, count: int) -> None:
        self.data, n = data, min(count, len(data))
        self.rows = [i * len(data) // n for i in range(n)]

    def __len__(self) -> int:
        return len(self.rows)

    def __getitems__(self, rows: list[int]) -> dict[str, Any]:
        return self.data.__getitems__([self.rows[i] for i in rows])

    def set_epoch(self, epoch: int) -> None:
        self.data.set_epoch(epoch)


def samples_of(frames: int, model: Model) -> int:
    """Number of a model's samples that contain so many frames, at least 1."""
    return max(1, frames // model.head.window.frames)


@dataclass(frozen=True)
class Recipe:
    """An epoch is `epoch_samples` samples, or one pass over the data if that is None."""

    epochs: int
    batch_size: int
    epoch_samples: int | None = None
    max_norm: float | None = 1.0  # largest norm of the gradient
    ema: float = 0.999  # of the weights that are scored and kept
    precision: Literal["float32", "bfloat16"] = "float32"
    workers: int = 0
    seed: int = 0

    def __post_init__(self) -> None:
        one_of("trainer.recipe.precision", self.precision, ("float32", "bfloat16"))

    def steps(self, data: Samples) -> int:
        """Optimiser steps in an epoch; all batches are full."""
        return math.ceil((self.epoch_samples or len(data)) / self.batch_size)


def fit(
    model: Model,
    data: Samples,
    optimizer: torch.optim.Optimizer,
    rate: Callable[[float], float],
    recipe: Recipe,
    score: Callable[[Model], Figures],
    monitor: str,
    folder: Path,
    config: Mapping[str, Any],
    resume: bool = False,
    better: Literal["lower", "higher"] = "lower",
    aligned: Callable[[float], float] = lambda done: 0.0,
    after_epoch: Callable[[], None] = lambda: None,
) -> Figures:
    """Train, and keep the best averaged weights by `monitor` on held-out data.

    Writes log.jsonl and checkpoints/{last,best} in `folder`; returns the figures of the best epoch.
    `rate` maps the part of training done, 0 .. 1, to a factor of the optimiser's learning rate, and
    `aligned` to the share of a batch that is self-aligned, see `DiffusionModel.loss`.
    `after_epoch` is called when the log and the state of an epoch are written.
    """
    one_of("eval.better", better, ("lower", "higher"))
    if aligned(1.0) > 0 and model.sampler is None:
        raise ValueError(
            "trainer.self_aligned.share must be 0 for a method without diffusion: it has no states"
        )
    average = AveragedModel(model, multi_avg_fn=averaging(recipe.ema))
    first, best = 0, Figures()
    if resume:
        first, best = restore(folder / "checkpoints/last", model, average, optimizer)
    base = [group["lr"] for group in optimizer.param_groups]
    for epoch in range(first, recipe.epochs):
        started = time.monotonic()
        loss = train_one_epoch(
            model, average, data, optimizer, base, rate, aligned, recipe, folder, epoch
        )
        figures = {"loss": loss, **score(cast(Model, average.module))}
        seconds = time.monotonic() - started
        log(folder, {"epoch": epoch + 1, **figures, "seconds": seconds})
        gain = 0.0 if not best else figures[monitor] - best[monitor]
        improved = not best or (gain > 0 if better == "higher" else gain < 0)
        print(
            f"epoch {epoch + 1}/{recipe.epochs}  loss {loss:.4g}  {monitor} {figures[monitor]:.4g}"
            f"  {recipe.steps(data) * recipe.batch_size / seconds:.0f} samples/s"
            f"{'  (best so far)' if improved else ''}",
            flush=True,
        )
        if improved:
            best = {"epoch": epoch + 1, **figures}
            checkpoint.save(folder / "checkpoints/best", average.module.state_dict(), config)
        trainer = {
            "epoch": epoch + 1,
            "best": best,
            "base": base,
            "optimizer": optimizer.state_dict(),
            "average": average.state_dict(),
        }
        checkpoint.save(folder / "checkpoints/last", model.state_dict(), config, trainer)
        after_epoch()
    return best


def train_one_epoch(
    model: Model,
    average: AveragedModel,
    data: Samples,
    optimizer: torch.optim.Optimizer,
    base: Sequence[float],
    rate: Callable[[float], float],
    aligned: Callable[[float], float],
    recipe: Recipe,
    folder: Path,
    epoch: int,
) -> float:
    """The mean loss of the epoch."""
    device = next(model.parameters()).device
    model.train()
    data.set_epoch(epoch)
    steps, total, notes = recipe.steps(data), 0.0, dict[str, str]()
    first = epoch * steps
    rows = batches(len(data), recipe.batch_size, recipe.seed, first, steps)
    loading = loader(data, list(rows), recipe.workers)
    for i, sample in enumerate(progress(loading, steps, f"epoch {epoch + 1}", notes)):
        step = first + i
        done = step / (steps * recipe.epochs)
        torch.manual_seed((recipe.seed << 20) + step)
        for group, lr in zip(optimizer.param_groups, base, strict=True):
            group["lr"] = lr * rate(done)
        bf16 = recipe.precision == "bfloat16"
        with torch.autocast(device.type, torch.bfloat16, enabled=bf16):
            loss: Tensor = model(to(sample, device), aligned(done))
        value = loss.item()
        if not math.isfinite(value):
            raise ValueError(f"the loss is {value} at step {step}: lower trainer.optimizer.lr")
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        if recipe.max_norm is not None:
            nn.utils.clip_grad_norm_(model.parameters(), recipe.max_norm)
        optimizer.step()
        average.update_parameters(model)
        total += value
        notes["loss"] = f"{total / (i + 1):.4g}"
        log(folder, {"step": step, "loss": value, "lr": optimizer.param_groups[0]["lr"]})
    return total / steps


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
    for sample in in_order(data, batch_size, workers, label):
        drawn = model.sample(to(sample, device), hypotheses, seed=seed)
        for name, rule in rules.items():
            metric.update(name, rule(drawn), drawn.sample)
    return metric.compute()


@torch.no_grad()
def calibrate(model: Model, data: Samples, batch_size: int) -> None:
    """Let a model measure its errors on held-out samples, on the device where it is."""
    device = next(model.parameters()).device
    model.eval()
    batches = in_order(data, batch_size, label="calibrating")
    model.calibrate(to(sample, device) for sample in batches)


def restore(
    folder: Path, model: Model, average: AveragedModel, optimizer: torch.optim.Optimizer
) -> tuple[int, Figures]:
    """Epochs done and the figures of the best one, from checkpoints/last."""
    state = checkpoint.read_trainer(folder)
    checkpoint.load_weights(model, checkpoint.read_weights(folder), folder)
    average.load_state_dict(state["average"])
    optimizer.load_state_dict(state["optimizer"])
    for group, lr in zip(optimizer.param_groups, state["base"], strict=True):
        group["lr"] = lr
    return state["epoch"], state["best"]


def averaging(decay: float) -> Callable[[Any, Any, Any], None]:
    """The exponential mean of weights, with the decay (1 + n) / (10 + n) at step n, at most
    `decay`: a short run is not the mean of its own first steps.
    """

    @torch.no_grad()
    def update(means: list[Tensor], values: list[Tensor], seen: Tensor | int) -> None:
        torch._foreach_lerp_(means, values, 1 - min(decay, (1 + int(seen)) / (10 + int(seen))))

    return update


def batches(length: int, size: int, seed: int, first: int, steps: int) -> Iterator[list[int]]:
    """The rows of `steps` full batches from batch `first` on, in an endless shuffled stream.

    Every pass over the data has its own order, from (seed, pass).
    """
    current, order = -1, torch.empty(0)
    for step in range(first, first + steps):
        rows = []
        for position in range(step * size, (step + 1) * size):
            if position // length != current:
                current = position // length
                key = torch.Generator().manual_seed((seed << 20) + current)
                order = torch.randperm(length, generator=key)
            rows.append(int(order[position % length]))
        yield rows


def in_order(data: Samples, size: int, workers: int = 0, label: str = "") -> Iterator[Any]:
    """The batches of one pass, first to last; progress is shown if it has a label."""
    rows = [list(range(i, min(i + size, len(data)))) for i in range(0, len(data), size)]
    batches = iter(loader(data, rows, workers))
    return progress(batches, len(rows), label, {}) if label else batches


def loader(data: Samples, rows: list[list[int]], workers: int) -> Iterator[Any]:
    """The batches of these rows.

    A worker returns an error of the input in place of a batch, and it is raised here: PyTorch would
    turn it into the text of a traceback.
    """
    guarded: Dataset[Any] = _Guarded(data)  # type: ignore[assignment]
    for batch in DataLoader(guarded, batch_sampler=rows, collate_fn=_whole, num_workers=workers):
        if isinstance(batch, Exception):
            raise batch
        yield batch


class _Guarded:
    def __init__(self, data: Samples) -> None:
        self.data = data

    def __getitems__(self, rows: list[int]) -> dict[str, Any] | Exception:
        try:
            return self.data.__getitems__(rows)
        except (ValueError, OSError) as error:
            return error


def _whole(batch: Any) -> Any:
    return batch  # the data set yields batches already


def log(folder: Path, figures: Mapping[str, Any]) -> None:
    with (folder / "log.jsonl").open("a") as file:
        file.write(json.dumps(dict(figures)) + "\n")


def exponential(done: float, last: float) -> float:
    """An exponential decay to the part `last`: r ** n for the factor r per epoch, over n epochs."""
    return math.pow(last, done)


def constant(done: float) -> float:
    return 1.0


def stairs(done: float, at: Sequence[float], warmup: float = 0.0) -> float:
    """Linear over the first part `warmup`, then a tenth from each of the parts `at` on."""
    if done < warmup:
        return done / warmup
    return float(0.1 ** sum(done >= step for step in at))


def cosine(done: float, warmup: float = 0.0) -> float:
    """Linear over the first part `warmup` of training, then a half cosine down to 0."""
    if done < warmup:
        return done / warmup
    return (1 + math.cos(math.pi * (done - warmup) / (1 - warmup))) / 2


def self_aligned(given: Mapping[str, float] | None) -> Callable[[float], float]:
    """The share of a batch that is self-aligned, of the part of training done: `share` from the
    part `from` on; None is never.

    Raises ValueError for a value outside 0 .. 1.
    """
    if given is None:
        return lambda done: 0.0
    for key in ("share", "from"):
        if not isinstance(given[key], int | float) or not 0 <= given[key] <= 1:
            raise ValueError(f"trainer.self_aligned.{key} must be in 0 .. 1, got {given[key]!r}")
    share, begin = given["share"], given["from"]
    return lambda done: share if done >= begin else 0.0
