"""AI Challenger's own score, and the average precision that papers print for the data set.

Both call themselves mAP, and the same poses get .69 by one and .43 by the other:

    aic/mAP_official    OKS over the joints that are visible (not the hidden ones), with the whole
                        area of the box. Every annotated person takes its best answer, which may
                        serve several. Mean over t = .5:.05:.95 of the number with OKS > t, over
                        the sum of max(people, answers) of all images. Scores play no part.
    aic/AP ...          COCO's, labelled joints, 0.53 of the area of the box

Annotations are read in the data set's own form (a list; v = 1 visible, 2 hidden, 3 not labelled)
or in COCO's (v = 2, 1, 0).
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from posediff.metrics.coco import CocoAP, People
from posediff.metrics.rows import rows_by_image
from posediff.metrics.truth import Source, Truth
from posediff.pose.oks import oks
from posediff.pose.skeleton import skeleton as named_skeleton

VISIBILITY = {1: 2, 2: 1, 3: 0}  # AI Challenger's -> COCO's
THRESHOLDS = np.linspace(0.5, 0.95, 10)


class AicAP(CocoAP):
    """COCO's figures, with the remaining options of CocoAP. form: "raw" or "coco", see above."""

    name, prefix = "aic_coco", "aic/"

    def __init__(
        self,
        annotations: Source,
        skeleton: str = "aic14",
        area: str = "0.53*w*h",
        form: str = "raw",
        **options: Any,
    ) -> None:
        if form not in ("raw", "coco"):
            raise ValueError(f"dataset.form must be raw or coco, got {form!r}")
        self.form = form
        super().__init__(annotations, skeleton, area, **options)

    def _truth(self, data: Any) -> Truth:
        if isinstance(data, list) != (self.form == "raw"):
            found = "raw" if isinstance(data, list) else "coco"
            raise ValueError(f"{self.annotations}: is of the form {found}: set dataset.form")
        return super()._truth(from_raw(data, self.annotations) if self.form == "raw" else data)


class AicOfficial(AicAP):
    """The score of the challenge. All answers count against it, so copies are best suppressed."""

    name = "aic_official"

    def figures(self, people: People) -> dict[str, float]:
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


def from_raw(entries: Any, where: str) -> Truth:
    """The data set's own list in COCO's form. Raises ValueError that names image and person."""
    names = [joint.replace("_", " ") for joint in named_skeleton("aic14").joints]
    people: list[Truth] = []
    for n, image in enumerate(entries):
        keys = ("image_id", "human_annotations", "keypoint_annotations")
        missing = [key for key in keys if not isinstance(image, Mapping) or key not in image]
        if missing:
            raise ValueError(f"{where}: entry {n} has no `{missing[0]}`; it is AI Challenger's?")
        for human, values in sorted(image["keypoint_annotations"].items()):
            entry = f"{where}: image {image['image_id']}, {human}"
            people.append(
                {
                    "id": f"{image['image_id']}/{human}",
                    "image_id": image["image_id"],
                    "category_id": 1,
                    "keypoints": _keypoints(entry, values),
                    "bbox": _box(entry, image["human_annotations"].get(human)),
                }
            )
    images = [{"id": image["image_id"]} for image in entries]
    return {
        "images": images,
        "categories": [{"id": 1, "name": "person", "keypoints": names}],
        "annotations": people,
    }


def _keypoints(entry: str, values: Any) -> list[float]:
    if not isinstance(values, list) or len(values) != 42:
        raise ValueError(f"{entry}: keypoints are x, y, v of 14 joints, 42 numbers; correct them")
    for v in values[2::3]:
        if not isinstance(v, float | int) or v not in VISIBILITY:
            raise ValueError(f"{entry}: v is {v}; it must be 1, 2 or 3 in dataset.form=raw")
    return [VISIBILITY[x] if i % 3 == 2 else x for i, x in enumerate(values)]


def _box(entry: str, corners: Any) -> list[float]:
    if not isinstance(corners, list) or len(corners) != 4:
        raise ValueError(f"{entry}: has no box x1, y1, x2, y2 in human_annotations; add it")
    x1, y1, x2, y2 = corners
    return [x1, y1, x2 - x1, y2 - y1]
