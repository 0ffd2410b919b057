"""The factor of a model folder is applied by predictions, and said."""

import pytest
import torch
from helpers.heads import case, model

import posediff
from posediff import announce, checkpoint, config
from posediff.diffusion import Poses


@pytest.fixture
def folder(tmp_path):
    cfg, tree, _ = case("posterior")
    about = {"task": "lift3d", "method": "posterior", "skeleton": "h36m17", "model": tree}
    data = {k: x for k, x in config.plain(cfg.dataset).items() if k in config.DATA_KEYS}
    checkpoint.save(tmp_path / "m", model("posterior").state_dict(), about | {"dataset": data})
    return tmp_path / "m"


def with_factor(folder, factor):
    found = {"factor": factor, "steps": 5, "split": "validation", "samples": 512}
    checkpoint.write_config(folder, checkpoint.read_config(folder) | {"recalibration": found})
    return posediff.load(folder)


def test_a_prediction_is_the_same_pose_with_scaled_hypotheses(folder):
    sample = case("posterior").sample
    plain = posediff.load(folder).predict(sample, hypotheses=4)
    scaled = with_factor(folder, 2.0).predict(sample, hypotheses=4)
    assert torch.equal(plain.keypoints, scaled.keypoints)
    mean = plain.hypotheses.mean(1, keepdim=True)
    torch.testing.assert_close(scaled.hypotheses, mean + 2 * (plain.hypotheses - mean))
    torch.testing.assert_close(scaled.spread, 2 * plain.spread, rtol=0.02, atol=1e-5)
    drawn = with_factor(folder, 2.0).sample(sample, hypotheses=4)  # as evaluations score it
    assert torch.equal(drawn.decoded.keypoints, plain.hypotheses)


def test_without_a_factor_nothing_changes():
    x = torch.randn(2, 3, 4, 3, generator=torch.Generator().manual_seed(0))
    poses = Poses(x.mean(1), torch.ones(2, 4), x, torch.ones(2, 4), "cross")
    assert poses.recalibrated(1.0) is poses
    single = Poses(x[:, 0], torch.ones(2, 4), x[:, :1], torch.ones(2, 4), "cross")
    assert single.recalibrated(2.0) is single


def test_it_is_said(folder):
    with_factor(folder, 1.25)
    assert "hypotheses 1.25 times as far from their mean" in announce.used(folder)
    assert announce.used(folder).startswith(announce.model(folder))


@pytest.mark.parametrize("factor", [0, -1, "2", None, float("inf")])
def test_a_factor_that_is_none_is_one_line(folder, factor):
    with pytest.raises(ValueError, match=r"recalibration.factor must be a finite number"):
        with_factor(folder, factor)
