"""The joints.mat of Leeds Sports Pose and of its extension."""

import cv2
import numpy as np
import pytest
import torch
from scipy.io import savemat

from posediff.data.pictures.lsp import JOINTS, lsp, read
from posediff.diffusion.aggregate import Poses
from posediff.doors import limits
from posediff.metrics.coco import CocoAP
from posediff.metrics.crowdpose import crowdpose
from posediff.pose.skeleton import skeleton

CROWD = skeleton("crowdpose14")
N = 20


def write(root, third, points, transpose, digits):
    (root / "images").mkdir(exist_ok=True)
    for n in range(1, N + 1):
        cv2.imwrite(str(root / f"images/im{n:0{digits}d}.jpg"), np.zeros((60, 80, 3), np.uint8))
    rows = np.concatenate([points, third[..., None]], -1)  # (N, 14, 3)
    savemat(root / "joints.mat", {"joints": rows.transpose(transpose)})


@pytest.fixture
def points():
    return np.random.default_rng(0).uniform(10, 50, (N, 14, 2)).round(2)


def by_name(people, joint):
    return people.keypoints[:, CROWD.joints.index(joint)]


def index(joint):
    return JOINTS.index({"upper_neck": "neck"}.get(joint, joint))


@pytest.mark.parametrize("order", [(1, 2, 0), (2, 1, 0)], ids=["(14, 3, N)", "(3, 14, N)"])
def test_joints_come_in_either_order_of_the_axes_and_go_by_name(tmp_path, points, order):
    third = np.zeros((N, 14))
    third[3, 0] = 1  # an occluded right ankle
    write(tmp_path, third, points, order, 4)
    people, _ = read(tmp_path / "joints.mat", tmp_path / "images", "im{:04d}.jpg", "occluded")
    for joint in CROWD.joints:
        assert (by_name(people, joint) == points[:, index(joint)]).all(), joint
    assert people.visible[3, CROWD.joints.index("right_ankle")] == 1
    assert (people.visible == 2).sum() == 14 * N - 1
    assert (people.labelled == 14).all()


def test_the_flag_of_the_extension_means_labelled(tmp_path, points):
    third = np.ones((N, 14))
    third[2, 5] = 0  # no left ankle
    points[2, 5] = (-4, -9)
    write(tmp_path, third, points, (1, 2, 0), 5)
    people, _ = read(tmp_path / "joints.mat", tmp_path / "images", "im{:05d}.jpg", "labelled")
    ankle = CROWD.joints.index("left_ankle")
    assert people.visible[2, ankle] == 0
    assert (people.keypoints[2, ankle] == 0).all()
    assert people.labelled.tolist() == [14, 14, 13, *[14] * (N - 3)]
    assert (people.boxes[2, :2] > 0).all(), "absent joints do not count for the box"


def test_the_parts_of_the_data_are_those_of_the_benchmark(tmp_path, points):
    write(tmp_path, np.zeros((N, 14)), points, (2, 1, 0), 4)
    parts = {s: lsp(tmp_path, s, validation=0.3) for s in ("train", "validation", "test")}
    ids = {s: {p.id for p in x.annotations.pictures} for s, x in parts.items()}
    assert ids["train"] | ids["validation"] == set(range(1, 11))
    assert not ids["train"] & ids["validation"]
    assert ids["test"] == set(range(11, 21))
    sample = parts["test"].__getitems__([0, 9])
    assert sample["meta"]["image_id"] == [11, 20]
    assert (sample["visible"] == 1).all()

    write(tmp_path, np.ones((N, 14)), points, (1, 2, 0), 5)
    assert [p.id for p in lsp(tmp_path, "test", extended=True).annotations.pictures] == [19, 20]


