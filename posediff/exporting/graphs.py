"""A model as two functions of tensors by name, of which the first feeds the second.

    encode   sample -> context                      once a sample; of a baseline, its whole network
    sample   sample, context, noise -> answer       all steps of the sampler, and the rule

The numbers that a model draws are inputs, (B, K, ...) in the order of the draws, so an answer is
that of the model for the same draws. It has the columns of `Poses`, as answer_keypoints .., over a
window for all frames, whether they count or not. Nests are flat: mixture_weights are the weights of
`mixture`.
"""

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from posediff.diffusion import Model, Noise
from posediff.diffusion.aggregate import COLUMNS, Poses
from posediff.sample import Sample

Tensors = dict[str, Tensor]
ANSWER = "answer_"  # begins the names of the columns of `Poses`, of which inputs have some, too
LEFT_OUT = ("id", "meta", "frames_valid")  # of a sample: every row and frame is answered


class Graph(NamedTuple):
    """A part of a model, with a batch of its inputs and its outputs for them, by name."""

    name: str
    module: nn.Module
    inputs: Tensors
    outputs: Tensors


class Function(nn.Module):
    """A function of tensors by name, which reads the weights of a model."""

    def __init__(self, model: nn.Module, function: Callable[[Tensors], Tensors]) -> None:
        super().__init__()
        self.model, self.function = model, function

    def forward(self, tensors: Tensors) -> Tensors:
        return self.function(tensors)


class Recorded(Noise):
    """The noise of a model; `drawn` keeps every draw as (B, K, ...)."""

    def __init__(self, noise: Noise, hypotheses: int) -> None:
        self.source, self.hypotheses, self.drawn = noise, hypotheses, Tensors()

    def normal(self, shape: Sequence[int]) -> Tensor:
        return self._kept("normal", self.source.normal(shape))

    def uniform(self, shape: Sequence[int]) -> Tensor:
        return self._kept("uniform", self.source.uniform(shape))

    def _kept(self, kind: str, drawn: Tensor) -> Tensor:
        self.drawn[f"{kind}_{len(self.drawn)}"] = drawn.view(-1, self.hypotheses, *drawn.shape[1:])
        return drawn


class Replayed(Noise):
    """Draws (B, K, ...) of a caller, used in their order."""

    def __init__(self, drawn: Tensors) -> None:
        self.left = [x.flatten(0, 1) for x in drawn.values()]

    def normal(self, shape: Sequence[int]) -> Tensor:
        return self.left.pop(0)

    def uniform(self, shape: Sequence[int]) -> Tensor:
        return self.left.pop(0)


@torch.no_grad()
def draws(model: Model, sample: Sample, seed: int = 0) -> Tensors:
    """The numbers that `model.predict` draws for a sample, by name, each (B, K, ...)."""
    noise = Recorded(model.noise(sample, model.hypotheses, seed), model.hypotheses)
    for _ in model.draw(model.encode(sample), sample, model.hypotheses, noise):
        pass
    return noise.drawn


def flat(nest: Mapping[Any, Any], at: str = "") -> Iterator[tuple[str, Tensor]]:
    """The tensors of a nest, each with the keys to it joined by _; other entries are left out."""
    for key, x in nest.items():
        if isinstance(x, Mapping):
            yield from flat(x, f"{at}{key}_")
        elif isinstance(x, Tensor):
            yield f"{at}{key}", x


def nested(like: Mapping[Any, Any], tensors: Tensors, at: str = "") -> dict[Any, Any]:
    """The nest of these tensors, those of them that are there, with the keys of another nest."""
    found: dict[Any, Any] = {}
    for key, x in like.items():
        if isinstance(x, Mapping):
            found[key] = nested(x, tensors, f"{at}{key}_")
        elif f"{at}{key}" in tensors:
            found[key] = tensors[f"{at}{key}"]
    return found


def graphs(model: Model, sample: Sample, seed: int = 0) -> list[Graph]:
    """The two graphs of a model, on a batch of samples of the kind that they will read.

    To be called without gradients: graphs would turn them off at every step.
    """
    entries = {key: x for key, x in sample.items() if key not in LEFT_OUT}
    given, drawn = dict(flat(entries)), draws(model, sample, seed)
    made = {"context": model.encode(entries)}

    def encode(tensors: Tensors) -> Tensors:
        return dict(flat({"context": model.encode(nested(entries, tensors))}))

    def answer(tensors: Tensors) -> Tensors:
        noise = Replayed({name: tensors[name] for name in drawn})
        context, seen = nested(made, tensors)["context"], nested(entries, tensors)
        last = deque(model.draw(context, seen, model.hypotheses, noise), maxlen=1)[0]
        poses = by_frame(model.aggregate(last), 1, -3).recalibrated(model.recalibration)
        poses = by_frame(poses, -3, 1)
        return {f"{ANSWER}{name}": getattr(poses, name) for name in COLUMNS}

    return [
        graph("encode", Function(model, encode), given, {}),
        graph("sample", Function(model, answer), given, {**dict(flat(made)), **drawn}),
    ]


def by_frame(poses: Poses, source: int, target: int) -> Poses:
    """The poses with another axis of the K hypotheses: the graphs keep the frames of windows."""
    return replace(poses, hypotheses=poses.hypotheses.movedim(source, target))


def graph(name: str, module: Function, given: Tensors, always: Tensors) -> Graph:
    """A graph without those of the `given` inputs that its outputs do not depend on."""
    kept, outputs = given, module({**given, **always})
    for key in given:
        fewer = {k: x for k, x in kept.items() if k != key}
        try:
            same = equal(module({**fewer, **always}), outputs)
        except (KeyError, ValueError):  # it is read
            continue
        kept = fewer if same else kept
    return Graph(name, module, {**kept, **always}, outputs)


def equal(a: Tensors, b: Tensors) -> bool:
    return all(torch.equal(x, b[name]) for name, x in a.items())
