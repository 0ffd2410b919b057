import numpy as np
import pytest

from posediff.visual.learning_curves import COLOURS, HEIGHT, WIDTH, draw_learning_curves, ticks


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0, 10, [0, 2, 4, 6, 8, 10]),
        (53, 88, [50, 60, 70, 80, 90]),
        (1, 1, [1, 1.2]),
        (-0.3, 0.1, [-0.3, -0.2, -0.1, 0, 0.1]),
        (0, 0, [0, 0.2]),
    ],
)
def test_ticks_are_round_and_contain_all_values(low, high, expected):
    assert ticks(low, high) == pytest.approx(expected)


def columns_of(picture, colour):
    return np.nonzero((np.abs(picture.astype(int) - colour).max(-1) < 40).any(0))[0]


def test_every_training_has_one_colour_in_all_panels_and_in_the_legend():
    falling, short = [(1, 9.0), (2, 4.0), (3, 3.0)], [(1, 5.0)]
    picture = draw_learning_curves(
        {"loss": {"a": falling, "b": short}, "error [mm]": {"a": falling}}
    )
    assert picture.shape[1] == 2 * WIDTH
    for colour, panels in ((COLOURS[0], (0, 1)), (COLOURS[1], (0,))):
        panels_with_it = {x // WIDTH for x in columns_of(picture[:HEIGHT], colour)}
        assert panels_with_it == {*panels}
        assert len(columns_of(picture[HEIGHT:], colour)) >= 20


def test_a_falling_curve_falls():
    picture = draw_learning_curves({"loss": {"a": [(1, 9.0), (5, 1.0)]}})[:HEIGHT]
    rows, columns = np.nonzero(np.abs(picture.astype(int) - COLOURS[0]).max(-1) < 40)
    left, right = (rows[columns == x].mean() for x in (columns.min(), columns.max()))
    assert right - left > 150


def test_one_epoch_is_a_point():
    picture = draw_learning_curves({"loss": {"a": [(1, 9.0)]}})[:HEIGHT]
    assert 4 <= len(columns_of(picture, COLOURS[0])) <= 12
