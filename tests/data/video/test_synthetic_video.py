"""Rendered clips: people move, the background rests, and labels fit every frame."""

import numpy as np
import pytest
import torch

from posediff.data.video.synthetic_video import synthetic_video
from posediff.metrics.posetrack import PoseTrackAP
from posediff.pose.skeleton import skeleton
from posediff.synthetic import stage
from posediff.synthetic.render import head_boxes
from posediff.synthetic.stage import clip, scene

OPTIONS = {"clips": 2, "length": 4, "size": (48, 64), "augment": None}


@pytest.fixture(scope="module")
def shots():
    return list(clip(np.random.default_rng(5), (160, 140), 1, hidden=0.0, frames=11))[::2]


def test_a_clip_of_one_frame_is_a_scene():
    one = next(clip(np.random.default_rng(3), (120, 100), 2))
    other = scene(np.random.default_rng(3), (120, 100), 2)
    assert (one.picture == other.picture).all()


def test_people_move_and_the_ground_rests(shots):
    joints = np.array([[shot.points[j][0] for j in ("left_wrist", "nose")] for shot in shots])
    assert np.abs(np.diff(joints, axis=0)).max() > 0.5
    assert np.abs(np.diff(joints, axis=0)).max() < 30, "no jumps"
    x, y, w, h = np.array([shot.boxes[0] for shot in shots]).T
    outside = np.ones(shots[0].picture.shape[:2], bool)
    outside[
        int(y.min()) - 4 : int((y + h).max()) + 20, int(x.min()) - 15 : int((x + w).max()) + 15
    ] = 0
    still = np.array([shot.picture.astype(int) for shot in shots])[:, outside]
    grain = np.abs(still[1:] - still[:-1]).mean()
    assert outside.mean() > 0.2
    assert grain < 12, "only the camera's grain changes"
    assert np.abs(still.mean(0) - still[0]).mean() < 10


def test_a_cover_before_a_person_drifts():
    seen = []
    for n in range(4):
        frames = list(clip(np.random.default_rng(n), (120, 100), 1, hidden=1.0, frames=7))
        seen.append(
            [[shot.visible[j][0] for j in skeleton("posetrack15").joints] for shot in frames]
        )
    hidden = np.array(seen) == 1
    assert hidden.any()
    assert (hidden.any(1) & ~hidden.all(1)).any(), "a joint is occluded in some frames only"


def test_a_cover_is_where_it_was_drawn_in_the_middle_and_elsewhere_before(monkeypatch):
    def shot():
        return list(clip(np.random.default_rng(0), (100, 90), 1, hidden=1.0, frames=3))

    drifting = shot()
    monkeypatch.setattr(stage, "DRIFT", 0.0)
    resting = shot()
    same = [(a.picture == b.picture).all() for a, b in zip(drifting, resting, strict=True)]
    assert same == [False, True, False]


def test_a_head_s_box_is_as_large_as_a_head(shots):
    x, y, w, h = head_boxes(shots[0])[0]
    nose, top = (shots[0].points[j][0] for j in ("nose", "head_top"))
    neck = shots[0].points["head_bottom"][0]
    for point in (nose, top):
        assert x <= point[0] <= x + w
        assert y <= point[1] <= y + h
    assert 0.4 < np.hypot(w, h) / (2 * np.linalg.norm(top - neck)) < 1.5


def test_the_data_set_depends_on_seed_and_split_alone():
    one, more = (
        synthetic_video("test", **OPTIONS),
        synthetic_video("test", **{**OPTIONS, "clips": 3}),
    )
    rows = list(range(len(one)))
    a, b = one.__getitems__(rows), more.__getitems__(rows)
    assert torch.equal(a["frames"], b["frames"])
    assert a["id"] == b["id"]
    for other in (synthetic_video("train", **OPTIONS), synthetic_video("test", seed=1, **OPTIONS)):
        assert not torch.equal(other.__getitems__([0])["frames"], a["frames"][:1])


def test_it_can_be_scored_as_posetrack():
    data = synthetic_video("test", **OPTIONS)
    metric = PoseTrackAP(data.truth())
    assert metric.summary()["annotated_frames"] == 8
    assert {file for _, file in metric.truth.frames} >= {data[0]["meta"]["file"]}


def test_jhmdb_s_joints_can_be_had_too():
    data = synthetic_video("test", skeleton="jhmdb15", **OPTIONS)
    assert data[0]["keypoints"].shape == (15, 2)
    face, neck, belly = (data[0]["keypoints_annotation"][j] for j in (2, 0, 1))
    assert (face - neck).norm() < (face - belly).norm()


def test_a_data_set_of_nothing_is_an_error():
    for key in ("clips", "length"):
        with pytest.raises(ValueError, match=rf"dataset\.{key} must be at least 1, got 0"):
            synthetic_video(**{**OPTIONS, key: 0})
    with pytest.raises(ValueError, match="split must be one of train, validation, test, got 'val'"):
        synthetic_video("val")
