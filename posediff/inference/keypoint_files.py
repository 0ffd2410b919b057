"""A user's own 2D keypoints, from .npz, .npy, .json or .csv files, checked when they are read.

Coordinates are pixels; (0, 0) is the centre of the top-left pixel. A joint is x, y or x, y, score.
A score of 0 marks a missing joint, whose coordinates may have any value, also NaN; a score above 1
(COCO's visibility 2, some detectors) counts as 1; without scores every joint counts as 1.

    .npy   an array (J, 2), (J, 3), (F, J, 2) or (F, J, 3)
    .npz   such an array, alone or as `keypoints`, with an optional `scores` (J,) or (F, J)
    .json  such an array as nested lists, or {"keypoints": ..., "scores": ...} (null is NaN); or a
           list of people: results and annotations of COCO and PoseTrack, the results of image2d
           and video2d, of mmpose and of AlphaPose (keypoint_json.py)
    .csv   a line per frame, separated by commas: x1,y1,x2,y2,... or x1,y1,s1,x2,...; an optional
           first column names the frames; an empty cell is NaN. An optional header must show the
           order: its words for x begin or end with x, those for y with y (x1, nose_y)

An array is one person in successive frames. In a list of people every entry is a row. Its name is
that of its image, followed by the track ("12.jpg#3") or, if the file has no tracks and the image
several people, by the index of the person ("12.jpg#1" is the second). The rows of a track are in
the order of time. Without tracks all rows are one track if no frame has two people; otherwise every
row is a track of its own. Rows without any joint are dropped; a frame that has only such rows is
listed as empty.
"""

import csv
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from posediff.doors import numpy_door
from posediff.doors.checks import reading, representable
from posediff.doors.json_door import read_json
from posediff.inference.keypoint_json import (
    Detections,
    Values,
    empty_frames,
    miscounted,
    names_of,
    numbers_of,
    numeric,
    read_people,
)
from posediff.inference.lifting_input import Tracks

KINDS = (".npz", ".npy", ".json", ".csv")  # of files


def read_keypoints(path: str | Path, joints: int) -> Tracks:
    """The 2D keypoints of a file in a layout of that many joints, at least one row.

    Raises FileNotFoundError if the file does not exist, ValueError if it cannot be used; the
    message names the entry.
    """
    path = Path(path)
    readers = dict(zip(KINDS, (_numpy, _numpy, _json, _csv), strict=True))
    kind = path.suffix.lower()
    if kind not in readers:
        allowed = ", ".join(KINDS)
        raise ValueError(f"{path}: unknown kind of file {kind!r}; write 2D keypoints as {allowed}")
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file; name the file of 2D keypoints")
    if path.stat().st_size == 0:
        raise ValueError(f"{path}: the file is empty; write the keypoints again")
    people = readers[kind](path, joints)
    if not people.values:
        raise ValueError(f"{path}: has no keypoints; write at least one frame")
    with reading(path, "a frame or track is of another form"):
        return _rows(path, people)


def _rows(path: Path, people: Detections) -> Tracks:
    """Detections as rows, sorted by track and time, without those that have no joint."""
    names, numbers = names_of(people.frames, people.tracks), numbers_of(people)
    points, scores = _checked(path, representable(path, np.array(people.values)), names)
    single = len(set(people.frames)) == len(people.frames)
    labels = [
        "" if track is None and single else name if track is None else f"#{track}"
        for name, track in zip(names, people.tracks, strict=True)
    ]
    places = list(zip(labels, people.frames, strict=True))
    count = Counter(places)
    for name, place in zip(names, places, strict=True):
        if count[place] > 1:
            raise ValueError(f"{path}: {name} is in its frame twice; give every track one person")
    track_of = {label: n for n, label in enumerate(dict.fromkeys(labels))}
    tracks = torch.tensor([track_of[label] for label in labels])
    frames = torch.tensor([numbers[name] for name in people.frames])

    present = (scores > 0).any(1)
    if not present.any():
        raise ValueError(f"{path}: no person in any frame; give at least one joint a score above 0")
    order = np.lexsort((frames, tracks)).tolist()
    kept = [i for i in order if present[i]]
    occupied = {people.frames[i] for i in kept}
    emptied = (people.frames[i] for i in order if people.frames[i] not in occupied)
    empty = list(dict.fromkeys([*empty_frames(people), *emptied]))
    kept_names = [names[i] for i in kept]
    return Tracks(points[kept], scores[kept], kept_names, tracks[kept], frames[kept], empty)


def _checked(path: Path, values: Values, names: Sequence[str]) -> tuple[Tensor, Tensor]:
    """Values (N, J, 3) -> points (N, J, 2), 0 for missing joints, and scores (N, J), at most 1."""
    points, scores = values[..., :2], values[..., 2]
    for n, j in np.argwhere(~(scores >= 0))[:1]:
        raise ValueError(
            f"{path}: frame {n} ({names[n]}), joint {j}: the third number is a score, 0 (missing) "
            f"to 1, not {scores[n, j]:g}; 3D poses are no input"
        )
    missing = scores == 0
    for n, j in np.argwhere(~np.isfinite(points).all(-1) & ~missing)[:1]:
        raise ValueError(
            f"{path}: frame {n} ({names[n]}), joint {j}: the point is {points[n, j].tolist()}; "
            "give a missing joint the score 0 in a third column"
        )
    points = np.where(missing[..., None], 0, points)
    return torch.from_numpy(points).float(), torch.from_numpy(scores.clip(max=1)).float()


