"""PoseTrack's average precision of people's joints, as by poseval and PoseTrack21's kit.

    size     .6 * the diagonal of a person's head box; a joint is found if d / size <= .5
    match    m[prediction, person] = joints found / joints annotated. Every prediction keeps its
             best person, then every person takes the best prediction that has kept it
    AP       of a joint over all frames of all videos: the area under the precision envelope. A
             joint of a matched prediction counts by its own distance, all others as false
    mAP      the mean of the joints' APs (not of the seven groups that tables print), in percent

Frames that do not count are removed together with their predictions; annotated and predicted joints
strictly inside an ignored region are removed, too. The evaluators differ in what counts:

    poseval       a frame with annotated people; a joint unless x = y = v = 0; the mean leaves out
                  joints that no person has
    posetrack21   a frame with is_labeled; a joint with x > 0 and y > 0; a joint that no person has
                  counts as 0

The order of tied scores depends on the machine in the references; here it is that of video, frame
and person. The matching is greedy: a duplicate with a better score can cost a person.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from posediff.diffusion.aggregate import Poses
from posediff.diffusion.choices import one_of
from posediff.metrics.metric import check_rows
from posediff.metrics.pck import PARTS
from posediff.metrics.posetrack_files import (
    SKELETON,
    Flags,
    FramePeople,
    Labels,
    Region,
    Source,
    Values,
    read_results,
    read_truth,
)
from posediff.metrics.result_files import Found, write_posetrack
from posediff.metrics.table_metric import TableMetric, unsuppressed
from posediff.truth import Truth

Kit = Literal["poseval", "posetrack21"]

NEAR = 0.5  # sizes of the head
GROUPS = {
    "head": ("head_top", "head_bottom", "nose"),
    **{part: (f"left_{part}", f"right_{part}") for part in PARTS},
}


def average_precision(truth: Labels, found: FramePeople, evaluator: Kit = "poseval") -> Values:
    """AP (J,) in 0 .. 1; NaN (poseval) or 0 (posetrack21) for a joint that no person has."""
    people, found, head = _counted(truth, found, evaluator)
    correct, annotated = assigned(people, head, found), people.present.sum(0)
    areas = np.full(len(annotated), 0.0 if evaluator == "posetrack21" else np.nan)
    for j in np.flatnonzero(annotated):
        here = found.present[:, j]
        areas[j] = _area(found.scores[here, j], correct[here, j], int(annotated[j]))
    return areas


def assigned(people: FramePeople, head: Values, found: FramePeople) -> Flags:
    """Correct joints (N, J) of the predictions: near those of the person each is matched with."""
    p, g = _pairs(found.frame, people.frame)
    near = np.linalg.norm(found.points[p] - people.points[g], axis=-1) <= NEAR * head[g, None]
    near &= found.present[p] & people.present[g]
    share = near.sum(1) / people.present.sum(1)[g]
    share *= _first_best(share, p)  # every prediction keeps its best person
    kept = _first_best(share, g) & (share > 0)
    correct = np.zeros(found.present.shape, np.bool_)
    correct[p[kept]] = near[kept]
    return correct


def _pairs(a: NDArray[np.int64], b: NDArray[np.int64]) -> tuple[NDArray[np.int64], ...]:
    """Rows of a and b, both ascending, for all pairs of the same frame, sorted by a, then by b."""
    low, high = np.searchsorted(b, a), np.searchsorted(b, a, "right")
    count = high - low
    first = np.repeat(np.arange(len(a)), count)
    start = np.repeat(np.cumsum(count) - count, count)
    return first, np.repeat(low, count) + np.arange(len(first)) - start


def _first_best(values: Values, group: NDArray[np.int64]) -> Flags:
    """Flags of the largest value of every group, the first of equal ones."""
    order = np.lexsort((-values, group))  # stable
    best = np.zeros(len(values), np.bool_)
    best[order[np.diff(group[order], prepend=-1) != 0]] = True
    return best


def _area(scores: Values, correct: Flags, annotated: int) -> float:
    """Area under the precision envelope, at all points."""
    hits = correct[np.argsort(-scores, kind="stable")].cumsum()
    precision = hits / np.arange(1, len(hits) + 1)
    envelope = np.maximum.accumulate(precision[::-1])[::-1]
    return float((np.diff(hits, prepend=0) * envelope).sum() / annotated)


def _counted(
    truth: Labels, found: FramePeople, evaluator: Kit
) -> tuple[FramePeople, FramePeople, Values]:
    """People, predictions and sizes of heads, without frames and joints that do not count."""
    frames = truth.labelled
    if evaluator == "poseval":
        frames = np.bincount(truth.people.frame, minlength=len(truth.frames)) > 0

    def counted(people: FramePeople) -> tuple[FramePeople, Flags]:
        present = people.present & ~_ignored(people, truth.regions)
        if evaluator == "posetrack21":
            present &= (people.points > 0).all(-1)
        kept = present.any(1) & frames[people.frame]
        return people._replace(present=present).at(kept), kept

    people, kept = counted(truth.people)
    return people, counted(found)[0], truth.head[kept]


def _ignored(people: FramePeople, regions: Sequence[Region]) -> Flags:
    """(N, J) joints in a region of their frame."""
    inside = np.zeros(people.present.shape, np.bool_)
    for frame, polygon in regions:
        start, end = np.searchsorted(people.frame, [frame, frame + 1])
        inside[start:end] |= within(people.points[start:end], polygon)
    return inside


def within(points: Values, polygon: Values) -> Flags:
    """Points (..., 2) strictly inside a polygon (V, 2), by the even-odd rule. -> (...) bool."""
    low, high = polygon.min(0), polygon.max(0)
    inside: Flags = ((points > low) & (points < high)).all(-1)
    if not inside.any():
        return inside
    x, y = points[inside].T[..., None]
    (x1, y1), (x2, y2) = polygon.T, np.roll(polygon, -1, 0).T
    turn = (x2 - x1) * (y - y1) - (y2 - y1) * (x - x1)  # 0 on the line of an edge
    on = (turn == 0) & (np.minimum(x1, x2) <= x) & (x <= np.maximum(x1, x2))
    on &= (np.minimum(y1, y2) <= y) & (y <= np.maximum(y1, y2))
    crossed = ((y1 > y) != (y2 > y)) & ((turn > 0) == (y2 > y1))
    inside[inside] = (crossed.sum(-1) % 2 == 1) & ~on.any(-1)
    return inside


def figures(precision: Values) -> dict[str, float]:
    """mAP, `mAP:<group>` of seven, `AP:<joint>` of all, in percent; NaN if no person has one."""
    by_joint = dict(zip(SKELETON.joints, (100 * precision).tolist(), strict=True))
    groups = {name: float(np.mean([by_joint[j] for j in part])) for name, part in GROUPS.items()}
    defined = [x for x in by_joint.values() if x == x]
    return {
        "mAP": float(np.mean(defined)) if defined else float("nan"),
        **{f"mAP:{name}": x for name, x in groups.items()},
        **{f"AP:{joint}": x for joint, x in by_joint.items()},
    }


def score(truth: Source, results: Source, evaluator: Kit = "poseval") -> dict[str, float]:
    """The figures of result files. Raises as `read_truth` and `read_results`."""
    annotated = read_truth(truth)
    found = read_results(results, annotated)
    return figures(average_precision(annotated, found, evaluator))


class PoseTrackAP(TableMetric):
    """Average precision of the poses in the frames of videos.

    joint_score: the peak of a joint times the score of the box, or the peak.
    nms: "oks" removes copies of a better person, above nms_threshold, from a frame.
    """

    def __init__(
        self,
        truth: Truth,
        evaluator: Kit = "poseval",
        joint_score: Literal["peak_x_box", "peak"] = "peak_x_box",
        nms: Literal["none", "oks"] = "none",
        nms_threshold: float = 0.9,
    ) -> None:
        one_of("eval.metric.evaluator", evaluator, get_args(Kit))
        one_of("eval.metric.joint_score", joint_score, ("peak_x_box", "peak"))
        one_of("eval.metric.nms", nms, ("none", "oks"))
        super().__init__(SKELETON.name)
        self.evaluator, self.joint_score = evaluator, joint_score
        self.whole, self.nms, self.nms_threshold = truth.whole, nms, nms_threshold
        self.documents = truth.annotated_videos(f"eval={evaluator}")
        self.truth = read_truth(self.documents)
        self.place = {file: i for i, (_, file) in enumerate(self.truth.frames)}

    def update(self, name: str, poses: Poses, sample: Mapping[str, Any]) -> None:
        """Add poses (B, J, 2) in pixels of the annotation by the rule `name`.

        `sample` has id, meta {file}, box_score (B,) and scale (B, 2). Raises ValueError if poses
        have another skeleton or are not finite, or if a frame is not in the annotations.
        """
        files = sample["meta"]["file"]
        check_rows(poses, sample, files, self.place)
        boxes, areas = sample["box_score"], sample["scale"].prod(-1)
        self.add(name, poses, sample, images=files, peaks=poses.scores, boxes=boxes, areas=areas)

    def people(self, table: Mapping[str, Any]) -> Found:
        """The people of a table that are scored and written, after suppression."""
        peaks, boxes = table["peaks"], table["boxes"]
        joint_scores = peaks * boxes[:, None] if self.joint_score == "peak_x_box" else peaks
        scores, sigmas = joint_scores.mean(1), SKELETON.sigmas or ()
        kept = unsuppressed(table, scores, sigmas, self.nms, self.nms_threshold)
        found = Found(table["images"], table["keypoints"], joint_scores, scores)
        return found.at(sorted(kept))  # the order of ties is that of people

    def _figures(self, table: Mapping[str, Any]) -> dict[str, float]:
        people = self.people(table)
        frame = np.array([self.place[file] for file in people.images], np.int64)
        found = FramePeople(
            frame,
            people.keypoints.numpy(),
            np.ones(people.joint_scores.shape, np.bool_),
            people.joint_scores.numpy(),
        ).at(np.argsort(frame, kind="stable"))
        precision = average_precision(self._seen(frame), found, self.evaluator)
        counts = {"spread": table["spread"].nanmean(), "people": len(people.images)}
        return figures(precision) | counts

    def _seen(self, frames: NDArray[np.int64]) -> Labels:
        """The annotations of these frames, or all of them."""
        if self.whole:
            return self.truth
        seen = np.isin(np.arange(len(self.truth.frames)), frames)
        here = seen[self.truth.people.frame]
        people, head = self.truth.people.at(here), self.truth.head[here]
        return self.truth._replace(labelled=self.truth.labelled & seen, people=people, head=head)

    def result_files(self, folder: Path) -> Iterator[Path]:
        for name in self.batches:
            people = self.people(self.table(name))
            yield write_posetrack(folder / f"results_{name}", self.documents, people)

    def summary(self) -> dict[str, Any]:
        people = self.truth.people
        return {
            "evaluator": self.evaluator,
            "annotation_files": len(self.documents),
            "annotated_frames": len(set(people.frame.tolist())),
            "annotated_people": len(people.frame),
            "images": "all" if self.whole else "seen",
            "joint_score": self.joint_score,
            "nms": self.nms,
            "nms_threshold": self.nms_threshold,
            "ties": "stable, by video, frame and person",
        }
