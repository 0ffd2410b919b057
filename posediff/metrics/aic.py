"""AI Challenger's own score, and the average precision that papers print for the data set.

Both call themselves mAP, and the same poses get .69 by one and .43 by the other:

    aic/mAP_official    OKS over the joints that are visible (not the hidden ones), with the whole
                        area of the box. Every annotated person takes its best answer, which may
                        serve several. Mean over t = .5:.05:.95 of the number with OKS > t, over
                        the sum of max(people, answers) of all images. Scores play no part.
    aic/AP ...          COCO's, labelled joints, 0.53 of the area of the box
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from posediff.metrics.coco import Evaluator, coco_figures
from posediff.metrics.collected import rows_by_image
from posediff.metrics.result_files import Found, write_aic
from posediff.pose.oks import oks
from posediff.truth import Document

THRESHOLDS = np.linspace(0.5, 0.95, 10)


def aic_coco() -> Evaluator:
    """COCO's figures on the joints of AI Challenger."""
    return Evaluator("aic_coco", coco_figures, write, check, "aic/")


def aic_official() -> Evaluator:
    """The score of the challenge. All answers count against it, so copies are best suppressed."""
    about = {"area": "w*h + 1", "ignored_people": 0}
    return Evaluator("aic_official", official, write, check, "aic/", about)


def official(
    truth: Document, found: Found, sigmas: Sequence[float], images: Sequence[Any]
) -> dict[str, float]:
    persons = truth["annotations"]
    answers = rows_by_image(found.images)
    annotated = rows_by_image([person["image_id"] for person in persons])
    best, count = torch.zeros(len(persons), dtype=torch.float64), 0
    for image in images:
        group, answered = annotated.get(image, []), answers.get(image, [])
        count += max(len(group), len(answered))
        if group and answered:
            people = [persons[i] for i in group]
            best[group] = _similar(found.keypoints[answered], people, sigmas)
    reached = best.numpy() > THRESHOLDS[:, None]
    return {"mAP_official": float(reached.sum() / max(count, 1) / len(THRESHOLDS))}


def write(path: Path, found: Found, truth: Document) -> Path:
    return write_aic(path, found)


def check(truth: Document, skeleton: str) -> None:
    if skeleton != "aic14":
        raise ValueError(
            f"AI Challenger's figures are of the joints of aic14, not {skeleton}: set eval=coco"
        )


def _similar(found: Tensor, persons: Sequence[Document], sigmas: Sequence[float]) -> Tensor:
    """The OKS of every person's best answer. (n, J, 2), N people -> (N,)."""
    flat, boxes = (
        torch.from_numpy(np.stack([person[key] for person in persons]))
        for key in ("keypoints", "bbox")
    )
    joints = flat.reshape(len(persons), -1, 3)
    area, visible = boxes[:, 2] * boxes[:, 3] + 1, joints[..., 2] == 2
    return oks(found, joints[..., :2], area, sigmas, visible).amax(0)
