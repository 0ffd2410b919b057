"""Released weights of DiffPose and D3DP -> weights with posediff's names.

    GCNdiff   diffpose_uvxyz_*.pth, diffpose_video_uvxyz_*.pth   our GraphRefiner
    GCNpose   gcn_xyz_*.pth                                      our GraphLifter
    MixSTE    mixste_cpn_243f.bin                                our MixSTE
    D3DP      *_best_epoch.bin                                   our MixSTE, timed

The first two files are a list [weights, optimizer state, epoch, step, EMA weights], of which the
last may be missing; keys of the weights begin with `module.`, those of the EMA do not. The others
are a dict with the weights at `model_pos`, keys with `module.`, and perhaps more: D3DP's contains a
NumPy RandomState.

GCNpose has a time embedding that its forward pass never uses, and D3DP the tables of its schedule;
both are dropped, the tables after a comparison with those of our schedule.

Where our modules are fused, several released tensors are concatenated: query, key and value of an
attention, the time biases of all blocks, the learned graphs of all blocks. A graph convolution
(3, 1, in, out) becomes one matrix (out, 3 in). MixSTE and D3DP already have our names; their sizes
are read from the file.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from posediff.diffusion.choices import one_of
from posediff.diffusion.schedule import cosine
from posediff.nn.mixste import MixSTE
from posediff.torch_files import read_torch

Weights = Mapping[str, Tensor]

JOINTS, WIDTH, DEPTH = 17, 96, 5
INSIDE = "pose_estimator."  # prefix of D3DP's names


class Entry(NamedTuple):
    released: str
    shape: tuple[int, ...]
    ours: str | None  # None: dropped


class Network(NamedTuple):
    name: str
    prefix: str  # its place in a model whose head is Official, or D3DP
    entries: tuple[Entry, ...]
    why_dropped: str = "no forward pass uses it"


def _conv(released: str, ours: str, channels_in: int, channels_out: int) -> Iterator[Entry]:
    yield Entry(f"{released}.weight", (3, 1, channels_in, channels_out), f"{ours}.weight")
    yield Entry(f"{released}.bias", (1, 1, channels_out), f"{ours}.bias")


def _linear(
    released: str, weight: str | None, bias: str | None, channels_in: int, channels_out: int
) -> Iterator[Entry]:
    yield Entry(f"{released}.weight", (channels_out, channels_in), weight)
    yield Entry(f"{released}.bias", (channels_out,), bias)


def _attention(i: int) -> Iterator[Entry]:
    theirs, ours, C = f"atten_layers.{i}", f"body.blocks.{i}", WIDTH
    for n, name in enumerate(("qkv", "qkv", "qkv", "out")):
        at = f"{ours}.attention.{name}"
        yield from _linear(f"{theirs}.self_attn.linears.{n}", at, f"{at}_bias", C, C)
    yield Entry(f"{theirs}.feed_forward.A_hat", (JOINTS, JOINTS), "body.graphs")
    for n, sizes in enumerate(((C, 2 * C), (2 * C, C)), start=1):
        at = f"{ours}.feed_forward.fc{n}"
        yield from _linear(f"{theirs}.feed_forward.gconv{n}.fc", at, f"{at}_bias", *sizes)
    for n in range(2):
        yield Entry(f"{theirs}.sublayer.{n}.norm.a_2", (C,), f"{ours}.norm{n + 1}.weight")
        yield Entry(f"{theirs}.sublayer.{n}.norm.b_2", (C,), f"{ours}.norm{n + 1}.bias")


def _entries(channels_in: int, channels_out: int, timed: bool) -> Iterator[Entry]:
    """The entries of a released state dict, in its order."""
    C = WIDTH
    yield from _conv("gconv_input", "body.input", channels_in, C)
    for i in range(DEPTH):
        for n in (1, 2):
            yield from _conv(f"gconv_layers.{i}.gconv{n}.gconv", f"body.blocks.{i}.conv{n}", C, C)
        if timed:
            ours = ("time_in_block.weight", "time_in_block.bias")
            yield from _linear(f"gconv_layers.{i}.temb_proj", *ours, 4 * C, C)
    for i in range(DEPTH):
        yield from _attention(i)
    yield from _conv("gconv_output", "body.output", C, channels_out)
    for n, width in enumerate((C, 4 * C)):
        weight = f"time.fc{n + 1}" if timed else None
        bias = f"{weight}_bias" if timed else None
        yield from _linear(f"temb.dense.{n}", weight, bias, width, 4 * C)


DENOISER = Network("GCNdiff", "head.refiner.", tuple(_entries(5, 5, timed=True)))
LIFTER = Network("GCNpose", "head.encoder.network.", tuple(_entries(2, 3, timed=False)))


def convert(
    paths: Sequence[Path | str], weights: str = "model"
) -> tuple[dict[str, Tensor], list[str]]:
    """The weights of released files under the names of the model that they belong to, and a report:
    one line for every released key.

    `weights` is "model", as in the released evaluation, or "ema", the average over training; of a
    lifter without an average the model weights are used then.

    Raises:
        FileNotFoundError: no such file.
        ValueError: a file in another layout, or a key that is missing, unknown or misshapen.
    """
    one_of("weights", weights, ("model", "ema"))
    state: dict[str, Tensor] = {}
    report: list[str] = []
    for path in map(Path, paths):
        released, averaged = read_released(path)
        network = identify(released, path)
        if averaged is not None and weights == "ema":
            released = averaged
        elif weights == "ema" and network.name in (DENOISER.name, "D3DP"):
            raise ValueError(f"{path}: no EMA weights (a fifth entry) in it: use --weights model")
        check(released, network, path)
        if network.name == "D3DP":
            check_tables(released, path)
        ours = translate(released, network)
        if state.keys() & ours.keys():
            raise ValueError(f"{path}: a second file of {network.name}; give one of each network")
        state |= ours
        source = "EMA weights" if released is averaged else "model weights"
        report += [f"{path}: {network.name}, {source}", *describe(network)]
    return state, report


def read_released(path: Path) -> tuple[Weights, Weights | None]:
    """The weights of a file, and the EMA weights if it has any.

    Raises as `read_torch`, and ValueError if the file has another layout.
    """
    content = read_torch(path)
    if isinstance(content, Mapping) and _is_weights(content.get("model_pos")):
        return _plain(content["model_pos"]), None
    if isinstance(content, list) and len(content) >= 4 and _is_weights(content[0]):
        return _plain(content[0]), next(filter(_is_weights, content[4:]), None)
    raise ValueError(
        f"{path}: not in a released layout, a list that begins with weights or a dict with "
        "weights at model_pos"
    )


def _plain(weights: Weights) -> Weights:
    return {key.removeprefix("module."): x for key, x in weights.items()}


def _is_weights(x: Any) -> bool:
    return isinstance(x, Mapping) and len(x) > 0 and all(map(torch.is_tensor, x.values()))


def identify(weights: Weights, path: Path) -> Network:
    """The network with most of these keys and shapes. Raises ValueError if none has any."""
    for name, prefix in (("MixSTE", ""), ("D3DP", INSIDE)):
        if f"{prefix}Temporal_pos_embed" in weights:
            return mixste(weights, name, prefix, path)
    found = {(key, tuple(x.shape)) for key, x in weights.items()}
    fits = {n: len(found & {entry[:2] for entry in n.entries}) for n in (DENOISER, LIFTER)}
    network = max(fits, key=lambda n: fits[n])
    if fits[network] == 0:
        raise ValueError(f"{path}: the weights of neither GCNdiff, GCNpose, MixSTE nor D3DP")
    return network


def mixste(weights: Weights, name: str, prefix: str, path: Path) -> Network:
    """MixSTE or D3DP of the size of these weights."""
    timed = name == "D3DP"
    three = weights[f"{prefix}Temporal_pos_embed"].ndim == 3
    size = mixste_size(weights, prefix) if three else None
    if not size or not size["depth"] or size["width"] % 8:  # eight heads
        raise ValueError(f"{path}: the shapes of {name}'s position embeddings fit no MixSTE")
    with torch.device("meta"):
        network = MixSTE(JOINTS, **size, channels_in=5 if timed else 2, timed=timed)
    entries = [Entry(f"{prefix}{k}", tuple(x.shape), k) for k, x in network.state_dict().items()]
    if not timed:
        return Network(name, "head.encoder.network.", tuple(entries))
    tables = [Entry(k, tuple(x.shape), None) for k, x in schedule_tables().items()]
    return Network(
        name, "head.denoiser.", (*tables, *entries), "a table of the schedule, equal to ours"
    )


def mixste_size(weights: Weights, prefix: str) -> dict[str, int]:
    """window, width and depth of a MixSTE whose names begin with `prefix`."""
    _, window, width = weights[f"{prefix}Temporal_pos_embed"].shape
    blocks = {m[1] for k in weights if (m := re.match(rf"{prefix}STEblocks\.(\d+)\.", k))}
    return {"window": window, "width": width, "depth": len(blocks)}


def schedule_tables() -> dict[str, Tensor]:
    """The tables at the start of D3DP's files, in their order, from our schedule; float64."""
    schedule = cosine(1000)
    alpha, sigma = schedule.alpha[:-1], schedule.sigma[:-1]
    bar, rest = alpha.square(), sigma.square()
    before = torch.cat([torch.ones(1), bar[:-1]])
    betas = 1 - bar / before
    variance = betas * (1 - before) / rest
    return {
        "betas": betas,
        "alphas_cumprod": bar,
        "alphas_cumprod_prev": before,
        "sqrt_alphas_cumprod": alpha,
        "sqrt_one_minus_alphas_cumprod": sigma,
        "log_one_minus_alphas_cumprod": rest.log(),
        "sqrt_recip_alphas_cumprod": 1 / alpha,
        "sqrt_recipm1_alphas_cumprod": sigma / alpha,
        "posterior_variance": variance,
        "posterior_log_variance_clipped": variance.clamp(min=1e-20).log(),
        "posterior_mean_coef1": betas * before.sqrt() / rest,
        "posterior_mean_coef2": (1 - before) * (1 - betas).sqrt() / rest,
    }


