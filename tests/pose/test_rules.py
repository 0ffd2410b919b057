"""Aggregation of decoded poses, on poses by hand."""

import torch

from posediff.diffusion import Decoded, Hypotheses
from posediff.diffusion.aggregate import mean
from posediff.pose.rules import coord_mean, max_score, medoid, mode


def hypotheses():
    """Three poses of two joints; the first joint of the last one is far off."""
    x = torch.tensor([[[0.0, 0], [4, 0]], [[1, 0], [4, 1]], [[90, 0], [4, 2]]])[None]
    scores = torch.tensor([[[0.1, 0.2], [0.3, 0.4], [0.5, 0.6]]])
    return Hypotheses(x, lambda x: Decoded(x, scores[:, : x.shape[1]]), {}, "none")


def test_the_medoid_is_one_of_the_poses_and_no_outlier():
    poses = medoid(hypotheses())
    assert poses.keypoints.tolist() == [[[1, 0], [4, 1]]]
    assert torch.allclose(poses.scores, torch.tensor([[0.3, 0.4]]))
    assert torch.allclose(poses.spread[0, 1] ** 2, torch.tensor(2 / 3))


def test_the_mean_of_coordinates_is_that_of_the_decoded_poses():
    poses = coord_mean(hypotheses())
    assert torch.allclose(poses.keypoints, mean(hypotheses()).keypoints)
    assert torch.allclose(poses.scores, torch.tensor([[0.3, 0.4]]))


def test_the_highest_score_is_taken_joint_by_joint():
    x, scores = hypotheses().estimates, torch.tensor([[[0.1, 0.9], [0.7, 0.4], [0.5, 0.6]]])
    poses = max_score(Hypotheses(x, lambda x: Decoded(x, scores), {}, "none"))
    assert poses.keypoints.tolist() == [[[1, 0], [4, 0]]]
    assert torch.equal(poses.scores, torch.tensor([[0.7, 0.9]]))
    assert torch.allclose(poses.spread[0, 1] ** 2, torch.tensor(5 / 3))


def test_one_hypothesis_keeps_its_own_spread():
    own = Decoded(torch.ones(1, 1, 2, 2), torch.ones(1, 1, 2), torch.full((1, 1, 2), 7.0))
    for rule in (coord_mean, max_score, medoid):
        h = Hypotheses(own.keypoints, lambda x: own, {}, "none")
        assert (rule(h).spread == 7).all()


def test_the_mode_is_the_centre_of_the_larger_group_or_the_mean_of_one():
    g = torch.Generator().manual_seed(0)
    x = 0.02 * torch.randn(2, 40, 3, 3, generator=g)
    x[0, :14, 1] += torch.tensor([0.0, 0.0, 0.5])  # a third of joint 1 of the first pose
    h = Hypotheses(x, lambda x: Decoded(x, torch.ones(x.shape[:-1])), {}, "none")
    poses = mode(h)
    assert torch.allclose(poses.keypoints[0, 1], x[0, 14:, 1].mean(0), atol=1e-3)
    assert torch.allclose(poses.keypoints[1], x[1].mean(0), atol=1e-5)
    assert (mean(h).keypoints - poses.keypoints)[0, 1].norm() > 0.1
    few = Hypotheses(x[:, :9], h.decode, {}, "none")
    assert torch.allclose(mode(few).keypoints, mean(few).keypoints, atol=1e-6)
