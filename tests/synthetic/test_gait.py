import numpy as np
import pytest

from posediff.synthetic.body import MEAN, Build, joints
from posediff.synthetic.gait import Gait, ankle_paths, lateral_acceleration, loop_route, stand, walk

SPEED = 1.2
BODY = Build(*(1.7 * length for length in vars(MEAN).values()))
WALK = Gait(period=1.1, duty=0.62, heel=0.9, lift=0.05, bounce=0.03, swing=0.3, elbow=0.3)
t = np.arange(300) / 50


def straight(time):
    return np.stack([0 * time, SPEED * time], -1), 0 * time


def test_a_foot_rests_on_the_floor_and_moves_a_stride_every_period():
    ankles = ankle_paths(BODY, t, straight, WALK, phase=0.0)
    for side in 0, 1:
        middle = (np.arange(1, 5) + side / 2) * WALK.period
        for start in middle - 0.12, middle + 0.06:  # flat, after the toes have landed
            now = ankles[np.round(start * 50).astype(int), side]
            np.testing.assert_allclose(now[:, 2], BODY.ankle, atol=1e-3)
            np.testing.assert_allclose(np.diff(now[:, 1]), SPEED * WALK.period, atol=2e-3)
        assert ankles[:, side, 2].min() >= BODY.ankle - 1e-9
        assert 0.08 < np.ptp(ankles[:, side, 2]) < 0.25


def test_walkers_always_have_a_foot_down_and_runners_fly():
    down = ankle_paths(BODY, t, straight, WALK, 0.3)[..., 2] < BODY.ankle + 0.12
    assert down.any(1).all()
    run = WALK._replace(period=0.7, duty=0.35, lift=0.2)
    flying = (ankle_paths(BODY, t, straight, run, 0.3)[..., 2] > BODY.ankle + 0.05).all(1)
    assert 0.1 < flying.mean() < 0.5


def test_the_knee_of_a_walker_bends_most_in_its_swing():
    pose = walk(BODY, t, np.random.default_rng(0), straight, WALK)
    hip, knee, ankle = joints(BODY, pose)[:, 1:4].swapaxes(0, 1)
    u, v = knee - hip, ankle - knee
    angle = np.degrees(np.arccos((u * v).sum(-1) / BODY.thigh / BODY.shin))
    swings = angle[ankle[:, 2] > BODY.ankle + 0.06]
    assert 45 < angle.max() < 75  # about 60 in gait laboratories
    assert angle.max() == swings.max()
    assert angle.min() < 20


def test_arms_swing_against_the_legs():
    world = joints(BODY, walk(BODY, t, np.random.default_rng(0), straight, WALK))
    ahead = world[..., 1] - world[:, :1, 1]
    legs, arms = ahead[:, 3] - ahead[:, 6], ahead[:, 16] - ahead[:, 13]
    assert np.corrcoef(legs, arms)[0, 1] < -0.7


def test_the_pelvis_rises_and_sinks_twice_a_period_by_twice_the_bounce():
    height = joints(BODY, walk(BODY, t, np.random.default_rng(0), straight, WALK))[:, 0, 2]
    np.testing.assert_allclose(np.ptp(height), 2 * WALK.bounce, atol=2e-3)
    assert np.abs(np.fft.rfft(height - height.mean())).argmax() == round(2 * 6.0 / WALK.period)


@pytest.mark.parametrize("seed", range(5))
def test_a_loop_has_constant_speed_faces_ahead_and_accelerates_inwards(seed):
    route = loop_route(np.random.default_rng(seed), SPEED)
    place, heading = route(t)
    way = np.gradient(place, t, axis=0)[1:-1]
    np.testing.assert_allclose(np.linalg.norm(way, axis=-1), SPEED, rtol=0.02)
    facing = np.stack([-np.sin(heading), np.cos(heading)], -1)[1:-1]
    assert ((way * facing).sum(-1) > 0.999 * np.linalg.norm(way, axis=-1)).all()
    pull = np.abs(lateral_acceleration(route, t))
    assert SPEED**2 / 2.5 < pull.min() < pull.max() < SPEED**2 / 0.8


def test_an_idle_body_stays_on_its_feet():
    pose = stand(BODY, t, np.random.default_rng(1))
    world = joints(BODY, pose)
    np.testing.assert_allclose(world[:, [3, 6]], pose.ankles, atol=3e-3)
    assert np.ptp(world[:, 0], axis=0).max() < 0.2
    assert np.ptp(world, axis=0).max(-1).min() > 1e-4  # but every joint moves
