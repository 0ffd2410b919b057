"""A user's own 2D keypoints, from .npz, .npy, .json or .csv, checked at the door.

Pixels, the centre of the top-left pixel is (0, 0). A joint is x, y or x, y, score. A score of 0
says that the joint is missing, then its coordinates may be anything, NaN too; a score above 1
(COCO's visibility 2, some detectors) counts as 1; without scores every joint counts as 1.

    .npy   an array (J, 2), (J, 3), (F, J, 2) or (F, J, 3)
    .npz   such an array, alone or as `keypoints`, with an optional `scores` (J,) or (F, J)
    .json  such an array as nested lists, or {"keypoints": ..., "scores": ...} (null is NaN); or a
           list of people: results and annotations of COCO and PoseTrack, what image2d and video2d
           write, mmpose's and AlphaPose's (keypoint_json.py)
    .csv   a line per frame, split by commas: x1,y1,x2,y2,... or x1,y1,s1,x2,...; one more column
           in front names the frames; an empty cell is NaN. A header is optional and must show the
           order: its words for x begin or end with x, those for y with y (x1, nose_y)

An array is one person in successive frames. In a list of people every entry is a row, named after
its image and its track ("12.jpg#3"), or its number in the image where the file has no tracks and
the image has several ("12.jpg#1": the second). Rows of one track belong together, in order; without
tracks a person who is alone in every frame is one track, and all others are each on their own. A
row without any joint is no row: where its frame holds nobody else, the frame is told to be empty.
"""

import csv
import json
import zipfile
import zlib
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from posediff.inference.keypoint_json import (
    Detections,
    empty_frames,
    miscounted,
    names_of,
    numbers_of,
    numeric,
    read_people,
)

Values = NDArray[np.float64]  # (F, J, 2 or 3), as the file has them


class Keypoints2D(NamedTuple):
    """N rows: a person in a frame each, all frames of a track in a row."""

    points: NDArray[np.float32]  # (N, J, 2) pixels; (0, 0) where a joint is missing
    scores: NDArray[np.float32]  # (N, J) in 0..1; 0 = missing
    names: list[str]  # of the rows
    tracks: NDArray[np.int64]  # (N,) who it is
    frames: NDArray[np.int64]  # (N,) when: successive numbers are successive frames
    empty: list[str]  # frames without anybody


def read_keypoints(path: str | Path, joints: int) -> Keypoints2D:
    """The 2D keypoints of a file whose layout has that many joints; at least one row.

    FileNotFoundError, or ValueError with one line that says which entry is wrong and what to do.
    """
    path = Path(path)
    readers = {".npz": _numpy, ".npy": _numpy, ".json": _json, ".csv": _csv}
    kind = path.suffix.lower()
    if kind not in readers:
        known = ", ".join(readers)
        raise ValueError(f"{path}: unknown kind of file {kind!r}; 2D keypoints come as {known}")
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file; name the file of 2D keypoints")
    if path.stat().st_size == 0:
        raise ValueError(f"{path}: the file is empty; write the keypoints again")
    found = readers[kind](path, joints)
    if isinstance(found, Detections):
        return _sorted(path, found, joints)
    values, names = found
    values = _frames(path, values, joints)
    names = names or [f"{i:06d}" for i in range(len(values))]
    points, scores = _checked(path, values, names)
    track, frame = np.zeros(len(values), dtype=np.int64), np.arange(len(values))
    return _without_empty(path, Keypoints2D(points, scores, names, track, frame, []))


def _sorted(path: Path, people: Detections, joints: int) -> Keypoints2D:
    """The rows track by track, each in the order of time."""
    if not people.values:
        raise ValueError(f"{path}: holds no keypoints; write at least one frame")
    names, numbers = names_of(people), numbers_of(people)
    values = np.array(people.values).reshape(-1, joints, 3)
    points, scores = _checked(path, values, names)
    alone = len(set(people.frames)) == len(people.frames)
    labels = [
        "" if track is None and alone else name if track is None else f"#{track}"
        for name, track in zip(names, people.tracks, strict=True)
    ]
    order_of = {label: n for n, label in enumerate(dict.fromkeys(labels))}
    track = np.array([order_of[label] for label in labels], dtype=np.int64)
    frame = np.array([numbers[name] for name in people.frames], dtype=np.int64)
    twice = Counter(zip(track.tolist(), frame.tolist(), strict=True)).most_common(1)
    if twice and twice[0][1] > 1:
        row = int(np.flatnonzero((track == twice[0][0][0]) & (frame == twice[0][0][1]))[0])
        raise ValueError(f"{path}: {names[row]} is in its frame twice; give every track one person")
    order = np.lexsort((frame, track))
    rows = Keypoints2D(
        points[order],
        scores[order],
        [names[i] for i in order],
        track[order],
        frame[order],
        empty_frames(people),
    )
    return _without_empty(path, rows)


