"""A batch that is trained in parts, so that fewer samples are in memory at once.

The loss of the batch is the mean of those of its parts, by what counts in each. Timesteps and noise
are those of the whole batch, so the gradients differ by rounding alone, unless there is dropout,
which draws other numbers.
"""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from posediff.diffusion import Model, Noise
from posediff.sample import parts


def split(
    sample: Any, size: int | None, model: Model, seed: int
) -> Iterator[tuple[Any, Noise | None, float]]:
    """The parts of a batch of at most `size` samples, their noise, and their weight in the mean;
    the batch itself if it has no more, or if there is no size. `seed` is that of the step."""
    whole = len(sample["id"])
    if size is None or size >= whole:
        yield sample, None, 1.0
        return
    device, total = next(model.parameters()).device, counted(sample, model)
    for n, part in enumerate(parts(sample, size)):
        stream = torch.Generator(device).manual_seed(seed)
        rows = slice(n * size, (n + 1) * size)
        yield part, Noise.part(stream, rows, whole), counted(part, model) / total


def counted(sample: Any, model: Model) -> float:
    """What a batch weighs in a mean of several: its samples, or the frames of its windows that have
    a loss; at least 1."""
    window = model.head.window
    if window.frames == 1:
        return float(len(sample["id"]))
    valid: Tensor = sample["frames_valid"]
    if window.centred:
        valid = valid[:, window.frames // 2]
    return max(1.0, float(valid.sum()))


def refuse(model: Model) -> None:
    """Raise ValueError for a model in training whose loss needs the whole batch."""
    for name, module in model.named_modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm) and module.training:
            raise ValueError(
                f"trainer.micro_batch: {name} normalises by its whole batch; set it to null, and "
                "trainer.recipe.batch_size to what fits, or backbone.frozen=true"
            )
    if model.squared:
        raise ValueError("trainer.micro_batch: model.squared needs whole batches; set it to null")
