"""JHMDB's measure: two sizes, three means of one table, and what counts without an answer."""

import numpy as np
import pytest
import torch

from posediff.diffusion.aggregate import Poses
from posediff.metrics.pck import PersonPCK
from posediff.pose.skeleton import skeleton
from posediff.truth import Truth

JHMDB = Truth("jhmdb15", "jhmdb")
JOINTS = skeleton("jhmdb15").joints
SIZE = 100.0  # of the person's box, the longer side


def sample(count=1):
    """People of JHMDB's joints, all labelled, in boxes of 60 x 100, with a torso of 50."""
    rng = np.random.default_rng(0)
    points = torch.from_numpy(rng.uniform(20, 200, (count, 15, 2))).round()
    points[:, JOINTS.index("left_shoulder")] = torch.tensor([100.0, 60]).double()
    points[:, JOINTS.index("right_hip")] = torch.tensor([130.0, 100]).double()
    return {
        "id": [f"v/{n}/0" for n in range(count)],
        "keypoints_annotation": points,
        "visible_annotation": torch.full((count, 15), 2.0),
        "box": torch.tensor([[40.0, 30, 100, 130]]).expand(count, 4),
    }


def scored(shift, given, strict=False):
    """shift (B, 15) pixels to the right of the truth."""
    moved = torch.stack([torch.as_tensor(shift).double(), torch.zeros(len(shift), 15)], -1)
    keypoints = given["keypoints_annotation"] + moved
    ones = torch.ones(keypoints.shape[:2])
    metric = PersonPCK(JHMDB, strict)
    metric.update("mean", Poses(keypoints, ones, keypoints[:, None], ones, "jhmdb15"), given)
    return metric.compute()


def test_the_headline_is_the_share_of_joints_within_a_fifth_of_the_box():
    figures = scored(np.full((1, 15), 3.0), sample())
    assert next(iter(figures)) == "jhmdb/pck_person@0.2/mean"
    assert figures["jhmdb/pck_person@0.2/mean"] == 100
    assert figures["jhmdb/pck_person@0.05/mean"] == 100
    assert figures["jhmdb/joints/mean"] == 15


def test_a_joint_at_the_threshold_is_right_unless_the_rule_is_strict():
    shift = np.full((1, 15), 0.2 * SIZE)
    assert scored(shift, sample())["jhmdb/pck_person@0.2/mean"] == 100
    assert scored(shift, sample(), strict=True)["jhmdb/pck_person@0.2/mean"] == 0
    assert scored(shift - 0.01, sample(), strict=True)["jhmdb/pck_person@0.2/mean"] == 100
    assert scored(shift + 0.01, sample())["jhmdb/pck_person@0.2/mean"] == 0
    torso = np.full((1, 15), 0.2 * 50.0)
    assert scored(torso, sample())["jhmdb/pck@0.2/mean"] == 100
    assert scored(torso, sample(), strict=True)["jhmdb/pck@0.2/mean"] == 0
    assert scored(torso + 0.01, sample())["jhmdb/pck@0.2/mean"] == 0


def test_three_means_of_the_same_answers():
    """Two people; a wrist of both is wrong, and the first one's belly is not labelled."""
    given = sample(2)
    given["visible_annotation"][0, JOINTS.index("belly")] = 0
    shift = np.zeros((2, 15))
    shift[:, JOINTS.index("left_wrist")] = 90
    shift[0, JOINTS.index("belly")] = 90  # does not count
    shift[1, JOINTS.index("belly")] = 90
    figures = scored(shift, given)
    key = "jhmdb/pck_person@0.2/mean"
    assert figures[key] == pytest.approx(100 * 26 / 29)
    assert figures[f"{key}:joints"] == pytest.approx(100 * 13 / 15)
    assert figures[f"{key}:groups"] == pytest.approx(100 * 6.5 / 7)
    assert figures[f"{key}:wrist"] == pytest.approx(50)
    assert figures[f"{key}:head"] == 100


def test_a_person_without_an_answer_is_wrong_in_every_joint():
    shift = np.zeros((2, 15))
    shift[1] = np.nan
    figures = scored(shift, sample(2))
    assert figures["jhmdb/pck_person@0.2/mean"] == 50
    assert figures["jhmdb/pck@0.2/mean"] == 50


def test_a_torso_that_is_not_labelled_is_that_of_the_answer():
    """All joints 9.5 pixels off; the annotated torso of 50 would let them pass at .2."""
    given, shift = sample(), np.full((1, 15), 9.5)
    assert scored(shift, given)["jhmdb/pck@0.2/mean"] == 100
    hip = JOINTS.index("right_hip")
    given["visible_annotation"][0, hip] = 0
    shift[0, hip] = 0  # an answer of hypot(30 - 9.5, 40) = 45
    assert scored(shift, given)["jhmdb/pck@0.2/mean"] == 0


def test_a_torso_of_a_point_is_that_of_the_answer():
    given, shift = sample(), np.full((1, 15), 5.0)
    shoulder, hip = JOINTS.index("left_shoulder"), JOINTS.index("right_hip")
    at = given["keypoints_annotation"]
    at[0, hip] = at[0, shoulder] + torch.tensor([0.5, 0])
    shift[0, hip] = 49  # an answer of 44.5
    figures = scored(shift, given)
    assert figures["jhmdb/pck@0.2/mean"] == pytest.approx(100 * 14 / 15)
    assert figures["jhmdb/pck@0.1/mean"] == 0


def test_the_head_is_the_face_and_not_the_neck():
    shift = np.zeros((1, 15))
    shift[0, JOINTS.index("face")] = 90
    assert scored(shift, sample())["jhmdb/pck_person@0.2/mean:head"] == 0


def test_another_skeleton_is_refused():
    points, ones = torch.zeros(1, 17, 2), torch.ones(1, 17)
    poses, metric = Poses(points, ones, points[:, None], ones, "coco17"), PersonPCK(JHMDB)
    with pytest.raises(ValueError, match="poses of coco17 cannot be scored as jhmdb15"):
        metric.update("mean", poses, sample())


def test_people_without_a_box_are_counted():
    given = sample(2)
    given["box"] = torch.tensor([[40.0, 30, 100, 130], [torch.nan] * 4])
    figures = scored(np.zeros((2, 15)), given)
    assert figures["jhmdb/pck_person@0.2/mean"] == 100
    assert figures["jhmdb/people_without_box/mean"] == 1
    assert figures["jhmdb/joints/mean"] == 15
    assert scored(np.zeros((2, 15)), sample(2))["jhmdb/people_without_box/mean"] == 0


@pytest.mark.parametrize("missing", [True, False])
def test_an_answer_without_a_torso_is_wrong_where_its_torso_measures(missing):
    """The second person's torso is not labelled; the answer is missing, or is one point."""
    given = sample(2)
    given["visible_annotation"][1, JOINTS.index("right_hip")] = 0
    points = given["keypoints_annotation"][1]
    metric, ones = PersonPCK(JHMDB), torch.ones(2, 15)
    answer = given["keypoints_annotation"].clone()
    answer[1] = torch.nan if missing else points.mean(0)
    metric.update("mean", Poses(answer, ones, answer[:, None], ones, "jhmdb15"), given)
    assert metric.compute()["jhmdb/pck@0.2/mean"] == pytest.approx(100 * 15 / 29)
