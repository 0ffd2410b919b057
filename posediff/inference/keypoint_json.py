"""Lists of people in frames, as detectors and trackers write them in JSON.

    COCO results     [{"image_id", "keypoints": [x, y, score] * J}, ...]; AlphaPose adds `idx`, the
                     track
    COCO, PoseTrack  {"images": [...], "annotations": [{"image_id", "keypoints", "track_id"}, ...]};
                     a list `scores` beside the keypoints has the score of every joint (video2d)
    mmpose           [{"frame_id", "instances": [{"keypoints": [[x, y], ...], "keypoint_scores":
                     [...]}, ...]}, ...], alone or as `instance_info`, also of one image

A frame that the file lists without people is empty. A file of results lists no frames; if it has
tracks, the numbers in the names of its frames show which frames are missing.
"""

import re
from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from posediff.doors.checks import flag, integer

Values = NDArray[np.float64]


@dataclass
class Detections:
    """`values`, `frames` and `tracks` have one entry per person and frame."""

    values: list[Values] = field(default_factory=list)  # (J, 3) x, y, score
    frames: list[str] = field(default_factory=list)  # names
    tracks: list[str | None] = field(default_factory=list)  # None if the file has no tracks
    listed: list[str] = field(default_factory=list)  # all frames, in order, if the file lists them
    unlabelled: set[str] = field(default_factory=set)  # listed frames that were not annotated

    def add(self, frame: str, values: Values, track: object) -> None:
        self.values.append(values)
        self.frames.append(frame)
        self.tracks.append(None if track is None else str(track))


def read_people(path: Path, data: Any, joints: int) -> Detections | None:
    """The people of a parsed file; None if it has another form.

    Raises ValueError if an entry cannot be used.
    """
    info = data.get("instance_info") if isinstance(data, dict) else data
    if isinstance(info, list) and info and isinstance(info[0], dict):
        if "instances" in info[0] or "keypoint_scores" in info[0]:
            return _mmpose(path, info, joints)
        if isinstance(data, list):
            return _results(path, data, joints)
    if isinstance(data, dict) and isinstance(data.get("annotations"), list):
        return _annotations(path, data, joints)
    return None


def names_of(frames: Sequence[str], tracks: Sequence[str | None]) -> list[str]:
    """A name for every person: the frame, followed by the track or, in a frame of several people,
    by the person's index."""
    total, seen = Counter(frames), Counter[str]()
    names = []
    for frame, track in zip(frames, tracks, strict=True):
        single = track is None and total[frame] == 1
        names.append(frame if single else f"{frame}#{seen[frame] if track is None else track}")
        seen[frame] += 1
    return names


def numbers_of(people: Detections) -> dict[str, int]:
    """Frame name -> number of the frame in time."""
    named = list(dict.fromkeys(people.frames))
    if people.listed:
        return {name: n for n, name in enumerate(dict.fromkeys([*people.listed, *named]))}
    digits = [re.findall(r"\d+", Path(name).stem) for name in named]
    numbers = [int(found[-1]) for found in digits if found]
    if any(people.tracks) and len(set(numbers)) == len(named):
        return dict(zip(named, numbers, strict=True))
    return {name: n for n, name in enumerate(named)}


def empty_frames(people: Detections) -> list[str]:
    """The frames without people, in order."""
    numbers, occupied = numbers_of(people), set(people.frames)
    if people.listed or not numbers:
        return [name for name in people.listed if name not in occupied | people.unlabelled]
    taken = set(numbers.values())
    return [str(n) for n in range(min(taken), max(taken) + 1) if n not in taken]


def numeric(where: str, data: object) -> Values:
    """Nested lists or an array of any shape as float64.

    Raises ValueError, which starts with `where`, if it is not an array of real numbers.
    """
    try:
        values = np.asarray(data)
        if values.dtype.kind == "c":
            raise TypeError("complex numbers")
        return values.astype(np.float64)
    except (TypeError, ValueError, OverflowError) as error:
        raise ValueError(
            f"{where}: not numbers in lists of one length; write [x, y, score] for every joint"
        ) from error


