"""Tidy tables of joints and of angles as CSV, a row per frame, person and joint or angle.

    joints   frame, index, time_s, person, track, joint, x_px, y_px, score, spread_px,
             x_m, y_m, z_m, spread_m, score_3d
    angles   frame, index, time_s, person, track, angle, mean_deg, low50_deg, high50_deg,
             low90_deg, high90_deg

person counts the people of a frame from 0, track is the same number in all frames of a video.
Joints of the 2D and of the 3D skeleton are in one row if they have one name. Metres are relative to
the root joint, x right, y down, z forward. A number that is not known is an empty cell.
"""

import csv
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch

from posediff.outputs.frame_json import Add
from posediff.people.angles import ANGLES, Angles, angle_intervals, joint_angles
from posediff.people.frame import Frame, Person
from posediff.pose.skeleton import skeleton

KEYS = ("frame", "index", "time_s", "person", "track")
JOINT_COLUMNS = (
    *("joint", "x_px", "y_px", "score", "spread_px"),
    *("x_m", "y_m", "z_m", "spread_m", "score_3d"),
)
ANGLE_COLUMNS = ("angle", "mean_deg", "low50_deg", "high50_deg", "low90_deg", "high90_deg")
PIXELS, SCORE, METRES, DEGREES, SECONDS = 3, 4, 5, 2, 6  # digits

Row = Sequence[object]


@contextmanager
def writing_joints(path: Path) -> Iterator[Add]:
    """A function that writes the joints of one frame after the other."""
    with path.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow((*KEYS, *JOINT_COLUMNS))

        def add(frame: Frame) -> None:
            for key, person in _keyed(frame):
                table.writerows((*key, *row) for row in _joint_rows(person))

        yield add


@contextmanager
def writing_angles(path: Path) -> Iterator[Add]:
    """A function that writes the angles of one frame after the other, of people with 3D."""
    with path.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow((*KEYS, *ANGLE_COLUMNS))

        def add(frame: Frame) -> None:
            for key, person in _keyed(frame):
                if (found := person_angles(person)) is not None:
                    table.writerows((*key, *row) for row in _angle_rows(found))

        yield add


def person_angles(person: Person) -> Angles | None:
    """The distribution of a person's angles (9,) from the hypotheses in 3D; without hypotheses the
    angles of the keypoints, and intervals that are NaN. None if there is no 3D.

    Raises ValueError if the skeleton lacks a joint of the angles.
    """
    if person.keypoints_3d is None or person.skeleton_3d is None:
        return None
    layout, drawn = skeleton(person.skeleton_3d), person.hypotheses_3d
    if drawn is not None and len(drawn) > 1:
        return angle_intervals(joint_angles(torch.from_numpy(drawn).double(), layout))
    alone = joint_angles(torch.from_numpy(person.keypoints_3d).double(), layout)
    unknown = alone.new_full((len(alone), 2), math.nan)
    return Angles(alone, unknown, unknown)


def _keyed(frame: Frame) -> Iterator[tuple[Row, Person]]:
    for n, person in enumerate(frame.people):
        yield (frame.name, frame.index, _cell(frame.time, SECONDS), n, person.track), person


def _joint_rows(person: Person) -> Iterator[Row]:
    flat = skeleton(person.skeleton_2d).joints
    solid = skeleton(person.skeleton_3d).joints if person.skeleton_3d else ()
    for joint in dict.fromkeys((*flat, *solid)):
        cells = [""] * (len(JOINT_COLUMNS) - 1)
        if joint in flat:
            j = flat.index(joint)
            cells[:2] = (_cell(v, PIXELS) for v in person.keypoints_2d[j])
            cells[2:4] = _cell(person.scores[j], SCORE), _cell(person.spread_2d[j], PIXELS)
        if joint in solid and person.keypoints_3d is not None:
            j = solid.index(joint)
            cells[4:7] = (_cell(v, METRES) for v in person.keypoints_3d[j])
            for n, column, digits in (
                (7, person.spread_3d, METRES),
                (8, person.scores_3d, SCORE),
            ):
                cells[n] = "" if column is None else _cell(column[j], digits)
        yield joint, *cells


def _angle_rows(found: Angles) -> Iterator[Row]:
    for name, mean, low, high in zip(ANGLES, *(x.tolist() for x in found), strict=True):
        numbers = (mean, *(v for pair in zip(low, high, strict=True) for v in pair))
        yield name, *(_cell(v, DEGREES) for v in numbers)


def _cell(value: float | np.floating | None, digits: int) -> str:
    """A number with so many digits, and nothing if it is not finite or None."""
    return "" if value is None or not math.isfinite(value) else f"{value:.{digits}f}"
