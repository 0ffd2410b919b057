"""Models, as an engine sees them: `loss(sample)` to train, `sample` and `predict` to use."""

import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import torch
from einops import rearrange, repeat
from torch import Tensor, nn

from posediff.diffusion.aggregate import Hypotheses, Poses, mean
from posediff.diffusion.head import Context, Head, RegressionHead, Sample, TaskHead
from posediff.diffusion.noise import Noise
from posediff.diffusion.prior import Prior
from posediff.diffusion.process import Process
from posediff.diffusion.sampler import Sampler, Step

Rule = Callable[[Hypotheses], Poses]
CALIBRATION_DRAWS = 20  # K of the hypotheses that `calibrate` shows to a head


class Model(nn.Module, ABC):
    """`aggregate` and `hypotheses` (K) are the defaults of inference. `trained_on` are the options
    of the data set that a loaded model was trained on, `recalibration` the factors that were found
    for its hypotheses (`aggregate.recalibrate`), `about` what else its folder says of it. `sampler`
    makes the steps of a diffusion, and with `every_step` an answer is the mean of the estimates of
    all of them, not the last one. With `opposite`, hypotheses 2k and 2k+1 have opposite noise
    (antithetic pairs).
    """

    head: Head
    aggregate: Rule
    hypotheses: int
    sampler: Sampler | None = None
    every_step: bool = False
    opposite: bool = False
    squared: bool = False
    trained_on: Mapping[str, Any] = MappingProxyType({})
    recalibration: Sequence[float] | None = None
    about: Mapping[str, Any] = MappingProxyType({})

    @property
    def steps(self) -> int:
        """Number of network calls per answer, by default."""
        return 1

    @property
    def timesteps(self) -> tuple[int, ...]:
        """Those of the steps of a diffusion, by default."""
        return ()

    def starts(self, sample: Sample) -> list[Sampler]:
        """The sampler, and it with other starts, as far as the head can start there. None, if there
        are no steps."""
        return []

    def ends(self, sample: Sample) -> list[Sampler]:
        """The sampler, and it with other ends. None, if there are no steps."""
        return []

    @abstractmethod
    def loss(self, sample: Sample, noise: Noise | None = None, *, aligned: float = 0.0) -> Tensor:
        """The training loss of a batch, a scalar. `aligned` is the share of its rows that are
        trained on states made of the model's own answers; only a diffusion has states, and noise.
        """

    @abstractmethod
    def encode(self, sample: Sample) -> Context:
        """Context of the answers to a sample, tensors (B, ...), computed once."""

    @abstractmethod
    def draw(
        self,
        context: Context,
        sample: Sample,
        hypotheses: int,
        noise: Noise,
        steps: int | None = None,
    ) -> Iterator[Hypotheses]:
        """The K answers after every step, of the context of a sample and of given noise."""

    def noise(self, sample: Sample, hypotheses: int, seed: int = 0) -> Noise:
        """The noise of all hypotheses of a sample, by its ids."""
        return Noise(seed, sample["id"], hypotheses, self.opposite)

    @torch.no_grad()
    def answers(
        self, sample: Sample, hypotheses: int, steps: int | None = None, seed: int = 0
    ) -> Iterator[Hypotheses]:
        """The K answers after every step. The iteration may be stopped early."""
        noise = self.noise(sample, hypotheses, seed)
        yield from self.draw(self.encode(sample), sample, hypotheses, noise, steps)

    def sample(
        self, sample: Sample, hypotheses: int | None = None, steps: int | None = None, seed: int = 0
    ) -> Hypotheses:
        """All K answers of every sample, as drawn. They only depend on the sample, its id and the
        seed."""
        K = self.hypotheses if hypotheses is None else hypotheses
        if K < 1:
            raise ValueError(f"hypotheses must be a whole number above 0, not {K}")
        return deque(self.answers(sample, K, steps, seed), maxlen=1)[0]

    def predict(
        self, sample: Sample, hypotheses: int | None = None, steps: int | None = None, seed: int = 0
    ) -> Poses:
        """One pose a sample, with the K hypotheses, recalibrated, and their spread."""
        drawn = self.sample(sample, hypotheses, steps, seed)
        return self.aggregate(drawn).recalibrated(self.recalibration)

    def states(
        self, sample: Sample, hypotheses: int, steps: int | None = None, seed: int = 0
    ) -> Iterator[tuple[int, Hypotheses]]:
        """The states x_t of a diffusion by their timestep, read as answers, then the answer as that
        of -1. None, by default, and if a state is of another kind than an answer."""
        return iter(())

    def stages(self, sample: Sample, seed: int = 0) -> Iterator[tuple[str, Tensor]]:
        """The estimates (B, ...) of one hypothesis by the name of their stage, to be drawn. None,
        by default."""
        return iter(())

    def forward(
        self, sample: Sample, aligned: float = 0.0, noise: Noise | None = None
    ) -> Tensor:  # so that DDP wraps the loss
        return self.loss(sample, noise, aligned=aligned)

    def calibrate(self, samples: Iterable[Sample]) -> None:
        """Measure errors on held-out samples, after training. Nothing, by default."""

    def _hypotheses(self, estimates: Tensor, sample: Sample) -> Hypotheses:
        head = self.head
        estimates, rows = head.single_frames(estimates, sample)
        return Hypotheses(estimates, lambda x: head.decode(x, rows), rows, head.skeleton)