def miscounted(where: str, joints: int, found: str) -> ValueError:
    """The error, to be raised, of a file whose number of joints is not the layout's."""
    return ValueError(
        f"{where}: the layout has {joints} joints, the file has {found}; "
        "name the layout of the keypoints"
    )


def _results(path: Path, entries: Sequence[Any], joints: int) -> Detections:
    people = Detections()
    for i, person in enumerate(entries):
        track = person.get("track_id", person.get("idx")) if isinstance(person, dict) else None
        if isinstance(track, list):  # AlphaPose
            track = track[0] if track else None
        image, values = _person(path, i, person, joints)
        people.add(str(image), values, whole(f"{path}: entry {i}", track))
    return people


def whole(where: str, track: Any) -> Any:
    """A track, which may have any name, but no fraction."""
    return integer(f"{where}: track_id", track) if isinstance(track, float) else track


def _annotations(path: Path, data: Mapping[str, Any], joints: int) -> Detections:
    """The people with at least one labelled joint."""
    files: dict[Hashable, str] = {}
    people = Detections()
    for image in data.get("images", []):
        name = files[image["id"]] = str(image.get("file_name", image["id"]))
        people.listed.append(name)
        if not flag(f"{path}: is_labeled of {name}", image.get("is_labeled", True)):
            people.unlabelled.add(name)
    for i, person in enumerate(data["annotations"]):
        if any(person.get("keypoints", [])[2::3]):
            image, values = _person(path, i, person, joints)
            track = whole(f"{path}: annotations[{i}]", person.get("track_id"))
            people.add(files.get(image, str(image)), values, track)
    return people


def _person(path: Path, i: int, person: Any, joints: int) -> tuple[Hashable, Values]:
    """Image id and values (J, 3) of an entry in COCO's form."""
    if not isinstance(person, dict) or not {"image_id", "keypoints"} <= person.keys():
        raise ValueError(f"{path}: entry {i}: a COCO entry needs `image_id` and `keypoints`")
    image = person["image_id"]
    where = f"{path}: entry {i} (image {image})"
    row = numeric(where, person["keypoints"]).ravel()
    if row.size != 3 * joints:
        raise miscounted(where, joints, f"{row.size / 3:g} (x, y, score each)")
    values = row.reshape(joints, 3)
    if isinstance(person.get("scores"), list):
        scores = numeric(f"{where}: scores", person["scores"])
        if scores.shape != (joints,):
            raise miscounted(f"{where}: scores", joints, f"{scores.size}")
        values[:, 2] = np.where(values[:, 2] > 0, scores, 0)
    return image, values


def _mmpose(path: Path, info: Sequence[Any], joints: int) -> Detections:
    people = Detections()
    frames = info if "instances" in info[0] else [{"frame_id": 0, "instances": info}]
    for n, frame in enumerate(frames):
        if not isinstance(frame, dict) or not isinstance(frame.get("instances"), list):
            raise ValueError(f"{path}: entry {n}: an mmpose frame needs a list of `instances`")
        name = str(frame.get("frame_id", n))
        people.listed.append(name)
        for i, person in enumerate(frame["instances"]):
            where = f"{path}: instance {i} of frame {name}"
            if not isinstance(person, dict) or not {"keypoints", "keypoint_scores"} <= {*person}:
                raise ValueError(f"{where} needs `keypoints` and `keypoint_scores`")
            points = numeric(where, person["keypoints"])
            scores = numeric(f"{where}: keypoint_scores", person["keypoint_scores"])
            if points.shape != (joints, 2) or scores.shape != (joints,):
                raise miscounted(where, joints, f"points {points.shape} and scores {scores.shape}")
            values = np.concatenate([points, scores[:, None]], 1)
            people.add(name, values, person.get("track_id"))
    return people
