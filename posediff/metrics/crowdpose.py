"""Average precision on CrowdPose, over all images and over easy, medium and hard ones.

It is COCO's with other sigmas, over areas of all sizes, and with two rules of the data set's own:
a person's area is 0.53 of that of its box, and who is ignored is told by `num_keypoints` as the
file has it, which counts the joints of the limbs only; to count again changes the figures.

    AP_easy, AP_medium, AP_hard     AP on images of crowdIndex < .2, < .8 and the rest, each scored
                                    anew, rounded to 4 digits as the benchmark's code does
"""

import math
from typing import Any

from posediff.metrics.coco import (
    EVERY,
    CocoAP,
    Table,
    Truth,
    averages,
    mean_of,
    precision_recall,
)
from posediff.metrics.result_files import Found

CROWDS = {"easy": (-math.inf, 0.2), "medium": (0.2, 0.8), "hard": (0.8, math.inf)}


class CrowdPoseAP(CocoAP):
    """Like CocoAP, of annotations that know how crowded images are."""

    name = "crowdpose"

    def __init__(self, truth: Truth, *args: Any, **options: Any) -> None:
        for image in truth["images"]:
            if not math.isfinite(image["crowdIndex"]):
                raise ValueError(
                    f"image {image['id']} of the annotations has no crowdIndex, which CrowdPose's "
                    "own have: set eval=coco"
                )
        super().__init__(truth, *args, **options)

    def figures(self, people: Found) -> dict[str, float]:
        def score(low: float, high: float) -> tuple[Table, Table]:
            images = [x["id"] for x in self.scored(people) if low <= x["crowdIndex"] < high]
            return precision_recall(self.truth, people, self.sigmas, [EVERY], images)

        crowds = {f"AP_{c}": round(mean_of(score(*ends)[0]), 4) for c, ends in CROWDS.items()}
        return averages(*score(-math.inf, math.inf)) | crowds

    def summary(self) -> dict[str, Any]:
        return super().summary() | {"crowds": "crowdIndex < .2, < .8, rest; each scored anew"}
