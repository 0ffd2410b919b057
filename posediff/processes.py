"""Several processes that train or evaluate one model, each with its share of every batch.

    torchrun --nproc-per-node=2 -m posediff.train task=lift3d ...

Process 0 writes and prints. All have the same weights: their gradients are added up before every
step, and the sums are equal on all. Alone, a process takes part in nothing and every function here
returns what it was given.
"""

import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from itertools import zip_longest
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor, distributed, nn

from posediff.sample import to

PIXELS = ("image", "frames")
PATIENCE = timedelta(days=1)  # for the slowest share; that a process ended, torchrun notices
T = TypeVar("T")


def number() -> int:
    """Number of this process, from 0 on."""
    return distributed.get_rank() if count() > 1 else 0


def count() -> int:
    alone = not (distributed.is_available() and distributed.is_initialized())
    return 1 if alone else distributed.get_world_size()


def first() -> bool:
    return number() == 0


@contextmanager
def together() -> Iterator[None]:
    """Join the processes that torchrun started, if it did. All but the first stay silent."""
    if int(os.environ.get("WORLD_SIZE", "1")) < 2 or distributed.is_initialized():
        yield
        return
    if torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")) % torch.cuda.device_count())
    backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
    distributed.init_process_group(backend, timeout=PATIENCE)
    out = sys.stdout
    try:
        if not first():
            sys.stdout = Path(os.devnull).open("w")  # noqa: SIM115
        yield
    finally:
        sys.stdout = out
        distributed.destroy_process_group()


def share(rows: int) -> slice:
    """The rows of a batch that are this process's; in the order of the processes they are all.

    Raises ValueError if there are fewer rows than processes.
    """
    if rows < count():
        raise ValueError(f"trainer.recipe.batch_size={rows} is less than the {count()} processes")
    return _part(rows)


def _part(length: int) -> slice:
    n, k = count(), number()
    return slice(k * length // n, (k + 1) * length // n)


def part(items: Sequence[T]) -> Sequence[T]:
    """The items of a list that are this process's, perhaps none; `joined` puts what became of them
    together."""
    return items[_part(len(items))]


def joined(own: Sequence[T]) -> list[T]:
    """The items of all processes as one list, in the order of the processes."""
    if count() == 1:
        return list(own)
    each: list[Any] = [None] * count()
    distributed.all_gather_object(each, list(own))
    return [item for items in each for item in items]


def total(value: float) -> float:
    """The sum of the values of all processes."""
    if count() == 1:
        return value
    each = [torch.zeros(1, dtype=torch.float64) for _ in range(count())]
    distributed.all_gather(each, torch.tensor([value], dtype=torch.float64))
    return float(torch.cat(each).sum())


def any_of(asked: bool) -> bool:
    """True if it is true of any process."""
    return total(float(asked)) > 0


def add_gradients(model: nn.Module) -> None:
    """Give all processes the sum of their gradients."""
    if count() == 1:
        return
    gradients = [p.grad for p in model.parameters() if p.grad is not None]
    flat = torch.cat([x.flatten() for x in gradients])
    distributed.all_reduce(flat)
    start = 0
    for x in gradients:
        x.copy_(flat[start : start + x.numel()].view_as(x))
        start += x.numel()


def from_first(content: Any) -> Any:
    """The object of process 0, on all of them."""
    if count() == 1:
        return content
    box = [content]
    distributed.broadcast_object_list(box)
    return box[0]


def turns() -> slice:
    """The batches of a pass that are this process's, every n-th of them."""
    return slice(number(), None, count())


def merged(own: Iterable[tuple[Any, Any]]) -> Iterator[tuple[Any, Any]]:
    """Answers and samples of all batches of a pass in their order, from those of its `turns`; the
    samples of several processes lose their pixels on the way."""
    if count() == 1:
        yield from own
        return
    cpu = torch.device("cpu")
    mine = [
        (
            {name: poses.cpu() for name, poses in answers.items()},
            to({k: x for k, x in sample.items() if k not in PIXELS}, cpu),
        )
        for answers, sample in own
    ]
    each: list[Any] = [None] * count()
    distributed.all_gather_object(each, mine)
    for turn in zip_longest(*each):
        yield from (batch for batch in turn if batch is not None)


class Summed(torch.autograd.Function):
    """The sum over all processes; the gradient of each is that of the sum of their losses."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        """The sum of x over all processes."""
        distributed.all_reduce(total := x.clone())
        return total

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        """The sum of the gradients over all processes."""
        return Summed.forward(ctx, gradients[0])


def summed(x: Tensor) -> Tensor:
    """The sum over all processes, for a gradient."""
    total: Tensor = Summed.apply(x)  # type: ignore[no-untyped-call]
    return total


def share_statistics(model: nn.Module) -> None:
    """Let batch normalisation take its statistics from the batches of all processes."""
    if count() == 1:
        return
    for module in model.modules():
        if type(module) is nn.BatchNorm2d:
            module.__class__ = SharedBatchNorm


class SharedBatchNorm(nn.BatchNorm2d):
    """nn.BatchNorm2d over the batches of all processes, on any device."""

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return super().forward(x)
        axes = (0, 2, 3)
        counted = x.new_full((1,), x.numel() / x.shape[1])
        sums = summed(torch.cat([counted, x.sum(axes)]))
        n, mean = sums[:1], sums[1:] / sums[:1]
        centred = x - mean[:, None, None]
        variance = summed(centred.square().sum(axes)) / n
        with torch.no_grad():
            rate = self.momentum or 0.0
            self.running_mean.lerp_(mean, rate)  # type: ignore[union-attr]
            unbiased = variance * n / (n - 1)
            self.running_var.lerp_(unbiased, rate)  # type: ignore[union-attr]
            if self.num_batches_tracked is not None:
                self.num_batches_tracked.add_(1)
        scale = self.weight * (variance + self.eps).rsqrt()
        answer: Tensor = centred * scale[:, None, None] + self.bias[:, None, None]
        return answer
