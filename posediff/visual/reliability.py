"""The reliability diagram: share of joints that each level of the hypotheses covers, against the
level. On the diagonal a model is calibrated, below it over-confident."""

from collections.abc import Mapping
from itertools import pairwise

from posediff.visual.canvas import Canvas, Picture
from posediff.visual.palette import FAINT, GRID, INK, LEFT, RIGHT

SIDE, LOW, HIGH = 420, 70, 390  # pixels: side of the image, 0 and 1 of the horizontal axis
COLOURS = (LEFT, RIGHT)


def draw_reliability(curves: Mapping[str, Mapping[float, float]]) -> Picture:
    """Coverage by level, a curve for each label; at most two."""
    canvas = Canvas(SIDE, SIDE)
    for tick in (0.0, 0.25, 0.5, 0.75, 1.0):
        canvas.line(pixel(tick, 0), pixel(tick, 1), GRID, 1)
        canvas.line(pixel(0, tick), pixel(1, tick), GRID, 1)
        x, y = pixel(tick, 0)
        canvas.text((x - 12, y + 16), f"{tick:.2f}", INK, 8)
        canvas.text((LOW - 36, pixel(0, tick)[1] + 4), f"{tick:.2f}", INK, 8)
    canvas.line(pixel(0, 0), pixel(1, 1), FAINT, 1)
    for n, (label, curve) in enumerate(curves.items()):
        points = [pixel(*point) for point in curve.items()]
        for a, b in pairwise(points):
            canvas.line(a, b, COLOURS[n], 2)
        for point in points:
            canvas.circle(point, 3, COLOURS[n], filled=True)
        canvas.text((LOW + 12, SIDE - HIGH + 22 + 16 * n), label, COLOURS[n], 9)
    canvas.text((LOW, 18), "share of joints covered, over the level of the hypotheses", INK, 9)
    return canvas.finish()


def pixel(level: float, coverage: float) -> tuple[float, float]:
    """Pixel of a point of the curve."""
    length = HIGH - LOW
    return LOW + length * level, SIDE - LOW + 10 - length * coverage
