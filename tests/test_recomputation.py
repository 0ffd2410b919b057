"""Blocks that compute twice: the same gradients and statistics in less memory."""

import copy
from contextlib import contextmanager

import pytest
import torch
from helpers.heads import case, model
from torch import nn

from posediff import processes
from posediff.nn.efficientnet import EfficientNetLite0
from posediff.recomputation import recompute


def trained(made, name):
    """Gradients, entries and the random state after a step of training."""
    made.train().zero_grad()
    torch.manual_seed(0)
    loss = made(case(name).sample)
    loss.backward()
    gradients = {k: p.grad for k, p in made.named_parameters() if p.grad is not None}
    return gradients | made.state_dict() | {"loss": loss, "next": torch.rand(3)}


@contextmanager
def counting():
    """The bytes that are kept for a backward pass, by the place of their storage."""
    kept = {}

    def pack(x):
        kept[x.untyped_storage().data_ptr()] = x.untyped_storage().nbytes()
        return x

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda x: x):
        yield kept


@pytest.mark.parametrize("name", ["coarse", "posterior", "encoder", "paper", "sgdd"])
def test_a_step_is_the_same_to_the_bit(name):
    plain = model(name)
    twice = copy.deepcopy(plain)
    assert recompute(twice) > 0
    expected, found = trained(plain, name), trained(twice, name)
    assert expected.keys() == found.keys()
    assert all(torch.equal(x, found[key]) for key, x in expected.items())


@pytest.mark.parametrize("shared", [False, True])
def test_batch_statistics_are_counted_once_and_less_is_kept(shared, monkeypatch):
    torch.manual_seed(0)
    plain, image = EfficientNetLite0(8), torch.randn(2, 3, 64, 64)
    twice, sums = copy.deepcopy(plain), []
    for made in (plain, twice):
        if shared:  # as in several processes
            for part in made.modules():
                if type(part) is nn.BatchNorm2d:
                    part.__class__ = processes.SharedBatchNorm
    monkeypatch.setattr(processes, "summed", lambda x: x)
    assert recompute(twice) == 16
    for made in (plain, copy.deepcopy(twice)):  # a copy is recomputed on its own
        with counting() as kept:
            y = made.train()(image)
        y.square().mean().backward()
        sums.append((sum(kept.values()), made))
    (much, a), (little, b) = sums
    assert little < much / 2
    for key, x in a.state_dict().items():
        assert torch.equal(x, b.state_dict()[key]), key
    for x, y in zip(a.parameters(), b.parameters(), strict=True):
        assert torch.equal(x.grad, y.grad)
    assert all(p.grad is None for p in twice.parameters())
