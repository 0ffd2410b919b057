"""BVH files are read again by the reader of motion capture: forward kinematics gives the joints."""

import numpy as np
import pytest

from posediff.data.lifting.synthetic_people import synthetic
from posediff.outputs.bvh import LAYOUTS, bridged, euler, shortest_turn, write_bvh
from posediff.pose.skeleton import skeleton
from posediff.prepare.motion import read_bvh, rotation

ROUNDING = 1e-6  # metres; the file has 1e-6 cm and 1e-6 degrees


def paths(layout):
    """The bones from the root to every joint, as (J, E) of 0 and 1."""
    return layout.paths.numpy().astype(np.float64)


def lengths(points, layout):
    inner, outer = (list(ends) for ends in zip(*layout.edges, strict=True))
    return np.linalg.norm(points[:, outer] - points[:, inner], axis=-1)


def replayed(path, layout):
    motion = read_bvh(path)
    return np.stack([motion.points[joint] for joint in layout.joints], 1) / 100, motion


@pytest.fixture(scope="module")
def moving():
    """A synthetic person (90, 17, 3), y up, relative to the pelvis."""
    bodies = synthetic("test", keypoints="gt", clips=1, length=90)
    poses = np.stack([bodies[i]["keypoints"].double().numpy() for i in range(90)])
    return (poses - poses[:, :1]) * [1, -1, -1]


@pytest.mark.parametrize("name", LAYOUTS)
def test_poses_of_any_lengths_are_off_by_the_change_of_length_alone(tmp_path, name):
    layout, rng = skeleton(name), np.random.default_rng(0)
    points = rng.normal(size=(40, 17, 3))
    points -= points[:, :1]
    write_bvh(tmp_path / "a.bvh", points, layout, rate=25)
    found, motion = replayed(tmp_path / "a.bvh", layout)
    assert motion.fps == pytest.approx(25)
    change = np.abs(lengths(points, layout) - np.median(lengths(points, layout), 0))
    off = np.linalg.norm(found - points, axis=-1)
    assert (off <= change @ paths(layout).T + 50 * ROUNDING).all()
    assert off.max() > 0.1  # lengths do change
    rigid = layout_of_median_lengths(points, layout)
    write_bvh(tmp_path / "b.bvh", rigid, layout, rate=25)
    found, _ = replayed(tmp_path / "b.bvh", layout)
    np.testing.assert_allclose(found, rigid, atol=50 * ROUNDING)


def layout_of_median_lengths(points, layout):
    inner, outer = (list(ends) for ends in zip(*layout.edges, strict=True))
    bones, found = points[:, outer] - points[:, inner], np.zeros_like(points)
    long = np.median(lengths(points, layout), 0)
    for e, (a, b) in enumerate(layout.edges):
        found[:, b] = found[:, a] + long[e] * bones[:, e] / np.linalg.norm(
            bones[:, e], axis=-1, keepdims=True
        )
    return found


def test_a_moving_body_of_fixed_bones_is_within_a_tenth_of_a_millimetre(tmp_path, moving):
    layout = skeleton("h36m17")
    spread = np.ptp(lengths(moving, layout), axis=0).max()
    write_bvh(tmp_path / "a.bvh", moving, layout, rate=50)
    found, motion = replayed(tmp_path / "a.bvh", layout)
    assert np.linalg.norm(found - moving, axis=-1).max() < 1e-4
    assert spread < 1e-5
    for turns in motion.rotations.values():
        np.testing.assert_allclose(turns @ turns.swapaxes(1, 2), np.eye(3) + 0 * turns, atol=1e-9)


def test_the_rest_pose_has_no_rotation_and_median_offsets(tmp_path, moving):
    layout = skeleton("mocap17")
    write_bvh(tmp_path / "a.bvh", moving, layout, rate=50)
    text = (tmp_path / "a.bvh").read_text()
    motion = read_bvh(tmp_path / "a.bvh")
    long = np.median(lengths(moving, layout), 0)
    for e, (_, outer) in enumerate(layout.edges):
        offset = motion.offsets[layout.joints[outer]] + motion.offsets.get(
            f"{layout.joints[outer]}_base", 0
        )
        assert np.linalg.norm(offset) == pytest.approx(100 * long[e], abs=1e-5)
    head, _, _ = text.partition("MOTION")
    still = " ".join(["0"] * (3 + 3 * head.count("CHANNELS")))
    tpose = f"{head}MOTION\nFrames: 1\nFrame Time: 0.02\n{still}\n"
    (tmp_path / "t.bvh").write_text(tpose)
    pose, _ = replayed(tmp_path / "t.bvh", layout)
    write_bvh(tmp_path / "u.bvh", pose, layout, rate=50)
    assert not np.loadtxt((tmp_path / "u.bvh").read_text().splitlines()[-1:]).any()
    left, right = (pose[0, layout.joints.index(f"{side}_wrist"), 0] for side in ("left", "right"))
    assert left > 0.3 > -0.3 > right


def test_gaps_are_bridged_and_a_joint_that_is_never_known_is_an_error(tmp_path, moving):
    holes = moving.copy()
    holes[10:12], holes[:3, 5] = np.nan, np.nan
    filled = bridged(holes)
    np.testing.assert_allclose(filled[10], (2 * moving[9] + moving[12]) / 3)
    np.testing.assert_array_equal(filled[:3, 5], moving[[3, 3, 3], 5])
    holes[:, 4] = np.nan
    with pytest.raises(ValueError, match="known in no frame"):
        write_bvh(tmp_path / "a.bvh", holes, skeleton("h36m17"), 25)
    with pytest.raises(ValueError, match="not 3dhp17"):
        write_bvh(tmp_path / "a.bvh", moving, skeleton("3dhp17"), 25)
    assert not list(tmp_path.iterdir())


def test_turns_and_angles_in_closed_form():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, 100, 3))
    a, b = (x / np.linalg.norm(x, axis=-1, keepdims=True) for x in (a, b))
    b[0], b[1], a[2], b[2] = -a[0], a[1], [0, 0, 1], [1e-7, 0, -1]
    turn = shortest_turn(a, b)
    np.testing.assert_allclose((turn @ a[..., None])[..., 0], b, atol=2e-7)
    np.testing.assert_allclose(np.linalg.det(turn), 1)
    cosine = (np.trace(turn, axis1=1, axis2=2) - 1) / 2
    np.testing.assert_allclose(cosine, (a * b).sum(-1), atol=1e-9)
    angles = np.cumsum(rng.uniform(-20, 20, (300, 3)), 0) * [1, 0.1, 1]
    np.testing.assert_allclose(euler(rotation("zxy", angles)) - angles, 0 * angles, atol=1e-6)
