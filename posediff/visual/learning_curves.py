"""Learning curves: panels side by side, each a value over the epochs of several trainings."""

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise

from posediff.visual.canvas import Canvas, Colour, Picture
from posediff.visual.palette import GRID, INK, LEFT, RIGHT

WIDTH, HEIGHT = 460, 340  # pixels of a panel
WEST, EAST, NORTH, SOUTH = 78, 18, 34, 52  # pixels around its axes
LINE = 18  # pixels of a line of the legend
# of Okabe and Ito, BGR
COLOURS: tuple[Colour, ...] = (
    *(LEFT, RIGHT, (115, 158, 0), (167, 121, 204)),
    *((0, 159, 230), (233, 180, 86), (0, 0, 0), (140, 140, 140)),
)
Curve = Sequence[tuple[float, float]]  # epoch, value


def draw_learning_curves(panels: Mapping[str, Mapping[str, Curve]]) -> Picture:
    """A picture of panels by their labels, with a curve for each name; names have one colour in all
    panels. Colours repeat after eight."""
    names = list(dict.fromkeys(name for curves in panels.values() for name in curves))
    canvas = Canvas(WIDTH * len(panels), HEIGHT + LINE * len(names) + 10)
    colours = {name: COLOURS[n % len(COLOURS)] for n, name in enumerate(names)}
    for n, (label, curves) in enumerate(panels.items()):
        draw_panel(canvas, n * WIDTH, label, curves, colours)
    for n, name in enumerate(names):
        y = HEIGHT + LINE * n + 8
        canvas.line((WEST, y - 4), (WEST + 26, y - 4), colours[name], 2)
        canvas.text((WEST + 34, y), name, INK, 9)
    return canvas.finish()


def draw_panel(
    canvas: Canvas,
    left: float,
    label: str,
    curves: Mapping[str, Curve],
    colours: Mapping[str, Colour],
) -> None:
    """One panel whose axes have ticks and labels."""
    points = [point for curve in curves.values() for point in curve]
    across, up = (ticks(min(x), max(x)) for x in zip(*points, strict=True))
    across = [x for x in across if x == int(x)]
    if len(across) < 2:  # of a single epoch
        across = [across[0], across[0] + 1]

    def pixel(x: float, y: float) -> tuple[float, float]:
        right, high = WIDTH - WEST - EAST, HEIGHT - NORTH - SOUTH
        return (
            left + WEST + right * (x - across[0]) / (across[-1] - across[0]),
            NORTH + high * (1 - (y - up[0]) / (up[-1] - up[0])),
        )

    for x in across:
        canvas.line(pixel(x, up[0]), pixel(x, up[-1]), GRID, 1)
        at = pixel(x, up[0])
        canvas.text((at[0] - 4 * len(f"{x:g}"), at[1] + 17), f"{x:g}", INK, 8)
    for y in up:
        canvas.line(pixel(across[0], y), pixel(across[-1], y), GRID, 1)
        at = pixel(across[0], y)
        canvas.text((at[0] - 7 * len(f"{y:g}") - 8, at[1] + 4), f"{y:g}", INK, 8)
    for name, curve in curves.items():
        for a, b in pairwise(curve):
            canvas.line(pixel(*a), pixel(*b), colours[name], 2)
        for point in curve if len(curve) <= 30 else ():
            canvas.circle(pixel(*point), 3, colours[name], filled=True)
    canvas.text((left + WEST, NORTH - 12), label, INK, 9)
    canvas.text((left + (WEST + WIDTH - EAST) / 2 - 20, HEIGHT - 14), "epoch", INK, 9)


def ticks(low: float, high: float, count: int = 5) -> list[float]:
    """About `count` round numbers, from at most `low` to at least `high`; two or more."""
    room = (high - low) or abs(high) or 1.0
    power = 10.0 ** math.floor(math.log10(room / count))
    step = next(m * power for m in (1, 2, 5, 10) if room / (m * power) <= count)
    first, last = math.floor(low / step), math.ceil(high / step)
    return [round(n * step, 12) for n in range(first, max(last, first + 1) + 1)]
