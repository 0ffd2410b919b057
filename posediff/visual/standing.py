"""Places of people on one floor. A pose is relative to its root joint, so people stand side by
side, from left to right as in the picture; a track keeps its place as long as it lasts."""

from collections.abc import Sequence
from typing import Any

import numpy as np

ROW = 8  # people side by side; more stand behind them
APART = 0.35  # metres between neighbours
BETWEEN = (0.9, 2.5)  # metres, least and most from one root to the next
MARGIN = 0.6  # metres of floor around all

Described = dict[str, Any]  # a frame or a person as the viewer writes it


def stand(frames: Sequence[Described]) -> None:
    """Add `place` (x, y, z) to every person with 3D, and `extent` (width, depth) of the floor to
    every frame, in millimetres. The lowest joint is on the floor; of a track its median is."""
    lives = _lives(frames)
    slots = _slots(lives)
    step = _step(frames)
    tracked = any(isinstance(key, int) for key in lives)
    floors = {key: float(np.median(life.floors)) for key, life in lives.items()}
    for number, frame in enumerate(frames):
        keys = [_key(person, number, p) for p, person in enumerate(frame["people"])]
        here = [slots[key] for key in (lives if tracked else keys) if key in slots]
        wide = min(max(here, default=0) + 1, ROW)
        deep = max(here, default=0) // ROW + 1
        for key, person in zip(keys, frame["people"], strict=True):
            if key in slots:
                column, row = slots[key] % ROW, slots[key] // ROW
                x, z = column - (wide - 1) / 2, row - (deep - 1) / 2
                person["place"] = [round(x * step), round(-floors[key]), round(z * step)]
        margin = 2000 * MARGIN
        frame["extent"] = [round((wide - 1) * step + margin), round((deep - 1) * step + margin)]


class Life:
    """The frames of one person, and where it is in the picture."""

    def __init__(self, start: int, left: float) -> None:
        self.start, self.end, self.left = start, start, left
        self.floors: list[float] = []  # millimetres, of the lowest joint


def _key(person: Described, frame: int, number: int) -> int | tuple[int, int]:
    track: int | None = person["track"]
    return (frame, number) if track is None else track


def _lives(frames: Sequence[Described]) -> dict[int | tuple[int, int], Life]:
    lives: dict[int | tuple[int, int], Life] = {}
    for number, frame in enumerate(frames):
        for p, person in enumerate(frame["people"]):
            if person["space"] is not None:
                left = float(person["box"][0] or 0) + float(person["box"][2] or 0)
                life = lives.setdefault(_key(person, number, p), Life(number, left))
                life.end = number
                heights = [y for y in person["space"]["pose"][1::3] if y is not None]
                life.floors.append(max(heights, default=0))
    return lives


def _slots(lives: dict[int | tuple[int, int], Life]) -> dict[int | tuple[int, int], int]:
    """The first place for each that nobody else has during its life."""
    ends: list[int] = []  # of the last life at every place
    slots = {}
    for key, life in sorted(lives.items(), key=lambda item: (item[1].start, item[1].left)):
        free = [slot for slot, end in enumerate(ends) if end < life.start]
        slots[key] = free[0] if free else len(ends)
        ends[slots[key] :] = [life.end, *ends[slots[key] + 1 :]]
    return slots


def _step(frames: Sequence[Described]) -> float:
    """Millimetres from a place to the next: the widest pose and a gap, within bounds."""
    widths = [0.0]
    for frame in frames:
        for person in frame["people"]:
            xs = [x for x in (person["space"] or {"pose": []})["pose"][::3] if x is not None]
            widths.append(max(xs, default=0) - min(xs, default=0))
    return float(np.clip(max(widths) + 1000 * APART, 1000 * BETWEEN[0], 1000 * BETWEEN[1]))
