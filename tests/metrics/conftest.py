"""Answers in the form of a model's poses, from lists in the form of result files."""

import pytest
import torch

from posediff.diffusion.aggregate import Poses


def answers(found, skeleton, rows=None):
    """Poses and sample of these detections, or of some rows; `score` is that of the box."""
    rows = list(range(len(found))) if rows is None else rows
    values = torch.tensor([found[i]["keypoints"] for i in rows], dtype=torch.float64)
    keypoints = values.reshape(len(rows), -1, 3)[..., :2]
    ones = torch.ones(keypoints.shape[:2], dtype=torch.float64)
    scores = [found[i].get("score", 1.0) for i in rows]
    sample = {
        "id": [str(i) for i in rows],
        "meta": {"image_id": [found[i]["image_id"] for i in rows]},
        "box_score": torch.tensor(scores, dtype=torch.float64),
        "scale": torch.full((len(rows), 2), 100.0),
        "area": torch.full((len(rows),), 5000.0),
    }
    return Poses(keypoints, ones, keypoints[:, None], ones, skeleton), sample


@pytest.fixture(name="answers")
def _answers():
    return answers


@pytest.fixture
def scored():
    """A metric's figures of such answers."""

    def score(metric, found, rows=None):
        metric.update("mean", *answers(found, metric.skeleton.name, rows))
        return metric.compute()

    return score
