import numpy as np

from posediff.diffusion.aggregate import LEVELS
from posediff.visual.palette import LEFT, RIGHT
from posediff.visual.reliability import draw_reliability, pixel


def near(picture, point, colour):
    x, y = (round(p) for p in point)
    return (np.abs(picture[y - 1 : y + 2, x - 1 : x + 2].astype(int) - colour).max(-1) < 40).any()


def test_points_of_both_curves_are_at_their_level_and_coverage():
    low, even = {p: p / 2 for p in LEVELS}, {p: p for p in LEVELS}
    picture = draw_reliability({"as drawn": low, "recalibrated": even})
    for p in LEVELS:
        assert near(picture, pixel(p, p / 2), LEFT)
        assert near(picture, pixel(p, p), RIGHT)
        assert not near(picture, pixel(p, p / 2 + 0.15 if p > 0.4 else 0.9), LEFT)
    (x0, y0), (x1, y1) = pixel(0, 0), pixel(1, 1)
    assert x0 < x1
    assert y0 > y1
    assert all(0 < v < n for v, n in ((x1, picture.shape[1]), (y0, picture.shape[0])))
