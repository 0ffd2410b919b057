"""Two processes that share out weights train as one does, and their states are whole."""

import pytest
import torch
from helpers.small_training import Line, train, without_time
from helpers.two_processes import close, two
from torch import nn
from torch.distributed import fsdp, tensor  # noqa: F401  # once, not in every process

from posediff import processes, training_state


class Block(nn.Module):
    recomputable = True

    def __init__(self):
        super().__init__()
        self.line = nn.Linear(1, 3)

    def forward(self, x):
        return self.line(x).tanh()


class Blocks(Line):
    """Two blocks and a frozen one, a line and a batch whose loss may be no number."""

    def __init__(self):
        super().__init__()
        self.first, self.second, self.frozen = Block(), Block(), Block().requires_grad_(False)

    def forward(self, sample, aligned, noise):
        seen = self.first(sample["x"]) * self.second(sample["x"]) + self.frozen(sample["x"])
        return super().forward(sample, aligned, noise) + seen.square().mean()


class Broken(Blocks):
    def forward(self, sample, aligned, noise):
        loss = super().forward(sample, aligned, noise)
        return loss if processes.first() else loss * torch.nan


def fit(folder, **options):
    return train(folder, batch_size=4, kind=Blocks, **options)


def test_sharded_or_not_and_in_any_number_of_processes_it_is_the_same_training(
    tmp_path, monkeypatch
):
    without_time(monkeypatch)
    fit(tmp_path / "one", epochs=3)
    two(tmp_path, lambda: fit(tmp_path / "then", epochs=1, shard=True))
    fit(tmp_path / "then", epochs=2, shard=True)
    two(tmp_path, lambda: fit(tmp_path / "then", epochs=3, micro_batch=1, shard=True))
    close(tmp_path / "then", tmp_path / "one")
    states = [training_state.newest(tmp_path / name) for name in ("one", "then")]
    for kept in (lambda s: s.weights, lambda s: s.trainer["optimizer"], lambda s: s.trainer):
        whole, parts = map(kept, states)
        torch.testing.assert_close(tensors(parts), tensors(whole), rtol=1e-4, atol=1e-6)


def tensors(nest):
    """All tensors of a nest, in their order."""
    if isinstance(nest, torch.Tensor):
        return [nest]
    return [x for part in nest.values() for x in tensors(part)] if isinstance(nest, dict) else []


def test_a_process_keeps_its_part_of_weights_and_of_the_optimiser(tmp_path, monkeypatch):
    kept = []
    monkeypatch.setattr(
        training_state.torch.optim.Optimizer, "zero_grad", lambda self, **_: kept.append(self)
    )

    def work():
        fit(tmp_path / "run", shard=True)
        own = [p.to_local() for group in kept[0].param_groups for p in group["params"]]
        states = [s["exp_avg"].to_local() for s in kept[0].state.values()]
        assert sum(x.numel() for x in own) == (14 if processes.first() else 6)  # rows: 2 of 3
        assert sum(x.numel() for x in states) == (10 if processes.first() else 4)  # none frozen

    two(tmp_path, work)


def test_a_loss_that_is_no_number_in_one_process_ends_all(tmp_path):
    def work():
        with pytest.raises(ValueError, match="the loss is nan at step 0"):
            train(tmp_path / "run", batch_size=4, kind=Broken, shard=True)

    two(tmp_path, work)


def test_a_batch_that_cannot_be_shared_out_evenly_is_refused(tmp_path):
    def work():
        with pytest.raises(ValueError, match="batch_size=3 must be a multiple of the 2 processes"):
            train(tmp_path / "run", shard=True)

    two(tmp_path, work)
