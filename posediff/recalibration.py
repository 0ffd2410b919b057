"""One factor that brings the hypotheses of a model nearer to their mean, or farther from it.

It is found on validation data with 50 hypotheses, never on the data that is scored. The config.json
of the model folder contains it, with the sampler's steps, on which the spread depends. `predict`
of a loaded model applies it; evaluations show figures without it, and beside them those with it.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from posediff import checkpoint, engine
from posediff.diffusion import Model
from posediff.diffusion.aggregate import mean
from posediff.metrics.calibration import DRAWS

KEY = checkpoint.RECALIBRATION


def fit(
    model: Model, data: engine.Samples, metric: Any, batch_size: int, seed: int = 0
) -> dict[str, Any]:
    """The factor and how it was found. `data` is used neither in training nor in the score.

    Raises ValueError if the model cannot draw several hypotheses, or if all its draws are equal.
    """
    rules = {"mean": mean}
    engine.evaluate(
        model, data, metric, rules, batch_size, seed, label="recalibrating", hypotheses=DRAWS
    )
    return {
        "factor": metric.recalibration(),
        "steps": model.steps,
        "K": DRAWS,
        "split": "validation",
        "samples": len(data),
    }


def keep(folder: Path, found: Mapping[str, Any]) -> None:
    """Write the result of `fit` to the model folder; replaces an older one."""
    checkpoint.write_config(folder, checkpoint.read_config(folder) | {KEY: dict(found)})
