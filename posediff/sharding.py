"""Weights that several processes share out (trainer.shard): of every weight, its gradient and the
state of its optimiser a process keeps one part (FSDP2: Zhao et al. 2023, arXiv 2304.11277).

The weights of a block are together while it computes, those outside of blocks during a step. Blocks
are those of `recomputation`. The mean of the weights, which is scored, stays whole in every
process, and so do states: a training goes on from them in any number of processes, sharded or not.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from posediff import processes


def shard(model: nn.Module, optimizer: torch.optim.Optimizer, rows: int) -> None:
    """Keep this process's part of a model and of its optimiser's state. Alone, it keeps all.

    rows: of a batch. Raises ValueError if the processes would have different numbers of them, and
    so perhaps of parts, for whose gradients all wait.
    """
    if processes.count() == 1:
        return
    if rows % processes.count():
        raise ValueError(
            f"trainer.shard: trainer.recipe.batch_size={rows} must be a multiple of the "
            f"{processes.count()} processes"
        )
    from torch.distributed import fsdp
    from torch.distributed.device_mesh import init_device_mesh

    names: dict[Tensor, str] = {p: name for name, p in model.named_parameters()}
    device = next(model.parameters()).device
    mesh = init_device_mesh(device.type, (processes.count(),))
    blocks = [x for x in model.modules() if getattr(x, "recomputable", None) is not None]
    for module in (*reversed(blocks), model):  # inner ones first
        made = fsdp.fully_shard(module, mesh=mesh)
        made.set_gradient_divide_factor(1.0)  # a sum, as that of `processes.add_gradients`
        made.set_force_sum_reduction_for_comms(True)
    parameters = dict(model.named_parameters())
    for group in optimizer.param_groups:
        group["params"] = [parameters[names[p]] for p in group["params"]]
    for p in [*optimizer.state]:
        part = parameters[names[p]]
        state = {key: like(part, x) for key, x in optimizer.state.pop(p).items()}
        optimizer.state[part] = state


def like(part: Any, x: Tensor) -> Tensor:
    """A tensor of a weight, sharded as the weight is; one of another shape stays whole."""
    from torch.distributed.tensor import distribute_tensor

    return distribute_tensor(x, part.device_mesh, part.placements) if x.shape == part.shape else x


def whole(nest: Any) -> Any:
    """A nest of dicts and lists whose sharded tensors are whole; all processes ask for the same."""
    if isinstance(nest, Mapping):
        return {key: whole(x) for key, x in nest.items()}
    if isinstance(nest, list):
        return [whole(x) for x in nest]
    return nest.full_tensor() if hasattr(nest, "full_tensor") else nest


@contextmanager
def together(model: nn.Module) -> Iterator[None]:
    """All weights of a model in every process, to be read."""
    sharded: list[Any] = [x for x in model.modules() if hasattr(x, "unshard")]
    for module in sharded:
        module.unshard()
    yield
    for module in sharded:
        module.reshard()
