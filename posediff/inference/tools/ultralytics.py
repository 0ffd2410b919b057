"""Ultralytics' poses: JSON of `results.to_json()`, or the text files of save_txt=True.

JSON   [{"name", "class", "confidence", "box": {x1, y1, x2, y2}, "track_id", "keypoints": {"x":
       [J], "y": [J], "visible": [J]}}, ...] of one picture, or a list of these; pixels, or
       fractions if they were normalised
text   a file per frame, a line per person: class, x, y, w, h, then x, y, score (or x, y) of every
       joint, perhaps the score of the box and the track; fractions of the picture
       (units=fraction with image_size=)
"""

from pathlib import Path
from typing import Any

import numpy as np

from posediff.doors.checks import of_words
from posediff.inference.tools.detections import Detections, Values, miscounted, numeric

BOX = 5  # class and box
PERSON = 0  # the class


def read_ultralytics(path: Path, data: Any, joints: int) -> Detections | None:
    """The people of one picture, or of a list of pictures; None if the file has another form.

    Raises ValueError if an entry cannot be used.
    """
    if _is_picture(data) and data:
        frames = [(path.stem, data)]
    elif isinstance(data, list) and any(data) and all(map(_is_picture, data)):
        frames = [(str(n), picture) for n, picture in enumerate(data)]
    else:
        return None
    found = Detections()
    for name, picture in frames:
        found.listed.append(name)
        for i, person in enumerate(picture):
            if person.get("class", PERSON) == PERSON and "keypoints" in person:
                where = f"{path}: entry {i} of frame {name}"
                found.add(name, _values(where, person["keypoints"], joints), person.get("track_id"))
    return found


def _is_picture(data: Any) -> bool:
    return isinstance(data, list) and all(
        isinstance(x, dict) and isinstance(x.get("box"), dict) and "class" in x for x in data
    )


def _values(where: str, keypoints: Any, joints: int) -> Values:
    if not isinstance(keypoints, dict) or not {"x", "y"} <= keypoints.keys():
        raise ValueError(f"{where}: keypoints must have `x` and `y`, lists over joints")
    columns = [numeric(where, keypoints[axis]) for axis in "xy"]
    scores = keypoints.get("visible")
    columns.append(np.ones_like(columns[0]) if scores is None else numeric(where, scores))
    if {column.shape for column in columns} != {(joints,)}:
        raise miscounted(where, joints, f"{columns[0].size}", columns[0].size)
    return np.stack(columns, 1)


def read_labels(path: Path, text: str, joints: int) -> Detections:
    """The people of the text file of one frame, which has the number at the end of its name.

    Raises ValueError if a line cannot be used.
    """
    found = Detections(listed=[path.stem])
    for i, line in enumerate(text.splitlines(), 1):
        if words := line.split():
            where = f"{path}: line {i}"
            row = label_numbers(where, words)
            per_joint, ids = _form(where, len(row) - BOX, joints)
            points = row[BOX : BOX + per_joint * joints].reshape(joints, per_joint)
            ones = np.ones((joints, 3 - per_joint))
            if row[0] == PERSON:
                track = float(row[-1]) if ids == 2 else None
                found.add(path.stem, np.concatenate([points, ones], 1), track)
    return found


def label_numbers(where: str, words: list[str]) -> Values:
    """The numbers of a line of a text file. Raises ValueError if it has no box."""
    row = of_words(where, words)
    if len(row) < BOX:
        raise ValueError(f"{where}: needs class, x, y, w, h and more, {len(row)} numbers found")
    return row


def _form(where: str, count: int, joints: int) -> tuple[int, int]:
    """Numbers of a joint, and how many follow those of the joints: the score, then the track."""
    for per_joint in (3, 2):
        if 0 <= count - per_joint * joints <= 2:
            return per_joint, count - per_joint * joints
    raise miscounted(where, joints, f"{count / 3:g} (x, y, score) after the box", count // 3)
