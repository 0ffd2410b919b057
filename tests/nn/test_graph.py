"""The graph layers against their formulas."""

import math

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from posediff.nn.graph import (
    ChebConv,
    GraphFF,
    LayerNorm,
    SelfAttention,
    chebyshev_basis,
    normalised_graph,
)

PATH = torch.diag(torch.ones(3), 1) + torch.diag(torch.ones(3), -1)  # joints 0-1-2-3 in a row


@pytest.fixture(autouse=True)
def _seeded():
    torch.manual_seed(0)


def random_double(layer: nn.Module) -> nn.Module:
    for p in layer.double().parameters():
        nn.init.normal_(p, std=0.5)
    return layer


def test_the_basis_of_two_joined_joints_is_known():
    basis = chebyshev_basis(torch.tensor([[0.0, 1.0], [1.0, 0.0]])).view(2, 3, 2)
    # A = all 1/2, L = I - A, L L = L, so T_2 = 2 L - I = - 2 A + I
    expected = [[[1, 0], [0.5, -0.5], [0, -1]], [[0, 1], [-0.5, 0.5], [-1, 0]]]
    assert torch.equal(basis, torch.tensor(expected, dtype=torch.float64))


def test_the_laplacian_is_row_normalised_and_so_not_symmetric():
    laplacian = chebyshev_basis(PATH).view(4, 3, 4)[:, 1]
    assert torch.allclose(laplacian.sum(1), torch.zeros(4, dtype=torch.float64), atol=1e-15)
    assert torch.isclose(laplacian[0, 1], torch.tensor(-1 / 2, dtype=torch.float64))
    assert torch.isclose(laplacian[1, 0], torch.tensor(-1 / 3, dtype=torch.float64))


def test_a_graph_convolution_sums_three_orders():
    layer, x = random_double(ChebConv(5, 7)), torch.randn(6, 4, 5, dtype=torch.float64)
    basis = chebyshev_basis(PATH)
    orders, weights = basis.view(4, 3, 4), layer.weight.view(7, 3, 5)
    expected = layer.bias + sum(orders[:, k] @ x @ weights[:, k].T for k in range(3))
    torch.testing.assert_close(layer(x, basis.expand(6, -1, -1)), expected, rtol=0, atol=1e-12)


def test_equal_inputs_at_all_joints_are_mapped_by_order_0_minus_order_2():
    layer, x = random_double(ChebConv(5, 7)), torch.randn(1, 1, 5, dtype=torch.float64)
    weights = layer.weight.view(7, 3, 5)
    expected = layer.bias + x @ (weights[:, 0] - weights[:, 2]).T
    y = layer(x.expand(1, 4, 5), chebyshev_basis(PATH)[None])
    torch.testing.assert_close(y, expected.expand(1, 4, 7), rtol=0, atol=1e-12)


def test_a_graph_convolution_starts_as_wide_as_the_released_one():
    released = nn.init.xavier_normal_(torch.empty(3, 1, 96, 96)).std()
    assert ChebConv(96, 96).weight.std().item() == pytest.approx(released.item(), rel=0.03)


def slow_norm(x: Tensor, layer: LayerNorm) -> Tensor:
    mean, std = x.mean(-1, keepdim=True), x.std(-1, keepdim=True)
    return layer.weight * (x - mean) / (std + 1e-6) + layer.bias


@pytest.mark.parametrize("scale", [10.0, 1.0, 1e-3, 1e-6, 0.0])
def test_layer_norm_adds_its_eps_to_the_unbiased_std(scale):
    layer, x = random_double(LayerNorm(12)), 3 + scale * torch.randn(5, 4, 12).double()
    torch.testing.assert_close(layer(x), slow_norm(x, layer), rtol=0, atol=1e-8)
    single = LayerNorm(12)
    y, expected = single(x.float()), slow_norm(x.float(), single)
    torch.testing.assert_close(y, expected, rtol=0, atol=2e-6 if scale >= 1 else 0.5)


def slow_attention(x: Tensor, layer: SelfAttention) -> Tensor:
    q, k, v = functional.linear(x, layer.qkv, layer.qkv_bias).chunk(3, -1)
    heads = []
    for a, b, c in zip(*(y.chunk(layer.heads, -1) for y in (q, k, v)), strict=True):
        heads.append((a @ b.mT / math.sqrt(a.shape[-1])).softmax(-1) @ c)
    return functional.linear(torch.cat(heads, -1), layer.out, layer.out_bias)


def test_attention_with_and_without_gradients_is_its_formula_per_head():
    layer = random_double(SelfAttention(12, heads=3)).eval()
    x = torch.randn(6, 4, 12).double()
    with torch.no_grad():
        fused = layer(x)
    torch.testing.assert_close(layer(x), slow_attention(x, layer), rtol=0, atol=1e-12)
    torch.testing.assert_close(fused, slow_attention(x, layer), rtol=0, atol=1e-12)


def test_attention_drops_weights_in_training_only():
    layer, x = SelfAttention(12, heads=3, p=0.5), torch.randn(6, 4, 12)
    assert not torch.equal(layer(x), layer(x))
    assert torch.equal(layer.eval()(x), layer(x))


def test_a_width_that_does_not_split_into_heads_is_refused():
    with pytest.raises(ValueError, match="divisible by heads, got 10 and 4"):
        SelfAttention(10, heads=4)


def test_the_graph_feed_forward_follows_its_formula():
    layer, x = random_double(GraphFF(5)), torch.randn(6, 4, 5).double()
    graph = torch.rand(4, 4).double()
    hidden = functional.linear(graph @ x, layer.fc1, layer.fc1_bias).relu()
    expected = functional.linear(graph @ hidden, layer.fc2, layer.fc2_bias)
    torch.testing.assert_close(layer(x, graph.expand(6, 4, 4)), expected, rtol=0, atol=1e-12)


def test_a_graph_is_normalised_by_the_sums_of_its_columns():
    a = torch.rand(2, 4, 4).double()
    d = (a.sum(1) + 1e-5) ** -0.5
    expected = torch.stack([torch.diag(d[i]) @ a[i] @ torch.diag(d[i]) for i in range(2)])
    torch.testing.assert_close(normalised_graph(a), expected, rtol=0, atol=1e-12)


def test_a_column_of_negative_sum_stays_finite_and_does_not_change_others():
    a = torch.rand(4, 4).double()
    changed = a.clone()
    changed[:, 2] -= 2
    graph, others = normalised_graph(changed), [0, 1, 3]
    assert graph.isfinite().all()
    assert torch.equal(graph[others][:, others], normalised_graph(a)[others][:, others])
