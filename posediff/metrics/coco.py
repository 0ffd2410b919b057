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
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import Any, get_args

import numpy as np
import torch
from numpy.typing import NDArray

from posediff.diffusion.aggregate import Poses
from posediff.diffusion.choices import one_of
from posediff.metrics.result_files import Found
from posediff.metrics.rows import Rows, rows_by_image
from posediff.pose.oks import Score, Suppression, instance_scores, suppress
from posediff.pose.skeleton import skeleton as named_skeleton
from posediff.sample import take

Table = NDArray[np.float64]
Truth = Mapping[str, Any]  # images, categories and annotations in COCO's form

EVERY, MEDIUM, LARGE = (0, 1e10), (32**2, 96**2), (96**2, 1e10)
# Of the tables of precision and recall: thresholds, and which of the ranges of area.
CUTS: dict[str, tuple[Any, int]] = {
    "": (slice(None), 0),
    "50": (0, 0),
    "75": (5, 0),
    "m": (slice(None), 1),
    "l": (slice(None), 2),
}


class CocoAP:
    """Poses of a data set against its annotations, for any number of aggregation rules.

    truth: annotations in COCO's form, as data sets check them, joints in the skeleton's order.
    images: "all" of them count, also those without an answer; "seen": those of the samples, as
    training scores a part. skeleton: of any data set; sigmas: in the place of the skeleton's.
    score, keypoint_threshold, nms, nms_threshold: see posediff/pose/oks.py; nms_area: of a person
    in suppression, its padded crop as in the references, or that of the sample. Samples may come in
    any order, in batches of any size, and twice; ties are broken by the sample's id.
    """

    name, prefix = "coco", ""

    def __init__(
        self,
        truth: Truth,
        skeleton: str,
        images: str = "all",
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
        one_of("eval.metric.images", images, ("all", "seen"))
        self.truth, self.skeleton, self.images = truth, named_skeleton(skeleton), images
        self.sigmas = _sigmas(skeleton, self.skeleton.sigmas if sigmas is None else sigmas)
        self.score, self.keypoint_threshold = score, keypoint_threshold
        self.nms, self.nms_threshold, self.nms_area = nms, nms_threshold, nms_area
        self.known = {image["id"] for image in truth["images"]}
        self.rows = Rows()

    def update(self, name: str, poses: Poses, sample: Mapping[str, Any]) -> None:
        """Poses (B, J, 2) in pixels of the annotation by the rule `name`.

        `sample` holds id, meta {image_id}, box_score (B,), scale (B, 2) pixels or area (B,), and
        visible_annotation (B, J) where people are annotated. Raises ValueError for poses of another
        skeleton, such as are not finite, and images that the annotations do not have.
        """
        if poses.skeleton != self.skeleton.name:
            raise ValueError(f"poses of {poses.skeleton} cannot be scored as {self.skeleton.name}")
        images = sample["meta"]["image_id"]
        sound = poses.keypoints.isfinite().all(-1).all(-1) & poses.scores.isfinite().all(-1)
        for key, image, finite in zip(sample["id"], images, sound.tolist(), strict=True):
            if image not in self.known:
                raise ValueError(f"no image {image}, that of sample {key}, in the annotations")
            if not finite:
                raise ValueError(f"the pose of {key} is not finite: check the weights")
        padded = self.nms_area == "padded"
        self.rows.add(
            name,
            id=sample["id"],
            images=images,
            keypoints=poses.keypoints,
            joint_scores=poses.scores,
            boxes=sample["box_score"],
            areas=sample["scale"].prod(-1) if padded else sample["area"],
            spread=poses.spread,
            labelled=sample.get("visible_annotation", torch.ones_like(poses.scores)),
        )

    def people(self, name: str) -> Found:
        """Who is written and scored by the rule `name`, after suppression."""
        return self._kept(self.rows.table(name))

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
        figures: dict[str, float] = {}
        for name in self.rows.batches:
            table = self.rows.table(name)
            people = self._kept(table)
            scored = {f"{self.prefix}{key}": x for key, x in self.figures(people).items()}
            labelled = table["spread"][table["labelled"] > 0]
            if len(labelled):
                scored["spread"] = float(labelled.mean())
            scored |= {"people": len(table["id"]), "people_kept": len(people.scores)}
            figures |= {f"{key}/{name}": float(x) for key, x in scored.items()}
        return figures

    def figures(self, people: Found) -> dict[str, float]:
        images = [image["id"] for image in self.scored(people)]
        ranges = (EVERY, MEDIUM, LARGE)
        return averages(*precision_recall(self.truth, people, self.sigmas, ranges, images))

    def scored(self, people: Found) -> list[Truth]:
        """The images that count; of one that was seen the best person always stays."""
        seen = set(people.images)
        return [x for x in self.truth["images"] if self.images == "all" or x["id"] in seen]

    def summary(self) -> dict[str, Any]:
        """What a report must say about these figures."""
        people = self.truth["annotations"]
        ignored = sum(p["iscrowd"] or not p["num_keypoints"] for p in people)
        return {
            "evaluator": self.name,
            "pycocotools": version("pycocotools"),
            "annotated_images": len(self.known),
            "images": self.images,
            "annotated_people": len(people),
            "ignored_people": ignored,
            "sigmas": list(self.sigmas),
            "score": self.score,
            "keypoint_threshold": self.keypoint_threshold,
            "nms": self.nms,
            "nms_threshold": self.nms_threshold,
            "nms_area": self.nms_area,
            "ties": "stable, by sample id",
        }


def precision_recall(
    truth: Truth,
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
    """Of what is there to find; -1 where that is nobody."""
    told = table[table > -1]
    return float(told.mean()) if told.size else -1.0


def _indexed(content: Truth) -> Any:
    from pycocotools.coco import COCO

    coco = COCO()
    coco.dataset = content
    coco.createIndex()
    return coco


def _as_annotations(people: Found, category: int | str) -> list[Truth]:
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
