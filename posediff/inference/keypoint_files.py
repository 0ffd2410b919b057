"""A user's own 2D keypoints, from .npz, .npy, .json, .csv, .txt or .h5 files, checked when read.

Coordinates are pixels; (0, 0) is the centre of the top-left pixel. A joint is x, y or x, y, score.
A score of 0 or below (SimCC, COCO's -1) marks a missing joint, whose coordinates may have any
value, and so does NaN for both of them; a score above 1 (COCO's visibility 2, some detectors)
counts as 1; without scores every joint counts as 1.

    .npy   an array (J, 2), (J, 3), (F, J, 2) or (F, J, 3)
    .npz   such an array, alone or as `keypoints`, with an optional `scores` (J,) or (F, J)
    .json  such an array as nested lists, or {"keypoints": ..., "scores": ...} (null is NaN); or a
           list of people: results and annotations of COCO and PoseTrack, the results of image2d
           and video2d, of mmpose, AlphaPose, Detectron2, OpenPose, MediaPipe and Ultralytics
           (keypoint_json.py)
    .csv   a line per frame, or per person, separated by commas, semicolons or tabs:
           x1,y1,x2,y2,... or x1,y1,s1,x2,...; an optional first column names the frames; a joint of
           empty cells is missing. An optional header must show the order: its words for x begin or
           end with x, those for y with y (x1, nose_y). Or a table of DeepLabCut
    .txt   a frame of Ultralytics
    .h5    a table of DeepLabCut

A folder of such files is read as one, in the order of their names (OpenPose, mmpose, Ultralytics
write a file per frame).

An array is one person in successive frames. In a list of people every entry is a row. Its name is
that of its image, followed by the track ("12.jpg#3") or, if the file has no tracks and the image
several people, by the index of the person ("12.jpg#1" is the second). The rows of a track are in
the order of time (posediff/inference/tools/detections.py: the numbers of frames, and what is a
track). Without tracks all rows of a folder are one track if no frame has two people; otherwise
every row is a track of its own. Rows without any joint are dropped; a frame that has only such rows
is listed as empty.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from posediff.doors import numpy_door
from posediff.doors.checks import reading, representable
from posediff.doors.json_door import read_json
from posediff.files import read_text, visible
from posediff.inference.keypoint_json import read_people
from posediff.inference.keypoint_units import Units, in_pixels
from posediff.inference.lifting_input import Tracks
from posediff.inference.tools import csv_table, deeplabcut
from posediff.inference.tools.detections import (
    Detections,
    Values,
    empty_frames,
    labels_of,
    miscounted,
    names_of,
    numbers_of,
    numeric,
    step_of,
    without_repeats,
)
from posediff.inference.tools.ultralytics import read_labels
from posediff.pose.skeleton import Skeleton

KINDS = (".npz", ".npy", ".json", ".csv", ".txt", ".h5")  # of files
NEGATIVE = 0.25  # part of the positive third numbers above which negative ones are no scores


def read_keypoints(
    path: str | Path,
    joints: int,
    layout: Skeleton | None = None,
    units: Units | None = None,
    size: Sequence[float] | None = None,
) -> Tracks:
    """The 2D keypoints of a file or folder in a layout of that many joints, at least one row.

    layout: for files that name their joints (DeepLabCut). units, size: of points that are no pixels
    (keypoint_units.py).
    Raises FileNotFoundError if the file does not exist, ValueError if it cannot be used; the
    message names the entry.
    """
    path = Path(path)
    people = _folder(path, joints, layout) if path.is_dir() else _file(path, joints, layout)
    if not people.values:
        raise ValueError(f"{path}: has no keypoints; write at least one frame")
    with reading(path, "a frame or track is of another form"):
        rows = _rows(path, without_repeats(people))
    return rows._replace(points=in_pixels(rows.points, rows.scores, units, size, str(path)))


def keypoint_files(folder: Path) -> list[Path]:
    """The files of keypoints in a folder, in the order of their names."""
    return visible(folder, (".json", ".txt"))


def _folder(folder: Path, joints: int, layout: Skeleton | None) -> Detections:
    """The people of all files. A file that cannot be used is left out and noted; an error is raised
    if none can."""
    paths, people, bad = keypoint_files(folder), Detections(), list[str]()
    if not paths:
        raise FileNotFoundError(f"{folder}: no .json or .txt file of keypoints in this folder")
    for path in paths:
        try:
            people.extend(_file(path, joints, layout))
        except (OSError, ValueError) as error:
            bad.append(str(error))
    if bad and not people.values:
        raise ValueError(bad[0] + (f" (and {len(bad) - 1} more files)" if bad[1:] else ""))
    people.left_out += bad
    return people


def _file(path: Path, joints: int, layout: Skeleton | None) -> Detections:
    kind = path.suffix.lower()
    if kind not in KINDS:
        allowed = ", ".join(KINDS)
        raise ValueError(f"{path}: unknown kind of file {kind!r}; write 2D keypoints as {allowed}")
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file; name the file of 2D keypoints")
    if path.stat().st_size == 0:
        if kind == ".txt":  # Ultralytics: a frame without people
            return Detections(listed=[path.stem])
        raise ValueError(f"{path}: the file is empty; write the keypoints again")
    with reading(path, "its content has another form than its tool writes"):
        if kind == ".csv":
            return _csv(path, joints, layout)
        if kind == ".txt":
            return read_labels(path, read_text(path), joints)
        if kind == ".h5":
            return deeplabcut.read_hdf(path, _named(path, layout))
        return _json(path, joints) if kind == ".json" else _numpy(path, joints)


def _named(path: Path, layout: Skeleton | None) -> Skeleton:
    if layout is None:
        raise ValueError(f"{path}: the file names its joints; name the layout of the keypoints")
    return layout


def _rows(path: Path, people: Detections) -> Tracks:
    """Detections as rows, sorted by track and time, without those that have no joint."""
    names, numbers = names_of(people.frames, people.tracks), numbers_of(people)
    points, scores = _checked(path, representable(path, np.array(people.values)), names)
    labels = labels_of(people)
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
    return Tracks(
        points[kept],
        scores[kept],
        kept_names,
        tracks[kept],
        frames[kept],
        empty,
        people.notes,
        people.left_out,
        step_of(numbers.values()),
    )


def _checked(path: Path, values: Values, names: Sequence[str]) -> tuple[Tensor, Tensor]:
    """Values (N, J, 3) -> points (N, J, 2), 0 for missing joints, and scores (N, J), 0 .. 1."""
    points, scores = values[..., :2], values[..., 2]
    for n, j in np.argwhere(np.isnan(scores))[:1]:
        raise ValueError(
            f"{path}: frame {n} ({names[n]}), joint {j}: the third number is a score, 0 (missing) "
            f"to 1, not {scores[n, j]:g}; 3D poses are no input"
        )
    below = np.where((scores < 0) & (scores != -1), -scores, 0).sum()
    if below > NEGATIVE * scores.clip(min=0).sum():
        raise ValueError(
            f"{path}: the third numbers, {scores.min():g} to {scores.max():g}, are no scores, 0 "
            "(missing) to 1; 3D poses are no input"
        )
    missing = (scores <= 0) | np.isnan(points).all(-1)
    for n, j in np.argwhere(~np.isfinite(points).all(-1) & ~missing)[:1]:
        raise ValueError(
            f"{path}: frame {n} ({names[n]}), joint {j}: the point is {points[n, j].tolist()}; "
            "give a missing joint the score 0 in a third column"
        )
    points, scores = np.where(missing[..., None], 0, points), np.where(missing, 0, scores)
    return torch.from_numpy(points).float(), torch.from_numpy(scores.clip(0, 1)).float()


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
        raise miscounted(str(path), joints, str(values.shape[-2]), values.shape[-2])
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


def _csv(path: Path, joints: int, layout: Skeleton | None) -> Detections:
    lines = csv_table.lines_of(path)
    if not lines:
        return Detections()
    if deeplabcut.is_deeplabcut(lines[0][1]):
        return deeplabcut.read_lines(path, [row for _, row in lines], _named(path, layout))
    values, names = csv_table.points_of(path, lines, joints)
    return _one_person(path, values, joints, names=names)
