"""One factor by which a model's hypotheses lie too near together, or too far apart.

It is found on validation data with 50 hypotheses, never on what it is scored on, and stands in the
model folder's config.json with the steps that it was found at, since spread depends on those.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from posediff import checkpoint, engine
from posediff.diffusion import Model
from posediff.diffusion.aggregate import mean
from posediff.metrics.calibration import DRAWS

KEY = "recalibration"


def fit(
    model: Model, data: engine.Samples, metric: Any, batch_size: int, seed: int = 0
) -> dict[str, Any]:
    """The factor and how it was found. `data` is held out from training and from the score.

    Raises ValueError for a model that cannot draw, or whose draws are all alike.
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
    """In the model folder, in place of an older one."""
    checkpoint.write_config(folder, checkpoint.read_config(folder) | {KEY: dict(found)})
