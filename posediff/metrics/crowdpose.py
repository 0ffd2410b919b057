"""Average precision on CrowdPose, over all images and over easy, medium and hard ones.

It is COCO's with other sigmas, over areas of all sizes, and with two rules of the data set's own:
a person's area is 0.53 of that of its box, and who is ignored is told by `num_keypoints` as the
file has it, which counts the joints of the limbs only; to count again changes the figures.

    AP_easy, AP_medium, AP_hard     AP on images of crowdIndex < .2, < .8 and the rest, each scored
                                    anew, rounded to 4 digits as the benchmark's code does
"""

import math
from typing import Any

from posediff.metrics.coco import EVERY, CocoAP, People, Table, averages, mean_of, precision_recall
from posediff.metrics.truth import Source, Truth

CROWDS = {"easy": (-math.inf, 0.2), "medium": (0.2, 0.8), "hard": (0.8, math.inf)}


class CrowdPoseAP(CocoAP):
    """Like CocoAP, whose remaining options it takes, for files that know how crowded images are."""

    name = "crowdpose"
    needs = ("num_keypoints",)

    def __init__(
        self,
        annotations: Source,
        skeleton: str = "crowdpose14",
        area: str = "0.53*w*h",
        **options: Any,
    ) -> None:
        super().__init__(annotations, skeleton, area, **options)

    def _truth(self, data: Any) -> Truth:
        truth = super()._truth(data)
        for image in truth["images"]:
            if not isinstance(image.get("crowdIndex"), float | int):
                raise ValueError(
                    f"{self.annotations}: image {image['id']} has no number `crowdIndex`; "
                    "use CrowdPose's own file, or eval=coco"
                )
        return truth

    def figures(self, people: People) -> dict[str, float]:
        def score(low: float, high: float) -> tuple[Table, Table]:
            images = [x["id"] for x in self.scored(people) if low <= x["crowdIndex"] < high]
            return precision_recall(self.truth, people, self.sigmas, [EVERY], images)

        crowds = {f"AP_{c}": round(mean_of(score(*ends)[0]), 4) for c, ends in CROWDS.items()}
        return averages(*score(-math.inf, math.inf)) | crowds

    def summary(self) -> dict[str, Any]:
        return super().summary() | {"crowds": "crowdIndex < .2, < .8, rest; each scored anew"}