def test_who_is_trained_on_does_not_change_where_a_picture_is_left_out(
    tmp_path, points, monkeypatch
):
    monkeypatch.setattr(limits.CURRENT, "left_out", 0.2)
    write(tmp_path, np.zeros((N, 14)), points, (2, 1, 0), 4)
    for lost, kept in ((3, range(11, 21)), (20, range(11, 20))):
        (tmp_path / f"images/im{lost:04d}.jpg").write_bytes(b"no picture")
        with pytest.warns(UserWarning, match="left out: "):
            test = lsp(tmp_path, "test").annotations
        assert [p.id for p in test.pictures] == test.ids.tolist() == [*kept]
        with pytest.warns(UserWarning, match="left out: "):
            train = lsp(tmp_path, validation=0).annotations
        assert train.ids.tolist() == [n for n in range(1, 11) if n != 3]


def test_a_person_is_the_extent_of_the_joints_with_a_margin_and_half_of_it(tmp_path, points):
    write(tmp_path, np.zeros((N, 14)), points, (2, 1, 0), 4)
    people, _ = read(tmp_path / "joints.mat", tmp_path / "images", "im{:04d}.jpg", "occluded")
    low, size = points.min(1), np.ptp(points, 1)
    margin = 0.12 * size.max(1, keepdims=True)
    np.testing.assert_allclose(people.boxes, np.concatenate([low - margin, size + 2 * margin], 1))
    np.testing.assert_allclose(people.area, 0.53 * people.boxes[:, 2] * people.boxes[:, 3])


def test_one_data_set_taken_for_the_other_is_noticed(tmp_path, points):
    write(tmp_path, np.ones((N, 14)), points, (1, 2, 0), 4)
    with pytest.raises(
        ValueError, match=r"joints\.mat: 100% of the third values are 1, as in LSPET"
    ):
        lsp(tmp_path)
    write(tmp_path, np.zeros((N, 14)), points, (1, 2, 0), 5)
    with pytest.raises(ValueError, match=r"joints\.mat: 0% of the third values are 1, as in LSP, "):
        lsp(tmp_path, extended=True)


def test_what_is_no_joints_mat_is_named(tmp_path, points):
    with pytest.raises(
        FileNotFoundError, match=r"joints\.mat: no such file: look at dataset\.root"
    ):
        lsp(tmp_path)
    path = tmp_path / "joints.mat"
    for data, message in (
        ({"other": 1}, "no entry `joints`"),
        ({"joints": np.zeros((3, 13, 5))}, r"joints is of shape \(3, 13, 5\)"),
        ({"joints": np.full((3, 14, 5), np.nan)}, "joints must be finite"),
        ({"joints": np.full((3, 14, 5), 2.0)}, "third values 0 or 1"),
    ):
        savemat(path, data)
        with pytest.raises(ValueError, match=rf"joints\.mat: .*{message}"):
            lsp(tmp_path)
    whole = path.read_bytes()
    for data in (b"", b"nothing", whole[: len(whole) // 2]):
        path.write_bytes(data)
        with pytest.raises(ValueError, match=r"joints\.mat: cannot be read as a MATLAB file"):
            lsp(tmp_path)


def test_a_missing_picture_is_named(tmp_path, points):
    write(tmp_path, np.zeros((N, 14)), points, (2, 1, 0), 4)
    (tmp_path / "images/im0007.jpg").unlink()
    with pytest.raises(FileNotFoundError, match=r"im0007\.jpg: no such image file"):
        lsp(tmp_path)


def test_its_people_are_a_truth_that_every_metric_of_coco_s_can_score(tmp_path, points):
    write(tmp_path, np.zeros((N, 14)), points, (2, 1, 0), 4)
    people = lsp(tmp_path, "test")
    metric = CocoAP(people.truth())
    sample = people.__getitems__(list(range(10)))
    keypoints, ones = sample["keypoints_annotation"], torch.ones(10, 14)
    metric.update("mean", Poses(keypoints, ones, keypoints[:, None], ones, "crowdpose14"), sample)
    assert metric.compute()["AP/mean"] == 1.0
    with pytest.raises(ValueError, match="no crowdIndex, which CrowdPose's own have: set eval=co"):
        CocoAP(people.truth(), crowdpose())
