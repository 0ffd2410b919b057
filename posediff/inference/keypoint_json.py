"""Lists of people in frames, as detectors and trackers write them in JSON.

    COCO results     [{"image_id", "keypoints": [x, y, score] * J}, ...], also of Detectron2;
                     AlphaPose adds `idx`, the track
    COCO, PoseTrack  {"images": [...], "annotations": [{"image_id", "keypoints", "track_id"}, ...]};
                     a list `scores` beside the keypoints has the score of every joint (video2d)
    mmpose           [{"frame_id", "instances": [{"keypoints": [[x, y], ...], "keypoint_scores":
                     [...]}, ...]}, ...], alone or as `instance_info`, also of one image
    Detectron2       {"pred_keypoints": [person][joint][x, y, score]} of one picture, or a list
    OpenPose, MediaPipe, Ultralytics: posediff/inference/tools

A frame that the file lists without people is empty. A file of results lists no frames; if it has
tracks, the numbers in the names of its frames show which frames are missing.
"""

from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from posediff.doors.checks import entries, flag
from posediff.inference.tools.categories import people_among
from posediff.inference.tools.detections import Detections, Values, miscounted, numeric, triples
from posediff.inference.tools.mediapipe import read_mediapipe
from posediff.inference.tools.openpose import read_openpose
from posediff.inference.tools.ultralytics import read_ultralytics


def read_people(path: Path, data: Any, joints: int) -> Detections | None:
    """The people of a parsed file; None if it has another form.

    Raises ValueError if an entry cannot be used.
    """
    for read in (read_openpose, read_ultralytics, read_mediapipe, _detectron):
        people = read(path, data, joints)
        if people is not None:
            return people
    info = data.get("instance_info") if isinstance(data, dict) else data
    if isinstance(info, list) and info and isinstance(info[0], dict):
        if "instances" in info[0] or "keypoint_scores" in info[0]:
            return _mmpose(path, info, joints)
        if isinstance(data, list):
            return _results(path, data, joints)
    if isinstance(data, dict) and isinstance(data.get("annotations"), list):
        return _annotations(path, data, joints)
    return None


def _results(path: Path, given: list[Any], joints: int) -> Detections:
    kept, notes = people_among(path, entries(f"{path}: the list", given), only=True)
    people = Detections(notes=notes)
    for i, person in kept:
        image, values = _person(path, i, person, joints)
        people.add(str(image), values, person.get("track_id", person.get("idx")))
    return people


def _annotations(path: Path, data: Mapping[str, Any], joints: int) -> Detections:
    """The people with at least one labelled joint."""
    files: dict[Any, str] = {}
    categories = entries(f"{path}: categories", data.get("categories") or [])
    noted = entries(f"{path}: annotations", data["annotations"])
    kept, notes = people_among(path, noted, categories, only=True)
    people = Detections(notes=notes)
    for frame in entries(f"{path}: images", data.get("images", [])):
        name = files[frame["id"]] = str(frame.get("file_name", frame["id"]))
        people.listed.append(name)
        if isinstance(frame.get("frame_id"), int):
            people.numbers[name] = frame["frame_id"]
        if not flag(f"{path}: is_labeled of {name}", frame.get("is_labeled", True)):
            people.unlabelled.add(name)
    for i, person in kept:
        if any((person.get("keypoints") or [])[2::3]):
            image, values = _person(path, i, person, joints)
            people.add(files.get(image, str(image)), values, person.get("track_id"))
    return people


def _person(path: Path, i: int, person: Any, joints: int) -> tuple[Hashable, Values]:
    """Image id and values (J, 3) of an entry in COCO's form."""
    if not {"image_id", "keypoints"} <= person.keys():
        raise ValueError(f"{path}: entry {i}: a COCO entry needs `image_id` and `keypoints`")
    image = person["image_id"]
    where = f"{path}: entry {i} (image {image})"
    values = triples(where, person["keypoints"], joints)
    if isinstance(person.get("scores"), list):
        scores = numeric(f"{where}: scores", person["scores"])
        if scores.shape != (joints,):
            raise miscounted(f"{where}: scores", joints, f"{scores.size}", scores.size)
        values[:, 2] = np.where(values[:, 2] > 0, scores, 0)
    return image, values


def _mmpose(path: Path, info: Sequence[Any], joints: int) -> Detections:
    people = Detections()
    whole = "instances" in info[0]
    frames = info if whole else [{"frame_id": path.stem, "instances": info}]
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
                found = f"points {points.shape} and scores {scores.shape}"
                raise miscounted(where, joints, found, len(points))
            values = np.concatenate([points, scores[:, None]], 1)
            people.add(name, values, person.get("track_id"))
    return people


def _detectron(path: Path, data: Any, joints: int) -> Detections | None:
    """The people of one picture or of a list of them, None without `pred_keypoints`."""
    pictures = data if isinstance(data, list) else [data]
    if not all(isinstance(x, dict) and "pred_keypoints" in x for x in pictures) or not pictures:
        return None
    people = Detections()
    for n, picture in enumerate(pictures):
        place = str(n) if isinstance(data, list) else path.stem
        name = str(picture.get("file_name", picture.get("image_id", place)))
        people.listed.append(name)
        for i, person in enumerate(picture["pred_keypoints"]):
            where = f"{path}: person {i} of picture {name}"
            people.add(name, triples(where, person, joints))
    return people
