"""Faster forms of operations of networks, with the same results up to rounding.

Each function also has its plain form here, which defines the result. The plain form runs where the
faster one has no advantage: mostly on a GPU, and always while a network is compiled or exported, so
that graphs contain standard operations only.
"""

import math
from collections.abc import Callable
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

EPS = 1e-6  # of the layer norm of GraFormer
# tokens up to which attention is written out; its weights take tokens^2 numbers
FEW_TOKENS, FEW_IN_BFLOAT16 = 64, 256


def parameters(layer: nn.Module) -> dict[str, Any]:
    """The parameters of a layer by name. The plain form is an attribute, but its search by
    nn.Module takes as long as a small product.
    """
    return layer._parameters


def on_cpu(x: Tensor) -> bool:
    return x.is_cpu and not torch.compiler.is_compiling()


def plain_layer_norm(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """w (x - mean) / (std + 1e-6) + b over the last axis; std divides by n - 1."""
    mean, std = x.mean(-1, keepdim=True), x.std(-1, keepdim=True)
    return weight * (x - mean) / (std + EPS) + bias


def layer_norm(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """`plain_layer_norm` by the fused kernel.

    The kernel divides by the biased std, which sqrt(n / (n - 1)) / rstd + 1e-6 corrects. The
    gradient takes rstd as a constant, a relative error of 1e-6 / std.
    """
    if torch.compiler.is_compiling():
        return plain_layer_norm(x, weight, bias)
    n = x.shape[-1]
    y, _, rstd = torch.native_layer_norm(x, [n], weight, None, 1e-30)
    return torch.addcdiv(bias, y, torch.add(_unbiased(n), rstd, alpha=EPS))


@cache
def _unbiased(n: int) -> Tensor:
    """The ratio of unbiased to biased std of n numbers."""
    return torch.tensor(math.sqrt(n / (n - 1)), dtype=torch.float64, device="cpu")


def dropout(x: Tensor, p: float, training: bool) -> Tensor:
    """Entries dropped with probability p, to the nearest 1/256, and the others scaled up.

    One random byte decides an entry, which is several times faster than torch's dropout.
    """
    if not training:
        return x
    kept = round(256 * (1 - p))
    if not on_cpu(x) or not 0 < kept < 256:
        return functional.dropout(x, p)
    words = torch.empty(-(-x.numel() // 8), dtype=torch.int64).random_(-(2**63), None)
    decisive = words.view(torch.uint8)[: x.numel()].view(x.shape)
    return x * (decisive < kept).to(x.dtype).mul_(256 / kept)


def plain_attention(q: Tensor, k: Tensor, v: Tensor, p: float, training: bool) -> Tensor:
    """softmax(d^-1/2 q k^T) v of tensors (B, heads, tokens, d), with dropout of its weights."""
    return functional.scaled_dot_product_attention(q, k, v, dropout_p=p if training else 0.0)


def attention(q: Tensor, k: Tensor, v: Tensor, p: float, training: bool) -> Tensor:
    """`plain_attention`, written out if a gradient is needed and there are few tokens: on a CPU the
    gradient of the fused kernel takes longer than all of this, most of all in bfloat16.
    """
    few = FEW_IN_BFLOAT16 if q.dtype == torch.bfloat16 else FEW_TOKENS
    if not on_cpu(q) or not torch.is_grad_enabled() or q.shape[-2] > few:
        return plain_attention(q, k, v, p, training)
    q, k = (q * q.shape[-1] ** -0.5).flatten(0, 1), k.flatten(0, 1)
    weights = dropout(torch.bmm(q, k.transpose(1, 2)).softmax(-1), p, training)
    return torch.bmm(weights, v.flatten(0, 1)).view_as(v)


def depthwise(x: Tensor, weight: Tensor, bias: Tensor | None, stride: int, padding: int) -> Tensor:
    """A convolution of each channel by itself. On a CPU its gradient takes several times as long in
    bfloat16 as in float32 if it has a stride or a kernel above 3 x 3: then it is float32.
    """
    slow = stride > 1 or weight.shape[-1] > 3
    if slow and on_cpu(x) and torch.is_grad_enabled() and torch.is_autocast_enabled("cpu"):
        with torch.autocast("cpu", enabled=False):
            given = x.float()
            y = functional.conv2d(given, weight, bias, stride, padding, groups=len(weight))
        return y.to(torch.get_autocast_dtype("cpu"))
    return functional.conv2d(x, weight, bias, stride, padding, groups=len(weight))


def one_of_equal(t: Tensor) -> Tensor:
    """t (B,), or in sampling t[:1] (1,) if all entries are the same: an embedding of one timestep
    serves the whole batch.
    """
    sampling = on_cpu(t) and len(t) > 1 and not torch.is_grad_enabled()
    return t[:1] if sampling and bool((t == t[0]).all()) else t


def in_chunks(
    network: Callable[..., tuple[Tensor, ...]], *inputs: Tensor, rows: int = 128, together: int = 1
) -> tuple[Tensor, ...]:
    """network(*inputs), on a CPU in chunks of rows so small that activations stay in cache.

    This saves a third of the time of a large batch, more than a tenth of it with gradients.
    `together`: the number of consecutive rows that are never separated.
    """
    rows = together * max(1, rows // together)
    if not on_cpu(inputs[0]) or len(inputs[0]) <= rows:
        return network(*inputs)
    parts = [network(*part) for part in zip(*(torch.split(x, rows) for x in inputs), strict=True)]
    return tuple(torch.cat(outputs) for outputs in zip(*parts, strict=True))