def _one_person(
    path: Path, values: Values, joints: int, scores: object = None, names: Sequence[str] = ()
) -> Detections:
    """Successive frames, (F, J, 2 or 3) or (J, 2 or 3); scores from an array of their own become
    the third column."""
    if scores is not None:
        column = numeric(f"{path}: scores", scores)
        if values.shape[-1:] != (2,) or column.shape != values.shape[:-1]:
            raise ValueError(
                f"{path}: keypoints {values.shape} and scores {column.shape} do not belong "
                "together; 2D keypoints (F, J, 2) have scores (F, J), and 3D poses are no input"
            )
        values = np.concatenate([values, column[..., None]], axis=-1)
    if values.size == 0:
        return Detections()
    if values.ndim not in (2, 3) or values.shape[-1] not in (2, 3):
        raise ValueError(
            f"{path}: the array has shape {values.shape}; "
            "keypoints of one person are (J, 2), (J, 3), (F, J, 2) or (F, J, 3)"
        )
    if values.shape[-2] != joints:
        raise miscounted(str(path), joints, str(values.shape[-2]))
    values = values.reshape(-1, joints, values.shape[-1])
    if values.shape[-1] == 2:
        values = np.concatenate([values, np.ones_like(values[..., :1])], axis=-1)
    names = names or [f"{i:06d}" for i in range(len(values))]
    return Detections(list(values), list(names), [None] * len(values))


def _numpy(path: Path, joints: int) -> Detections:
    arrays = _arrays(path)
    key = next(iter(arrays)) if len(arrays) == 1 else "keypoints"
    if key not in arrays:
        found = ", ".join(arrays) or "no array"
        raise ValueError(f"{path}: contains {found}; name the array of 2D keypoints `keypoints`")
    values = numeric(f"{path}: {key}", arrays[key])
    return _one_person(path, values, joints, arrays.get("scores"))


def _arrays(path: Path) -> dict[str, Any]:
    """The arrays of a file; beside `keypoints` only `scores` is read."""
    with path.open("rb") as file:
        zipped = file.read(2) == b"PK"
    if not zipped:
        return {"keypoints": numpy_door.read_npy(path)}
    return numpy_door.read_npz(path, only=("keypoints", "scores"))


def _json(path: Path, joints: int) -> Detections:
    data = read_json(path)
    with reading(path, "an entry is of another form than its tool writes"):
        people = read_people(path, data, joints)
    if people is not None:
        return people
    content = {"keypoints": data} if isinstance(data, list) else data
    if isinstance(content, dict) and "keypoints" in content:
        values = _stack(path, content["keypoints"])
        return _one_person(path, values, joints, content.get("scores"))
    raise ValueError(
        f"{path}: neither a list nor an object with `keypoints` or `annotations`; "
        'write {"keypoints": [frame][joint][x, y, score]}'
    )


def _stack(path: Path, entries: object) -> Values:
    """Nested lists as an array; an error names the first entry that differs in shape."""
    if not isinstance(entries, list):
        raise ValueError(f"{path}: keypoints must be a list; write [frame][joint][x, y, score]")
    arrays = [numeric(f"{path}: entry {i}", entry) for i, entry in enumerate(entries)]
    for i, array in enumerate(arrays):
        if array.shape != arrays[0].shape:
            raise ValueError(
                f"{path}: entry {i} has shape {array.shape}, entry 0 {arrays[0].shape}; "
                "give every frame all joints, a missing one with score 0"
            )
    return np.array(arrays)


def _csv(path: Path, joints: int) -> Detections:
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.reader(file)
            lines = [(reader.line_num, row) for row in reader if any(map(str.strip, row))]
    except (UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"{path}: no CSV text ({error}); write it again as UTF-8") from error
    if not lines:
        return Detections()
    width = len(lines[0][1])
    per_joint = next((n for n in (3, 2) if width - n * joints in (0, 1)), None)
    if per_joint is None:
        raise miscounted(
            f"{path}: line {lines[0][0]}",
            joints,
            f"{width / 3:g} (x, y, score) or {width / 2:g} (x, y) in its {width} columns (one more "
            "in front may name the frames)",
        )
    first = width - per_joint * joints  # 1 if there is a column of names
    if any(_number(cell) is None for cell in lines[0][1][first:]):
        _check_header(path, lines.pop(0)[1], first, per_joint)
    rows = [_csv_row(f"{path}: line {number}", row, first, width) for number, row in lines]
    names = [row[0].strip() for _, row in lines] if first else []
    values = np.reshape(rows, (len(rows), joints, per_joint))
    return _one_person(path, values, joints, names=names_of(names, [None] * len(names)))


def _csv_row(where: str, row: list[str], first: int, width: int) -> list[float]:
    if len(row) != width:
        raise ValueError(
            f"{where}: {len(row)} columns, but the first line has {width}; correct the line"
        )
    numbers = []
    for column, cell in enumerate(row[first:], start=first + 1):
        number = _number(cell)
        if number is None:
            raise ValueError(f"{where}, column {column}: {cell!r} is no number; correct the cell")
        numbers.append(number)
    return numbers


def _check_header(path: Path, row: list[str], first: int, per_joint: int) -> None:
    """Refuse columns in another order (x1, x2, ..., y1, y2, ...), which would be misread."""
    for column, cell in enumerate(row[first:]):
        axis, word = "xys"[column % per_joint], cell.strip().lower()
        if axis != "s" and axis not in (word[:1], word[-1:]):
            raise ValueError(
                f"{path}: header, column {first + column + 1} is {word!r} where an {axis} is "
                "needed; order and name the columns x1,y1,x2,y2,... or x1,y1,s1,x2,y2,s2,..."
            )


def _number(cell: str) -> float | None:
    """NaN for an empty cell, None for text."""
    try:
        return float(cell.strip() or "nan")
    except ValueError:
        return None
