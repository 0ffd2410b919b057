"""The steps to mocap17 files, one by one, and against stored clips."""

from pathlib import Path

import numpy as np
import pytest

from posediff.data.lifting.recording import read
from posediff.prepare.motion import Motion, read_amc, read_bvh
from posediff.prepare.retarget import CMU, DAZ, centre, cut, mocap17, resample


@pytest.fixture(scope="module")
def golden(shared):
    """name -> clip as stored, (F, 17, 3) millimetres."""
    files = sorted((shared / "data/mocap17").glob("*.npz"))
    return {clip.name: clip.joints for file in files for clip in read(file)}


def recorded(motion):
    (clip,) = cut(centre(resample(mocap17(motion), 120)))
    return clip


@pytest.mark.parametrize("amc", ["HDM_mm_grabHighR_018_120", "39_08"])
def test_acclaim_files_become_the_stored_clips(shared, golden, amc):
    folder = shared / "data/samples/mocap"
    asf = folder / ("HDM_mm.asf" if amc.startswith("HDM") else "39.asf")
    clip = recorded(read_amc(folder / f"{amc}.amc", asf))
    assert clip.shape == golden[amc].shape
    assert np.abs(clip - golden[amc]).max() < 0.13  # half a storage step
    assert np.linalg.norm(clip - golden[amc], axis=-1).max() < 0.25


def test_a_bvh_file_becomes_the_stored_clip_with_its_two_lost_bones(shared, golden):
    clip = recorded(read_bvh(shared / "data/samples/mocap/39_07.bvh"))
    assert clip.shape == golden["39_07"].shape
    error = np.linalg.norm(clip - golden["39_07"], axis=-1).max(0)
    assert error[:8].max() < 0.25
    assert error[8:].max() < 7  # the thorax' length is a guess


def daz(unit, legs=(400.0, 450.0), frames=3):
    """A Daz body with joints at random places; in files of `unit` millimetres."""
    draws = np.random.default_rng(0)
    names = {*DAZ.split(), "neck", "lCollar", "rCollar"} - {"thorax", "top"}
    points = {name: draws.normal(0, 300, (frames, 3)) for name in sorted(names)}
    for side in "rl":
        points[f"{side}Shin"] = points[f"{side}Thigh"] - [0, legs[0], 0]
        points[f"{side}Foot"] = points[f"{side}Shin"] - [0, 0, legs[1]]
    return Motion(Path("daz.bvh"), {n: p / unit for n, p in points.items()}, {}, {}), points


@pytest.mark.parametrize("unit", [25.4 / 0.45, 25.4, 10, 1, 1000])
def test_the_unit_is_found_from_the_leg_and_z_points_up(unit):
    motion, points = daz(unit)
    expected = {n: p @ np.array([[1, 0, 0], [0, 0, 1], [0, -1, 0]]) for n, p in points.items()}
    joints = mocap17(motion)
    for j, name in enumerate(DAZ.split(), start=1):
        if name in points:
            np.testing.assert_allclose(joints[:, j], expected[name], atol=1e-9)
    middle = (expected["rThigh"] + expected["lThigh"]) / 2
    np.testing.assert_allclose(joints[:, 0], middle, atol=1e-9)
    np.testing.assert_allclose(joints[:, 8], (expected["lCollar"] + expected["rCollar"]) / 2)
    # the head's middle: 115 mm further along the neck
    up = expected["head"] - expected["neck"]
    np.testing.assert_allclose(np.cross(joints[:, 10] - joints[:, 9], up), 0, atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(joints[:, 10] - joints[:, 9], axis=-1), 115)


