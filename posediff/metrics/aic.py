"""AI Challenger's own score, and the average precision that papers print for the data set.

Both are called mAP, and the same poses get .69 by one and .43 by the other:

    aic/mAP_official    OKS over the joints that are visible (not the hidden ones), with the whole
                        area of the box. Every annotated person takes its best answer, also if
                        another person takes the same one. Mean over t = .5:.05:.95 of the number
                        with OKS > t, divided by the sum of max(people, answers) over all images.
                        Scores have no influence.
    aic/AP ...          COCO's, labelled joints, 0.53 of the area of the box
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from posediff.metrics.coco import Evaluator, coco_figures
from posediff.metrics.result_files import Found, write_aic
from posediff.metrics.table_metric import rows_by_image
from posediff.pose.oks import oks
from posediff.truth import Document

THRESHOLDS = np.linspace(0.5, 0.95, 10)


def aic_coco() -> Evaluator:
    """COCO's figures on the joints of AI Challenger."""
    return Evaluator("aic_coco", coco_figures, check, write, "aic/")


def aic_official() -> Evaluator:
    """The score of the challenge. Every answer counts against it: use `nms`."""
    about = {"area": "w*h + 1", "ignored_people": 0}
    return Evaluator("aic_official", official, check, write, "aic/", about)


def official(
    truth: Document, found: Found, sigmas: Sequence[float], images: Sequence[Any]
) -> dict[str, float]:
    persons = truth["annotations"]
    flat, boxes = ([person[key] for person in persons] for key in ("keypoints", "bbox"))
    joints = torch.from_numpy(np.reshape(flat, (-1, len(sigmas), 3)))
    width, height = torch.from_numpy(np.reshape(boxes, (-1, 4))).T[2:]
    area, visible = width * height + 1, joints[..., 2] == 2
    annotated = rows_by_image([person["image_id"] for person in persons])
    answers = rows_by_image(found.images)
    best, count = torch.zeros(len(persons), dtype=torch.float64), 0
    for image in images:
        group, answered = annotated.get(image, []), answers.get(image, [])
        count += max(len(group), len(answered))
        if group and answered:
            points = (found.keypoints[answered], joints[group, :, :2])
            best[group] = oks(*points, area[group], sigmas, visible[group]).amax(0)
    reached = best.numpy() > THRESHOLDS[:, None]
    return {"mAP_official": float(reached.sum() / max(count, 1) / len(THRESHOLDS))}


def write(path: Path, found: Found, category: int | str) -> Path:
    return write_aic(path, found)


def check(truth: Document, skeleton: str) -> None:
    if skeleton != "aic14":
        raise ValueError(
            f"AI Challenger's figures are of the joints of aic14, not {skeleton}: set eval=coco"
        )
