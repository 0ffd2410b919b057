"""AI Challenger's own score, and the average precision that papers print for the data set.

Both call themselves mAP, and the same poses get .69 by one and .43 by the other:

    aic/mAP_official    OKS over the joints that are visible (not the hidden ones), with the whole
                        area of the box. Every annotated person takes its best answer, which may
                        serve several. Mean over t = .5:.05:.95 of the number with OKS > t, over
                        the sum of max(people, answers) of all images. Scores play no part.
    aic/AP ...          COCO's, labelled joints, 0.53 of the area of the box
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from posediff.metrics.coco import CocoAP, Truth
from posediff.metrics.result_files import Found
from posediff.metrics.rows import rows_by_image
from posediff.pose.oks import oks

THRESHOLDS = np.linspace(0.5, 0.95, 10)


class AicAP(CocoAP):
    """COCO's figures, with the options of CocoAP."""

    name, prefix = "aic_coco", "aic/"

    def __init__(self, truth: Truth, skeleton: str = "aic14", **options: Any) -> None:
        if skeleton != "aic14":
            raise ValueError(
                f"AI Challenger's figures are of the joints of aic14, not {skeleton}: set eval=coco"
            )
        super().__init__(truth, skeleton, **options)


class AicOfficial(AicAP):
    """The score of the challenge. All answers count against it, so copies are best suppressed."""

    name = "aic_official"

    def figures(self, people: Found) -> dict[str, float]:
        persons = self.truth["annotations"]
        answers = rows_by_image(people.images)
        annotated = rows_by_image([person["image_id"] for person in persons])
        best, count = torch.zeros(len(persons), dtype=torch.float64), 0
        for image in (image["id"] for image in self.scored(people)):
            group, found = annotated.get(image, []), answers.get(image, [])
            count += max(len(group), len(found))
            if group and found:
                best[group] = self._similar(people.keypoints[found], [persons[i] for i in group])
        reached = best.numpy() > THRESHOLDS[:, None]
        return {"mAP_official": float(reached.sum() / count / len(THRESHOLDS))}

    def _similar(self, found: Tensor, persons: Sequence[Truth]) -> Tensor:
        """The OKS of every person's best answer. (n, J, 2), N people -> (N,)."""
        flat, boxes = (
            torch.from_numpy(np.stack([person[key] for person in persons]))
            for key in ("keypoints", "bbox")
        )
        joints = flat.reshape(len(persons), -1, 3)
        area, visible = boxes[:, 2] * boxes[:, 3] + 1, joints[..., 2] == 2
        return oks(found, joints[..., :2], area, self.sigmas, visible).amax(0)

    def summary(self) -> dict[str, Any]:
        return super().summary() | {"area": "w*h + 1", "ignored_people": 0}
