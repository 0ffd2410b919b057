"""The course of a training, and the choice of weights that are kept."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from posediff.diffusion import Model
from posediff.diffusion.choices import one_of
from posediff.loading import Samples
from posediff.rates import constant, never

Figures = dict[str, float]
COUNTS = ("epochs", "batch_size", "epoch_samples")  # of a recipe, at least 1


@dataclass(frozen=True)
class SaveEvery:
    """Times of saving, besides the end of every epoch: after so many steps, or minutes."""

    steps: int | None = None
    minutes: float | None = None

    def __post_init__(self) -> None:
        for name, value in (("steps", self.steps), ("minutes", self.minutes)):
            if value is not None and not value > 0:
                raise ValueError(f"trainer.save_every.{name} must be above 0 or null, got {value}")

    def due(self, steps: int, seconds: float) -> bool:
        """True if to save, if that was last done so long ago."""
        enough = self.steps is not None and steps >= self.steps
        return enough or (self.minutes is not None and seconds >= 60 * self.minutes)


@dataclass(frozen=True)
class Recipe:
    """An epoch is `epoch_samples` samples, or one pass over the data if that is None.

    `rate` maps the part of training done, 0 .. 1, to a factor of the optimiser's learning rate, and
    `aligned` to the share of a batch that is self-aligned, see `DiffusionModel.loss`.
    """

    epochs: int
    batch_size: int
    epoch_samples: int | None = None
    max_norm: float | None = 1.0  # largest norm of the gradient
    ema: float = 0.999  # of the weights that are scored and kept
    precision: Literal["float32", "bfloat16"] = "float32"
    workers: int = 0
    seed: int = 0
    rate: Callable[[float], float] = constant
    aligned: Callable[[float], float] = never
    save_every: SaveEvery = field(default_factory=SaveEvery)
    micro_batch: int | None = None  # samples of a batch that are in memory at once; null: all
    shard: bool = False  # whether several processes share out the weights

    def __post_init__(self) -> None:
        one_of("trainer.recipe.precision", self.precision, ("float32", "bfloat16"))
        counts = {f"recipe.{key}": vars(self)[key] for key in COUNTS}
        for name, value in (*counts.items(), ("micro_batch", self.micro_batch)):
            if value is not None and value < 1:
                raise ValueError(f"trainer.{name} must be 1 or more, got {value}")
        if not 0 <= self.ema < 1:
            raise ValueError(f"trainer.recipe.ema must be at least 0 and below 1, got {self.ema}")
        try:
            self.rate(0.0)
        except TypeError as error:  # of an option, of this rate or of the one that it replaces
            raise ValueError(
                f"trainer.rate: {error}: take an option out with ~trainer.rate.<option>, or add it "
                "with +trainer.rate.<option>=<value>"
            ) from None

    def steps(self, data: Samples) -> int:
        """Optimiser steps in an epoch; all batches are full."""
        return math.ceil((self.epoch_samples or len(data)) / self.batch_size)


@dataclass(frozen=True)
class Selection:
    """The epoch whose weights are kept: that with the best figure `monitor` of `score`."""

    score: Callable[[Model], Figures]
    monitor: str
    better: Literal["lower", "higher"] = "lower"

    def __post_init__(self) -> None:
        one_of("eval.better", self.better, ("lower", "higher"))

    def improved(self, figures: Figures, best: Figures) -> bool:
        if not best or math.isnan(best[self.monitor]):
            return True
        gain = figures[self.monitor] - best[self.monitor]
        return gain > 0 if self.better == "higher" else gain < 0
