"""OpenPose's JSON, a file per frame, with joints of BODY_25 or COCO-18.

    {"people": [{"person_id": [-1], "pose_keypoints_2d": [x, y, score] * J}, ...]}

AlphaPose writes it with --format open, and with --format cmu as {"bodies": [{"joints": ...}]}.
"""

from pathlib import Path
from typing import Any

from posediff.inference.tools.detections import Detections, triples

PEOPLE = (("people", "pose_keypoints_2d"), ("people", "pose_keypoints"), ("bodies", "joints"))


def read_openpose(path: Path, data: Any, joints: int) -> Detections | None:
    """The people of a frame, named by its file; None if the file has another form.

    Raises ValueError if an entry cannot be used.
    """
    for key, points in PEOPLE:
        people = data.get(key) if isinstance(data, dict) else None
        if isinstance(people, list) and all(isinstance(x, dict) and points in x for x in people):
            found = Detections(listed=[path.stem])
            for i, person in enumerate(people):
                values = triples(f"{path}: {key}[{i}]", person[points], joints)
                found.add(path.stem, values, person.get("person_id"))
            return found
    return None
