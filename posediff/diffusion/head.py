"""The contract of a head: all that the core, the engine and the commands need of a task.

    Head             what every head has: its skeleton, decoding, mirroring
    TaskHead         a head of a diffusion: condition, prior, one denoising call, clean state
    RegressionHead   a head that answers in one call, as the baselines do
    FlipTest, BothViews   wrap a head of either kind, averaged over a sample and its mirror image

B samples, K hypotheses, J joints, D coordinates. A state x has the shape of the prior; an estimate
is the answer of a head or a sampler: a state, or the evidence that is decoded in its place.
Variation is another object or a wrapper, never a subclass of a head.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional

from posediff.diffusion.noise import Noise
from posediff.diffusion.prior import Prior
from posediff.diffusion.process import Output

Sample = Mapping[str, Any]  # a batch; posediff/sample.py has the table of its keys
Context = Mapping[Any, Any]  # tensors (B, ...) or (B K, ...), and mappings of these


class Decoded(NamedTuple):
    keypoints: Tensor  # (B, K, J, D) in the frame of the annotation
    scores: Tensor  # (B, K, J)
    spread: Tensor | None = None  # (B, K, J), if an estimate has its own, as a heatmap does
    # points (B, N, J, D) drawn from the first estimate as a density, if it is one, by numbers of
    # the same shape in [0, 1)
    draw: Callable[[Tensor], Tensor] | None = None


class Window(NamedTuple):
    """The frames that one sample of a head holds."""

    frames: int = 1  # 1: single frames, without a leading F
    centred: bool = False  # only the middle frame is answered for


class Head(nn.Module, ABC):
    """The common part of both kinds of heads.

    skeleton: name of the layout of its joints. window: how it reads frames.
    """

    skeleton: str
    window: Window = Window()

    @property
    def pretrained(self) -> Any:
        """The backbone (posediff/nn/backbone.py): the part that may start from public weights, and
        whose layers may have learning rates of their own. None, by default."""
        return None

    @abstractmethod
    def decode(self, estimates: Tensor, sample: Sample) -> Decoded:
        """Keypoints, scores and perhaps spreads of estimates (B, K, ...), in the frame of the
        annotation."""

    @abstractmethod
    def mirror(self, x: Tensor) -> Tensor:
        """A state, its noise or an estimate (..., same shape) of the mirrored sample: reflected,
        sides swapped. Linear, and its own inverse."""

    @abstractmethod
    def mirror_sample(self, sample: Sample) -> Sample:
        """The mirror image of a sample: all entries that a head reads."""

    @abstractmethod
    def mirrored(self) -> "Head":
        """This head averaged over a sample and its mirror image (the flip test)."""

    def single_frames(self, estimates: Tensor, sample: Sample) -> tuple[Tensor, Sample]:
        """Estimates (B, K, ...) and their sample as they are aggregated and scored: one row a pose.
        A head over windows returns the N frames that count, (N, K, ...)."""
        return estimates, sample

    def baselines(self) -> Mapping[str, "RegressionHead"]:
        """The parts of this head that answer alone, by their method (`task.method`)."""
        return {}

    def summary(self) -> dict[str, Any]:
        """Entries of a report about how the head was used since `forget`."""
        return {"flip": False}

    def forget(self) -> None:
        """Begin what `summary` counts anew. Nothing, by default."""


class TaskHead(Head):
    """A head of a diffusion. predicts: what `denoise` answers with, x_0 or noise."""

    predicts: str = "x_0"

    @abstractmethod
    def encode(self, sample: Sample) -> Context:
        """The condition: tensors (B, ...). Expensive, so it runs once per sample."""

    @abstractmethod
    def prior(self, context: Context, noise: Noise) -> Prior:
        """The start of the reverse process, loc and scale (B, ...) or (B K, ...); its shape is that
        of the state."""

    @abstractmethod
    def denoise(self, x_t: Tensor, t: Tensor, context: Context) -> Output:
        """One network call on states (B K, ...) at timesteps t (B K,): x_0 or noise, of the shape
        of x_t. Cheap, since it runs once per step and hypothesis."""

    @abstractmethod
    def target(self, sample: Sample) -> Tensor:
        """The clean state x_0 that training aims at, (B, ...)."""

    def set_inference(self, **options: Any) -> None:
        """Set what stays free after training (`task.inference`). None of it, by default.

        Raises ValueError for an option that the head does not have.
        """
        for key in options:
            raise ValueError(f"task.inference.{key} is no option of {type(self).__name__}")

    def stages(self, context: Context) -> Mapping[str, Tensor]:
        """Estimates (B, ...) of the context alone, by name, to be drawn. None, by default."""
        return {}

    def loss(
        self, x_t: Tensor, t: Tensor, goal: Tensor, context: Context, sample: Sample
    ) -> Tensor:
        """The loss of every sample, (B,): the mean square of `denoise` less the goal, x_0 or noise.
        Override for visibility or auxiliary terms."""
        value = self.denoise(x_t, t, context).value
        return functional.mse_loss(value, goal, reduction="none").flatten(1).mean(1)

    def calibrate(self, drawn: Iterable[tuple[Tensor, Sample]]) -> None:
        """Measure errors on held-out samples, after training: estimates (B, K, ...) and the sample
        of their rows, as from `single_frames`. Nothing, by default."""

    def mirrored(self) -> "TaskHead":
        return FlipTest(self)


class RegressionHead(Head):
    """A head that answers in one call: an encoder, or a coarse head alone."""

    @abstractmethod
    def forward(self, sample: Sample) -> Tensor:
        """The estimate (B, ...)."""

    @abstractmethod
    def loss(self, estimate: Tensor, sample: Sample) -> Tensor:
        """The loss of every sample, (B,)."""

    def calibrate(self, samples: Iterable[Sample]) -> None:
        """Measure errors on held-out samples, after training. Nothing, by default: a heatmap has
        its own uncertainty."""

    def mirrored(self) -> "RegressionHead":
        return BothViews(self)


class Watch(Protocol):
    """Receives the answers of both views of a flip test, unmirrored, before they are averaged."""

    def __call__(self, seen: Tensor, mirrored: Tensor) -> None: ...
    def summary(self) -> dict[str, Any]: ...
    def forget(self) -> None: ...


def both_views(
    network: Callable[[Any], Tensor],
    sample: Any,
    mirror_sample: Callable[[Any], Any],
    mirror: Callable[[Tensor], Tensor],
) -> Tensor:
    """The mean of a network's answer and its unmirrored answer to the mirror image."""
    seen = network(sample)
    return (seen + mirror(network(mirror_sample(sample)))) / 2


