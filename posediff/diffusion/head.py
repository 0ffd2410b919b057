"""What a task has to say so that the core can train and sample it."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple, Protocol

from torch import Tensor, nn
from torch.nn import functional

from posediff.diffusion.noise import Noise
from posediff.diffusion.prior import Prior
from posediff.diffusion.process import Output

Sample = Mapping[str, Any]
Context = Mapping[str, Tensor]


class Decoded(NamedTuple):
    keypoints: Tensor  # (B, K, J, D) in the frame of the annotation
    scores: Tensor  # (B, K, J)
    spread: Tensor | None = None  # (B, K, J), if an estimate tells its own, as a heatmap does


class TaskHead(nn.Module, ABC):
    skeleton: str

    @abstractmethod
    def encode(self, sample: Sample) -> Context:
        """The condition. Expensive, so it runs once per sample; every tensor is (B, ...)."""

    @abstractmethod
    def prior(self, context: Context, noise: Noise) -> Prior:
        """Where the reverse process begins; also fixes the shape of x."""

    @abstractmethod
    def denoise(self, x_t: Tensor, t: Tensor, context: Context) -> Output:
        """One network call. Cheap, since it runs once per step and hypothesis."""

    @abstractmethod
    def target(self, sample: Sample) -> Tensor:
        """The clean x_0 that training aims at."""

    @abstractmethod
    def decode(self, estimates: Tensor, sample: Sample) -> Decoded:
        """Keypoints and scores of (B, K, ...)."""

    def rows(self, estimates: Tensor, sample: Sample) -> tuple[Tensor, Sample]:
        """The answers (B, K, ...) and their samples as they are aggregated, scored and shown, one a
        row. A head over windows gives the frames that count, as if each had come alone.
        """
        return estimates, sample

    @abstractmethod
    def mirror(self, x: Tensor) -> Tensor:
        """A state, its noise or its evidence as a mirror shows it: reflected, sides swapped."""

    @abstractmethod
    def mirror_sample(self, sample: Sample) -> Sample:
        """The inputs of `encode` as a mirror shows them."""

    def loss(
        self, x_t: Tensor, t: Tensor, goal: Tensor, context: Context, sample: Sample
    ) -> Tensor:
        """The loss of every sample, (B,): plain MSE. Override for visibility or auxiliary terms."""
        value = self.denoise(x_t, t, context).value
        return functional.mse_loss(value, goal, reduction="none").flatten(1).mean(1)


class RegressionHead(Protocol):
    """A network that answers at once: an encoder or a coarse head alone."""

    skeleton: str

    def __call__(self, sample: Sample) -> Tensor: ...
    def loss(self, estimate: Tensor, sample: Sample) -> Tensor:
        """The loss of every sample, (B,)."""

    def decode(self, estimates: Tensor, sample: Sample) -> Decoded: ...
    def rows(self, estimates: Tensor, sample: Sample) -> tuple[Tensor, Sample]:
        """As that of a TaskHead."""

    def mirror(self, x: Tensor) -> Tensor:
        """An estimate as a mirror shows it."""

    def mirror_sample(self, sample: Sample) -> Sample:
        """As that of a TaskHead."""

    def calibrate(self, samples: Iterable[Sample]) -> None:
        """After training, on held-out samples: what the head wants to know about its errors."""


class FlipTest(TaskHead):
    """Any head, averaged over both views inside every call: one trajectory, one noise.

    Where the trajectory starts (the prior) is said by the view as it was seen. `watch` is shown
    what the views say before they are averaged, both as seen.
    """

    def __init__(
        self, head: TaskHead, watch: Callable[[Tensor, Tensor], None] | None = None
    ) -> None:
        super().__init__()
        self.head, self.skeleton, self.watch = head, head.skeleton, watch

    def encode(self, sample: Sample) -> Context:
        seen, mirrored = self.head.encode(sample), self.head.encode(self.mirror_sample(sample))
        return {**seen, **{f"mirrored {name}": x for name, x in mirrored.items()}}

    def denoise(self, x_t: Tensor, t: Tensor, context: Context) -> Output:
        mirrored = {k[9:]: x for k, x in context.items() if k.startswith("mirrored ")}
        a = self.head.denoise(x_t, t, context)
        b = self.head.denoise(self.mirror(x_t), t, mirrored)
        mirrored_value = self.mirror(b.value)
        if self.watch is not None:
            self.watch(a.value, mirrored_value)
        value, evidence = (a.value + mirrored_value) / 2, None
        if a.evidence is not None and b.evidence is not None:
            evidence = (a.evidence + self.mirror(b.evidence)) / 2
        return Output(value, evidence)

    def prior(self, context: Context, noise: Noise) -> Prior:
        return self.head.prior(context, noise)

    def target(self, sample: Sample) -> Tensor:
        return self.head.target(sample)

    def decode(self, estimates: Tensor, sample: Sample) -> Decoded:
        return self.head.decode(estimates, sample)

    def rows(self, estimates: Tensor, sample: Sample) -> tuple[Tensor, Sample]:
        return self.head.rows(estimates, sample)

    def mirror(self, x: Tensor) -> Tensor:
        return self.head.mirror(x)

    def mirror_sample(self, sample: Sample) -> Sample:
        return self.head.mirror_sample(sample)
