"""Average precision by object keypoint similarity, as COCO scores keypoints.

    AP, AP50, AP75      mean precision at OKS .50:.05:.95, at .50 and at .75
    APm, APl            AP of people of 32^2 .. 96^2 and of more square pixels
    AR ...              the same of the largest recall

pycocotools computes them: 101 recall points, at most 20 people an image, people without a labelled
joint and crowds ignored, -1 where there is nobody to find. Figures lie in 0 .. 1. Before that, as
in HRNet and mmpose, a person's score is made of those of its box and its joints, and copies of a
better person are taken out of an image (posediff/pose/oks.py).
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
from posediff.metrics.collected import Collected, rows_by_image
from posediff.metrics.metric import Metric, check_rows, check_skeleton
from posediff.metrics.result_files import Found, write_coco
from posediff.pose.oks import Score, Suppression, instance_scores, suppress
from posediff.pose.skeleton import skeleton as named_skeleton
from posediff.sample import take
from posediff.truth import Document, Truth

Table = NDArray[np.float64]

EVERY, MEDIUM, LARGE = (0, 1e10), (32**2, 96**2), (96**2, 1e10)
# Of the tables of precision and recall: thresholds, and which of the ranges of area.
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
    """How a benchmark scores the people that were found, and writes them down.

    figures   of (truth, found, OKS sigmas, ids of the images that count), by their keys
    write     the benchmark's result file of (path, found, truth); returns the path
    check     raises ValueError for a truth, or a skeleton by name, that cannot be scored
    prefix    of the keys of the figures; about: what a report must say of them
    """

    name: str
    figures: Figures
    write: Callable[[Path, Found, Document], Path]
    check: Callable[[Document, str], None] = lambda truth, skeleton: None
    prefix: str = ""
    about: Mapping[str, Any] = field(default_factory=dict)


def coco() -> Evaluator:
    """COCO's own figures."""
    return Evaluator("coco", coco_figures, write_results)


def coco_figures(
    truth: Document, found: Found, sigmas: Sequence[float], images: Sequence[Any]
) -> dict[str, float]:
    return averages(*precision_recall(truth, found, sigmas, (EVERY, MEDIUM, LARGE), images))


def write_results(path: Path, found: Found, truth: Document) -> Path:
    return write_coco(path, found, truth["categories"][0]["id"])


