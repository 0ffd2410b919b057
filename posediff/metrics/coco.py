"""Average precision by object keypoint similarity, as COCO scores keypoints.

    AP, AP50, AP75      mean precision at OKS .50:.05:.95, at .50 and at .75
    APm, APl            AP of people of 32^2 .. 96^2 and of more square pixels
    AR ...              the same of the largest recall

pycocotools computes them: 101 recall points, at most 20 people an image, people without a labelled
joint and crowds ignored, -1 if no person is to be found, else 0 .. 1. Before that, as in HRNet and
mmpose, a person's score is computed from those of its box and its joints, and copies of a better
person are removed from an image (posediff/pose/oks.py).
"""

import contextlib
import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any, get_args

import numpy as np
import torch
from numpy.typing import NDArray

from posediff.diffusion.aggregate import Poses
from posediff.diffusion.choices import one_of
from posediff.metrics.metric import check_rows
from posediff.metrics.result_files import Found, write_coco
from posediff.metrics.table_metric import TableMetric, unsuppressed
from posediff.pose.oks import Score, Suppression, instance_scores
from posediff.pose.skeleton import Skeleton
from posediff.truth import Document, Truth

Table = NDArray[np.float64]

EVERY, MEDIUM, LARGE = (0, 1e10), (32**2, 96**2), (96**2, 1e10)
# parts of the tables of precision and recall: thresholds, and index of the range of area
CUTS: dict[str, tuple[Any, int]] = {
    "": (slice(None), 0),
    "50": (0, 0),
    "75": (5, 0),
    "m": (slice(None), 1),
    "l": (slice(None), 2),
}

Figures = Callable[[Document, Found, Sequence[float], Sequence[Any]], dict[str, float]]


@dataclass(frozen=True)
class Evaluator:
    """The score and the result file of a benchmark.

    figures   (truth, found, OKS sigmas, ids of the images that count) -> figures by their keys
    check     (truth, skeleton name); raises ValueError if they cannot be scored
    write     writes the result file, (path, found, category) -> path
    prefix    of the keys of the figures
    about     facts that a report contains beside them
    """

    name: str
    figures: Figures
    check: Callable[[Document, str], None] = lambda truth, skeleton: None
    write: Callable[[Path, Found, int | str], Path] = write_coco
    prefix: str = ""
    about: Mapping[str, Any] = field(default_factory=dict)


def coco() -> Evaluator:
    """COCO's own figures."""
    return Evaluator("coco", coco_figures)


def coco_figures(
    truth: Document, found: Found, sigmas: Sequence[float], images: Sequence[Any]
) -> dict[str, float]:
    return averages(*precision_recall(truth, found, sigmas, (EVERY, MEDIUM, LARGE), images))


class CocoAP(TableMetric):
    """Average precision of the poses of a data set. Ties are broken by the sample's id.

    evaluator   the benchmark
    sigmas      replace those of the skeleton
    nms_area    of a person in suppression: the padded crop as in the references, or the area of
                the annotation
    score, keypoint_threshold, nms, nms_threshold: see posediff/pose/oks.py
    """

    def __init__(
        self,
        truth: Truth,
        evaluator: Evaluator | None = None,
        sigmas: Sequence[float] | None = None,
        score: Score = "bbox_keypoint",
        keypoint_threshold: float = 0.2,
        nms: Suppression = "oks",
        nms_threshold: float = 0.9,
        nms_area: str = "padded",
    ) -> None:
        one_of("eval.metric.score", score, get_args(Score))
        one_of("eval.metric.nms", nms, get_args(Suppression))
        one_of("eval.metric.nms_area", nms_area, ("padded", "annotation"))
        super().__init__(truth.skeleton)
        self.evaluator = evaluator or coco()
        self.truth, self.whole = truth.annotated_people(f"eval={self.evaluator.name}"), truth.whole
        self.evaluator.check(self.truth, truth.skeleton)
        self.sigmas = _sigmas(self.skeleton, sigmas)
        self.score, self.keypoint_threshold = score, keypoint_threshold
        self.nms, self.nms_threshold, self.nms_area = nms, nms_threshold, nms_area
        self.annotated = {image["id"] for image in self.truth["images"]}

    def update(self, name: str, poses: Poses, sample: Mapping[str, Any]) -> None:
        """Add poses (B, J, 2) in pixels of the annotation by the rule `name`.

        `sample` has id, meta {image_id}, box_score (B,), scale (B, 2) or area (B,), and, if people
        are annotated, visible_annotation (B, J). Raises ValueError if poses have another skeleton
        or are not finite, or if an image is not in the annotations.
        """
        images, padded = sample["meta"]["image_id"], self.nms_area == "padded"
        check_rows(poses, sample, images, self.annotated)
        self.add(
            name,
            poses,
            sample,
            images=images,
            joint_scores=poses.scores,
            boxes=sample["box_score"],
            areas=sample["scale"].prod(-1) if padded else sample["area"],
            labelled=sample.get("visible_annotation", torch.ones_like(poses.scores)),
        )

    def people(self, table: Mapping[str, Any]) -> Found:
        """The people of a table that are scored and written, after suppression."""
        boxes, joints = table["boxes"], table["joint_scores"]
        scores = instance_scores(boxes, joints, self.score, self.keypoint_threshold)
        kept = unsuppressed(table, scores, self.sigmas, self.nms, self.nms_threshold)
        return Found(table["images"], table["keypoints"], joints, scores).at(kept)

    def _figures(self, table: Mapping[str, Any]) -> dict[str, Any]:
        found = self.people(table)
        seen = set(found.images)  # complete: the best person of an image is never suppressed
        images = [x["id"] for x in self.truth["images"] if self.whole or x["id"] in seen]
        labels, own = self.truth["annotations"], dict[str, float]()
        if labels:  # else the labels are secret, and the result file is for the benchmark's server
            own = self.evaluator.figures(self.truth, found, self.sigmas, images)
        return {f"{self.evaluator.prefix}{key}": x for key, x in own.items()} | {
            "spread": table["spread"][(table["labelled"] > 0) | (not labels)].mean(),
            "people": len(table["id"]),
            "people_kept": len(found.scores),
        }

    def result_files(self, folder: Path) -> Iterator[Path]:
        category = self.truth["categories"][0]["id"]
        for name in self.batches:
            path = folder / f"results_{name}.json"
            yield self.evaluator.write(path, self.people(self.table(name)), category)

    def summary(self) -> dict[str, Any]:
        people = self.truth["annotations"]
        ignored = sum(bool(p["iscrowd"]) or not p["num_keypoints"] for p in people)
        return {
            "evaluator": self.evaluator.name,
            "pycocotools": version("pycocotools"),
            "annotated_images": len(self.annotated),
            "images": "all" if self.whole else "seen",
            "annotated_people": len(people),
            "ignored_people": ignored,
            "sigmas": list(self.sigmas),
            "score": self.score,
            "keypoint_threshold": self.keypoint_threshold,
            "nms": self.nms,
            "nms_threshold": self.nms_threshold,
            "nms_area": self.nms_area,
            "ties": "stable, by sample id",
            **self.evaluator.about,
        }


