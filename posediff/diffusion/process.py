"""The forward process and the algebra between x_t, x_0 and noise, for states x of any kind."""

from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

from posediff.diffusion.choices import one_of
from posediff.diffusion.noise import Noise
from posediff.diffusion.prior import Prior
from posediff.diffusion.schedule import NoiseSchedule


class Output(NamedTuple):
    value: Tensor  # x_0 or noise, as the process expects
    evidence: Tensor | None = None  # what decode reads instead of x_0, such as heatmaps


class Process(nn.Module):
    """predicts   what the network predicts
    bound      of |x_0 - loc| in the reverse process, not in training
    antithetic see `NoiseSchedule.draw`
    train_t    the one timestep to train at, instead of all
    """

    def __init__(
        self,
        schedule: NoiseSchedule,
        predicts: Literal["x_0", "noise"] = "x_0",
        bound: float | None = None,
        antithetic: bool = False,
        train_t: int | None = None,
    ) -> None:
        super().__init__()
        one_of("task.predicts", predicts, ("x_0", "noise"))
        self.schedule, self.predicts, self.bound = schedule, predicts, bound
        self.antithetic, self.train_t = antithetic, train_t
        if train_t is not None and not 0 <= train_t < len(schedule):
            raise ValueError(f"train_t must be in 0 .. {len(schedule) - 1}, got {train_t}")

    def draw(self, n: int, noise: Noise) -> Tensor:
        """The timesteps of n training samples, (n,)."""
        if self.train_t is not None:
            return torch.full((n,), self.train_t, device=self.schedule.alpha.device)
        return self.schedule.draw(n, noise, self.antithetic)

    def diffuse(self, x_0: Tensor, noise: Tensor, t: Tensor, prior: Prior) -> Tensor:
        alpha, sigma = self.schedule.at(t, x_0)
        return prior.loc + alpha * (x_0 - prior.loc) + sigma * noise

    def goal(self, x_0: Tensor, clean: Tensor, noise: Tensor, t: Tensor) -> Tensor:
        """The prediction that is right at the x_t that was diffused from `clean`, if x_0 is the
        truth: x_0, or the noise that leads from x_0 to x_t."""
        if self.predicts == "x_0":
            return x_0
        alpha, sigma = self.schedule.at(t, x_0)
        return noise + alpha / sigma * (clean - x_0)

    def estimate(
        self, value: Tensor, x_t: Tensor, t: Tensor, prior: Prior
    ) -> tuple[Tensor, Tensor]:
        """x_0 and noise of the network's prediction at x_t; noise follows from a bounded x_0."""
        alpha, sigma = self.schedule.at(t, x_t)
        centred = x_t - prior.loc
        clean = value - prior.loc if self.predicts == "x_0" else (centred - sigma * value) / alpha
        if self.bound is not None:
            clean = clean.clamp(-self.bound, self.bound)
        elif self.predicts == "noise":
            return prior.loc + clean, value
        return prior.loc + clean, (centred - alpha * clean) / sigma
