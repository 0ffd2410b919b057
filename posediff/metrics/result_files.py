"""Poses as the result files that benchmarks read: COCO's, which CrowdPose and others share, AI
Challenger's own, and PoseTrack's, which poseval and PoseTrack21's kit read.

    COCO            [{"image_id", "category_id", "keypoints": [x, y, score] * J, "score"}, ...]
    AI Challenger   [{"image_id", "keypoint_annotations": {"human1": [x, y, v] * J, ...}}, ...]
                    v = 1, visible, for every joint; the best person of an image first
    PoseTrack       a file per video, of the annotation's name, with all its frames in their order:
                    images [{id, file_name, frame_id}], categories, annotations [{id, image_id,
                    track_id, category_id, bbox, keypoints [x, y, score] * 17, scores [17], score}]

A line is a person, or an image; PoseTrack's files are one line. Pixels are rounded to 0.001, joint
scores to 6 digits. Scores that order the answers are not rounded: that of a person, and `scores` of
joints in PoseTrack.

Every `write_...` returns the path, and writes nothing if it raises.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import orjson
from torch import Tensor

from posediff.files import replacing, safe_name
from posediff.metrics.table_metric import rows_by_image
from posediff.pose.skeleton import skeleton
from posediff.sample import take


class Found(NamedTuple):
    """N people that were found."""

    images: list[Any]  # (N,) ids of images, or file names of frames
    keypoints: Tensor  # (N, J, 2) pixels
    joint_scores: Tensor  # (N, J)
    scores: Tensor  # (N,)

    def at(self, rows: list[int]) -> "Found":
        return Found(*(take(column, rows) for column in self))


SLOTS = skeleton("posetrack17").joints
CATEGORY = {"id": 1, "name": "person", "keypoints": list(SLOTS)}


def write_coco(path: Path, found: Found, category: int | str = 1) -> Path:
    """Write COCO's result file. Raises ValueError if a number is not finite."""
    _check(path, found)
    columns = (found.keypoints.tolist(), found.joint_scores.tolist(), found.scores.tolist())
    entries = (
        {
            "image_id": image,
            "category_id": category,
            "keypoints": _triples(points, [round(s, 6) for s in joints]),
            "score": score,
        }
        for image, points, joints, score in zip(found.images, *columns, strict=True)
    )
    return _write(path, entries)


def write_aic(path: Path, found: Found) -> Path:
    """Write AI Challenger's result file of the joints of aic14.

    Raises ValueError if a number is not finite.
    """
    _check(path, found)
    people: dict[Any, list[list[float]]] = {image: [] for image in found.images}
    points = found.keypoints.tolist()
    for i in found.scores.argsort(descending=True, stable=True).tolist():
        people[found.images[i]].append(_triples(points[i], [1] * len(points[i])))
    entries = (
        {
            "image_id": image,
            "keypoint_annotations": {f"human{n}": row for n, row in enumerate(rows, 1)},
        }
        for image, rows in people.items()
    )
    return _write(path, entries)


def write_posetrack(folder: Path, truth: Mapping[str, Mapping[str, Any]], found: Found) -> Path:
    """Write a folder with one file per video, as PoseTrack's evaluators read it.

    found: images are file names of frames, joints those of posetrack15. truth: the annotations by
    their file names; their `origin`, 0 if missing, is the coordinate of the first pixel in their
    labels. People are not tracked: a track id is the index of a person in its frame.
    Raises ValueError if a number is not finite, or if a frame is not annotated.
    """
    _check(folder, found)
    rows = rows_by_image(found.images)
    annotated = {image["file_name"] for document in truth.values() for image in document["images"]}
    if unknown := sorted(set(rows) - annotated):
        raise ValueError(f"{folder}: frame {unknown[0]} is in no annotation; nothing is written")
    for name in truth:
        if name != safe_name(name):
            raise ValueError(f"{folder}: {name!r} is no safe name of a file; nothing is written")
    origin = max((document.get("origin", 0) for document in truth.values()), default=0)
    people = _posetrack_people(found, origin)
    for name, document in truth.items():
        images: list[dict[str, Any]] = []
        entries: list[dict[str, Any]] = []
        for image in document["images"]:
            number, file = image["id"], image["file_name"]
            images.append({"id": number, "file_name": file, "frame_id": number})
            for track, row in enumerate(rows.get(file, ())):
                ids = {"id": len(entries) + 1, "image_id": number, "track_id": track}
                entries.append(ids | people[row])
        content = {"images": images, "categories": [CATEGORY], "annotations": entries}
        with replacing(folder / name) as part:
            part.write_bytes(orjson.dumps(content, option=orjson.OPT_SERIALIZE_NUMPY))
    return folder


def _posetrack_people(found: Found, origin: int) -> list[dict[str, Any]]:
    """The entries of N people but their ids: 17 slots of keypoints and scores, and a box."""
    at = [SLOTS.index(joint) for joint in skeleton("posetrack15").joints]  # ears stay 0
    points = (found.keypoints + origin).double().numpy().round(3)
    scores = np.zeros((len(points), len(SLOTS)))
    scores[:, at] = found.joint_scores.double().numpy()
    slots = np.zeros((*scores.shape, 3))
    slots[:, at, :2], slots[..., 2] = points, scores.round(6)
    low = points.min(1)
    boxes = np.concatenate([low, points.max(1) - low], 1).round(3)
    columns = (boxes, slots.reshape(len(slots), -1), scores, found.scores.tolist())
    keys = ("bbox", "keypoints", "scores", "score")
    return [
        {"category_id": 1, **dict(zip(keys, row, strict=True))}
        for row in zip(*columns, strict=True)
    ]


def _triples(points: Sequence[Sequence[float]], last: Sequence[float]) -> list[float]:
    return [
        v for (x, y), z in zip(points, last, strict=True) for v in (round(x, 3), round(y, 3), z)
    ]


def _check(path: Path, found: Found) -> None:
    images, *columns = found
    for column in columns:
        if len(column) != len(images):
            raise ValueError(f"{path}: {len(column)} rows for {len(images)} people")
        for row in (~column.isfinite()).nonzero()[:1, 0].tolist():
            raise ValueError(
                f"{path}: a number of person {row}, image {images[row]}, is not finite; "
                "nothing is written"
            )


def _write(path: Path, entries: Iterable[dict[str, Any]]) -> Path:
    lines = ",\n".join(json.dumps(entry, allow_nan=False) for entry in entries)
    with replacing(path) as part:
        part.write_text(f"[\n{lines}\n]\n" if lines else "[]\n", encoding="utf-8")
    return path
