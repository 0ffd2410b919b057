"""PoseTrack's average precision of people's joints, as poseval and PoseTrack21's kit have it.

    size     .6 * the diagonal of a person's head box; a joint is found where d / size <= .5
    match    m[prediction, person] = joints found / joints annotated. Every prediction keeps its
             best person, then every person takes the best prediction that has kept it
    AP       of a joint over all frames of all videos: the area under the precision envelope. A
             joint of a matched prediction counts by its own distance, all others as false
    mAP      the mean of the joints' APs (not of the seven groups that tables print), in percent

Frames in which nobody is annotated are dropped with what was predicted there, and so are joints
strictly inside an ignored region on both sides. The evaluators differ in what is there:

    poseval       a frame with annotated people; a joint unless x = y = v = 0; a joint that nobody
                  has is left out of the mean
    posetrack21   a frame that says is_labeled; a joint where x > 0 and y > 0; a joint that nobody
                  has counts as 0

The references sort scores in an order of ties that depends on the machine; here it is that of
video, frame and person. No matching is global: a duplicate with a better score can cost a person.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from posediff.diffusion.aggregate import Poses
from posediff.diffusion.choices import one_of
from posediff.metrics.collected import Collected, rows_by_image
from posediff.metrics.metric import Metric, check_rows, check_skeleton
from posediff.metrics.posetrack_files import (
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
from posediff.pose.oks import suppress
from posediff.pose.skeleton import skeleton as named_skeleton
from posediff.sample import take
from posediff.truth import Truth

Kit = Literal["poseval", "posetrack21"]

SKELETON = "posetrack15"
NEAR = 0.5  # sizes of the head
GROUPS = {
    "head": ("head_top", "head_bottom", "nose"),
    **{
        part: (f"left_{part}", f"right_{part}")
        for part in ("shoulder", "elbow", "wrist", "hip", "knee", "ankle")
    },
}


def average_precision(truth: Labels, found: FramePeople, evaluator: Kit = "poseval") -> Values:
    """AP (J,) in 0 .. 1; NaN (poseval) or 0 (posetrack21) of a joint that nobody has."""
    people, found, head = _counted(truth, found, evaluator)
    correct, annotated = assigned(people, head, found), people.present.sum(0)
    areas = np.full(len(annotated), 0.0 if evaluator == "posetrack21" else np.nan)
    for j in np.flatnonzero(annotated):
        here = found.present[:, j]
        areas[j] = _area(found.scores[here, j], correct[here, j], int(annotated[j]))
    return areas


def assigned(people: FramePeople, head: Values, found: FramePeople) -> Flags:
    """Which joints (N, J) of predictions are those of the person that each is matched with."""
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
    """All pairs of rows of the same frame, by the first and then by the second; a and b ascend."""
    low, high = np.searchsorted(b, a), np.searchsorted(b, a, "right")
    count = high - low
    first = np.repeat(np.arange(len(a)), count)
    start = np.repeat(np.cumsum(count) - count, count)
    return first, np.repeat(low, count) + np.arange(len(first)) - start


def _first_best(values: Values, group: NDArray[np.int64]) -> Flags:
    """Of every group its largest value, the first where there are several."""
    order = np.lexsort((-values, group))  # stable
    best = np.zeros(len(values), np.bool_)
    best[order[np.diff(group[order], prepend=-1) != 0]] = True
    return best


def _area(scores: Values, correct: Flags, annotated: int) -> float:
    """Under the precision envelope, at all points."""
    hits = correct[np.argsort(-scores, kind="stable")].cumsum()
    precision = hits / np.arange(1, len(hits) + 1)
    envelope = np.maximum.accumulate(precision[::-1])[::-1]
    return float((np.diff(hits, prepend=0) * envelope).sum() / annotated)


def _counted(
    truth: Labels, found: FramePeople, evaluator: Kit
) -> tuple[FramePeople, FramePeople, Values]:
    """People, predictions and sizes of heads in the frames that count, with the joints that do."""
    frames = truth.labelled.copy()
    if evaluator == "poseval":
        frames = np.bincount(truth.people.frame, minlength=len(truth.frames)) > 0
    sides = []
    for side in (truth.people, found):
        present = side.present & ~_ignored(side, truth.regions)
        if evaluator == "posetrack21":
            present &= (side.points > 0).all(-1)
        kept = present.any(1) & frames[side.frame]
        sides.append((side._replace(present=present).at(kept), kept))
    (people, there), (found, _) = sides
    return people, found, truth.head[there]


def _ignored(people: FramePeople, regions: Sequence[Region]) -> Flags:
    """(N, J) joints in a region of their frame."""
    inside = np.zeros(people.present.shape, np.bool_)
    for frame, polygon in regions:
        begin, end = np.searchsorted(people.frame, [frame, frame + 1])
        if begin < end:
            inside[begin:end] |= within(people.points[begin:end], polygon)
    return inside


def within(points: Values, polygon: Values) -> Flags:
    """Which points (..., 2) lie strictly inside a polygon (V, 2), by the even-odd rule."""
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


def figures(joints: Sequence[str], precision: Values) -> dict[str, float]:
    """mAP, `mAP:<group>` of seven, `AP:<joint>` of all, in percent; NaN where there is nothing."""
    by_joint = dict(zip(joints, (100 * precision).tolist(), strict=True))
    groups = {name: float(np.mean([by_joint[j] for j in part])) for name, part in GROUPS.items()}
    known = [x for x in by_joint.values() if x == x]
    return {
        "mAP": float(np.mean(known)) if known else float("nan"),
        **{f"mAP:{name}": x for name, x in groups.items()},
        **{f"AP:{joint}": x for joint, x in by_joint.items()},
    }


def score(truth: Source, results: Source, evaluator: Kit = "poseval") -> dict[str, float]:
    """The figures of result files: folders with a file per video, or documents by their names."""
    skeleton = named_skeleton(SKELETON)
    annotated = read_truth(truth, skeleton)
    found = read_results(results, annotated, skeleton)
    return figures(skeleton.joints, average_precision(annotated, found, evaluator))


class PoseTrackAP(Metric):
    """Poses in the frames of videos against their annotations, for any number of aggregation rules.

    joint_score: of a joint, its peak times the score of the box, or the peak.
    nms: "oks" takes copies of a better person out of a frame, above nms_threshold. Samples may come
    in any order, in batches of any size, and twice.
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
        self.evaluator, self.joint_score = evaluator, joint_score
        self.whole, self.nms, self.nms_threshold = truth.whole, nms, nms_threshold
        self.documents = truth.annotated_videos(f"eval={evaluator}")
        self.truth = read_truth(self.documents, named_skeleton(SKELETON))
        self.place = {file: i for i, (_, file) in enumerate(self.truth.frames)}
        self.collected = Collected()

    def update(self, name: str, poses: Poses, sample: Mapping[str, Any]) -> None:
        """Poses (B, J, 2) in pixels of the annotation by the rule `name`.

        `sample` holds id, meta {file}, box_score (B,) and scale (B, 2).
        Raises ValueError for poses of another skeleton, for poses that are not finite, and for
        frames that are not annotated.
        """
        check_skeleton(poses, SKELETON)
        check_rows(poses, sample["id"], sample["meta"]["file"], self.place)
        self.collected.add(
            name,
            id=sample["id"],
            files=sample["meta"]["file"],
            keypoints=poses.keypoints,
            peaks=poses.scores,
            boxes=sample["box_score"],
            areas=sample["scale"].prod(-1),
            spread=poses.spread,
        )

    def people(self, name: str) -> Found:
        """Who is written and scored by the rule `name`, after suppression."""
        return self._kept(self.collected.table(name))

    def _kept(self, table: Mapping[str, Any]) -> Found:
        peaks, boxes = table["peaks"], table["boxes"]
        joint_scores = peaks * boxes[:, None] if self.joint_score == "peak_x_box" else peaks
        scores, kept = joint_scores.mean(1), list(range(len(peaks)))
        if self.nms == "oks":
            kept = []
            sigmas = named_skeleton(SKELETON).sigmas or ()
            for group in rows_by_image(table["files"]).values():
                keypoints, areas = table["keypoints"][group], table["areas"][group]
                stay = suppress(
                    keypoints, areas, scores[group], sigmas, self.nms, self.nms_threshold
                )
                kept += [group[i] for i in sorted(stay.tolist())]
        columns = (table["files"], table["keypoints"], joint_scores, scores)
        return Found(*(take(column, kept) for column in columns))

    def compute(self) -> dict[str, float]:
        """Every figure by its key, `<metric>/<rule>`; the headline is the first."""
        return self.collected.figures(self._figures)

    def _figures(self, table: Mapping[str, Any]) -> dict[str, float]:
        people = self._kept(table)
        frame = np.array([self.place[file] for file in people.images], np.int64)
        found = FramePeople(
            frame,
            people.keypoints.numpy(),
            np.ones(people.joint_scores.shape, np.bool_),
            people.joint_scores.numpy(),
        ).at(np.argsort(frame, kind="stable"))
        precision = average_precision(self._seen(frame), found, self.evaluator)
        scored = figures(named_skeleton(SKELETON).joints, precision)
        return {**scored, "spread": table["spread"].nanmean(), "people": len(people.images)}

    def _seen(self, frames: NDArray[np.int64]) -> Labels:
        """The annotations that count."""
        if self.whole:
            return self.truth
        seen = np.isin(np.arange(len(self.truth.frames)), frames)
        here = seen[self.truth.people.frame]
        people, head = self.truth.people.at(here), self.truth.head[here]
        return self.truth._replace(labelled=self.truth.labelled & seen, people=people, head=head)

    def result_files(self, folder: Path) -> Iterator[Path]:
        """Write the people of every rule as the benchmark takes them; return the folders."""
        for name in self.collected.batches:
            yield write_posetrack(folder / f"results_{name}", self.documents, self.people(name))

    def summary(self) -> dict[str, Any]:
        """What a report must say about these figures."""
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
