"""Average precision on CrowdPose, over all images and over easy, medium and hard ones.

It is COCO's with other sigmas, over areas of all sizes, and with two rules of the data set: the
area of a person is 0.53 of that of its box, and people are ignored by `num_keypoints` as stored in
the file, which counts the joints of the limbs only; a new count changes the figures.

    AP_easy, AP_medium, AP_hard     AP on images of crowdIndex < .2, < .8 and the rest, each scored
                                    separately, rounded to 4 digits as in the benchmark's code
"""

import math
from collections.abc import Sequence
from typing import Any

from posediff.metrics.coco import EVERY, Evaluator, Table, averages, precision_recall, valid_mean
from posediff.metrics.result_files import Found
from posediff.truth import Document

CROWDS = {"easy": (-math.inf, 0.2), "medium": (0.2, 0.8), "hard": (0.8, math.inf)}


def crowdpose() -> Evaluator:
    """The figures of CrowdPose; the annotations need the `crowdIndex` of every image."""
    about = {"crowds": "crowdIndex < .2, < .8, rest; each scored separately"}
    return Evaluator("crowdpose", figures, check, about=about)


def check(truth: Document, skeleton: str) -> None:
    for image in truth["images"]:
        if not math.isfinite(image["crowdIndex"]):
            raise ValueError(
                f"image {image['id']} of the annotations has no crowdIndex, which CrowdPose's own "
                "have: set eval=coco"
            )


def figures(
    truth: Document, found: Found, sigmas: Sequence[float], images: Sequence[Any]
) -> dict[str, float]:
    crowded = {image["id"]: image["crowdIndex"] for image in truth["images"]}

    def score(low: float, high: float) -> tuple[Table, Table]:
        some = [image for image in images if low <= crowded[image] < high]
        return precision_recall(truth, found, sigmas, [EVERY], some)

    crowds = {f"AP_{c}": round(valid_mean(score(*ends)[0]), 4) for c, ends in CROWDS.items()}
    return averages(*score(-math.inf, math.inf)) | crowds
