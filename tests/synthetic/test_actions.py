import numpy as np
import pytest

from posediff.pose.skeleton import skeleton
from posediff.synthetic.actions import KINDS, RATE, ROOM, motion
from posediff.synthetic.body import build

H36M = skeleton("h36m17")
J = {name: j for j, name in enumerate(H36M.joints)}
LEGS, ARMS = ("hip", "knee", "ankle"), ("shoulder", "elbow", "wrist")
CLIPS = 6


def clips(kind, frames=150):
    """Build and joints in the world of a few bodies."""
    for seed in range(CLIPS):
        rng = np.random.default_rng(seed)
        body = build(rng)
        yield body, motion(kind, body, frames, rng)


@pytest.fixture(scope="module", params=KINDS)
def acted(request):
    return request.param, list(clips(request.param))


def chain(world, side, parts):
    return (world[:, J[f"{side}_{part}"]] for part in parts)


def forward(world):
    """Direction that the pelvis faces (F, 3): up x right."""
    x, y, _ = np.moveaxis(world[:, J["right_hip"]] - world[:, J["left_hip"]], -1, 0)
    return np.stack([-y, x, 0 * x], -1) / np.hypot(x, y)[:, None]


def speed(world):
    return np.linalg.norm(np.diff(world, axis=0), axis=-1) * RATE


def test_bones_keep_their_length(acted):
    for _, world in acted[1]:
        a, b = np.transpose(H36M.edges)
        lengths = np.linalg.norm(world[:, a] - world[:, b], axis=-1)
        assert np.ptp(lengths, axis=0).max() < 1e-9


def test_knees_and_elbows_bend_as_far_as_people_do_and_never_backwards(acted):
    for _, world in acted[1]:
        across = world[:, J["right_hip"]] - world[:, J["left_hip"]]
        for side in "right", "left":
            for parts in LEGS, ARMS:
                root, middle, end = chain(world, side, parts)
                u, v = middle - root, end - middle
                cosine = (u * v).sum(-1) / np.linalg.norm(u, axis=-1) / np.linalg.norm(v, axis=-1)
                bend = np.degrees(np.arccos(cosine))
                assert 1 < bend.min() < bend.max() < 151
            hip, knee, ankle = chain(world, side, LEGS)
            front = np.cross(across, ankle - hip)  # the side to which a knee bends
            assert ((knee - (hip + ankle) / 2) * front).sum(-1).min() > 0


def test_elbows_of_hanging_arms_stand_back(acted):
    for body, world in acted[1]:
        for side in "right", "left":
            shoulder, elbow, wrist = chain(world, side, ARMS)
            hangs = (shoulder - wrist)[:, 2] > 0.8 * body.arm
            line = shoulder + (wrist - shoulder) * (body.upper_arm / body.arm)
            assert (((elbow - line) * forward(world)).sum(-1)[hangs] < 0.01).all()


def test_no_joint_leaps_leaves_the_room_or_sinks_into_the_floor(acted):
    for body, world in acted[1]:
        assert speed(world).max() < 9  # m/s, a hand that swings for a high jump
        assert speed(world[:, 0]).max() < 3
        assert np.linalg.norm(np.diff(world, 2, axis=0), axis=-1).max() * RATE**2 < 250
        assert np.linalg.norm(world[:, 0, :2], axis=-1).max() < ROOM + 1e-6
        assert world[..., 2].min() > body.ankle - 0.005
        assert world[..., 2].max() < 2.6


def test_faces_look_forward_and_the_head_is_on_top(acted):
    for _, world in acted[1]:
        nose = world[:, J["neck"]] - (world[:, J["thorax"]] + world[:, J["head"]]) / 2
        assert np.median((nose * forward(world)).sum(-1)) > 0
        assert np.median(world[:, J["head"], 2] - world[:, J["pelvis"], 2]) > 0.2


def test_hands_stay_out_of_the_trunk(acted):
    for _, world in acted[1]:
        low, high = world[:, J["pelvis"]], world[:, J["thorax"]]
        for wrist in world[:, J["right_wrist"]], world[:, J["left_wrist"]]:
            share = ((wrist - low) * (high - low)).sum(-1) / np.square(high - low).sum(-1)
            nearest = low + np.clip(share, 0, 1)[:, None] * (high - low)
            assert np.linalg.norm(wrist - nearest, axis=-1).min() > 0.08


def test_a_motion_follows_from_its_generator_alone(acted):
    kind, pairs = acted
    first, again = pairs[0][1], next(clips(kind))[1]
    np.testing.assert_array_equal(first, again)
    assert np.abs(pairs[1][1] - first).max() > 0.1


@pytest.mark.parametrize("kind", ["walking", "running"])
def test_people_go_the_way_they_face(kind):
    for _, world in clips(kind):
        way = np.diff(world[:, 0], axis=0) * RATE
        if np.linalg.norm(way.mean(0)) > 0.3 or kind == "walking":  # not on the spot
            assert ((way * forward(world)[1:]).sum(-1) > 0.5).mean() > 0.95


def test_a_walker_has_a_foot_on_the_floor_that_does_not_slide():
    for body, world in clips("walking"):
        feet = world[:, [J["right_ankle"], J["left_ankle"]]]
        still = (speed(feet) < 0.35) & (feet[1:, :, 2] < body.ankle + 0.03)
        assert still.any(1).mean() > 0.65  # the rest: both feet roll from heel to toe
        assert (feet[..., 2].min(1) < body.ankle + 0.1).all()
        assert 0.7 < np.median(speed(world[:, 0])) < 1.9


def test_a_jump_is_a_free_fall():
    flights = 0
    for body, world in clips("jumping"):
        lift = world[:, [J["right_ankle"], J["left_ankle"]], 2].min(1) - body.ankle
        fall = np.diff(world[:, 0, 2], 2) * RATE**2
        air = lift[1:-1] > 0.06
        flights += air.any()
        np.testing.assert_allclose(fall[air], -9.81, atol=1.5)
    assert flights >= CLIPS / 2


def test_a_sitting_body_has_its_pelvis_on_the_chair_and_level_thighs():
    seated = 0
    for body, world in clips("sitting"):
        hip, knee, _ = chain(world, "right", LEGS)
        low = world[:, 0, 2] < world[:, 0, 2].min() + 0.01
        if world[:, 0, 2].min() < 0.7 * (body.leg + body.ankle):
            seated += 1
            assert 0.33 < world[:, 0, 2].min() < 0.6
            assert np.abs((hip - knee)[low, 2]).max() < 0.5 * body.thigh
    assert seated >= CLIPS / 2


def test_a_single_frame_is_a_motion_too():
    for kind in KINDS:
        world = motion(kind, build(np.random.default_rng(0)), 1, np.random.default_rng(0))
        assert world.shape == (1, 17, 3)
        assert np.isfinite(world).all()


def test_unknown_kinds_and_empty_clips_are_refused():
    rng = np.random.default_rng(0)
    with pytest.raises(ValueError, match="kind must be one of walking, running"):
        motion("flying", build(rng), 10, rng)
    with pytest.raises(ValueError, match="frames must be at least 1, got 0"):
        motion("walking", build(rng), 0, rng)
