"""Poses as the result files that benchmarks take: COCO's, which CrowdPose and others share, AI
Challenger's own, and PoseTrack's, which poseval and PoseTrack21's kit read.

    COCO            [{"image_id", "category_id", "keypoints": [x, y, score] * J, "score"}, ...]
    AI Challenger   [{"image_id", "keypoint_annotations": {"human1": [x, y, v] * J, ...}}, ...]
                    v = 1, visible, for every joint; in an image the best person first
    PoseTrack       a file per video, of the annotation's name, with all its frames in their order:
                    images [{id, file_name, frame_id}], categories, annotations [{id, image_id,
                    track_id, category_id, bbox, keypoints [x, y, score] * 17, scores [17], score}]

A line is a person, or an image; PoseTrack's files are one line. Pixels are rounded to 0.001, joint
scores to 6 digits. What the order of answers hangs on is written whole: the score of a person, and
in PoseTrack `scores` of joints.
"""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import orjson
from torch import Tensor

from posediff.files import replacing
from posediff.pose.skeleton import skeleton


class Found(NamedTuple):
    """N people as a result file has them."""

    images: list[Any]  # (N,) ids of images, or names of frames
    keypoints: Tensor  # (N, J, 2) pixels
    joint_scores: Tensor  # (N, J)
    scores: Tensor  # (N,)


SLOTS = skeleton("posetrack17").joints
CATEGORY = {"id": 1, "name": "person", "keypoints": list(SLOTS)}


def write_coco(path: str | Path, found: Found, category: int | str = 1) -> Path:
    """Write COCO's result file, beside and renamed; return the path.

    Raises ValueError, which names the image, for a number that is not finite; nothing is written
    then.
    """
    _check(path, found)
    columns = (found.keypoints.tolist(), found.joint_scores.tolist(), found.scores.tolist())
    people = zip(found.images, *columns, strict=True)
    return _write(
        Path(path),
        (
            {
                "image_id": image,
                "category_id": category,
                "keypoints": [
                    value
                    for (x, y), s in zip(points, joints, strict=True)
                    for value in (round(x, 3), round(y, 3), round(s, 6))
                ],
                "score": score,
            }
            for image, points, joints, score in people
        ),
    )


def write_aic(path: str | Path, found: Found) -> Path:
    """Write AI Challenger's result file, joints in the order of skeleton aic14, as `write_coco`."""
    _check(path, found)
    order = found.scores.argsort(descending=True, stable=True).tolist()
    rows: dict[int | str, list[list[float]]] = {image: [] for image in found.images}
    points = found.keypoints.tolist()
    for i in order:
        rows[found.images[i]].append(
            [v for x, y in points[i] for v in (round(x, 3), round(y, 3), 1)]
        )
    return _write(
        Path(path),
        (
            {
                "image_id": image,
                "keypoint_annotations": {f"human{n}": row for n, row in enumerate(people, 1)},
            }
            for image, people in rows.items()
        ),
    )


def write_posetrack(
    folder: str | Path,
    truth: Mapping[str, Mapping[str, Any]],
    found: Found,
) -> Path:
    """Write a folder with one file per video, as PoseTrack's evaluators read it; return the path.

    found: by the names of frames, joints of posetrack15. truth: the annotations by the names of
    their files; `origin` of one is the number that its labels give the first pixel. People are not
    tracked: a track is a person's place in its frame.
    Raises ValueError for a number that is not finite, and for a frame that is not annotated;
    nothing is written then.
    """
    _check(folder, found)
    people: dict[str, list[int]] = {}
    for row, file in enumerate(found.images):
        people.setdefault(file, []).append(row)
    known = {image["file_name"] for document in truth.values() for image in document["images"]}
    if unknown := sorted(set(people) - known):
        raise ValueError(f"{folder}: frame {unknown[0]} is in no annotation; nothing is written")
    origin = max((document.get("origin", 0) for document in truth.values()), default=0)
    values, peaks, boxes = _posetrack_rows(found.keypoints + origin, found.joint_scores)
    persons = found.scores.tolist()
    for name, document in truth.items():
        shown = document["images"]
        images = [{"id": x["id"], "file_name": x["file_name"], "frame_id": x["id"]} for x in shown]
        entries: list[dict[str, Any]] = []
        for image in shown:
            for track, row in enumerate(people.get(image["file_name"], ())):
                person = {"id": len(entries) + 1, "image_id": image["id"], "track_id": track}
                person |= {"category_id": 1, "bbox": boxes[row], "keypoints": values[row]}
                entries.append(person | {"scores": peaks[row], "score": persons[row]})
        content = {"images": images, "categories": [CATEGORY], "annotations": entries}
        with replacing(Path(folder) / name) as part:
            part.write_bytes(orjson.dumps(content, option=orjson.OPT_SERIALIZE_NUMPY))
    return Path(folder)


def _posetrack_rows(keypoints: Tensor, joint_scores: Tensor) -> tuple[Any, Any, Any]:
    """Of 17 slots: keypoints (N, 51) and scores (N, 17), which are whole, and bbox (N, 4)."""
    at = [SLOTS.index(joint) for joint in skeleton("posetrack15").joints]  # ears stay 0
    points = keypoints.double().numpy().round(3)
    scores = np.zeros((len(points), len(SLOTS)))
    scores[:, at] = joint_scores.double().numpy()
    slots = np.zeros((*scores.shape, 3))
    slots[:, at, :2], slots[..., 2] = points, scores.round(6)
    low = points.min(1)
    boxes = np.concatenate([low, points.max(1) - low], 1).round(3)
    return slots.reshape(len(slots), -1), scores, boxes


def _check(path: str | Path, found: Found) -> None:
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
    with replacing(path) as part, part.open("w", encoding="utf-8") as file:
        begin = "[\n"
        for entry in entries:
            file.write(begin + json.dumps(entry, allow_nan=False))
            begin = ",\n"
        file.write("\n]\n" if begin != "[\n" else "[]\n")
    return path
