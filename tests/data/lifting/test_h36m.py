"""Cameras against VideoPose3D's (golden/camera_h36m.npz) and a second public table; the data."""

from functools import partial

import numpy as np
import pytest
import torch

from posediff.data.lifting import prepared
from posediff.data.lifting.h36m import ACTIONS, KEPT, TEST, TRAIN, action, clip_name, h36m, write
from posediff.data.lifting.h36m_cameras import SIZES, cameras
from posediff.pose.camera import normalise, project, world_to_camera
from posediff.pose.skeleton import skeleton

# -R t in millimetres as karfly/human36m-camera-parameters @ 912881a lists it, made from the data
# set's own metadata.xml: reveals a wrong digit in a quaternion or a centre
MINUS_R_T = {
    "S5": (
        (-219.30597, 544.47875, 5518.74048),
        (103.90282, 395.67169, 5767.97266),
        (520.32723, 283.36910, 5591.12396),
        (-79.11643, 425.59047, 4454.48163),
    ),
    "S6": (
        (-239.51829, 545.81418, 5523.93158),
        (169.02510, 409.66712, 5714.33800),
        (521.98648, 286.28273, 5643.27244),
        (-56.29675, 420.29580, 4499.32269),
    ),
    "S7": (
        (-323.91184, 541.77152, 5506.56913),
        (178.62387, 403.59193, 5694.88010),
        (441.10647, 271.91614, 5660.12061),
        (25.76853, 431.05582, 4461.87298),
    ),
    "S8": (
        (-82.70216, 552.18963, 5557.35361),
        (-209.06290, 375.06914, 5818.27668),
        (623.09851, 290.90537, 5534.37900),
        (-178.36706, 423.46692, 4421.64488),
    ),
}


@pytest.mark.parametrize("subject", ["S1", "S9", "S11"])
@pytest.mark.parametrize("c", range(4))
def test_cameras_are_those_of_the_golden_file(shared, subject, c):
    golden = np.load(shared / "golden/camera_h36m.npz", allow_pickle=False)
    want = {k: torch.from_numpy(golden[f"{subject}_cam{c}_{k}"]) for k in ("R", "t", "intr", "res")}
    camera, w = cameras(subject)[c], float(want["res"][0])
    assert torch.equal(camera.size, want["res"].float())
    torch.testing.assert_close(camera.translation, want["t"], atol=1e-6, rtol=0)
    f, centre = camera.intrinsics[:2] / w * 2, normalise(camera.intrinsics[None, 2:4], camera.size)
    got = torch.cat([f, centre[0], camera.intrinsics[4:]])
    torch.testing.assert_close(got, want["intr"], atol=1e-6, rtol=0)

    world = torch.from_numpy(golden[f"{subject}_world17"])
    xyz = world_to_camera(world, camera)
    np.testing.assert_allclose(xyz, golden[f"{subject}_cam{c}_xyz"], atol=1e-5)
    screen = normalise(project(xyz, camera.intrinsics), camera.size)
    np.testing.assert_allclose(screen, golden[f"{subject}_cam{c}_norm2d"], atol=1e-5)


@pytest.mark.parametrize("subject", MINUS_R_T)
def test_cameras_without_a_golden_file_agree_with_a_second_public_table(subject):
    for camera, want in zip(cameras(subject), MINUS_R_T[subject], strict=True):
        got = -1000 * camera.rotation @ camera.translation
        np.testing.assert_allclose(got, want, atol=5e-3)


def test_every_camera_turns_and_looks_at_the_middle_of_the_room():
    for subject in (*TRAIN, *TEST):
        for camera in cameras(subject):
            eye = camera.rotation @ camera.rotation.mT
            torch.testing.assert_close(eye, torch.eye(3), atol=1e-6, rtol=0)
            assert torch.linalg.det(camera.rotation) > 0
            middle = world_to_camera(torch.tensor([[0.0, 0.0, 1.0]]), camera)
            u, v = project(middle, camera.intrinsics)[0]
            assert 4 < middle[0, 2] < 7
            assert abs(u - 500) < 200
            assert abs(v - 500) < 200
            assert camera.rotation[1, 2] < -0.9  # image y down, world z up


def test_unknown_subjects_have_no_cameras():
    with pytest.raises(ValueError, match=r"one of S1, S5.*got 'S2'"):
        cameras("S2")


def test_17_of_32_joints_are_kept_as_in_the_golden_file(shared):
    golden = np.load(shared / "golden/camera_h36m.npz", allow_pickle=False)
    for subject in ("S1", "S9", "S11"):
        assert np.array_equal(golden[f"{subject}_world32"][:, KEPT], golden[f"{subject}_world17"])
    parents = {b: a for a, b in skeleton("h36m17").edges}
    assert [parents.get(j, -1) for j in range(17)] == golden["parents17"].tolist()
    left = [j for j, name in enumerate(skeleton("h36m17").joints) if name.startswith("left")]
    assert left == golden["joints_left"].tolist()


def test_an_action_is_the_whole_word_before_the_take():
    assert [action(x) for x in ("Walking 1", "Walking", "SittingDown 2")] == [
        "Walking",
        "Walking",
        "SittingDown",
    ]
    assert clip_name("TakingPhoto 1") == "Photo 1"
    assert clip_name("WalkingDog") == "WalkDog"
    assert clip_name("Walking 1") == "Walking 1"
    assert len(ACTIONS) == 15