def check_tables(weights: Weights, path: Path) -> None:
    """Raises ValueError if the schedule of a file differs from ours."""
    for key, table in schedule_tables().items():
        if not torch.allclose(weights[key].double(), table, rtol=1e-6, atol=1e-9):
            raise ValueError(f"{path}: {key} is not that of the cosine schedule of 1000 steps")


def check(weights: Weights, network: Network, path: Path) -> None:
    """Raises ValueError, with the first such key, if keys or shapes differ from the network's."""
    expected = {entry.released: entry.shape for entry in network.entries}
    for key, shape in expected.items():
        if key not in weights:
            raise ValueError(f"{path}: {network.name} lacks the key {key} {shape}")
        if tuple(weights[key].shape) != shape:
            raise ValueError(
                f"{path}: the key {key} of {network.name} has shape {tuple(weights[key].shape)}, "
                f"expected {shape}"
            )
    for key, x in weights.items():
        if x.is_floating_point() and not bool(x.isfinite().all()):
            raise ValueError(f"{path}: the key {key} has numbers that are not finite")
        if key not in expected:
            raise ValueError(f"{path}: {network.name} has no key {key}; not the released network")


def translate(weights: Weights, network: Network) -> dict[str, Tensor]:
    """The checked weights of one network under our names."""
    parts: dict[str, list[Tensor]] = {}
    for key, _, ours in network.entries:
        if ours is not None:
            parts.setdefault(network.prefix + ours, []).append(_as_ours(weights[key], ours))
    return {name: torch.cat(xs).contiguous() for name, xs in parts.items()}


def _as_ours(x: Tensor, ours: str) -> Tensor:
    if x.ndim == 4:  # graph convolution (3, 1, in, out)
        return x.flatten(0, 2).T
    if x.ndim == 3 and ours.endswith("bias"):  # its bias (1, 1, out)
        return x.flatten()
    return x[None] if ours == "body.graphs" else x


def describe(network: Network) -> Iterator[str]:
    """One line for every released key: its shape, and its new name or why it is dropped."""
    for key, shape, ours in network.entries:
        fate = f"dropped: {network.why_dropped}" if ours is None else f"-> {network.prefix}{ours}"
        yield f"  {key} {shape} {fate}"
