"""The factors of a model folder are applied by predictions, and said."""

import pytest
import torch
from helpers.heads import case, model

import posediff
from posediff import announce, checkpoint, config, recalibration
from posediff.diffusion import Poses


@pytest.fixture
def folder(tmp_path):
    cfg, tree, _ = case("posterior")
    about = {"task": "lift3d", "method": "posterior", "skeleton": "h36m17", "model": tree}
    data = {k: x for k, x in config.plain(cfg.dataset).items() if k in config.DATA_KEYS}
    checkpoint.save(tmp_path / "m", model("posterior").state_dict(), about | {"dataset": data})
    return tmp_path / "m"


def with_factors(folder, factors):
    sampler = "DDIMSampler(steps=5)"
    found = {"factors": factors, "sampler": sampler, "split": "validation", "samples": 512}
    checkpoint.write_config(folder, checkpoint.read_config(folder) | {"recalibration": found})
    return posediff.load(folder)


def test_a_prediction_is_the_same_pose_with_scaled_hypotheses(folder):
    sample = case("posterior").sample
    plain = posediff.load(folder).predict(sample, hypotheses=4)
    scaled = with_factors(folder, [2.0] * 9).predict(sample, hypotheses=4)
    assert torch.equal(plain.keypoints, scaled.keypoints)
    mean = plain.hypotheses.mean(1, keepdim=True)
    torch.testing.assert_close(scaled.hypotheses, mean + 2 * (plain.hypotheses - mean))
    torch.testing.assert_close(scaled.spread, 2 * plain.spread, rtol=0.02, atol=1e-5)
    drawn = with_factors(folder, [2.0] * 9).sample(sample, hypotheses=4)  # as evaluations score it
    assert torch.equal(drawn.decoded.keypoints, plain.hypotheses)


def test_without_factors_nothing_changes():
    x = torch.randn(2, 3, 4, 3, generator=torch.Generator().manual_seed(0))
    poses = Poses(x.mean(1), torch.ones(2, 4), x, torch.ones(2, 4), "cross")
    assert poses.recalibrated(None) is poses
    single = Poses(x[:, 0], torch.ones(2, 4), x[:, :1], torch.ones(2, 4), "cross")
    assert single.recalibrated([2.0] * 9) is single


def test_it_is_said(folder):
    with_factors(folder, [0.75, *[1.0] * 7, 1.25])
    line = "hypotheses 0.75 (near) to 1.25 (far) times as far from their mean"
    assert line in announce.used(folder)
    assert announce.used(folder).startswith(announce.model(folder))


@pytest.mark.parametrize("factor", [0, -1, "2", None, float("inf")])
def test_a_factor_that_is_none_is_one_line(folder, factor):
    with pytest.raises(ValueError, match=r"recalibration.factors\[8\] must be a finite number"):
        with_factors(folder, [*[1.0] * 8, factor])


@pytest.mark.parametrize("factors", [None, 2.0, [1.0] * 8, {}])
def test_factors_are_one_a_level(folder, factors):
    with pytest.raises(ValueError, match=r"factors must be 9 numbers.*eval.recalibrate=512"):
        with_factors(folder, factors)


def test_poses_in_2d_are_not_recalibrated():
    sample = case("sgdd").sample
    poses = model("sgdd").predict(sample, hypotheses=2)
    with pytest.raises(ValueError, match=r"eval.recalibrate: recalibration is of 3D poses"):
        recalibration.Ratios().update("mean", poses, sample)


def test_one_answer_has_nothing_to_recalibrate():
    with pytest.raises(ValueError, match=r"eval.recalibrate: a method without diffusion"):
        recalibration.fit(model("encoder"), [], 8)
