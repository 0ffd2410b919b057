"""MediaPipe's 33 landmarks as JSON: {"x", "y", "z", "visibility"} of every joint, as a list, a list
of such lists (a frame each), or {"pose_landmarks": ...} and lists of these.

x and y are fractions of the picture's width and height (units=fraction with image_size=), those of
`pose_world_landmarks` metres (units=metres); a file with both has the first read. z is not used.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from posediff.inference.tools.detections import Detections, Values, miscounted, numeric

KEYS = ("pose_landmarks", "poseLandmarks", "pose_world_landmarks", "poseWorldLandmarks")
SCORES = ("visibility", "presence")


def read_mediapipe(path: Path, data: Any, joints: int) -> Detections | None:
    """The people of all frames; None if the file has another form.

    Raises ValueError if an entry cannot be used.
    """
    if _is_person(data) or isinstance(data, dict):
        frames = [(path.stem, data)]
    elif isinstance(data, list):
        frames = [(str(_number(frame, n)), frame) for n, frame in enumerate(data)]
    if not isinstance(data, dict | list) or not any(map(_is_frame, (x for _, x in frames))):
        return None
    found = Detections()
    for name, frame in frames:
        found.listed.append(name)
        for i, person in enumerate(_people(frame)):
            found.add(name, _values(f"{path}: frame {name}, person {i}", person, joints))
    return found


def _number(frame: Any, place: int) -> Any:
    return frame.get("frame", frame.get("frame_id", place)) if isinstance(frame, dict) else place


def _is_joint(x: Any) -> bool:
    return isinstance(x, dict) and {"x", "y"} <= x.keys()


def _is_person(x: Any) -> bool:
    return isinstance(x, list) and bool(x) and all(map(_is_joint, x))


def _is_frame(x: Any) -> bool:
    return _is_person(x) or (isinstance(x, dict) and any(key in x for key in KEYS))


def _people(frame: Any) -> Iterator[list[Any]]:
    """The people of a frame: landmarks of one, or of several; null if there is none."""
    if isinstance(frame, dict):
        frame = next((frame[key] for key in KEYS if frame.get(key)), None)
    if isinstance(frame, dict):
        frame = frame.get("landmark", frame.get("landmarks"))
    if _is_person(frame):
        yield frame
    elif isinstance(frame, list):
        for person in frame:
            yield from _people(person)


def _values(where: str, person: list[Any], joints: int) -> Values:
    if len(person) != joints:
        raise miscounted(where, joints, str(len(person)), len(person))
    scores = [next((x[key] for key in SCORES if key in x), 1.0) for x in person]
    columns = [[x["x"] for x in person], [x["y"] for x in person], scores]
    return np.stack([numeric(where, column) for column in columns], 1)
