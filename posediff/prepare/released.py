"""The weights that the authors of DiffPose and of D3DP released, under our names.

    GCNdiff   diffpose_uvxyz_*.pth, diffpose_video_uvxyz_*.pth   our GraphRefiner
    GCNpose   gcn_xyz_*.pth                                      our GraphLifter
    MixSTE    mixste_cpn_243f.bin                                our MixSTE
    D3DP      *_best_epoch.bin                                   our MixSTE, timed

GCNpose carries a time embedding that its forward never uses, and D3DP the tables of its schedule;
both are dropped, the tables after they were compared with those of our schedule.

Where ours are fused, several released tensors become one, below each other: query, key and value of
an attention, the time biases of all blocks, the learned graphs of all blocks. A graph convolution
(3, 1, in, out) becomes one matrix (out, 3 in). MixSTE and D3DP have our names already; their sizes
are read from the file.
"""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from posediff.diffusion.choices import one_of
from posediff.diffusion.schedule import cosine
from posediff.nn.mixste import MixSTE
from posediff.prepare.released_files import Weights, read

JOINTS, WIDTH, DEPTH = 17, 96, 5
INSIDE = "pose_estimator."  # what D3DP's names begin with


class Entry(NamedTuple):
    released: str
    shape: tuple[int, ...]
    ours: str | None  # None: dropped


class Network(NamedTuple):
    name: str
    prefix: str  # where it stands in a model: its head is Official, of D3DP D3DP
    entries: tuple[Entry, ...]
    why_dropped: str = "no forward uses it"


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
    """What a released state dict holds, in its order."""
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
    """The weights of released files under the names of the model that they belong to.

    `weights` is "model", what the released evaluation loads, or "ema", the average over training;
    a lifter without an average gives its model weights then. The second result says, line by line,
    what became of every released key.

    Raises:
        FileNotFoundError, ValueError: names the file, and the first key that does not fit.
    """
    one_of("weights", weights, ("model", "ema"))
    state: dict[str, Tensor] = {}
    report: list[str] = []
    for path in map(Path, paths):
        released, averaged = read(path)
        network = identify(released, path)
        if network.name == "D3DP":
            check_tables(released, path)
        if averaged is not None and weights == "ema":
            released = averaged
        elif weights == "ema" and network.name in (DENOISER.name, "D3DP"):
            raise ValueError(f"{path}: holds no EMA weights (a fifth entry): take --weights model")
        check(released, network, path)
        ours = translate(released, network)
        if state.keys() & ours.keys():
            raise ValueError(f"{path}: a second file of {network.name}; give one of each network")
        state |= ours
        source = "EMA weights" if released is averaged else "model weights"
        report += [f"{path}: {network.name}, {source}", *describe(network)]
    return state, report


def identify(weights: Weights, path: Path) -> Network:
    """The network that most of the keys and shapes belong to."""
    for name, inside in (("MixSTE", ""), ("D3DP", INSIDE)):
        if f"{inside}Temporal_pos_embed" in weights:
            return video(weights, name, inside, path)
    found = {(key, tuple(x.shape)) for key, x in weights.items()}
    fits = {n: len(found & {entry[:2] for entry in n.entries}) for n in (DENOISER, LIFTER)}
    network = max(fits, key=lambda n: fits[n])
    if fits[network] == 0:
        raise ValueError(f"{path}: the weights of neither GCNdiff, GCNpose, MixSTE nor D3DP")
    return network


def video(weights: Weights, name: str, inside: str, path: Path) -> Network:
    """MixSTE or D3DP of the size of these weights."""
    timed = name == "D3DP"
    size = video_size(weights, inside)
    if size is None:
        raise ValueError(f"{path}: the shapes of {name}'s position embeddings make no sense")
    with torch.device("meta"):
        network = MixSTE(JOINTS, **size, channels_in=5 if timed else 2, timed=timed)
    entries = [Entry(f"{inside}{k}", tuple(x.shape), k) for k, x in network.state_dict().items()]
    if not timed:
        return Network(name, "head.encoder.network.", tuple(entries))
    tables = [Entry(k, tuple(x.shape), None) for k, x in schedule_tables().items()]
    return Network(
        name, "head.denoiser.", (*tables, *entries), "a table of the schedule, equal to ours"
    )


def video_size(weights: Weights, inside: str = "") -> dict[str, int] | None:
    """window, width and depth of a MixSTE whose names begin with `inside`."""
    places = weights[f"{inside}Temporal_pos_embed"]
    blocks = {m[1] for k in weights if (m := re.match(rf"{inside}STEblocks\.(\d+)\.", k))}
    if places.ndim != 3 or places.shape[2] % 8 or not blocks:  # eight heads
        return None
    return {"window": places.shape[1], "width": places.shape[2], "depth": len(blocks)}


def schedule_tables() -> dict[str, Tensor]:
    """The buffers that D3DP's files begin with, in their order, from our schedule; float64."""
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
    """The schedule of the file is the one that we run, or a ValueError names the first table."""
    for key, table in schedule_tables().items():
        x = weights.get(key, table)
        if x.shape == table.shape and not torch.allclose(x.double(), table, rtol=1e-6, atol=1e-9):
            raise ValueError(f"{path}: {key} is not that of the cosine schedule of 1000 steps")


def check(weights: Weights, network: Network, path: Path) -> None:
    """Keys and shapes are the released ones, or a ValueError names the first that is not."""
    expected = {entry.released: entry.shape for entry in network.entries}
    for key, shape in expected.items():
        if key not in weights:
            raise ValueError(f"{path}: {network.name} lacks the key {key} {shape}")
        if tuple(weights[key].shape) != shape:
            raise ValueError(
                f"{path}: the key {key} of {network.name} has shape {tuple(weights[key].shape)}, "
                f"expected {shape}"
            )
    for key in weights:
        if key not in expected:
            raise ValueError(f"{path}: {network.name} has no key {key}; not the released network")


def translate(weights: Weights, network: Network) -> dict[str, Tensor]:
    """Weights of one network, checked, under our names."""
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
    """One line for every released key: its shape and what it becomes."""
    for key, shape, ours in network.entries:
        dropped = f"dropped: {network.why_dropped}"
        whither = dropped if ours is None else f"-> {network.prefix}{ours}"
        yield f"  {key} {shape} {whither}"