def test_splits_share_no_subject():
    subjects = partial(prepared.subjects, train=TRAIN, test=TEST)
    assert subjects("train", "S8") == ("S1", "S5", "S6", "S7")
    assert subjects("validation", "S8") == ("S8",)
    assert subjects("train", None) == TRAIN
    assert subjects("test", "S1") == ("S9", "S11")
    for split, validation, word in (
        ("validation", None, "dataset.validation"),
        ("train", "S9", "S1, S5"),
        ("val", "S8", "train, validation, test"),
    ):
        with pytest.raises(ValueError, match=word):
            subjects(split, validation)


@pytest.fixture
def root(tmp_path):
    """A file whose clips differ in length, with 2D that encodes subject, clip and camera."""
    rng, clips = np.random.default_rng(0), []
    names = ("Walking 1", "Walking", "Directions")
    for s, subject in enumerate((*TRAIN, *TEST)):
        for n, name in enumerate(names):
            F = 3 + n
            world = rng.normal((0, 0, 1), 0.3, (F, 17, 3)).astype(np.float32)
            cpn = np.full((4, F, 17, 2), 100 * s + 10 * n) + np.arange(4)[:, None, None, None]
            clips.append((subject, name, {"world": world, "cpn": cpn}))
    write(tmp_path / "h36m" / "h36m.h5", clips)
    return tmp_path / "h36m"


def test_samples_come_in_the_order_subject_clip_camera_frame(root):
    data = h36m(root, "test", keypoints="cpn")
    assert len(data) == 2 * 4 * (3 + 4 + 5)
    ids = [data[i]["id"] for i in range(len(data))]
    want = [
        f"{s}/{clip}/{camera}/{f:06d}"
        for s in TEST
        for clip, F in (("Walking 1", 3), ("Walking", 4), ("Directions", 5))
        for camera in SIZES
        for f in range(F)
    ]
    assert ids == want
    last = data[len(data) - 1]
    assert last["meta"] | {"frame": 0} == {
        "subject": "S11",
        "action": "Directions",
        "camera": "60457274",
        "sequence": "S11/Directions/60457274",
        "frame": 0,
    }
    assert data[3]["meta"]["action"] == "Walking"
    assert (last["keypoints_2d"] == 600 + 20 + 3).all()
    assert last["image_size"].tolist() == [1000, 1002]
    assert data.left_out == 0


def test_camera_metres_and_true_2d_follow_from_the_world(root):
    data = h36m(root, "validation", keypoints="gt", validation="S6")
    sample = data[2 * 3 + 1]  # Walking 1 in the third camera, second frame
    assert sample["id"] == "S6/Walking 1/58860488/000001"
    import h5py

    with h5py.File(root / "h36m.h5") as file:
        world = torch.from_numpy(file["S6/Walking 1/world"][1])
    camera = cameras("S6")[2]
    xyz = world_to_camera(world, camera)
    torch.testing.assert_close(sample["keypoints"], xyz, atol=1e-5, rtol=0)
    pixels = project(xyz, camera.intrinsics)
    torch.testing.assert_close(sample["keypoints_2d"], pixels, atol=1e-2, rtol=0)


def test_training_is_without_the_validation_subject(root):
    data = h36m(root, "train", keypoints="noisy", validation="S5")
    assert data.summary()["subjects"] == ["S1", "S6", "S7", "S8"]
    assert data.training
    assert not h36m(root, "test", keypoints="noisy").training


def test_people_outside_the_image_are_not_left_out(tmp_path):
    away = np.broadcast_to([0.0, 0.0, 30.0], (2, 17, 3))
    write(tmp_path / "h36m.h5", [(s, "Photo", {"world": away}) for s in TEST])
    data = h36m(tmp_path, "test", keypoints="gt")
    assert len(data) == 2 * 4 * 2
    assert data[0]["visible"].sum() == 0


def test_what_is_missing_is_named_with_the_command_that_makes_it(root, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nowhere/h36m\.h5 .*prepare_h36m.*make_mini") as e:
        h36m(tmp_path / "nowhere")
    assert "\n" not in str(e.value)
    with pytest.raises(ValueError, match=r"h36m\.h5: no 2D source 'sh' .*gt, noisy, cpn"):
        h36m(root, "test", keypoints="sh")
    write(tmp_path / "few" / "h36m.h5", [("S1", "Photo", {"world": np.zeros((2, 17, 3))})])
    with pytest.raises(ValueError, match="no clips of S9, only of S1"):
        h36m(tmp_path / "few", "test", keypoints="gt")


def test_files_of_another_kind_are_refused(tmp_path):
    import h5py

    with h5py.File(tmp_path / "h36m.h5", "w") as file:
        file["S1/Walking/world"] = np.zeros((2, 17, 3))
    with pytest.raises(ValueError, match=r"not a file of this version's scripts/prepare_h36m"):
        h36m(tmp_path)
    (tmp_path / "h36m.h5").write_bytes(b"torn")
    with pytest.raises(ValueError, match=r"h36m\.h5: cannot be read"):
        h36m(tmp_path)
