"""Spatial-channel cross-attention against its equations, spelt out."""

import math

import pytest
import torch
from torch import nn

from posediff.tasks.image2d.attention import Guide
from posediff.tasks.image2d.structure import Pair


def guide(width=8, **options):
    torch.manual_seed(0)
    return Guide(width, heads=2, window=7, **options)


def masked(h=16, w=12, width=8):
    g = torch.Generator().manual_seed(1)
    x = torch.randn(2, width, h, w, generator=g)
    kps, ske = (torch.rand(2, 2, 1, h, w, generator=g) > 0.4).float()
    return x, Pair(kps, ske)


@pytest.mark.parametrize("shape", [(16, 12), (14, 7), (3, 2), (8, 15)])
def test_window_attention_sees_its_window_and_no_padding(shape):
    """Against attention spelt out, window by window, of features that were masked first."""
    x, masks = masked(*shape)
    part = guide(kind="spatial").attention["spatial"]
    q = part.qkv(x * masks.kps)[:, :8]
    k, v = part.qkv(x * masks.ske)[:, 8:].chunk(2, 1)
    expected = torch.zeros_like(x)
    for top in range(0, shape[0], 7):
        for left in range(0, shape[1], 7):
            at = (..., slice(top, top + 7), slice(left, left + 7))
            for head in range(2):
                c = slice(4 * head, 4 * head + 4)
                a, b, e = (z[at][:, c].flatten(2) for z in (q, k, v))
                y = (a.mT @ b / 2).softmax(-1) @ e.mT
                expected[:, c, *at[1:]] = y.mT.view(expected[:, c, *at[1:]].shape)
    assert torch.allclose(part(part.project(x), masks), part.out(expected), atol=1e-5)


@pytest.mark.parametrize("form", ["cross", "davit"])
def test_channel_attention_is_its_equation(form):
    x, masks = masked()
    part = guide(kind="channel", channel=form).attention["channel"]
    q = part.qkv(x * masks.kps)[:, :8].view(2, 2, 4, -1)
    k, v = (y.view(2, 2, 4, -1) for y in part.qkv(x * masks.ske)[:, 8:].chunk(2, 1))
    if form == "cross":
        weights = torch.einsum("bgin,bgjn->bgij", q, k).div(math.sqrt(16 * 12)).softmax(-1)
        y = torch.einsum("bgij,bgjn->bgin", weights, v)
    else:
        weights = torch.einsum("bgin,bgjn->bgij", k / 2, v).softmax(-1)
        y = torch.einsum("bgij,bgjn->bgin", weights, q)
    expected = part.out(y.reshape(2, 8, 16, 12))
    assert torch.allclose(part(part.project(x), masks), expected, atol=1e-5)


def test_without_values_the_joints_features_pass_unchanged():
    x, masks = masked()
    net = guide()
    for part in net.attention.values():
        nn.init.zeros_(part.qkv.weight[16:].data)
    assert torch.equal(net(net.project(x), masks), x * masks.kps)


def test_gradients_reach_queries_keys_and_values():
    x, masks = masked()
    for form in ("cross", "davit"):
        net = guide(channel=form)
        net(net.project(x), masks).square().sum().backward()
        for part in net.attention.values():
            for share in part.qkv.weight.grad.chunk(3):
                assert share.abs().max() > 1e-6