class DiffusionModel(Model):
    """A task head on the shared process.

    squared: train on half the square of a batch's loss (D3DP), so that gradients scale with it. The
        loss of a part of a batch (`Noise.part`) is not squared, as that of the batch is their sum.
    inference: options of the head that stay free after training.
    """

    head: TaskHead
    sampler: Sampler

    def __init__(
        self,
        head: TaskHead,
        process: Process,
        sampler: Sampler,
        aggregate: Rule = mean,
        hypotheses: int = 1,
        every_step: bool = False,
        opposite: bool = False,
        squared: bool = False,
        inference: Mapping[str, Any] = MappingProxyType({}),
    ) -> None:
        super().__init__()
        if head.predicts != process.predicts:
            raise ValueError(
                f"task.predicts={process.predicts}: {type(head).__name__} predicts "
                f"{head.predicts}; leave task.predicts out"
            )
        if inference:
            head.set_inference(**inference)
        self.head, self.process, self.sampler = head, process, sampler
        self.aggregate, self.hypotheses = aggregate, hypotheses
        self.every_step, self.opposite, self.squared = every_step, opposite, squared

    @property
    def steps(self) -> int:
        return self.sampler.steps

    @property
    def timesteps(self) -> tuple[int, ...]:
        return tuple(self.sampler.grid(len(self.process.schedule))[:-1])

    @torch.no_grad()
    def starts(self, sample: Sample) -> list[Sampler]:
        """A start that is drawn needs a sigma near 1, so it stays as it is."""
        prior = self.head.prior(self.head.encode(sample), Noise(0, sample["id"]))
        known = prior.init is not None
        return [self.sampler, *self.sampler.starts(len(self.process.schedule) if known else 0)]

    def ends(self, sample: Sample) -> list[Sampler]:
        return [self.sampler, *self.sampler.ends(len(self.process.schedule))]

    def loss(self, sample: Sample, noise: Noise | None = None, *, aligned: float = 0.0) -> Tensor:
        """Self-aligned rows (Ji et al., DDP, ICCV 2023): x_t is diffused from the model's own
        answer, as every state of inference after the first is; the goal stays the truth."""
        noise = noise or Noise.plain()
        context, x_0 = self.head.encode(sample), self.head.target(sample)
        prior = self.head.prior(context, noise)
        t = self.process.draw(len(x_0), noise)
        e = prior.noise(noise)
        clean = x_0
        if aligned > 0:
            own = self._first_answer(context, prior, noise)
            rows = noise.uniform((len(x_0),)).to(x_0.device) < aligned
            clean = torch.where(rows.view(-1, *[1] * (x_0.ndim - 1)), own, x_0)
        x_t = self.process.diffuse(clean, e, t, prior)
        goal = self.process.goal(x_0, clean, e, t)
        loss = self.head.loss(x_t, t, goal, context, sample).mean()
        return loss.square() / 2 if self.squared and not noise.whole else loss

    @torch.no_grad()
    def _first_answer(self, context: Context, prior: Prior, noise: Noise) -> Tensor:
        """The x_0 of the first step of inference, (B, ...), by the head in evaluation mode. Later
        steps hardly move it, and each would cost another call."""
        training = self.head.training
        self.head.eval()
        first = next(self._steps(self.sampler, context, prior, noise))
        self.head.train(training)
        return first.x_0

    def _steps(
        self, sampler: Sampler, context: Context, prior: Prior, noise: Noise
    ) -> Iterator[Step]:
        schedule = self.process.schedule
        t = sampler.grid(len(schedule))[0]
        x = prior.start(*schedule.levels[t], noise)
        yield from sampler(
            self.process, lambda x, t: self.head.denoise(x, t, context), x, prior, noise
        )

    @torch.no_grad()
    def trajectory(
        self, sample: Sample, hypotheses: int, steps: int | None = None, seed: int = 0
    ) -> Iterator[Step]:
        """Every reverse step of all hypotheses, (B K) ...; encodes once."""
        noise = self.noise(sample, hypotheses, seed)
        yield from self._reverse(self.encode(sample), hypotheses, noise, steps)

    def encode(self, sample: Sample) -> Context:
        return self.head.encode(sample)

    def _reverse(
        self, context: Context, hypotheses: int, noise: Noise, steps: int | None
    ) -> Iterator[Step]:
        sampler = self.sampler
        if steps is not None:
            sampler = replace(sampler, steps=steps)
        context = repeated(context, hypotheses)
        yield from self._steps(sampler, context, self.head.prior(context, noise), noise)

    @torch.no_grad()
    def draw(
        self,
        context: Context,
        sample: Sample,
        hypotheses: int,
        noise: Noise,
        steps: int | None = None,
    ) -> Iterator[Hypotheses]:
        total: Tensor | float = 0.0
        for n, step in enumerate(self._reverse(context, hypotheses, noise, steps), 1):
            total = total + step.estimate if self.every_step else step.estimate
            answer = total / n if self.every_step else total
            yield self._hypotheses(rearrange(answer, "(b k) ... -> b k ...", k=hypotheses), sample)

    def states(
        self, sample: Sample, hypotheses: int, steps: int | None = None, seed: int = 0
    ) -> Iterator[tuple[int, Hypotheses]]:
        def read(x: Tensor) -> Hypotheses:
            return self._hypotheses(rearrange(x, "(b k) ... -> b k ...", k=hypotheses), sample)

        step = None
        for step in self.trajectory(sample, hypotheses, steps, seed):
            if step.x_t.shape != step.estimate.shape:
                return
            yield step.t, read(step.x_t)
        if step is not None:
            yield -1, read(step.estimate)

    def calibrate(self, samples: Iterable[Sample]) -> None:
        drawn = (self.sample(sample, CALIBRATION_DRAWS) for sample in samples)
        self.head.calibrate((h.estimates, h.sample) for h in drawn)

    @torch.no_grad()
    def stages(self, sample: Sample, seed: int = 0) -> Iterator[tuple[str, Tensor]]:
        yield from self.head.stages(self.head.encode(sample)).items()
        for step in self.trajectory(sample, 1, seed=seed):
            yield f"t = {step.t}", step.estimate


