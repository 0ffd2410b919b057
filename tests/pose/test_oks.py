"""OKS and suppression against HRNet and mmpose (golden/oks_nms.npz), and in closed form."""

import numpy as np
import pytest
import torch

from posediff.pose.oks import (
    decayed,
    instance_scores,
    likeness,
    oks,
    oks_nms,
    overlap,
    soft_oks_nms,
    suppress,
)
from posediff.pose.skeleton import COCO, CROWDPOSE

THRESHOLDS = (0.5, 0.7, 0.9, 0.95)


@pytest.fixture(scope="module")
def golden(shared):
    with np.load(shared / "golden/oks_nms.npz", allow_pickle=False) as file:
        return {key: torch.from_numpy(file[key]) for key in file}


def assert_close(a, b, atol=1e-6):
    np.testing.assert_allclose(a, b, rtol=0, atol=atol)


def test_likeness_of_people_is_that_of_the_references(golden):
    points, areas = golden["keypoints"][..., :2], golden["area"]
    assert_close(likeness(points, areas, COCO), golden["oks"], 1e-9)
    assert_close(likeness(points, areas, COCO), golden["oks_mm"])
    assert_close(likeness(points[:, :14], areas, CROWDPOSE), golden["oks_crowdpose_sigma14"], 1e-9)


def test_joints_may_be_counted_where_both_people_have_them(golden):
    points, areas = golden["keypoints"][..., :2], golden["area"]
    sure, mean = golden["keypoints"][..., 2] > 0.2, (areas[:, None] + areas) / 2
    both = oks(points, points, mean, COCO, sure[:, None] & sure)
    assert_close(both, golden["oks_mm_visthr02"])
    assert (both - golden["oks_hrnet_visthr02_LISTBUG"]).abs().max() > 0.1  # a fault of HRNet


def as_one(indices, pair):
    """The tied pair are exact copies: which of the two stays is arbitrary in the reference."""
    return [min(pair) if i in pair else i for i in indices]


@pytest.mark.parametrize("threshold", THRESHOLDS)
def test_the_same_people_stay_as_in_the_references(golden, threshold):
    pair = golden["tied_pair"].tolist()
    for rule, nms in (("oks_nms", oks_nms), ("soft_oks_nms", soft_oks_nms)):
        kept = nms(golden["oks"], golden["score"], threshold).tolist()
        expected = golden[f"{rule}_{threshold}"].tolist()
        assert as_one(kept, pair) == as_one(expected, pair)


@pytest.mark.parametrize("threshold", [0.3, 0.5])
def test_the_same_boxes_stay_as_in_the_reference(golden, threshold):
    boxes, scores = golden["box"].split((4, 1), -1)
    kept = oks_nms(overlap(boxes), scores[:, 0], threshold)
    assert kept.tolist() == golden[f"box_nms_{threshold}"].tolist()


def test_both_ends_of_a_box_are_its_pixels():
    boxes = torch.tensor([[0.0, 0, 9, 9], [5, 0, 14, 9], [10, 0, 19, 9], [30, 0, 39, 9]])
    assert_close(overlap(boxes)[0], torch.tensor([1, 5 / 15, 0, 0]))


@pytest.mark.parametrize("threshold", THRESHOLDS)
def test_who_stays_is_no_copy_and_who_goes_is_one_of_a_better(golden, threshold):
    similar, scores = golden["oks"], golden["score"]
    kept = oks_nms(similar, scores, threshold).tolist()
    among = similar[kept][:, kept].fill_diagonal_(0)
    assert among.max() <= threshold
    for gone in set(range(len(scores))) - set(kept):
        copies = [i for i in kept if similar[gone, i] > threshold]
        assert max(scores[i] for i in copies) >= scores[gone]


def test_of_equal_copies_the_first_stays():
    similar, scores = torch.ones(40, 40), torch.full((40,), 0.5)
    assert oks_nms(similar, scores, 0.9).tolist() == [0]
    assert soft_oks_nms(torch.eye(40), scores, 0.9, limit=7).tolist() == list(range(7))


def test_scores_decay_as_in_the_references(golden):
    similar, scores = golden["rescore_ov"], golden["rescore_s"]
    assert_close(decayed(similar, scores, 0.9), golden["rescore_gauss_0.9"])


def test_scores_of_people_are_made_as_in_the_references(golden):
    boxes, joints = golden["rs_box"], golden["rs_kpt_scores"]
    assert_close(instance_scores(boxes, joints), golden["rs_bbox_keypoint_thr0.2"])
    assert_close(instance_scores(boxes, joints, "bbox_rle"), golden["rs_bbox_rle"])
    assert_close(instance_scores(boxes, joints, "keypoint"), joints.mean(-1))


def test_a_person_without_a_sure_joint_scores_nothing():
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


def test_rules_of_suppression_by_name(golden):
    points, areas, scores = golden["keypoints"][..., :2], golden["area"], golden["score"]
    how = (points, areas, scores, COCO)
    assert suppress(*how, "none").tolist() == list(range(22))
    assert suppress(*how).tolist() == oks_nms(golden["oks"], scores, 0.9).tolist()
    assert (
        suppress(*how, "soft_oks", 0.7).tolist()
        == soft_oks_nms(golden["oks"], scores, 0.7).tolist()
    )


def test_unknown_rules_are_refused_with_the_known_ones():
    people, scores = torch.zeros(2, 17, 2), torch.ones(2)
    with pytest.raises(ValueError, match="score must be one of bbox_keypoint, bbox_rle, keypoint"):
        instance_scores(scores, torch.ones(2, 17), "box")
    with pytest.raises(ValueError, match="nms must be one of oks, soft_oks, none, got 'hard'"):
        suppress(people, scores, scores, COCO, "hard")
