"""Every faster form against its plain form."""

from types import SimpleNamespace

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from posediff.nn import fast
from posediff.nn.fast import dropout, in_chunks
from posediff.pose.skeleton import skeleton
from posediff.tasks.lift3d.network import ContextDenoiser, GraphLifter, GraphRefiner

BONES = skeleton("h36m17")
J = len(BONES.joints)


@pytest.fixture(autouse=True)
def _seeded():
    torch.manual_seed(0)


def gradients(y: Tensor, *inputs: Tensor) -> tuple[Tensor, ...]:
    pull = torch.randn(y.shape, dtype=y.dtype, generator=torch.Generator().manual_seed(1))
    return torch.autograd.grad((y * pull).sum(), inputs)


def test_layer_norm_is_its_plain_form_with_its_gradient():
    x = torch.randn(5, 4, 12).double().requires_grad_()
    weight, bias = (torch.randn(12).double().requires_grad_() for _ in range(2))
    fused, plain = (f(x, weight, bias) for f in (fast.layer_norm, fast.plain_layer_norm))
    torch.testing.assert_close(fused, plain, rtol=0, atol=1e-12)
    both = gradients(fused, x, weight, bias), gradients(plain, x, weight, bias)
    torch.testing.assert_close(*both, rtol=1e-5, atol=1e-5)


def test_attention_is_its_plain_form_with_its_gradient():
    q, k, v = (torch.randn(6, 3, 4, 8).double().requires_grad_() for _ in range(3))
    written, plain = (f(q, k, v, 0.5, False) for f in (fast.attention, fast.plain_attention))
    torch.testing.assert_close(written, plain, rtol=0, atol=1e-12)
    both = gradients(written, q, k, v), gradients(plain, q, k, v)
    torch.testing.assert_close(*both, rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ("kind", "most"), [(torch.float32, fast.FEW_TOKENS), (torch.bfloat16, fast.FEW_IN_BFLOAT16)]
)
def test_attention_is_written_out_for_gradients_of_few_tokens_alone(monkeypatch, kind, most):
    fused = []
    monkeypatch.setattr(fast, "plain_attention", lambda *given: fused.append(given) or given[2])
    few, many = (torch.zeros(1, 1, tokens, 2, dtype=kind) for tokens in (most, most + 1))
    fast.attention(few, few, few, 0.0, True)
    assert not fused
    fast.attention(many, many, many, 0.0, True)
    with torch.no_grad():
        fast.attention(few, few, few, 0.0, True)
    assert [given[0].shape[-2] for given in fused] == [most + 1, most]


@pytest.mark.parametrize(("kernel", "stride"), [(3, 1), (3, 2), (5, 1), (5, 2)])
def test_depthwise_gradients_in_bfloat16_are_those_of_float32_where_these_are_quicker(
    monkeypatch, kernel, stride
):
    x, weight = torch.randn(2, 6, 12, 9, requires_grad=True), torch.randn(6, 1, kernel, kernel)
    weight.requires_grad_()
    exact = functional.conv2d(x.bfloat16().float(), weight, None, stride, kernel // 2, 1, 6)
    wanted = gradients(exact.bfloat16(), x, weight)
    kinds = []

    def conv2d(x, *args, **options):
        kinds.append(torch.is_autocast_enabled("cpu"))
        return functional.conv2d(x, *args, **options)

    monkeypatch.setattr(fast, "functional", SimpleNamespace(conv2d=conv2d))
    with torch.autocast("cpu", torch.bfloat16):
        y = fast.depthwise(x.bfloat16(), weight, None, stride, kernel // 2)
        with torch.no_grad():
            fast.depthwise(x, weight, None, stride, kernel // 2)
    assert kinds == [stride == 1 and kernel == 3, True]
    assert y.dtype == torch.bfloat16
    found = gradients(y, x, weight)
    for ours, theirs in zip(found, wanted, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0.05, atol=0.05)


def test_equal_timesteps_are_embedded_once_if_nothing_is_trained():
    equal, mixed = torch.tensor([3, 3, 3]), torch.tensor([3, 3, 4])
    assert fast.one_of_equal(equal) is equal
    with torch.no_grad():
        assert fast.one_of_equal(equal).tolist() == [3]
        assert fast.one_of_equal(mixed) is mixed


@pytest.mark.parametrize(
    ("network", "shapes"),
    [
        (GraphLifter, [(200, J, 2)]),
        (GraphRefiner, [(200, J, 5), (200,)]),
        (ContextDenoiser, [(200, J, 5), (200,), (200, J, 16)]),
    ],
)
def test_a_compiled_network_has_the_plain_forms_and_agrees(network, shapes):
    options = {"context_width": 16} if network is ContextDenoiser else {}
    built = network(BONES.adjacency(), width=16, depth=2, **options).eval()
    if network is ContextDenoiser:
        torch.nn.init.normal_(built.output.weight, std=0.1)  # 0 in a new network
    inputs = [torch.randn(s) if len(s) > 1 else torch.full(s, 7) for s in shapes]
    with torch.no_grad():
        exported = torch.export.export(built, tuple(inputs))
        fast_form, plain = built(*inputs), exported.module()(*inputs)
    assert "native_layer_norm" not in str(exported)
    torch.testing.assert_close(fast_form, plain, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("p", [0.1, 0.25, 0.5])
def test_dropout_drops_its_share_and_keeps_the_mean(p):
    y = dropout(torch.ones(1000, 1003), p, training=True)
    assert float((y == 0).float().mean()) == pytest.approx(p, abs=1 / 256)
    assert float(y.mean()) == pytest.approx(1, abs=0.003)
    assert len(y.unique()) == 2


def test_dropout_repeats_with_its_seed_and_is_off_outside_training():
    x = torch.randn(7, 9)
    assert dropout(x, 0.5, training=False) is x
    torch.manual_seed(3)
    first = dropout(x, 0.5, training=True)
    assert not torch.equal(first, dropout(x, 0.5, training=True))
    torch.manual_seed(3)
    assert torch.equal(first, dropout(x, 0.5, training=True))
    assert torch.equal(dropout(x, 0.0, training=True), x)
    with pytest.raises(ValueError, match="dropout probability"):
        dropout(x, 1.5, training=True)


def test_chunks_have_the_results_and_gradients_of_the_whole():
    calls = []

    def network(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        calls.append(len(x))
        return x * y, x + y

    x, y = torch.randn(10, 3, requires_grad=True), torch.randn(10, 3)
    product, total = in_chunks(network, x, y, rows=4)
    assert calls == [4, 4, 2]
    assert torch.equal(product, x * y)
    assert torch.equal(total, x + y)
    assert torch.equal(torch.autograd.grad(product.sum(), x)[0], y)
    for together, expected in ((3, [6, 4]), (5, [5, 5]), (10, [10])):  # of rows=6
        calls.clear()
        assert torch.equal(in_chunks(network, x, y, rows=6, together=together)[0], product)
        assert calls == expected