class CocoAP(Metric):
    """Poses of a data set against its annotations, for any number of aggregation rules.

    evaluator: the benchmark whose figures these are. sigmas: in the place of the skeleton's. score,
    keypoint_threshold, nms, nms_threshold: see posediff/pose/oks.py. nms_area: of a person in
    suppression, the padded crop as in the references, or the area of the annotation. Samples may
    come in any order, in batches of any size, and twice; ties are broken by the sample's id.
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
        self.evaluator = evaluator or coco()
        self.truth = truth.annotated_people(f"eval={self.evaluator.name}")
        self.skeleton, self.whole = named_skeleton(truth.skeleton), truth.whole
        self.evaluator.check(self.truth, truth.skeleton)
        given = self.skeleton.sigmas if sigmas is None else sigmas
        self.sigmas = _sigmas(truth.skeleton, given)
        self.score, self.keypoint_threshold = score, keypoint_threshold
        self.nms, self.nms_threshold, self.nms_area = nms, nms_threshold, nms_area
        self.known = {image["id"] for image in self.truth["images"]}
        self.collected = Collected()

    def update(self, name: str, poses: Poses, sample: Mapping[str, Any]) -> None:
        """Poses (B, J, 2) in pixels of the annotation by the rule `name`.

        `sample` holds id, meta {image_id}, box_score (B,), scale (B, 2) or area (B,), and
        visible_annotation (B, J) where people are annotated.
        Raises ValueError for poses of another skeleton, for poses that are not finite, and for
        images that the annotations do not have.
        """
        check_skeleton(poses, self.skeleton.name)
        check_rows(poses, sample["id"], sample["meta"]["image_id"], self.known)
        padded = self.nms_area == "padded"
        self.collected.add(
            name,
            id=sample["id"],
            images=sample["meta"]["image_id"],
            keypoints=poses.keypoints,
            joint_scores=poses.scores,
            boxes=sample["box_score"],
            areas=sample["scale"].prod(-1) if padded else sample["area"],
            spread=poses.spread,
            labelled=sample.get("visible_annotation", torch.ones_like(poses.scores)),
        )

    def people(self, name: str) -> Found:
        """The people that are scored and written by the rule `name`, after suppression."""
        return self._kept(self.collected.table(name))

    def _kept(self, table: Mapping[str, Any]) -> Found:
        rule, threshold = self.score, self.keypoint_threshold
        scores = instance_scores(table["boxes"], table["joint_scores"], rule, threshold)
        kept: list[int] = []
        for group in rows_by_image(table["images"]).values():
            keypoints, areas = table["keypoints"][group], table["areas"][group]
            how = (self.sigmas, self.nms, self.nms_threshold)
            stay = suppress(keypoints, areas, scores[group], *how)
            kept += [group[i] for i in stay.tolist()]
        columns = [table[key] for key in ("images", "keypoints", "joint_scores")]
        return Found(*(take(column, kept) for column in (*columns, scores)))

    def compute(self) -> dict[str, float]:
        """Every figure by its key, `<metric>/<rule>`; the headline is the first."""
        return self.collected.figures(self._figures)

    def _figures(self, table: Mapping[str, Any]) -> dict[str, Any]:
        found = self._kept(table)
        seen = set(found.images)  # of an image that was seen the best person always stays
        images = [x["id"] for x in self.truth["images"] if self.whole or x["id"] in seen]
        own = self.evaluator.figures(self.truth, found, self.sigmas, images)
        return {
            **{f"{self.evaluator.prefix}{key}": x for key, x in own.items()},
            "spread": table["spread"][table["labelled"] > 0].mean(),
            "people": len(table["id"]),
            "people_kept": len(found.scores),
        }

    def result_files(self, folder: Path) -> Iterator[Path]:
        """Write the people of every rule as the benchmark takes them; return the paths."""
        for name in self.collected.batches:
            path = folder / f"results_{name}.json"
            yield self.evaluator.write(path, self.people(name), self.truth)

    def summary(self) -> dict[str, Any]:
        """What a report must say about these figures."""
        people = self.truth["annotations"]
        ignored = sum(bool(p["iscrowd"]) or not p["num_keypoints"] for p in people)
        return {
            "evaluator": self.evaluator.name,
            "pycocotools": version("pycocotools"),
            "annotated_images": len(self.known),
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

    images: ids of those to score. -1 where there is nobody to find.
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
    """AP and AR over all thresholds, at .50, at .75 and of as many areas as there are."""
    cuts = {k: (at, area) for k, (at, area) in CUTS.items() if area < recall.shape[-1]}
    return {
        kind + key: mean_of(table[at][..., area])
        for kind, table in (("AP", precision), ("AR", recall))
        for key, (at, area) in cuts.items()
    }


def mean_of(table: Table) -> float:
    """The mean over the valid entries; -1 if there are none."""
    valid = table[table > -1]
    return float(valid.mean()) if valid.size else -1.0


def _indexed(content: Document) -> Any:
    from pycocotools.coco import COCO

    coco = COCO()
    coco.dataset = content
    coco.createIndex()
    return coco


def _as_annotations(people: Found, category: int | str) -> list[Document]:
    """As COCO.loadRes makes them: the area is that of the box around the joints."""
    sides = people.keypoints.amax(1) - people.keypoints.amin(1)
    triples = torch.cat([people.keypoints, people.joint_scores[..., None]], -1).flatten(1).numpy()
    rows = zip(people.images, triples, people.scores.tolist(), sides.prod(-1).tolist(), strict=True)
    return [
        {
            "id": number,
            "image_id": image,
            "category_id": category,
            "keypoints": keypoints,
            "score": score,
            "area": area,
        }
        for number, (image, keypoints, score, area) in enumerate(rows, 1)
    ]


def _sigmas(name: str, sigmas: Sequence[float] | None) -> tuple[float, ...]:
    joints = len(named_skeleton(name).joints)
    if sigmas is None:
        raise ValueError(f"skeleton {name} has no OKS sigmas: set eval.metric.sigmas, or eval=pck")
    if len(sigmas) != joints:
        raise ValueError(f"{len(sigmas)} sigmas for the {joints} joints of skeleton {name}")
    if not all(0 < s < 0.2 for s in sigmas):
        raise ValueError(f"OKS sigmas lie between .01 and .11, not {max(sigmas)}: divide by 10?")
    return tuple(sigmas)
