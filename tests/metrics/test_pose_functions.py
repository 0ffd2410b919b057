"""Errors of 3D poses as by published implementations, and by hand."""

import numpy as np
import pytest
import torch

from posediff.metrics.pose_error import (
    align,
    distance,
    mpjpe,
    mpjve,
    n_mpjpe,
    p_mpjpe,
)
from posediff.pose.camera import quaternion_to_matrix


def random_poses(*shape, seed=0):
    torch.manual_seed(seed)
    return torch.randn(*shape, 3, dtype=torch.float64) * 0.3


def test_errors_agree_with_videopose3d_and_mmpose(shared):
    golden = np.load(shared / "golden/pose3d_metrics.npz", allow_pickle=False)
    pred, gt, w = (torch.tensor(golden[n]) for n in ("pred", "gt", "w"))
    for mine, prefix, name in (
        (mpjpe(pred, gt), "vp3d", "mpjpe"),
        (p_mpjpe(pred, gt), "vp3d", "p_mpjpe"),
        (n_mpjpe(pred, gt), "vp3d", "n_mpjpe"),
        (mpjve(pred, gt), "vp3d", "mpjve"),
        (mpjpe(pred, gt), "mm", "mpjpe"),
        (p_mpjpe(pred, gt), "mm", "p_mpjpe"),
        (n_mpjpe(pred, gt), "mm", "n_mpjpe"),
        (w * distance(pred, gt), "vp3d", "weighted_mpjpe"),
    ):
        assert mine.mean().item() == pytest.approx(float(golden[f"{prefix}_{name}"]), rel=1e-6)
    for mine, name in ((mpjpe, "mpjpe"), (p_mpjpe, "p_mpjpe")):
        np.testing.assert_allclose(mine(pred, gt), golden[f"vp3d_per_frame_{name}"], 1e-6, 1e-9)
    np.testing.assert_allclose(align(pred, gt), golden["mm_aligned"], rtol=1e-6, atol=1e-6)


def test_joints_masked_out_count_in_the_fit_but_not_in_the_mean(shared):
    golden = np.load(shared / "golden/pose3d_metrics.npz", allow_pickle=False)
    pred, gt, mask = (torch.tensor(golden[n]) for n in ("pred", "gt", "mask"))
    for posed, name in ((pred, "mpjpe"), (align(pred, gt), "p_mpjpe")):
        masked = distance(posed, gt)[mask].mean().item()
        assert masked == pytest.approx(float(golden[f"mm_masked_{name}"]), rel=1e-6)


def test_errors_agree_with_the_released_lift3d_code(shared):
    golden = np.load(shared / "golden/lift3d/metrics.npz", allow_pickle=False)
    P, G = torch.tensor(golden["P"]), torch.tensor(golden["G"])
    for mine, name in ((mpjpe, "mpjpe"), (n_mpjpe, "n_mpjpe"), (mpjve, "mpjve")):
        assert mine(P, G).mean().item() == pytest.approx(float(golden[name]), abs=1e-6)
    np.testing.assert_allclose(p_mpjpe(P, G), golden["p_mpjpe_each"], atol=1e-6)


def test_the_best_of_several_hypotheses_agrees_per_pose(shared):
    golden = np.load(shared / "golden/lift3d/aggregate.npz", allow_pickle=False)
    hypotheses, gt = torch.tensor(golden["hypotheses"]), torch.tensor(golden["gt"])
    best = mpjpe(hypotheses, gt[:, None]).amin(1).mean().item()
    assert best == pytest.approx(float(golden["p_best_per_pose"][0]), abs=1e-6)
    assert mpjpe(hypotheses.mean(1), gt).mean().item() == pytest.approx(
        float(golden["p_agg"][0]), abs=1e-6
    )


def test_alignment_removes_every_similarity_and_no_reflection():
    target = random_poses(50, 17)
    q, t = torch.randn(50, 4).double(), torch.randn(50, 1, 3).double()
    turn = quaternion_to_matrix(q / q.norm(dim=-1, keepdim=True))
    moved = 0.1 + torch.rand(50, 1, 1) * (target @ turn.mT) + t
    assert p_mpjpe(moved, target).max() < 1e-12
    torch.testing.assert_close(align(moved, target), target)
    mirrored = target * torch.tensor([-1, 1, 1])
    assert p_mpjpe(mirrored, target).min() > 0.05
    pred = random_poses(50, 17, seed=1)
    torch.testing.assert_close(p_mpjpe(2 * pred @ turn + t, target), p_mpjpe(pred, target))


def test_no_similarity_nearby_is_better_than_the_alignment():
    pred, target = random_poses(17), random_poses(17, seed=1)
    aligned = align(pred, target)
    best, centre = (aligned - target).square().sum(), aligned.mean(0)
    for _ in range(200):
        q = torch.tensor([1.0, 0, 0, 0]).double() + 0.05 * torch.randn(4)
        turn = quaternion_to_matrix(q / q.norm())
        scale, shift = 1 + 0.05 * torch.randn(()), 0.05 * torch.randn(3)
        other = scale * (aligned - centre) @ turn.mT + centre + shift
        assert (other - target).square().sum() >= best


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_prediction_of_size_zero_gives_a_finite_error(dtype):
    target = random_poses(2, 17).to(dtype)
    middle = target.mean(-2, keepdim=True)
    torch.testing.assert_close(p_mpjpe(torch.ones_like(target), target), mpjpe(middle, target))
    assert torch.equal(n_mpjpe(torch.zeros_like(target), target), mpjpe(target * 0, target))


def test_only_the_scaled_error_ignores_the_scale():
    target = random_poses(9, 17)
    torch.testing.assert_close(n_mpjpe(2.5 * target, target), torch.zeros(9).double())
    torch.testing.assert_close(mpjpe(1.1 * target, target), 0.1 * target.norm(dim=-1).mean(-1))


def test_a_constant_offset_has_no_velocity_error_and_a_drift_has_its_speed():
    target = random_poses(2, 6, 17)
    torch.testing.assert_close(mpjve(target + 1, target), torch.zeros(2, 5).double())
    drift = torch.arange(6).double()[:, None, None] * torch.tensor([0.003, 0.004, 0.0])
    speed = torch.full((2, 5), 0.005).double()
    torch.testing.assert_close(mpjve(target + drift, target), speed, atol=1e-8, rtol=0)
