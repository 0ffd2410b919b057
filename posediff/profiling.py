"""Shares of the time and the memory of a training step, in ten lines (debug=profile).

The steps are those of the engine, and nothing is kept. The first one warms up and is not counted.
"""

import resource
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from posediff import engine, micro_batch, processes
from posediff.diffusion import Model
from posediff.loading import Samples
from posediff.recipe import Recipe

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


class Meter:
    """Cost of a step of a model: seconds by part, those of the model's own parts inside of the
    forward pass, and the most bytes that such a pass kept for the backward pass."""

    def __init__(self, model: Model) -> None:
        device = next(model.parameters()).device
        self.model, self.kept = model, 0
        self.clock, self.inside = Clock(device), Clock(device)

    @contextmanager
    def __call__(self, part: str) -> Iterator[None]:
        with self.clock(part), self._forward() if part == "forward" else nullcontext():
            yield

    @contextmanager
    def _forward(self) -> Iterator[None]:
        saved = dict[int, int]()

        def pack(x: Tensor) -> Tensor:
            storage = x.untyped_storage()
            saved[storage.data_ptr()] = storage.nbytes()
            return x

        hooks = torch.autograd.graph.saved_tensors_hooks(pack, lambda x: x)
        with timed(self.model.head, self.inside), hooks:
            yield
        weights = {p.untyped_storage().data_ptr() for p in self.model.parameters()}
        self.kept = max(self.kept, sum(n for at, n in saved.items() if at not in weights))

    def clear(self) -> None:
        self.clock.seconds.clear()
        self.inside.seconds.clear()


def profile(
    model: Model,
    data: Samples,
    optimizer: torch.optim.Optimizer,
    recipe: Recipe,
    steps: int,
) -> list[str]:
    """The lines to print, after `steps` steps of the engine.

    They are those of the end of a training, which are self-aligned if any are. Raises ValueError if
    the model cannot follow the recipe, and if processes share out its weights.
    """
    if recipe.shard and processes.count() > 1:
        raise ValueError("trainer.profile measures whole weights: set trainer.shard=false with it")
    recipe = replace(recipe, epochs=steps + 1)  # enough batches
    training, meter = engine.prepared(model, data, optimizer, recipe), Meter(model)
    loading = engine.batches_from(training, data)
    model.train()
    micro_batch.refuse(model, recipe.micro_batch)
    for step in range(steps + 1):
        if step == 1:
            meter.clear()
        with meter("load"):
            batch = next(loading)
        engine.train_one_step(training, batch, 1.0, meter)
        training.step += 1
    return lines(meter, recipe, steps)


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


def lines(meter: Meter, recipe: Recipe, steps: int) -> list[str]:
    """Ten lines: the step and its parts, the largest parts of the forward pass, and memory."""
    model, seconds = meter.model, meter.clock.seconds
    total = sum(seconds.values())
    milliseconds = {part: 1e3 * seconds[part] / steps for part in PARTS}
    own = len(range(recipe.batch_size)[processes.share(recipe.batch_size)])
    rows = min(own, recipe.micro_batch or own)  # in memory at once

    def shown(part: str, ms: float) -> str:
        return f"{part} {ms:.1f} ms ({ms * steps / total / 10:.0f} %)"

    rate = steps * recipe.batch_size / total
    weights = sum(p.numel() * p.element_size() for p in model.parameters())
    learned = sum(p.numel() * p.element_size() for p in model.parameters() if p.requires_grad)
    outer = [x for x in meter.inside.seconds.items() if x[1] > 0]
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
        f"memory, kept for the backward pass: {mb(meter.kept)}, {mb(meter.kept / rows)} a sample",
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
