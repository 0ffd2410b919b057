"""Reverse samplers: from the first timestep down to the clean end, as generators of steps."""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Literal, NamedTuple, Self

import torch
from torch import Tensor

from posediff.diffusion.choices import one_of
from posediff.diffusion.noise import Noise
from posediff.diffusion.prior import Prior
from posediff.diffusion.process import Output, Process

Denoise = Callable[[Tensor, Tensor], Output]


class Step(NamedTuple):
    t: int
    x_t: Tensor
    x_0: Tensor
    estimate: Tensor  # what decode reads: the evidence if the head gave any, else x_0


@dataclass(frozen=True)
class Sampler(ABC):
    """`steps` network calls at timesteps in end .. start - 1, evenly spaced. `start` None is the
    whole schedule."""

    steps: int = 4
    start: int | None = None
    spacing: Literal["trailing", "leading"] = "trailing"
    end: int = 0

    def __post_init__(self) -> None:
        one_of("sampler.spacing", self.spacing, ("trailing", "leading"))
        if self.steps < 1:
            raise ValueError(f"sampler.steps must be a whole number above 0, got {self.steps}")
        if self.end < 0:
            raise ValueError(f"sampler.end must be 0 or more, got {self.end}")

    def grid(self, total: int) -> list[int]:
        """Falling timesteps, then -1, the clean end."""
        n, last = self.steps, -1 if self.spacing == "trailing" else 0
        span = (total if self.start is None else self.start) - self.end
        grid = [self.end + span * (i - last) // n + last for i in reversed(range(n))]
        falls = all(a > b for a, b in pairwise(grid))
        if not grid or grid[0] >= total or grid[-1] < self.end or not falls:
            raise ValueError(
                f"sampler timesteps {grid} do not fall from below {total} to {self.end}"
            )
        return [*grid, -1]

    def starts(self, total: int) -> list[Self]:
        """This sampler from every eighth of the schedule."""
        every = (total * i // 8 for i in range(1, 9))
        return [replace(self, start=s) for s in every if s - self.end >= self.steps]

    def ends(self, total: int) -> list[Self]:
        """This sampler down to every quarter of the way from its start to 0."""
        start = total if self.start is None else self.start
        every = (start * i // 4 for i in range(4))
        return [replace(self, end=e) for e in every if start - e >= self.steps]

    @abstractmethod
    def __call__(
        self, process: Process, denoise: Denoise, x: Tensor, prior: Prior, noise: Noise
    ) -> Iterator[Step]:
        """One Step after every network call; the estimate of the last one is the answer."""


@dataclass(frozen=True)
class DDIMSampler(Sampler):
    """Song et al. 2021: eta 0 is deterministic, eta 1 is DDPM's ancestral sampling.

    Order 2 is DPM-Solver++ (2M), Lu et al. 2022: the same move, but towards an x_0 extrapolated
    from the last two in log(alpha / sigma). Its first and its last move are of order 1.
    """

    eta: float = 0.0
    order: Literal[1, 2] = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.order not in (1, 2):
            raise ValueError(f"sampler.order must be 1 or 2, got {self.order!r}")

    def __call__(
        self, process: Process, denoise: Denoise, x: Tensor, prior: Prior, noise: Noise
    ) -> Iterator[Step]:
        alpha, sigma = process.schedule.alpha, process.schedule.sigma
        levels = process.schedule.levels
        last: Step | None = None
        for t, s in pairwise(self.grid(len(process.schedule))):
            output = denoise(x, torch.full((x.shape[0],), t, device=x.device))
            x_0, e = process.estimate(output.value, x, torch.tensor([t]), prior)
            step = Step(t, x, x_0, x_0 if output.evidence is None else output.evidence)
            yield step
            if self.order == 2 and last and s >= 0:
                behind, here, ahead = (half_log_snr(*levels[i]) for i in (last.t, t, s))
                x_0 = x_0 + (ahead - here) / (here - behind) / 2 * (x_0 - last.x_0)
                e = (x - prior.loc - alpha[t] * (x_0 - prior.loc)) / sigma[t]
            fresh = self.eta * sigma[s] / sigma[t] * (1 - (alpha[t] / alpha[s]) ** 2).sqrt()
            x = prior.loc + alpha[s] * (x_0 - prior.loc) + (sigma[s] ** 2 - fresh**2).sqrt() * e
            if self.eta and s >= 0:
                x = x + fresh * prior.noise(noise)
            last = step


def half_log_snr(alpha: float, sigma: float) -> float:
    return math.log(alpha / sigma)


@dataclass(frozen=True)
class FlowSampler(Sampler):
    """The probability flow in steps that are exact if x_0 is distributed as the prior.

        x_s = x_t + (sigma[t] - sigma[s]) v
        v   = (x_0 - loc - alpha[t] (x_t - loc)) / (alpha[t] sigma[t])

    v is 0 if x_0 is distributed as the prior, N(loc, scale^2), and then x stays where it is; a step
    of DDIM moves as if x_0 were one point, and shrinks the spread: to 0.78 of it in 5 steps. The
    answer is x_0 at the last timestep, so one step answers with the mean.
    """

    def __call__(
        self, process: Process, denoise: Denoise, x: Tensor, prior: Prior, noise: Noise
    ) -> Iterator[Step]:
        levels = process.schedule.levels
        for t, s in pairwise(self.grid(len(process.schedule))):
            output = denoise(x, torch.full((x.shape[0],), t, device=x.device))
            x_0, _ = process.estimate(output.value, x, torch.tensor([t]), prior)
            yield Step(t, x, x_0, x_0 if output.evidence is None else output.evidence)
            (alpha, sigma), after = levels[t], levels[s][1]
            drift = x_0 - prior.loc - alpha * (x - prior.loc)
            x = x + (sigma - after) / (alpha * sigma) * drift


@dataclass(frozen=True)
class RepeatSampler(Sampler):
    """No process: the prediction, its evidence if there is any, is the next input."""

    def __call__(
        self, process: Process, denoise: Denoise, x: Tensor, prior: Prior, noise: Noise
    ) -> Iterator[Step]:
        for t in self.grid(len(process.schedule))[:-1]:
            x_0, evidence = denoise(x, torch.full((x.shape[0],), t, device=x.device))
            estimate = x_0 if evidence is None else evidence
            yield Step(t, x, x_0, estimate)
            x = estimate
