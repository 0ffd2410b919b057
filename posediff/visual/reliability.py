"""The reliability curve: how many joints each level of the hypotheses covers, against how many it
should. On the diagonal a model is calibrated, below it over-confident."""

from collections.abc import Mapping, Sequence
from itertools import pairwise

from posediff.visual.canvas import Canvas, Colour, Picture
from posediff.visual.pose3d import FAINT, GRID, INK, LEFT, RIGHT

SIDE, LOW, HIGH = 420, 70, 390  # of the picture, and where 0 and 1 lie on an axis, in pixels
COLOURS: tuple[Colour, ...] = (LEFT, RIGHT)


def draw_reliability(levels: Sequence[float], curves: Mapping[str, Sequence[float]]) -> Picture:
    """Coverage at every level, one curve a label; at most two."""
    canvas = Canvas(SIDE, SIDE)
    for tick in (0.0, 0.25, 0.5, 0.75, 1.0):
        canvas.line(at(tick, 0), at(tick, 1), GRID, 1)
        canvas.line(at(0, tick), at(1, tick), GRID, 1)
        x, y = at(tick, 0)
        canvas.text((x - 12, y + 16), f"{tick:.2f}", INK, 8)
        canvas.text((LOW - 36, at(0, tick)[1] + 4), f"{tick:.2f}", INK, 8)
    canvas.line(at(0, 0), at(1, 1), FAINT, 1)
    for n, (label, curve) in enumerate(curves.items()):
        points = [at(p, c) for p, c in zip(levels, curve, strict=True)]
        for a, b in pairwise(points):
            canvas.line(a, b, COLOURS[n], 2)
        for point in points:
            canvas.disc(point, 3, COLOURS[n])
        canvas.text((LOW + 12, SIDE - HIGH + 22 + 16 * n), label, COLOURS[n], 9)
    canvas.text((LOW, 18), "share of joints covered, over the level of the hypotheses", INK, 9)
    return canvas.finish()


def at(level: float, coverage: float) -> tuple[float, float]:
    """Where the picture shows a point of the curve, in pixels."""
    length = HIGH - LOW
    return LOW + length * level, SIDE - LOW + 10 - length * coverage
