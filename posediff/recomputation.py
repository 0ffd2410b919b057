"""Training in less memory: what a block computes between its input and its output is not kept for
the backward pass, but computed again there (Chen et al. 2016, arXiv 1604.06174).

Gradients and statistics stay as they are, to the bit, with batch normalisation and random numbers,
too; a step takes about a third longer. Blocks are the modules whose class says `recomputable`.
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import cache
from typing import Any

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint


def recompute(model: nn.Module) -> int:
    """Let the blocks of a model compute twice in training. Returns their number."""
    blocks = [part for part in model.modules() if getattr(part, "recomputable", False)]
    for block in blocks:
        kind: Any = type(block)
        block.__class__ = twice(kind)
    return len(blocks)


@cache
def twice(block: Any) -> Any:
    """The class of blocks that are like these and compute twice; a copy of one is one."""

    def forward(self: nn.Module, *inputs: Any) -> Any:
        if not (self.training and torch.is_grad_enabled()):
            return block.forward(self, *inputs)

        def contexts() -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
            return nullcontext(), statistics_kept(self)

        return checkpoint(block.forward, self, *inputs, use_reentrant=False, context_fn=contexts)

    return type(block.__name__, (block,), {"forward": forward, "recomputable": False})


@contextmanager
def statistics_kept(block: nn.Module) -> Iterator[None]:
    """Batch normalisation of a batch that is seen again: its running statistics stay."""
    norms = [x for x in block.modules() if isinstance(x, nn.modules.batchnorm._BatchNorm)]
    before = [(norm.momentum, norm.num_batches_tracked) for norm in norms]
    for norm in norms:
        norm.momentum = 0.0  # running means move by no part of their distance
        norm.num_batches_tracked = None
    try:
        yield
    finally:
        for norm, (momentum, count) in zip(norms, before, strict=True):
            norm.momentum, norm.num_batches_tracked = momentum, count
