"""Angles over time: the mean as a line, the 50 % and 90 % intervals as bands around it.

A panel per joint, its left and right side in the colours of all drawings. Where frames follow each
other without a gap, points are connected.
"""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from posediff.visual.canvas import FINE, Canvas, Colour, Picture, Points
from posediff.visual.palette import FAINT, GRID, INK, LEFT, MIDDLE, RIGHT

WIDTH, HEIGHT, HEAD = 480, 230, 34  # pixels, of a panel and of the line above all panels
LEFT_EDGE, RIGHT_EDGE, TOP, BOTTOM = 52, 14, 26, 40  # pixels, margins of a panel
COLUMNS = 2
STEPS = (1, 2, 5, 10, 15, 30, 45, 60, 90, 180, 360)  # degrees between ticks
BANDS = ((1, 0.18), (0, 0.3))  # the interval, and its opacity; the wider one first


class Curve(NamedTuple):
    """One angle in F frames, in degrees; NaN if it is not known."""

    mean: Points  # (F,)
    low: Points  # (F, 2) of the 50 % and the 90 % interval
    high: Points  # (F, 2)


class _Axes(NamedTuple):
    """The place of seconds and degrees in a panel, and their ticks."""

    start: float
    end: float
    bottom: float
    top: float
    step: float

    def pixel(self, time: float, value: float) -> tuple[float, float]:
        across = (time - self.start) / (self.end - self.start)
        up = (value - self.bottom) / (self.top - self.bottom)
        width, height = WIDTH - LEFT_EDGE - RIGHT_EDGE, HEIGHT - TOP - BOTTOM
        return LEFT_EDGE + across * width, HEIGHT - BOTTOM - up * height


def draw_curves(
    times: Sequence[float], curves: Mapping[str, Curve], title: str, unit: str = "s"
) -> Picture:
    """Curves by names such as left_knee_flexion and trunk_lean, over F times in that unit."""
    panels: dict[str, dict[str, Curve]] = {}
    for name, curve in curves.items():
        side, _, part = name.partition("_")
        panel = part if side in ("left", "right") else name
        panels.setdefault(panel, {})[side if side in ("left", "right") else ""] = curve
    drawn = [_panel(times, name, sides, unit) for name, sides in panels.items()]
    drawn += [np.full_like(drawn[0], 255)] * (-len(drawn) % COLUMNS)
    rows = [np.hstack(drawn[i : i + COLUMNS]) for i in range(0, len(drawn), COLUMNS)]
    return np.vstack([_head(title), *rows])


def _panel(times: Sequence[float], name: str, sides: Mapping[str, Curve], unit: str) -> Picture:
    canvas, colours = Canvas(WIDTH, HEIGHT), {"left": LEFT, "right": RIGHT}
    axes = _axes(times, list(sides.values()))
    _ticks(canvas, axes, unit)
    for interval, opacity in BANDS:
        for side, curve in sides.items():
            with canvas.translucent(opacity):
                _band(canvas, axes, times, curve, interval, colours.get(side, MIDDLE))
    for side, curve in sides.items():
        _line(canvas, axes, times, curve.mean, colours.get(side, MIDDLE))
    canvas.text((LEFT_EDGE, 17), f"{name.replace('_', ' ')} (degrees)", INK, 10, bold=True)
    return canvas.finish()


def _axes(times: Sequence[float], curves: Sequence[Curve]) -> _Axes:
    """Axes that hold all curves and bands; degrees end at ticks, at most six steps apart."""
    values = np.concatenate([np.ravel(part) for curve in curves for part in curve])
    known = values[np.isfinite(values)]
    low, high = (float(known.min()), float(known.max())) if len(known) else (0.0, 1.0)
    step = next((s for s in STEPS if high - low <= 5 * s), STEPS[-1])
    bottom, top = np.floor(low / step) * step, np.ceil(high / step) * step
    end = times[-1] if times[-1] > times[0] else times[0] + 1
    return _Axes(times[0], end, float(bottom), float(max(top, bottom + step)), step)


def _ticks(canvas: Canvas, axes: _Axes, unit: str) -> None:
    for value in np.arange(axes.bottom, axes.top + axes.step / 2, axes.step):
        a, b = axes.pixel(axes.start, value), axes.pixel(axes.end, value)
        canvas.line(a, b, FAINT if value == 0 else GRID, 1)
        canvas.text((a[0] - 8 - 7 * len(f"{value:g}"), a[1] + 4), f"{value:g}", INK, 8.5)
    step = _round((axes.end - axes.start) / 5)
    for n in range(int(np.ceil(axes.start / step)), int(np.floor(axes.end / step)) + 1):
        time = n * step
        x, y = axes.pixel(time, axes.bottom)
        canvas.line((x, y), (x, y + 4), INK, 1)
        canvas.text((x - 14, y + 17), f"{time:.6g}", INK, 8.5)
    words = "time (s)" if unit == "s" else unit
    canvas.text((LEFT_EDGE + (WIDTH - LEFT_EDGE) / 2 - 30, HEIGHT - 6), words, INK, 8.5)


def _round(length: float) -> float:
    """The least of 1, 2 and 5, times a power of ten, that is not below `length`."""
    power = 10.0 ** np.floor(np.log10(length))
    return float(next(digit * power for digit in (1, 2, 5, 10) if digit * power >= length))


def _band(
    canvas: Canvas,
    axes: _Axes,
    times: Sequence[float],
    curve: Curve,
    interval: int,
    colour: Colour,
) -> None:
    import cv2

    low, high = curve.low[:, interval], curve.high[:, interval]
    for i, j in pairwise(range(len(times))):
        corners = [(times[i], low[i]), (times[j], low[j]), (times[j], high[j]), (times[i], high[i])]
        points = np.array([axes.pixel(*corner) for corner in corners])
        if np.isfinite(points).all():
            fine = np.round((points + 0.5) * FINE - 0.5).astype(np.int32)
            cv2.fillConvexPoly(canvas.fine, fine, colour)


def _line(
    canvas: Canvas, axes: _Axes, times: Sequence[float], values: Points, colour: Colour
) -> None:
    points = [axes.pixel(t, v) for t, v in zip(times, values, strict=True)]
    known = np.isfinite(values)
    for i, j in pairwise(range(len(points))):
        if known[i] and known[j]:
            canvas.line(points[i], points[j], colour, 1.8)
    for i, point in enumerate(points):
        alone = not known[max(i - 1, 0) : i].any() and not known[i + 1 : i + 2].any()
        if known[i] and alone:
            canvas.circle(point, 2.5, colour, filled=True)


def _head(title: str) -> Picture:
    canvas, y = Canvas(COLUMNS * WIDTH, HEAD), 22.0
    x = 44 + canvas.text((16, y), title, INK, 12, bold=True)
    for colour, words in ((LEFT, "left"), (RIGHT, "right"), (MIDDLE, "trunk")):
        canvas.line((x, y - 5), (x + 18, y - 5), colour, 2.5)
        x += 46 + canvas.text((x + 25, y), words, INK, 10)
    for (_, opacity), words in zip(BANDS[::-1], ("50 %", "90 % of hypotheses"), strict=True):
        with canvas.translucent(opacity + 0.18 * (words == "50 %")):
            canvas.box((x, y - 12), (x + 18, y + 2), MIDDLE, MIDDLE)
        x += 46 + canvas.text((x + 25, y), words, INK, 10)
    return canvas.finish()