class FlipTest(TaskHead):
    """Any TaskHead, averaged over both views inside every call: one trajectory, one noise.

    Its context is that of the sample, with the context of the mirror image as `mirrored`. The prior
    is that of the sample itself, unless the head reads `mirrored`.
    """

    def __init__(self, head: TaskHead, watch: Watch | None = None) -> None:
        super().__init__()
        self.head, self.watch = head, watch
        self.skeleton, self.window, self.predicts = head.skeleton, head.window, head.predicts

    def encode(self, sample: Sample) -> Context:
        seen, mirrored = self.head.encode(sample), self.head.encode(self.mirror_sample(sample))
        return {**seen, "mirrored": mirrored}

    def denoise(self, x_t: Tensor, t: Tensor, context: Context) -> Output:
        a = self.head.denoise(x_t, t, context)
        b = self.head.denoise(self.mirror(x_t), t, context["mirrored"])
        mirrored_value = self.mirror(b.value)
        if self.watch is not None and not torch.compiler.is_compiling():
            self.watch(a.value, mirrored_value)
        value, evidence = (a.value + mirrored_value) / 2, None
        if a.evidence is not None and b.evidence is not None:
            evidence = (a.evidence + self.mirror(b.evidence)) / 2
        return Output(value, evidence)

    def prior(self, context: Context, noise: Noise) -> Prior:
        return self.head.prior(context, noise)

    def target(self, sample: Sample) -> Tensor:
        return self.head.target(sample)

    def set_inference(self, **options: Any) -> None:
        self.head.set_inference(**options)

    def stages(self, context: Context) -> Mapping[str, Tensor]:
        return self.head.stages(context)

    def decode(self, estimates: Tensor, sample: Sample) -> Decoded:
        return self.head.decode(estimates, sample)

    def single_frames(self, estimates: Tensor, sample: Sample) -> tuple[Tensor, Sample]:
        return self.head.single_frames(estimates, sample)

    def mirror(self, x: Tensor) -> Tensor:
        return self.head.mirror(x)

    def mirror_sample(self, sample: Sample) -> Sample:
        return self.head.mirror_sample(sample)

    def summary(self) -> dict[str, Any]:
        return {"flip": True, **(self.watch.summary() if self.watch else {})}

    def forget(self) -> None:
        if self.watch:
            self.watch.forget()


class BothViews(RegressionHead):
    """Any RegressionHead, averaged over a sample and its mirror image."""

    def __init__(self, head: RegressionHead) -> None:
        super().__init__()
        self.head, self.skeleton, self.window = head, head.skeleton, head.window

    def forward(self, sample: Sample) -> Tensor:
        return both_views(self.head, sample, self.mirror_sample, self.mirror)

    def loss(self, estimate: Tensor, sample: Sample) -> Tensor:
        return self.head.loss(estimate, sample)

    def decode(self, estimates: Tensor, sample: Sample) -> Decoded:
        return self.head.decode(estimates, sample)

    def single_frames(self, estimates: Tensor, sample: Sample) -> tuple[Tensor, Sample]:
        return self.head.single_frames(estimates, sample)

    def mirror(self, x: Tensor) -> Tensor:
        return self.head.mirror(x)

    def mirror_sample(self, sample: Sample) -> Sample:
        return self.head.mirror_sample(sample)

    def summary(self) -> dict[str, Any]:
        return {"flip": True}