def test_cmu_bvh_gets_back_its_thorax_and_its_whole_forearm():
    names = {*CMU.split(), "Chest2"} - {"thorax"}
    points = {name: np.full((1, 3), float(n)) for n, name in enumerate(sorted(names))}
    points["RightElbow"], points["RightWrist"] = np.array([[0.0, 0, 0]]), np.array([[0.0, 0, -20]])
    # Chest2 is 3-4-5 from Chest, turned: its y is the world's z
    turn = {"Chest2": np.array([[[1.0, 0, 0], [0, 0, -1], [0, 1, 0]]])}
    motion = Motion(Path("x.bvh"), points, turn, {"Chest2": np.array([3.0, 4.0, 0])})
    joints = mocap17(motion, unit=10.0)[0] @ np.array([[1, 0, 0], [0, 0, -1], [0, 1, 0]])  # y up
    thorax = np.array([0, 0, 50.0])
    np.testing.assert_allclose(joints[8], 10 * points["Chest2"][0] + thorax)
    for j, name in enumerate(CMU.split(), start=1):
        if name not in ("thorax", "LeftWrist", "RightWrist"):
            lost = thorax if j > 8 else 0
            np.testing.assert_allclose(joints[j], 10 * points[name][0] + lost, err_msg=name)
    np.testing.assert_allclose(joints[16], [0, 0, 50 - 300])


def test_a_given_unit_overrides_the_leg():
    motion, points = daz(1.0, legs=(200.0, 200.0))
    with pytest.raises(ValueError, match=r"daz.bvh: a leg of 400 units .* \(--unit\)"):
        mocap17(motion)
    hips = (points["rThigh"] + points["lThigh"]) / 2
    np.testing.assert_allclose(mocap17(motion, unit=2.0)[:, 0, 0], 2 * hips[:, 0])


def test_an_unknown_body_and_a_missing_joint_are_named():
    motion, _ = daz(1.0)
    del motion.points["neck"]
    with pytest.raises(ValueError, match=r"daz\.bvh: the skeleton has no joint 'neck'"):
        mocap17(motion)
    motion, points = daz(1.0)
    motion.points["head"] = points["neck"]
    with pytest.raises(ValueError, match=r"daz\.bvh: joint head is at the place of neck, so that"):
        mocap17(motion)
    with pytest.raises(ValueError, match=r"x\.bvh: unknown body"):
        mocap17(Motion(Path("x.bvh"), {"Hips": np.zeros((1, 3))}, {}, {}))


@pytest.mark.parametrize(
    ("frames", "fps", "kept"), [(460, 120, 192), (321, 120, 134), (367, 120, 153), (7, 50, 7)]
)
def test_resampling_keeps_a_steady_motion_and_counts_frames(frames, fps, kept):
    at = np.arange(frames)[:, None, None] / fps
    speed = np.random.default_rng(0).normal(0, 1000, (17, 3))
    ours = resample(at * speed, fps)
    assert len(ours) == kept
    np.testing.assert_allclose(ours, np.arange(kept)[:, None, None] / 50 * speed, atol=1e-8)


def test_resampling_from_below_50_hz_ends_at_the_last_frame():
    ours = resample(np.arange(11.0)[:, None, None] * np.ones((17, 3)), 25)
    np.testing.assert_allclose(ours[:, 0, 0], np.arange(21) / 2)


def test_centring_moves_the_path_to_the_middle_and_the_ankles_to_the_floor():
    joints = np.random.default_rng(0).normal(5000, 100, (101, 17, 3))
    joints[:, 3, 2] = np.arange(101)  # the lower ankle, 2nd percentile at 2
    ours = centre(joints)
    np.testing.assert_allclose(ours[:, 0, :2].max(0), -ours[:, 0, :2].min(0))
    np.testing.assert_allclose(ours[:, 3, 2], np.arange(101) - 2 + 70)
    np.testing.assert_allclose(np.diff(ours, axis=0), np.diff(joints, axis=0), atol=1e-9)


def test_a_jump_cuts_and_parts_below_25_frames_are_dropped():
    joints = np.zeros((100, 17, 3))
    joints[30:, 5, 0] += 250.5  # one joint
    joints[54:, 16, 1] -= 251.0  # 24 frames later
    joints[80:, 2, 2] += 249.5  # no jump
    parts = cut(joints)
    assert [len(part) for part in parts] == [30, 46]
    np.testing.assert_array_equal(parts[1], joints[54:])
    assert cut(joints[:20]) == []