def _without_empty(path: Path, rows: Keypoints2D) -> Keypoints2D:
    """Rows without any joint become empty frames, if nobody else is in them."""
    there = (rows.scores > 0).any(1)
    if not there.any():
        raise ValueError(f"{path}: nobody in any frame; give at least one joint a score above 0")
    others = set(rows.frames[there].tolist())
    gone = [i for i in np.flatnonzero(~there) if rows.frames[i] not in others]
    empty = dict.fromkeys(
        [*rows.empty, *(rows.names[i].rpartition("#")[0] or rows.names[i] for i in gone)]
    )
    return Keypoints2D(
        rows.points[there],
        rows.scores[there],
        [rows.names[i] for i in np.flatnonzero(there)],
        rows.tracks[there],
        rows.frames[there],
        list(empty),
    )


def _numpy(path: Path, joints: int) -> tuple[Values, list[str]]:
    broken = (ValueError, OSError, EOFError, zipfile.BadZipFile, zlib.error)
    try:
        with path.open("rb") as file:
            loaded = np.load(file, allow_pickle=False)
            arrays = {"": loaded} if isinstance(loaded, np.ndarray) else _needed(loaded)
    except broken as error:
        if "pickle" in str(error):
            raise ValueError(
                f"{path}: no plain array (pickled Python objects are not read); save numbers: "
                "np.save(path, np.asarray(keypoints, dtype=np.float32))"
            ) from error
        reason = " ".join(str(error).split())
        raise ValueError(f"{path}: cut short or no NumPy file ({reason}); save it again") from error
    key = next(iter(arrays)) if len(arrays) == 1 else "keypoints"
    if key not in arrays:
        found = ", ".join(arrays) or "no array"
        raise ValueError(f"{path}: holds {found}; call the array of 2D keypoints `keypoints`")
    return _with_scores(path, numeric(f"{path}: {key}", arrays[key]), arrays.get("scores")), []


def _needed(archive: Any) -> dict[str, Any]:
    """The arrays of an .npz; of those beside `keypoints` only `scores` is read."""
    with archive:
        unread = set(archive.files) - {"scores"} if "keypoints" in archive.files else set()
        return {k: archive[k] for k in archive.files if k not in unread or k == "keypoints"}


def _json(path: Path, joints: int) -> Detections | tuple[Values, list[str]]:
    try:
        data = json.loads(path.read_text(encoding="utf-8-sig"))
    except ValueError as error:
        raise ValueError(f"{path}: cut short or no JSON ({error}); write it again") from error
    people = read_people(path, data, joints)
    if people is not None:
        return people
    if isinstance(data, list):
        return _stack(path, data), []
    if isinstance(data, dict) and "keypoints" in data:
        return _with_scores(path, _stack(path, data["keypoints"]), data.get("scores")), []
    raise ValueError(
        f"{path}: neither a list nor an object with `keypoints` or `annotations`; "
        'write {"keypoints": [frame][joint][x, y, score]}'
    )


def _csv(path: Path, joints: int) -> tuple[Values, list[str]]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.reader(file)
            lines = [(reader.line_num, row) for row in reader if any(map(str.strip, row))]
    except (UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"{path}: no CSV text ({error}); write it again as UTF-8") from error
    if not lines:
        return np.empty((0, joints, 2)), []
    width = len(lines[0][1])
    per_joint = next((n for n in (3, 2) if width - n * joints in (0, 1)), None)
    if per_joint is None:
        raise miscounted(
            f"{path}: line {lines[0][0]}",
            joints,
            f"{width / 3:g} (x, y, score) or {width / 2:g} (x, y) in its {width} columns, of which "
            "one more in front may name the frames",
        )
    first = width - per_joint * joints  # 1 where a column of names stands in front
    if not all(_is_number(cell) for cell in lines[0][1][first:]):
        _check_header(path, lines.pop(0)[1], first, per_joint)
    rows = [_csv_row(f"{path}: line {number}", row, first, width) for number, row in lines]
    names = [row[0].strip() for _, row in lines] if first else []
    return np.reshape(rows, (len(rows), joints, per_joint)), _distinct(names)


