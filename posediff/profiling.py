"""Shares of the time and the memory of a training step, in ten lines (debug=profile).

The weights change as in training, and nothing is kept. The first step warms up and is not counted.
"""

import resource
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from posediff.diffusion import Model
from posediff.loading import Samples, batches, loader
from posediff.recipe import Recipe
from posediff.sample import to
from posediff.training import averaging

PARTS = ("load", "copy", "forward", "backward", "clip", "optimizer", "average")
LARGEST = 3  # parts of the model that are named


class Clock:
    """Seconds by part. The device has ended its work when a part ends."""

    def __init__(self, device: torch.device) -> None:
        self.device, self.seconds = device, Counter[str]()

    @contextmanager
    def __call__(self, part: str) -> Iterator[None]:
        start = self._now()
        yield
        self.seconds[part] += self._now() - start  # type: ignore[assignment]

    def _now(self) -> float:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        return time.perf_counter()


def profile(
    model: Model,
    data: Samples,
    optimizer: torch.optim.Optimizer,
    recipe: Recipe,
    steps: int,
) -> list[str]:
    """The lines to print, after `steps` steps."""
    device = next(model.parameters()).device
    average = torch.optim.swa_utils.AveragedModel(model, multi_avg_fn=averaging(recipe.ema))
    rows = batches(len(data), recipe.batch_size, recipe.seed, 0, steps + 1)
    loading, clock, inside = (
        loader(data, list(rows), recipe.workers),
        Clock(device),
        Clock(device),
    )
    model.train()
    data.set_epoch(0)
    kept = 0
    for step in range(steps + 1):
        if step == 1:
            clock.seconds.clear()
            inside.seconds.clear()
        torch.manual_seed(recipe.seed + step)
        with clock("load"):
            batch = next(loading)
        with clock("copy"):
            sample = to(batch, device)
        kept = max(kept, one_step(model, average, sample, optimizer, recipe, clock, inside))
    return lines(clock, inside, model, recipe, steps, kept)


def one_step(
    model: Model,
    average: torch.optim.swa_utils.AveragedModel,
    sample: Any,
    optimizer: torch.optim.Optimizer,
    recipe: Recipe,
    clock: Clock,
    inside: Clock,
) -> int:
    """A step of training; returns the bytes that its forward pass kept for the backward pass."""
    device, saved = next(model.parameters()).device, dict[int, int]()

    def pack(x: Tensor) -> Tensor:
        storage = x.untyped_storage()
        saved[storage.data_ptr()] = storage.nbytes()
        return x

    bf16 = recipe.precision == "bfloat16"
    with (
        clock("forward"),
        timed(model.head, inside),
        torch.autograd.graph.saved_tensors_hooks(pack, lambda x: x),
        torch.autocast(device.type, torch.bfloat16, enabled=bf16),
    ):
        loss: Tensor = model(sample)
    optimizer.zero_grad(set_to_none=True)
    with clock("backward"):
        loss.backward()  # type: ignore[no-untyped-call]
    with clock("clip"):
        if recipe.max_norm is not None:
            nn.utils.clip_grad_norm_(model.parameters(), recipe.max_norm)
    with clock("optimizer"):
        optimizer.step()
    with clock("average"):
        average.update_parameters(model)
    weights = {p.untyped_storage().data_ptr() for p in model.parameters()}
    return sum(n for at, n in saved.items() if at not in weights)


@contextmanager
def timed(head: nn.Module, clock: Clock) -> Iterator[None]:
    """Count the time of the calls of a head's parts, and of the parts of these."""
    hooks, begun = [], dict[str, float]()
    for name, part in head.named_modules():
        if name and name.count(".") < 2:

            def before(*_: Any, name: str = name) -> None:
                begun[name] = clock._now()

            def after(*_: Any, name: str = name) -> None:
                clock.seconds[name] += clock._now() - begun[name]  # type: ignore[assignment]

            hooks += [part.register_forward_pre_hook(before), part.register_forward_hook(after)]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def lines(
    clock: Clock, inside: Clock, model: Model, recipe: Recipe, steps: int, kept: int
) -> list[str]:
    """Ten lines: the step and its parts, the largest parts of the forward pass, and memory."""
    total = sum(clock.seconds.values())
    milliseconds = {part: 1e3 * clock.seconds[part] / steps for part in PARTS}

    def shown(part: str, ms: float) -> str:
        return f"{part} {ms:.1f} ms ({ms * steps / total / 10:.0f} %)"

    rate = steps * recipe.batch_size / total
    weights = sum(p.numel() * p.element_size() for p in model.parameters())
    learned = sum(p.numel() * p.element_size() for p in model.parameters() if p.requires_grad)
    outer = [x for x in inside.seconds.items() if x[1] > 0]
    largest = sorted(outer, key=lambda x: -x[1])[:LARGEST]
    found = [
        f"step of {recipe.batch_size} samples: {1e3 * total / steps:.1f} ms, {rate:.0f} samples/s "
        f"(mean of {steps}, {recipe.precision}, {torch.get_num_threads()} threads, "
        f"{recipe.workers} workers)",
        f"data: {shown('load', milliseconds['load'])}, {shown('copy', milliseconds['copy'])}",
        *(shown(part, milliseconds[part]) for part in ("forward", "backward")),
        "forward, largest parts: "
        + ", ".join(f"{name} {1e3 * s / steps:.1f} ms" for name, s in largest),
        ", ".join(shown(part, milliseconds[part]) for part in ("clip", "optimizer", "average")),
        f"memory, weights: {mb(weights)}, their mean {mb(weights)}, gradients {mb(learned)}, "
        f"optimizer about {mb(2 * learned)}",
        f"memory, kept for the backward pass: {mb(kept)}, {mb(kept / recipe.batch_size)} a sample",
        f"memory, peak of this process: {mb(peak(next(model.parameters()).device))}",
        f"most time: {max(milliseconds, key=lambda part: milliseconds[part])}",
    ]
    return found


def peak(device: torch.device) -> float:
    """Bytes: of the GPU's memory, or of the resident memory of this process."""
    if device.type == "cuda":
        return float(torch.cuda.max_memory_allocated(device))
    unit = 1 if sys.platform == "darwin" else 1024
    return float(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit)


def mb(count: float) -> str:
    return f"{count / 1e6:.1f} MB"
