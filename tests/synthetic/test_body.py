from dataclasses import fields, replace

import numpy as np
import pytest

from posediff.pose.skeleton import skeleton
from posediff.synthetic.body import (
    ELBOW,
    KNEE,
    MEAN,
    REACH,
    Build,
    Pose,
    build,
    joints,
    limb,
    rotation,
)

H36M = skeleton("h36m17")
J = {name: j for j, name in enumerate(H36M.joints)}
METRIC = Build(**{f.name: 1.7 * getattr(MEAN, f.name) for f in fields(Build)})


def upright(frames=1):
    """A pose straight on both feet, facing y, the arms hanging."""
    zero = np.zeros((frames, 3))
    ankles = [[METRIC.hip, 0, METRIC.ankle], [-METRIC.hip, 0, METRIC.ankle]]
    wrists = [[0.1, 0.05, -0.45], [-0.1, 0.05, -0.45]]
    return Pose(
        pelvis=zero[:, :2],
        crouch=zero[:, 0],
        heading=zero[:, 0],
        hips=zero,
        chest=zero,
        head=zero,
        ankles=np.tile(ankles, (frames, 1, 1)),
        wrists=np.tile(wrists, (frames, 1, 1)),
        splay=zero[:, :2],
    )


def random_pose(rng, frames=200):
    """Poses far beyond those of people."""
    N = rng.normal
    return Pose(
        pelvis=N(0, 0.2, (frames, 2)),
        crouch=rng.uniform(0, 0.8, frames),
        heading=rng.uniform(-4, 4, frames),
        hips=N(0, 0.4, (frames, 3)),
        chest=N(0, 0.6, (frames, 3)),
        head=N(0, 0.6, (frames, 3)),
        ankles=N(0, 0.4, (frames, 2, 3)),
        wrists=N(0, 0.4, (frames, 2, 3)),
        splay=N(0, 0.3, (frames, 2)),
    )


def lengths(world):
    return np.stack([np.linalg.norm(world[:, a] - world[:, b], axis=-1) for a, b in H36M.edges], 1)


def flexion(world, a, b, c):
    """Degrees (F,) in joint b between the bones to a and c; 0 is straight."""
    u, v = world[:, J[b]] - world[:, J[a]], world[:, J[c]] - world[:, J[b]]
    cosine = (u * v).sum(-1) / np.linalg.norm(u, axis=-1) / np.linalg.norm(v, axis=-1)
    return np.degrees(np.arccos(np.clip(cosine, -1, 1)))


def test_builds_are_grown_ups_of_human_proportions():
    rng = np.random.default_rng(0)
    builds = [build(rng) for _ in range(300)]
    trunk = [b.spine + b.chest + b.neck + b.head for b in builds]
    stature = np.array([b.ankle + b.leg + t for b, t in zip(builds, trunk, strict=True)])
    legs = np.array([b.leg for b in builds]) / stature
    assert 1.35 < stature.min() < 1.6
    assert 1.8 < stature.max() < 2.1
    assert 0.47 < legs.min() < legs.max() < 0.59
    assert legs.std() > 0.005


def test_the_bones_of_any_pose_have_the_lengths_of_the_build():
    own = build(np.random.default_rng(1))
    leg, arm = [own.hip, own.thigh, own.shin], [own.shoulder, own.upper_arm, own.forearm]
    expected = [*leg, *leg, own.spine, own.chest, own.neck, own.head, *arm, *arm]
    found = lengths(joints(own, random_pose(np.random.default_rng(2))))
    np.testing.assert_allclose(found, np.tile(expected, (200, 1)), atol=1e-9)


def test_knees_and_elbows_of_any_pose_stay_within_their_limits():
    world = joints(METRIC, random_pose(np.random.default_rng(3)))
    for side in "right", "left":
        for chain, limits in (("hip knee ankle", KNEE), ("shoulder elbow wrist", ELBOW)):
            angle = np.radians(flexion(world, *(f"{side}_{part}" for part in chain.split())))
            assert limits[0] - 0.05 < angle.min() < angle.max() < limits[1] + 1e-6
            assert angle.max() > 2.4  # the poses do reach for the limits