def precision_recall(
    truth: Document,
    people: Found,
    sigmas: Sequence[float],
    ranges: Sequence[tuple[float, float]],
    images: Sequence[Any],
) -> tuple[Table, Table]:
    """pycocotools' precision (10 OKS, 101 recalls, A ranges of area) and recall (10, A).

    images: ids of those to score. -1 if no person is to be found.
    """
    from pycocotools.cocoeval import COCOeval

    category = truth["categories"][0]["id"]
    with contextlib.redirect_stdout(io.StringIO()):
        found = {**truth, "annotations": _as_annotations(people, category)}
        scoring = COCOeval(_indexed(truth), _indexed(found), "keypoints")
        scoring.params.kpt_oks_sigmas = np.array(sigmas)
        scoring.params.catIds = [category]
        scoring.params.areaRng = [list(pair) for pair in ranges]
        scoring.params.imgIds = list(images)
        scoring.evaluate()
        scoring.accumulate()
    return scoring.eval["precision"][:, :, 0, :, 0], scoring.eval["recall"][:, 0, :, 0]


def averages(precision: Table, recall: Table) -> dict[str, float]:
    """AP and AR over all thresholds, at .50, at .75, and over each further range of area."""
    return {
        kind + key: valid_mean(table[at][..., area])
        for kind, table in (("AP", precision), ("AR", recall))
        for key, (at, area) in CUTS.items()
        if area < table.shape[-1]
    }


def valid_mean(table: Table) -> float:
    """Mean over the valid entries; -1 if there are none."""
    valid = table[table > -1]
    return float(valid.mean()) if valid.size else -1.0


def _indexed(content: Document) -> Any:
    from pycocotools.coco import COCO

    coco = COCO()
    coco.dataset = content
    coco.createIndex()
    return coco


def _as_annotations(people: Found, category: int | str) -> list[Document]:
    """Entries as from COCO.loadRes: the area is that of the box around the joints."""
    sides = people.keypoints.amax(1) - people.keypoints.amin(1)
    triples = torch.cat([people.keypoints, people.joint_scores[..., None]], -1).flatten(1).numpy()
    rows = zip(people.images, triples, people.scores.tolist(), sides.prod(-1).tolist(), strict=True)
    keys = ("image_id", "keypoints", "score", "area")
    return [
        {"id": number, "category_id": category, **dict(zip(keys, row, strict=True))}
        for number, row in enumerate(rows, 1)
    ]


def _sigmas(skeleton: Skeleton, given: Sequence[float] | None) -> tuple[float, ...]:
    sigmas, joints = skeleton.sigmas if given is None else given, len(skeleton.joints)
    if sigmas is None:
        raise ValueError(
            f"skeleton {skeleton.name} has no OKS sigmas: set eval.metric.sigmas, or eval=pck"
        )
    if len(sigmas) != joints:
        raise ValueError(
            f"{len(sigmas)} sigmas for the {joints} joints of skeleton {skeleton.name}: set one "
            "per joint in eval.metric.sigmas"
        )
    if not all(0 < s < 0.2 for s in sigmas):
        raise ValueError(f"OKS sigmas are between .01 and .11, got {max(sigmas)}: divide by 10?")
    return tuple(sigmas)