class Regression(Model):
    """A head that answers in one call, as a baseline: no process, no steps, one hypothesis."""

    head: RegressionHead

    def __init__(self, head: RegressionHead) -> None:
        super().__init__()
        self.head, self.aggregate, self.hypotheses = head, mean, 1

    def loss(self, sample: Sample, noise: Noise | None = None, *, aligned: float = 0.0) -> Tensor:
        return self.head.loss(self.head(sample), sample).mean()

    def encode(self, sample: Sample) -> Context:
        return {"estimate": self.head(sample)}

    def draw(
        self,
        context: Context,
        sample: Sample,
        hypotheses: int,
        noise: Noise,
        steps: int | None = None,
    ) -> Iterator[Hypotheses]:
        if hypotheses != 1:
            raise ValueError(
                f"a regression has one answer, not {hypotheses}: set task.hypotheses=1"
            )
        yield self._hypotheses(context["estimate"].unsqueeze(1), sample)

    def calibrate(self, samples: Iterable[Sample]) -> None:
        self.head.calibrate(samples)


def repeated(context: Context, hypotheses: int) -> Context:
    """Every tensor (B, ...) of a context as (B K, ...), the K copies of a sample in a row."""
    return {
        name: repeated(x, hypotheses)
        if isinstance(x, Mapping)
        else repeat(x, "b ... -> (b k) ...", k=hypotheses)
        for name, x in context.items()
    }


def anytime(
    answers: Iterable[Hypotheses], rule: Rule = mean, tolerance: float = 0.0, seconds: float = 1e9
) -> tuple[Poses, int]:
    """The aggregate of the first steps, and the number of these steps: of all steps, or fewer if
    the last one moved the joints by less than `tolerance` on average (in the pose's unit), or if
    `seconds` have passed.

        anytime(model.answers(sample, hypotheses=5), tolerance=0.001)
    """
    start, seen = time.perf_counter(), []
    for every in answers:
        seen.append(rule(every))
        if len(seen) > 1:
            moved = (seen[-1].keypoints - seen[-2].keypoints).norm(dim=-1).mean()
            if moved < tolerance:
                break
        if time.perf_counter() - start >= seconds:
            break
    return seen[-1], len(seen)