def test_an_upright_body_stands_as_tall_as_its_bones():
    world = joints(METRIC, upright())[0]
    x, y, z = world.T
    hips = METRIC.ankle + REACH * METRIC.leg
    np.testing.assert_allclose(world[J["pelvis"]], [0, 0, hips], atol=5e-3)
    np.testing.assert_allclose(z[J["thorax"]] - z[0], METRIC.spine + METRIC.chest, atol=1e-9)
    np.testing.assert_allclose(x[J["right_hip"]], METRIC.hip, atol=1e-9)
    np.testing.assert_allclose(world[J["left_ankle"]], [-METRIC.hip, 0, METRIC.ankle], atol=2e-3)
    assert y[J["right_knee"]] > 0.03
    assert y[J["left_knee"]] > 0.03
    assert y[J["neck"]] > 0.03  # near the nose
    assert y[J["right_elbow"]] < 0


def test_the_right_side_is_to_the_right_of_the_way_the_body_faces():
    pose = replace(upright(), heading=np.array([np.pi / 2]))  # faces -x, right is +y
    pose.ankles = pose.ankles[..., [1, 0, 2]]
    world = joints(METRIC, pose)[0]
    for j, name in enumerate(H36M.joints):
        side = {"r": 1, "l": -1}.get(name[0], 0) * name.count("_")
        assert np.sign(round(world[j, 1], 9)) == side, name
    assert world[J["right_knee"], 0] < 0


def test_a_mirrored_pose_gives_the_mirrored_body():
    pose = random_pose(np.random.default_rng(4))
    flat, turn = np.array([-1.0, 1.0]), np.array([-1.0, 1.0, -1.0])
    mirrored = Pose(
        pelvis=pose.pelvis * flat,
        crouch=pose.crouch,
        heading=-pose.heading,
        hips=pose.hips * turn,
        chest=pose.chest * turn,
        head=pose.head * turn,
        ankles=pose.ankles[:, ::-1] * [-1, 1, 1],
        wrists=pose.wrists[:, ::-1] * [-1, 1, 1],
        splay=pose.splay[:, ::-1],
    )
    expected = joints(METRIC, pose)[:, H36M.flip] * [-1, 1, 1]
    np.testing.assert_allclose(joints(METRIC, mirrored), expected, atol=1e-9)


@pytest.mark.parametrize(
    ("turn", "x", "y", "z"),
    [
        ((np.pi / 2, 0, 0), (0, 1, 0), (-1, 0, 0), (0, 0, 1)),  # to the left
        ((0, np.pi / 2, 0), (1, 0, 0), (0, 0, -1), (0, 1, 0)),  # forward
        ((0, 0, np.pi / 2), (0, 0, -1), (0, 1, 0), (1, 0, 0)),  # to the right
    ],
)
def test_quarter_turns(turn, x, y, z):
    np.testing.assert_allclose(rotation(np.array(turn)), np.transpose([x, y, z]), atol=1e-12)


def test_turns_are_rotations():
    R = rotation(np.random.default_rng(5).normal(size=(50, 3)))
    np.testing.assert_allclose(R @ R.swapaxes(-1, -2), np.tile(np.eye(3), (50, 1, 1)), atol=1e-12)
    np.testing.assert_allclose(np.linalg.det(R), 1)


def test_a_limb_ends_where_it_is_sent_and_bends_to_its_side():
    rng = np.random.default_rng(6)
    root, way, side = rng.normal(size=(3, 100, 3))
    end = root + way / np.linalg.norm(way, axis=-1, keepdims=True) * rng.uniform(0.3, 0.7, (100, 1))
    middle, found = limb(root, end, 0.4, 0.42, side, KNEE)
    np.testing.assert_allclose(found, end, atol=1e-4)
    assert (((middle - root) * np.cross(np.cross(way, side), way)).sum(-1) > 0).all()
    np.testing.assert_allclose(np.linalg.norm(middle - root, axis=-1), 0.4)
    np.testing.assert_allclose(np.linalg.norm(middle - end, axis=-1), 0.42, atol=1e-4)
