"""JPMA, RPEA, P-Best and J-Best against D3DP's and FMPose3D's own numbers, and our variants."""

import pytest
import torch

from posediff.data.lifting.synthetic_people import synthetic
from posediff.diffusion import Decoded, Hypotheses
from posediff.diffusion.aggregate import mean, median
from posediff.metrics.pose_error import align, mpjpe
from posediff.pose.oracle import j_best, p_best
from posediff.pose.reprojection import jpma, reprojection_errors, rpea
from posediff.pose.rules import medoid


def hypotheses(x, sample):
    def decode(y):
        return Decoded(y - y[..., :1, :], torch.ones(y.shape[:-1]))

    return Hypotheses(x, decode, sample, "h36m17")


@pytest.fixture
def z(golden):
    return golden("lift3d/aggregate.npz")


@pytest.fixture
def h(z):
    """Three clips of four frames, six hypotheses; camera and 2D are in screen units."""
    sample = {
        "keypoints": z["gt"] + z["root"][..., None, :],
        "keypoints_2d": z["uv"],
        "visible": torch.ones(3, 4, 17),
        "camera": z["camera"].expand(3, 4, 9),
        "image_size": torch.full((3, 4, 2), 2.0),  # pixels of this size are screen units
    }
    return hypotheses(z["hypotheses"], sample)


def assert_figure(errors, z, name):
    assert errors.mean().item() == pytest.approx(z[name][0].item(), abs=1e-6), name


def test_jpma_is_that_of_d3dp(h, z):
    poses = jpma(h, "oracle").keypoints
    torch.testing.assert_close(poses, z["jpma_pose"], atol=1e-5, rtol=0, check_dtype=False)
    index = reprojection_errors(h, "oracle").argmin(1)
    assert (index == z["jpma_index"])[..., 1:].all()
    assert_figure(mpjpe(poses, z["gt"]), z, "j_agg")


@pytest.mark.parametrize(
    ("n", "tau", "name"), [(3, 0.002, "rpea_pose"), (5, 0.01, "rpea_pose_k5_t01")]
)
def test_rpea_is_that_of_fmpose3d(h, z, n, tau, name):
    poses = rpea(h, "oracle", n, tau).keypoints
    torch.testing.assert_close(poses, z[name], atol=1e-5, rtol=0, check_dtype=False)


def test_the_best_hypotheses_are_those_of_d3dp(h, z):
    for poses, name in (
        (mean(h), "p_agg"),
        (p_best(h), "p_best_per_pose"),
        (p_best(h, over_batch=True), "p_best_over_batch"),
        (j_best(h), "j_best"),
    ):
        assert_figure(mpjpe(poses.keypoints, z["gt"]), z, name)


def test_the_procrustes_figures_of_d3dp_align_before_they_aggregate(h, z):
    gt = z["gt"]
    errors = (align(h.estimates, gt[:, None]) - gt[:, None]).norm(dim=-1)
    for figures, name in (
        (mpjpe(align(mean(h).keypoints, gt), gt), "p_agg_p2"),
        (errors.mean((0, 2, 3)).amin(), "p_best_over_batch_p2"),
        (errors.amin(1), "j_best_p2"),
        (errors.take_along_dim(z["jpma_index"][:, None], 1), "j_agg_p2"),
    ):
        assert_figure(figures, z, name)


def test_every_rule_is_the_same_frame_by_frame(h):
    sample = {k: x.flatten(0, 1) for k, x in h.sample.items()}
    alone = hypotheses(h.estimates.transpose(1, 2).flatten(0, 1), sample)
    for rule in (mean, median, medoid, jpma, rpea, p_best, j_best):
        clips, frames = rule(h), rule(alone)
        for field in ("keypoints", "spread", "scores"):
            together = getattr(clips, field).flatten(0, 1)
            torch.testing.assert_close(together, getattr(frames, field), msg=rule.__name__)


def test_the_true_hypothesis_of_a_joint_is_chosen_with_the_true_root():
    sample = synthetic("test", keypoints="gt", clips=4, length=30).__getitems__(range(0, 120, 3))
    truth = sample["keypoints"] - sample["keypoints"][:, :1]
    noise = torch.randn(40, 6, 17, 3, generator=torch.Generator().manual_seed(1))
    x = truth[:, None] + 0.05 * noise * (torch.arange(17) > 0)[:, None]
    x[:, 2, 11:14] = truth[:, 11:14]
    hits = {}
    for root in ("oracle", "estimated", "fixed"):
        index = reprojection_errors(hypotheses(x, sample), root).argmin(1)[:, 11:14]
        hits[root] = (index == 2).double().mean().item()
    assert hits["oracle"] == 1
    assert 1 > hits["estimated"] > 2 / 6
    assert hits["fixed"] > 2 / 6


def test_without_2d_or_root_a_joint_is_the_mean(h):
    plain = mean(h).keypoints
    h.sample["visible"][0, 0, 5] = 0
    h.sample["visible"][1, 1] = 0
    h.sample["keypoints_2d"][2, 2] = 0.1
    for rule in (jpma, rpea):
        poses = rule(h, "estimated").keypoints
        torch.testing.assert_close(poses[0, 0, 5], plain[0, 0, 5])
        torch.testing.assert_close(poses[1, 1], plain[1, 1])
        torch.testing.assert_close(poses[2, 2], plain[2, 2])
        assert (poses - plain)[0, 1, 1:].norm(dim=-1).min() > 0


def test_a_missing_camera_or_truth_is_an_error(h):
    bare = {k: x for k, x in h.sample.items() if k not in ("keypoints", "camera")}
    with pytest.raises(ValueError, match="camera"):
        jpma(hypotheses(h.estimates, bare))
    unlabelled = hypotheses(h.estimates, bare | {"camera": h.sample["camera"]})
    assert jpma(unlabelled).keypoints.isfinite().all()
    with pytest.raises(ValueError, match="oracle"):
        jpma(unlabelled, "oracle")
    with pytest.raises(ValueError, match="estimated, fixed, oracle"):
        rpea(h, "guessed")
    for rule in (p_best, j_best):
        with pytest.raises(ValueError, match="evaluation"):
            rule(unlabelled)
