import numpy as np
import pytest
import torch

from posediff.data.lifting.synthetic_people import CLIPS, people, synthetic
from posediff.pose.camera import camera_to_world, project, world_to_camera
from posediff.synthetic.actions import KINDS


def some(number, split="train", seed=0, frames=30):
    clips = people(split, seed, frames)
    return [next(clips) for _ in range(number)]


@pytest.fixture(scope="module")
def train():
    return synthetic("train", keypoints="gt", clips=2 * len(KINDS), length=60)


def test_every_clip_frame_and_camera_is_a_sample(train):
    assert len(train) == 2 * len(KINDS) * 60 * 4
    assert train.left_out == 0
    assert train.summary()["subjects"] == ["train00", "train01"]
    assert train.skeleton.name == "h36m17"
    assert {action for actions in train.actions for action in actions} == {*KINDS}


def test_the_body_is_also_that_of_lifters_of_mocap17(train):
    other = synthetic("train", "gt", clips=2, length=60, skeleton="mocap17")
    assert other.skeleton.joints == train.skeleton.joints
    assert torch.equal(other.rows.keypoints, train.rows.keypoints[: len(other)])
    with pytest.raises(
        ValueError, match=r"dataset\.skeleton must be one of h36m17, mocap17, got 'coco17'"
    ):
        synthetic(skeleton="coco17")


def test_people_stay_in_the_images_at_three_to_eight_metres(train):
    assert train.rows.visible.all(-1).float().mean() > 0.97
    depth = train.rows.keypoints[..., 2]
    assert depth.min() > 2.5
    assert depth.max() < 8.5
    height = train.rows.target[..., 1].amax(-1) - train.rows.target[..., 1].amin(-1)
    assert 150 < height.median() < 500  # pixels


def test_people_are_upright_in_the_images(train):
    head, pelvis = train.rows.target[:, 10, 1], train.rows.target[:, 0, 1]
    assert (head < pelvis).float().mean() > 0.95


def test_sides_are_as_seen_by_a_camera(train):
    """A person who faces the camera has the right hip on the left of the image, and vice versa.

    A nose near the camera means that the person faces it; tests/synthetic/test_actions.py checks
    that it is in front of the body.
    """
    hips = train.rows.target[:, 1, 0] - train.rows.target[:, 4, 0]
    x, z = (train.rows.keypoints[:, 1] - train.rows.keypoints[:, 4])[:, [0, 2]].unbind(-1)
    nose = train.rows.keypoints[:, 9] - train.rows.keypoints[:, [8, 10]].mean(1)
    clear = x.abs() > 2 * z.abs()
    facing = nose[:, 2] < 0
    agree = ((hips < 0) == facing)[clear].float().mean()
    assert agree > 0.9


def test_a_subject_has_one_build_and_one_studio():
    first, *others = some(len(KINDS) + 1)
    *same, stranger = others
    thigh = [np.linalg.norm(c.world[0, 1] - c.world[0, 2]) for c in (first, *same, stranger)]
    np.testing.assert_allclose(thigh[:-1], thigh[0], rtol=1e-5)
    assert abs(thigh[-1] - thigh[0]) > 1e-4
    assert all(c.cameras[2].translation.equal(first.cameras[2].translation) for c in same)
    assert not stranger.cameras[2].translation.equal(first.cameras[2].translation)
    assert {c.subject for c in same} == {"train00"}
    assert stranger.subject == "train01"


def test_clips_of_a_subject_start_differently():
    """The first draw of a clip, the distance of the feet, differs from clip to clip."""
    stances = [
        np.linalg.norm(c.world[0, 3, :2] - c.world[0, 6, :2])
        for c in some(len(KINDS))
        if c.action in ("talking", "waving", "reaching", "lifting")
    ]
    assert np.diff(sorted(stances)).min() > 1e-4


def test_splits_and_seeds_share_no_clip():
    sets = [("train", 0), ("validation", 0), ("test", 0), ("train", 1)]
    worlds = np.stack([[c.world for c in some(6, split, seed)] for split, seed in sets])
    a, b = np.triu_indices(len(sets), 1)
    assert (np.abs(worlds[a] - worlds[b]).max((2, 3, 4)) > 0.05).all()
    assert len({c.subject for split, _ in sets for c in some(1, split)}) == 3


def test_the_same_seed_draws_the_same_data_for_any_number_of_clips():
    few, more = synthetic("test", clips=2, length=20), synthetic("test", clips=5, length=20)
    rows = list(range(0, len(few), 7))
    a, b = few.__getitems__(rows), more.__getitems__(rows)
    assert a["id"] == b["id"]
    for key in "keypoints", "keypoints_2d", "scores", "camera":
        assert a[key].equal(b[key])
    assert not a["keypoints_2d"].equal(a["target_2d"])


def test_cameras_are_like_those_of_human36m():
    for clip in some(1):
        assert clip.camera_names == ["cam0", "cam1", "cam2", "cam3"]
        for camera in clip.cameras:
            torch.testing.assert_close(camera.rotation @ camera.rotation.T, torch.eye(3))
            torch.testing.assert_close(camera.rotation.det(), torch.tensor(1.0))
            assert 4.7 < camera.translation[:2].norm() < 5.9
            assert 1.3 < camera.translation[2] < 1.8
            assert (camera.intrinsics[:2] - 1150).abs().max() < 13
            middle = torch.tensor([[0.0, 0.0, 0.9]])
            seen = project(world_to_camera(middle, camera), camera.intrinsics)
            assert ((seen - camera.size / 2).abs() < 100).all()
            torch.testing.assert_close(
                camera_to_world(world_to_camera(middle, camera), camera), middle, atol=1e-5, rtol=0
            )


def test_training_draws_differ_by_epoch_and_tests_do_not():
    for split, differ in ("train", True), ("test", False):
        data = synthetic(split, clips=1, length=5)
        first = data[3]["keypoints_2d"]
        data.set_epoch(1)
        assert data[3]["keypoints_2d"].equal(first) != differ


def test_wrong_splits_and_sizes_are_refused():
    with pytest.raises(ValueError, match="train, validation, test"):
        synthetic("val")
    with pytest.raises(ValueError, match="clips must be at least 1"):
        synthetic("train", clips=0)
    with pytest.raises(ValueError, match="frames must be at least 1"):
        synthetic("train", clips=1, length=0)


def test_whole_subjects_fill_every_split():
    assert all(number % len(KINDS) == 0 for number in CLIPS.values())
