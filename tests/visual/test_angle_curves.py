"""Curves with bands, by the colours at known places."""

import numpy as np

from posediff.visual.angle_curves import HEAD, HEIGHT, WIDTH, Curve, _axes, _round, draw_curves


def curve(mean, half=(5.0, 20.0)):
    mean = np.asarray(mean, np.float64)
    return Curve(mean, mean[:, None] - half, mean[:, None] + half)


def test_line_and_bands_are_at_their_degrees_and_a_gap_stays_white():
    times = [n / 10 for n in range(31)]
    angles = np.full(31, 50.0)
    angles[20:25] = np.nan
    curves = {"left_knee_flexion": curve(angles), "trunk_lean": curve(np.full(31, 10.0))}
    picture = draw_curves(times, curves, "Joint angles")
    assert picture.shape == (HEAD + HEIGHT, 2 * WIDTH, 3)
    axes = _axes(times, [curves["left_knee_flexion"]])
    assert axes.bottom <= 30 < 70 <= axes.top

    def shade(time, degrees):  # 0 dark .. 255 white, of the red channel that blue lacks
        x, y = axes.pixel(time, degrees)
        return int(picture[HEAD + round(y), round(x), 2])

    line, inner, outer, outside = (shade(1.05, value) for value in (50, 53.5, 64, 71.5))
    assert line < 60 < inner < outer < outside == 255
    assert [shade(2.2, value) for value in (47, 53.5, 66)] == [255, 255, 255]


def test_axes_hold_the_curves_with_few_round_ticks():
    for low, high in ((0, 1), (-12, 171), (88, 89), (-180, 180)):
        axes = _axes([0.0, 1.0], [curve([low, high], half=(0, 0))])
        ticks = (axes.top - axes.bottom) / axes.step
        assert axes.bottom <= low < high <= axes.top
        assert 1 <= ticks <= 7
        assert axes.bottom % axes.step == 0
    assert [_round(x) for x in (0.02, 0.021, 3, 7, 100)] == [0.02, 0.05, 5, 10, 100]


def test_one_frame_or_nothing_known_is_drawn_too():
    alone = draw_curves([2.0], {"trunk_lean": curve([30.0])}, "one")
    nothing = draw_curves([2.0], {"trunk_lean": curve([np.nan])}, "one")
    assert alone.shape == nothing.shape
    assert (alone != nothing).any()
