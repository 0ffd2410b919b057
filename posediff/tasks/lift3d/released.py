"""The weights that the DiffPose authors released for single frames, under our names.

A released file is a list [weights, optimizer state, epoch, step, EMA weights]; the last may be
missing. Keys of the weights begin with `module.`, those of the EMA do not. Two networks come this
way: GCNdiff (`diffpose_uvxyz_*.pth`), our GraphRefiner, and GCNpose (`gcn_xyz_*.pth`), our
GraphLifter. GCNpose carries a time embedding that its forward never uses; it is dropped.

Where ours are fused, several released tensors become one, below each other: query, key and value of
an attention, the time biases of all blocks, the learned graphs of all blocks. A graph convolution
(3, 1, in, out) becomes one matrix (out, 3 in).
"""

import pickle
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

JOINTS, WIDTH, DEPTH = 17, 96, 5
Weights = Mapping[str, Tensor]


class Entry(NamedTuple):
    released: str
    shape: tuple[int, ...]
    ours: str | None  # None: dropped


class Network(NamedTuple):
    name: str
    prefix: str  # where it stands in a model with an Official head
    entries: tuple[Entry, ...]


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
    """The weights of released files under the names of a model with an Official head.

    `weights` is "model", what the released evaluation loads, or "ema", the average over training;
    a lifter without an average gives its model weights then. The second result says, line by line,
    what became of every released key.

    Raises:
        FileNotFoundError, ValueError: names the file, and the first key that does not fit.
    """
    if weights not in ("model", "ema"):
        raise ValueError(f"weights must be 'model' or 'ema', got {weights!r}")
    state: dict[str, Tensor] = {}
    report: list[str] = []
    for path in map(Path, paths):
        released, averaged = read(path)
        network = identify(released, path)
        if averaged is not None and weights == "ema":
            released = averaged
        elif weights == "ema" and network is DENOISER:
            raise ValueError(f"{path}: holds no EMA weights (a fifth entry): take --weights model")
        check(released, network, path)
        ours = translate(released, network)
        if state.keys() & ours.keys():
            raise ValueError(f"{path}: a second file of {network.name}; give one of each network")
        state |= ours
        source = "EMA weights" if released is averaged else "model weights"
        report += [f"{path}: {network.name}, {source}", *describe(network)]
    return state, report


def read(path: Path) -> tuple[Weights, Weights | None]:
    """The weights and the EMA weights, if there are any, of a file in the released layout."""
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file; give the released .pth files")
    try:
        content: Any = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError):
        # torch's own message explains how to read it without safety
        raise ValueError(f"{path}: damaged, or holds more than tensors; not read") from None
    if not isinstance(content, list) or len(content) < 4 or not _is_weights(content[0]):
        raise ValueError(
            f"{path}: not in the released layout of single frames, a list that begins with weights"
        )
    model = {key.removeprefix("module."): x for key, x in content[0].items()}
    return model, content[4] if len(content) > 4 and _is_weights(content[4]) else None


def _is_weights(x: Any) -> bool:
    return isinstance(x, Mapping) and len(x) > 0 and all(map(torch.is_tensor, x.values()))


def identify(weights: Weights, path: Path) -> Network:
    """The network that most of the keys and shapes belong to."""
    found = {(key, tuple(x.shape)) for key, x in weights.items()}
    fits = {n: len(found & {entry[:2] for entry in n.entries}) for n in (DENOISER, LIFTER)}
    network = max(fits, key=lambda n: fits[n])
    if fits[network] == 0:
        raise ValueError(f"{path}: the weights of neither GCNdiff nor GCNpose")
    return network


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
    if x.ndim == 3:  # its bias (1, 1, out)
        return x.flatten()
    return x[None] if ours == "body.graphs" else x


def describe(network: Network) -> Iterator[str]:
    """One line for every released key: its shape and what it becomes."""
    for key, shape, ours in network.entries:
        whither = "dropped: no forward uses it" if ours is None else f"-> {network.prefix}{ours}"
        yield f"  {key} {shape} {whither}"
