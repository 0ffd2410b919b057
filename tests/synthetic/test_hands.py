import numpy as np
import pytest

from posediff.synthetic.body import MEAN
from posediff.synthetic.hands import blend, targets, visit, wrists_at


def test_a_straight_arm_points_down_and_a_raised_one_points_ahead():
    down, ahead = wrists_at(MEAN, 0.0, 0.0, 0.0), wrists_at(MEAN, np.pi / 2, 0.0, 0.0)
    np.testing.assert_allclose(down, [[0, 0, -MEAN.arm]] * 2, atol=1e-12)
    np.testing.assert_allclose(ahead, [[0, MEAN.arm, 0]] * 2, atol=1e-12)


def test_a_bent_elbow_brings_the_hand_forward():
    bent = wrists_at(MEAN, 0.0, 0.0, np.pi / 2)
    np.testing.assert_allclose(bent, [[0, MEAN.forearm, -MEAN.upper_arm]] * 2, atol=1e-12)


def test_spread_arms_part_to_their_own_sides():
    right, left = wrists_at(MEAN, 0.0, 0.5, 0.0)
    assert right[0] > 0.1
    np.testing.assert_allclose(left, right * [-1, 1, 1])


def test_targets_are_within_their_reach():
    places = targets(MEAN, np.random.default_rng(0), 500, reach=(0.5, 0.8), up=(-1, 1), out=(0, 1))
    reach = np.linalg.norm(places, axis=-1) / MEAN.arm
    assert 0.5 <= reach.min() < 0.51
    assert 0.79 < reach.max() <= 0.8
    assert (places[:, 0, 0] >= 0).all()  # outward of the right hand
    assert (places[:, 1, 0] <= 0).all()


@pytest.mark.parametrize("goal", [[0.1, 0.3, 0.4], [0.05, -0.1, 0.5], [0.0, 0.0, 0.5]])
def test_a_hand_swings_round_its_shoulder_and_past_the_front(goal):
    start, share = np.array([0.05, -0.05, -0.5]), np.linspace(0, 1, 101)[:, None]
    way = blend(share, start, np.array(goal))
    np.testing.assert_allclose(way[[0, -1]], [start, goal], atol=1e-12)
    far = np.linalg.norm(way, axis=-1)
    assert far.min() > 0.99 * min(far[0], far[-1])
    assert way[50, 1] > 0.3
    assert np.linalg.norm(np.diff(way, axis=0), axis=-1).max() < 0.03  # no leap on the path


def test_visit_passes_every_place():
    places = targets(MEAN, np.random.default_rng(1), 6, (0.4, 1.0), (-1.5, 1.5), (-1, 1))
    times = np.arange(6.0)
    np.testing.assert_allclose(visit(times, times, places), places, atol=1e-12)
