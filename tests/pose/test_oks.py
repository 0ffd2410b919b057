"""OKS and suppression against HRNet and mmpose (golden/oks_nms.npz), and in closed form."""

import numpy as np
import pytest
import torch

from posediff.pose.oks import (
    decayed,
    instance_scores,
    oks,
    oks_nms,
    overlap,
    soft_oks_nms,
    suppress,
)
from posediff.pose.skeleton import skeleton

THRESHOLDS = (0.5, 0.7, 0.9, 0.95)
COCO, CROWDPOSE = skeleton("coco17").sigmas, skeleton("crowdpose14").sigmas


@pytest.fixture
def z(golden):
    return golden("oks_nms.npz")


def assert_close(a, b, atol=1e-6):
    np.testing.assert_allclose(a, b, rtol=0, atol=atol)


def test_similarity_of_people_is_that_of_the_references(z):
    points, mean = z["keypoints"][..., :2], (z["area"][:, None] + z["area"]) / 2
    assert_close(oks(points, points, mean, COCO), z["oks"], 1e-9)
    assert_close(oks(points, points, mean, COCO), z["oks_mm"])
    body = points[:, :14]
    assert_close(oks(body, body, mean, CROWDPOSE), z["oks_crowdpose_sigma14"], 1e-9)


def test_joints_can_be_counted_if_both_people_have_them(z):
    points, mean = z["keypoints"][..., :2], (z["area"][:, None] + z["area"]) / 2
    sure = z["keypoints"][..., 2] > 0.2
    both = oks(points, points, mean, COCO, sure[:, None] & sure)
    assert_close(both, z["oks_mm_visthr02"])
    assert (both - z["oks_hrnet_visthr02_LISTBUG"]).abs().max() > 0.1  # a fault of HRNet


def as_one(indices, pair):
    """The tied pair are exact copies: which of the two is kept is arbitrary in the reference."""
    return [min(pair) if i in pair else i for i in indices]


@pytest.mark.parametrize("threshold", THRESHOLDS)
def test_the_same_people_are_kept_as_in_the_references(z, threshold):
    pair = z["tied_pair"].tolist()
    for rule, nms in (("oks_nms", oks_nms), ("soft_oks_nms", soft_oks_nms)):
        kept = nms(z["oks"], z["score"], threshold).tolist()
        expected = z[f"{rule}_{threshold}"].tolist()
        assert as_one(kept, pair) == as_one(expected, pair)


@pytest.mark.parametrize("threshold", [0.3, 0.5])
def test_the_same_boxes_are_kept_as_in_the_reference(z, threshold):
    boxes, scores = z["box"].split((4, 1), -1)
    kept = oks_nms(overlap(boxes), scores[:, 0], threshold)
    assert kept.tolist() == z[f"box_nms_{threshold}"].tolist()


def test_both_ends_of_a_box_are_its_pixels():
    boxes = torch.tensor([[0.0, 0, 9, 9], [5, 0, 14, 9], [10, 0, 19, 9], [30, 0, 39, 9]])
    assert_close(overlap(boxes)[0], torch.tensor([1, 5 / 15, 0, 0]))


@pytest.mark.parametrize("threshold", THRESHOLDS)
def test_exactly_the_copies_of_better_people_are_removed(z, threshold):
    similar, scores = z["oks"], z["score"]
    kept = oks_nms(similar, scores, threshold).tolist()
    assert similar[kept][:, kept].fill_diagonal_(0).max() <= threshold
    for removed in set(range(len(scores))) - set(kept):
        originals = [i for i in kept if similar[removed, i] > threshold]
        assert max(scores[i] for i in originals) >= scores[removed]


def test_the_first_of_equal_copies_is_kept():
    similar, scores = torch.ones(40, 40), torch.full((40,), 0.5)
    assert oks_nms(similar, scores, 0.9).tolist() == [0]
    assert soft_oks_nms(torch.eye(40), scores, 0.9).tolist() == list(range(20))


def test_scores_decay_as_in_the_references(z):
    assert_close(decayed(z["rescore_ov"], z["rescore_s"], 0.9), z["rescore_gauss_0.9"])


def test_scores_of_people_are_those_of_the_references(z):
    boxes, joints = z["rs_box"], z["rs_kpt_scores"]
    assert_close(instance_scores(boxes, joints), z["rs_bbox_keypoint_thr0.2"])
    assert_close(instance_scores(boxes, joints, "bbox_rle"), z["rs_bbox_rle"])
    assert_close(instance_scores(boxes, joints, "keypoint"), joints.mean(-1))


def test_a_person_without_a_joint_above_the_threshold_scores_0():
    weak = torch.full((1, 5), 0.2)  # at the threshold, not above
    assert instance_scores(torch.ones(1), weak).tolist() == [0.0]
    assert instance_scores(torch.ones(1), weak, threshold=0.1).tolist() == [pytest.approx(0.2)]


def test_similarity_in_closed_form():
    truth = torch.zeros(1, 2, 2, dtype=torch.float64)
    moved = torch.tensor([[[3.0, 4.0], [0.0, 0.0]]], dtype=torch.float64)
    area, sigmas = torch.tensor([400.0], dtype=torch.float64), (0.05, 0.1)
    one = np.exp(-25 / (2 * 0.1**2 * 400))
    assert_close(oks(moved, truth, area, sigmas), torch.tensor([[(one + 1) / 2]]), 1e-12)
    first, none = torch.tensor([[True, False]]), torch.tensor([[False, False]])
    assert_close(oks(moved, truth, area, sigmas, first), torch.tensor([[one]]), 1e-12)
    assert oks(moved, truth, area, sigmas, none).item() == 0


def test_rules_of_suppression_by_name(z):
    people = (z["keypoints"][..., :2], z["area"], z["score"], COCO)
    assert suppress(*people, "none").tolist() == list(range(22))
    assert torch.equal(suppress(*people), oks_nms(z["oks"], z["score"], 0.9))
    assert torch.equal(suppress(*people, "soft_oks", 0.7), soft_oks_nms(z["oks"], z["score"], 0.7))


def test_unknown_rules_are_refused_with_the_known_ones():
    people, scores = torch.zeros(2, 17, 2), torch.ones(2)
    with pytest.raises(ValueError, match="score must be one of bbox_keypoint, bbox_rle, keypoint"):
        instance_scores(scores, torch.ones(2, 17), "box")
    with pytest.raises(ValueError, match="nms must be one of oks, soft_oks, none, got 'hard'"):
        suppress(people, scores, scores, COCO, "hard")
