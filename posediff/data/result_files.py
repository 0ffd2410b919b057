"""Poses as the result files that benchmarks take: COCO's, which CrowdPose and others share, and AI
Challenger's own.

    COCO            [{"image_id", "category_id", "keypoints": [x, y, score] * J, "score"}, ...]
    AI Challenger   [{"image_id", "keypoint_annotations": {"human1": [x, y, v] * J, ...}}, ...]
                    v = 1, visible, for every joint; in an image the best person first

A line is a person, or an image. Pixels are rounded to 0.001, joint scores to 6 digits; a person's
score is written whole, since the order of people hangs on it.
"""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor


def write_coco(
    path: str | Path,
    images: Sequence[int | str],
    keypoints: Tensor,
    joint_scores: Tensor,
    scores: Tensor,
    category: int = 1,
) -> Path:
    """People in images by id: (N,), (N, J, 2) pixels, (N, J), (N,). Beside and renamed; the path.

    `metric.people(rule)` of a CocoAP is such. A number that is not finite is a ValueError that
    names the image, and nothing is written.
    """
    _check(path, images, keypoints, joint_scores, scores)
    people = zip(images, keypoints.tolist(), joint_scores.tolist(), scores.tolist(), strict=True)
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


def write_aic(
    path: str | Path,
    images: Sequence[int | str],
    keypoints: Tensor,
    joint_scores: Tensor,
    scores: Tensor,
) -> Path:
    """The same people, joints in the order of skeleton aic14, for AI Challenger's evaluation."""
    _check(path, images, keypoints, joint_scores, scores)
    order = scores.argsort(descending=True, stable=True).tolist()
    rows: dict[int | str, list[list[float]]] = {image: [] for image in images}
    points = keypoints.tolist()
    for i in order:
        rows[images[i]].append([v for x, y in points[i] for v in (round(x, 3), round(y, 3), 1)])
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


def _check(path: str | Path, images: Sequence[int | str], *columns: Tensor) -> None:
    for column in columns:
        if len(column) != len(images):
            raise ValueError(f"{path}: {len(column)} rows for {len(images)} people")
        for row in (~column.isfinite()).nonzero()[:1, 0].tolist():
            raise ValueError(
                f"{path}: a number of person {row}, image {images[row]}, is not finite; "
                "nothing is written"
            )


def _write(path: Path, entries: Iterable[dict[str, Any]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    with part.open("w", encoding="utf-8") as file:
        begin = "[\n"
        for entry in entries:
            file.write(begin + json.dumps(entry, allow_nan=False))
            begin = ",\n"
        file.write("\n]\n" if begin != "[\n" else "[]\n")
    part.replace(path)
    return path