def _csv_row(where: str, row: list[str], first: int, width: int) -> list[float]:
    if len(row) != width:
        raise ValueError(f"{where}: {len(row)} columns, the first line has {width}; mend the line")
    for column, cell in enumerate(row[first:], start=first + 1):
        if not _is_number(cell):
            raise ValueError(f"{where}, column {column}: {cell!r} is no number; mend the cell")
    return [_number(cell) for cell in row[first:]]


def _check_header(path: Path, row: list[str], first: int, per_joint: int) -> None:
    """Columns in another order (x1, x2, ..., y1, y2, ...) would be read as nonsense."""
    for column, cell in enumerate(row[first:]):
        axis, word = "xys"[column % per_joint], cell.strip().lower()
        if axis != "s" and axis not in (word[:1], word[-1:]):
            raise ValueError(
                f"{path}: header, column {first + column + 1} is {word!r} where an {axis} is "
                "needed; order and name the columns x1,y1,x2,y2,... or x1,y1,s1,x2,y2,s2,..."
            )


def _number(cell: str) -> float:
    return float(cell.strip() or "nan")


def _is_number(cell: str) -> bool:
    try:
        _number(cell)
    except ValueError:
        return False
    return True


def _stack(path: Path, entries: object) -> Values:
    """Nested lists as an array; the first entry that differs in shape is named."""
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


def _with_scores(path: Path, points: Values, scores: object) -> Values:
    """Scores that stand in an array of their own become the third column."""
    if scores is None:
        return points
    column = numeric(f"{path}: scores", scores)
    if points.shape[-1:] != (2,) or column.shape != points.shape[:-1]:
        raise ValueError(
            f"{path}: keypoints {points.shape} and scores {column.shape} do not belong together; "
            "2D keypoints (F, J, 2) have scores (F, J), and 3D poses are no input"
        )
    return np.concatenate([points, column[..., None]], axis=-1)


def _frames(path: Path, values: Values, joints: int) -> Values:
    if values.size == 0:
        raise ValueError(f"{path}: holds no keypoints; write at least one frame")
    if values.ndim not in (2, 3) or values.shape[-1] not in (2, 3):
        raise ValueError(
            f"{path}: the array has shape {values.shape}; "
            "keypoints of one person are (J, 2), (J, 3), (F, J, 2) or (F, J, 3)"
        )
    if values.shape[-2] != joints:
        raise miscounted(str(path), joints, str(values.shape[-2]))
    return values.reshape(-1, joints, values.shape[-1])


def _checked(
    path: Path, values: Values, names: list[str]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Points (F, J, 2) and scores (F, J)."""
    points, scores = values[..., :2], np.ones(values.shape[:2])
    if values.shape[-1] == 3:
        scores = values[..., 2]
    for f, j in np.argwhere(~(scores >= 0))[:1]:
        raise ValueError(
            f"{path}: frame {f} ({names[f]}), joint {j}: the third number is a score, 0 (missing) "
            f"to 1, not {scores[f, j]:g}; 3D poses are no input"
        )
    missing = scores == 0
    for f, j in np.argwhere(~np.isfinite(points).all(-1) & ~missing)[:1]:
        raise ValueError(
            f"{path}: frame {f} ({names[f]}), joint {j}: the point is {points[f, j].tolist()}; "
            "give a missing joint the score 0 in a third column"
        )
    points = np.where(missing[..., None], 0, points)
    return points.astype(np.float32), scores.clip(max=1).astype(np.float32)


def _distinct(names: list[str]) -> list[str]:
    """Names that occur once as they are, the others numbered: a.jpg#0, a.jpg#1."""
    total, seen = Counter(names), Counter[str]()
    distinct = []
    for name in names:
        distinct.append(f"{name}#{seen[name]}" if total[name] > 1 else name)
        seen[name] += 1
    return distinct
