"""A batch that is trained in parts: by several processes, or one after another to save memory.

The loss of the batch is the mean of those of its parts, by what counts in each. Timesteps and noise
are those of the whole batch, so the gradients differ by rounding alone, unless there is dropout,
which draws other numbers: its masks are made inside of compiled and fused layers, in an order that
depends on the shape of their input, so that rows of those of the whole batch would have to be made
for all rows in every process. So does image2d for joints without a label (`missing: noise`). They
have the same distribution, and what a step is given is the same whenever it is done again by as
many processes in parts of the same size.
"""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from posediff import processes
from posediff.diffusion import Model, Noise
from posediff.sample import parts


def split(
    sample: Any, size: int | None, model: Model, seed: int, whole: int
) -> Iterator[tuple[Any, Noise | None, float]]:
    """The parts of at most `size` samples (None: all), their noise and their weight in the mean.

    sample: this process's share of a batch of `whole` samples. seed: of the step. A batch in one
    part has the noise of its own model.
    """
    own, size = len(sample["id"]), size or whole
    if own == whole and size >= whole:
        yield sample, None, 1.0
        return
    first = processes.share(whole).start
    total = max(1.0, processes.total(counted(sample, model)))
    for n, part in enumerate(parts(sample, size)):
        stream = torch.Generator().manual_seed(seed)  # on the CPU, as that of a whole batch
        rows = slice(first + n * size, first + min((n + 1) * size, own))
        yield part, Noise.part(stream, rows, whole), counted(part, model) / total


def counted(sample: Any, model: Model) -> float:
    """Weight of a batch in a mean of several: its samples, or the frames of its windows that have
    a loss."""
    window = model.head.window
    if window.frames == 1:
        return float(len(sample["id"]))
    valid: Tensor = sample["frames_valid"]
    if window.centred:
        valid = valid[:, window.frames // 2]
    return float(valid.sum())


def refuse(model: Model, size: int | None) -> None:
    """Raise ValueError for a model in training that normalises by the whole batch, and cannot do so
    in parts of so many samples."""
    if size is None:
        return
    for name, module in model.named_modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm) and module.training:
            raise ValueError(
                f"trainer.micro_batch: {name} normalises by its whole batch; set it to null, and "
                "trainer.recompute=true, which needs little memory, or backbone.frozen=true"
            )


def square(model: Model, loss: float) -> float:
    """Half the square of a batch's loss, once the gradients of its parts are added up: theirs
    become those of the square. Returns it."""
    for parameter in model.parameters():
        if parameter.grad is not None:
            parameter.grad *= loss
    return loss**2 / 2
