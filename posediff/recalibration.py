"""Factors that bring the hypotheses of a model nearer to their mean, or farther from it.

They are found on validation data with 50 hypotheses, never on the data that is scored. The
config.json of the model folder contains them, with the sampler, on which the spread depends.
`predict` of a loaded model applies them; evaluations show figures without them, and beside them
those with them.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from posediff import checkpoint, engine
from posediff.diffusion import Model
from posediff.diffusion.aggregate import Poses, mean
from posediff.metrics import calibration
from posediff.metrics.metric import Metric
from posediff.pose.skeleton import skeleton

KEY = checkpoint.RECALIBRATION


def fit(model: Model, data: engine.Samples, batch_size: int, seed: int = 0) -> dict[str, Any]:
    """The factors and how they were found. `data` is used neither in training nor in the score.

    Raises ValueError if answers are not 3D poses about a root, or if all draws are equal.
    """
    if model.sampler is None:
        raise ValueError("eval.recalibrate: a method without diffusion has one answer, no spread")
    ratios, K = Ratios(), calibration.DRAWS
    engine.evaluate(
        model, data, ratios, {"mean": mean}, batch_size, seed, label="recalibrating", hypotheses=K
    )
    return {
        "factors": calibration.factors(torch.cat(ratios.found)),
        "sampler": str(model.sampler),
        "K": K,
        "split": "validation",
        "samples": len(data),
    }


def keep(folder: Path, found: Mapping[str, Any]) -> None:
    """Write the result of `fit` to the model folder; replaces an older one."""
    checkpoint.write_config(folder, checkpoint.read_config(folder) | {KEY: dict(found)})


class Ratios(Metric):
    """The ratios of all joints but the root (posediff/metrics/calibration.py), of which factors are
    made, in place of figures."""

    def __init__(self) -> None:
        self.found: list[Tensor] = []  # (joints, levels)

    def update(self, name: str, poses: Poses, sample: Mapping[str, Any]) -> None:
        bones = skeleton(poses.skeleton)
        if poses.keypoints.shape[-1] != 3:
            raise ValueError(
                "eval.recalibrate: recalibration is of 3D poses, and those of this task are 2D"
            )
        truth, drawn = (
            bones.rooted(x.detach().cpu().double()) for x in (sample["keypoints"], poses.hypotheses)
        )
        whole = truth.isfinite().all(-1).all(-1)
        limbs = [j for j in range(truth.shape[-2]) if j != bones.root]
        ratios = calibration.ratios(drawn[whole][..., limbs, :], truth[whole][:, limbs])
        self.found.append(ratios.flatten(0, 1))

    def compute(self) -> dict[str, float]:
        return {}

    def summary(self) -> dict[str, Any]:
        return {}
