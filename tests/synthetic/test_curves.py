import numpy as np

from posediff.synthetic.curves import alternate, hermite, key_times, wander

t = np.arange(500) / 50


def test_a_curve_passes_its_keys_and_is_constant_outside_them():
    times, values = [1.0, 2.0, 4.0], np.array([[0.0, 1.0], [3.0, -1.0], [2.0, 5.0]])
    np.testing.assert_allclose(hermite(np.array(times), times, values), values)
    np.testing.assert_allclose(hermite(np.array([0.0, 9.0]), times, values), values[[0, 2]])


def test_a_curve_with_the_slopes_of_a_throw_is_the_parabola():
    v, g = 3.0, 9.81
    ends, x = np.array([0.0, 2 * v / g]), np.linspace(0, 2 * v / g, 20)
    np.testing.assert_allclose(hermite(x, ends, [0, 0], [v, -v]), v * x - g * x**2 / 2, atol=1e-12)


def test_wander_has_its_standard_deviation():
    curves = wander(np.random.default_rng(0), np.arange(0, 400, 0.1), np.full((50, 2), 0.3))
    assert curves.shape == (4000, 50, 2)
    np.testing.assert_allclose(curves.std(), 0.3, rtol=0.05)


def test_key_times_cover_the_clip():
    for seed in range(50):
        times = key_times(np.random.default_rng(seed), t, 0.3, 2.0)
        assert times[0] <= t[0]
        assert times[-1] >= t[-1]
        assert 0.3 <= np.diff(times).min() <= np.diff(times).max() <= 2.0


def test_alternate_rests_at_both_ends_and_starts_anywhere():
    curves = [alternate(np.random.default_rng(s), t, (0.5, 0.8), (1.0, 2.0)) for s in range(50)]
    for level in 0.0, 1.0:
        assert all((curve == level).sum() > 50 for curve in curves)  # at least one of 10 seconds
    assert 0.2 < np.mean([curve[0] for curve in curves]) < 0.8
    assert np.abs(np.diff(curves)).max() < 1.5 / 0.5 / 50 + 1e-9
