"""MPI-INF-3DHP's tables as by its MATLAB code, run in Octave (golden/pck3d_3dhp*)."""

import json

import numpy as np
import pytest
import torch

from posediff.diffusion import Poses
from posediff.metrics.pck3d import COUNTED, auc, pck150, tables
from posediff.metrics.pose_error import PoseError3D
from posediff.truth import Truth

ACTIVITIES = (
    "Standing/Walking", "Exercising", "Sitting", "Reaching/Crouching", "On The Floor", "Sports",
    "Miscellaneous",
)  # fmt: skip


@pytest.fixture
def golden(shared):
    """Errors (N, 17), sequence and activity of every frame, and the reference's tables."""
    data = np.load(shared / "golden/pck3d_3dhp.npz", allow_pickle=False)
    names = [key.removeprefix("err_") for key in data if key.startswith("err_")]
    sequences = [name.replace("TS", "TestSeq") for name in names for _ in data[f"err_{name}"]]
    activities = [ACTIVITIES[int(a) - 1] for name in names for a in data[f"act_{name}"]]
    errors = torch.from_numpy(np.concatenate([data[f"err_{name}"] for name in names]))
    expected = json.loads((shared / "golden/pck3d_3dhp_expected.json").read_text())
    return errors, sequences, activities, expected


def parsed(rows):
    """The reference's sheet, three tables below each other, as {table: {row: values}}."""
    found, metric = {}, "mpjpe"
    for name, *values in rows:
        if name in (None, "PCK", "AUC"):
            metric = {None: "mpjpe", "PCK": "pck150", "AUC": "auc"}[name]
            found[metric] = {}
        else:
            found[metric][name] = [x for x in values if x is not None]
    return found


@pytest.mark.parametrize("by", ["sequencewise", "activitywise"])
def test_tables_are_those_of_the_matlab_code(golden, by):
    errors, sequences, activities, expected = golden
    got = tables(errors, sequences if by == "sequencewise" else activities)
    for metric, rows in parsed(expected[by]).items():
        assert rows
        for name, values in rows.items():
            np.testing.assert_allclose(list(got[metric][name].values()), values, rtol=1e-9)
    # in the order of the sheet
    names = list(got["mpjpe"]["All"])
    assert (names[0], names[-1], list(got["auc"]["All"])[-1]) == ("head_top", "Average", "Total")


def test_thresholds_are_strict_and_start_at_0():
    errors = torch.tensor([0.0, 149.999, 150.0, 150.001], dtype=torch.float64)
    assert pck150(errors) == 50
    assert auc(errors[:1]) == pytest.approx(100 * 30 / 31)
    assert auc(errors[1:2]) == pytest.approx(100 / 31)
    assert auc(errors[2:3]) == 0
    assert tuple(range(14)) == COUNTED


def poses_of(errors):
    """Poses that are off by these millimetres to the right; the pelvis is the root."""
    off = torch.zeros(*errors.shape, 3, dtype=torch.float64)
    off[..., 0] = errors / 1000
    N = len(errors)
    return Poses(off, torch.ones(N, 17), off[:, None], torch.zeros(N, 17), "3dhp17")


def test_the_metric_gives_the_same_figures_and_both_means(golden):
    errors, sequences, activities, expected = golden
    assert errors[:, 14].eq(0).all()
    N, metric = len(errors), PoseError3D(Truth("3dhp17", dimensions=3), "3dhp")
    sample = {
        "id": [str(i) for i in range(N)],
        "keypoints": torch.zeros(N, 17, 3, dtype=torch.float64),
        "visible": torch.ones(N, 17),
        "meta": {"subject": sequences, "sequence": sequences, "action": activities},
    }
    sample["meta"]["frame"] = torch.arange(N)
    metric.update("mean", poses_of(errors), sample)
    figures, sheet = metric.compute(), parsed(expected["sequencewise"])
    activity = parsed(expected["activitywise"])
    for key in ("mpjpe", "pck150", "auc"):
        rows = [values[-1] for values in sheet[key].values()]
        assert figures[f"{key}/mean"] == pytest.approx(np.mean(rows), rel=1e-6)
        pooled = activity[key]["All"][-1]
        assert figures[f"{key}/mean:frames"] == pytest.approx(pooled, rel=1e-6)
        assert abs(figures[f"{key}/mean"] - pooled) > 0.05
        for name, values in (sheet[key] | activity[key]).items():
            if name != "All":
                assert figures[f"{key}/mean:{name}"] == pytest.approx(values[-1], rel=1e-6)
    summary = metric.summary()
    assert summary["protocol"] == "3dhp"
    knees = summary["tables"]["mean"]["action"]["pck150"]["Sports"]["Knee"]
    assert knees == pytest.approx(activity["pck150"]["Sports"][6], rel=1e-6)


def test_other_joints_have_no_3dhp_score():
    with pytest.raises(ValueError, match="eval=3dhp scores the joints of 3dhp17, not of h36m17"):
        PoseError3D(Truth("h36m17", dimensions=3), "3dhp")
