"""Percentage of correct keypoints, by the size of the torso (LSP and others) or the head (MPII).

    pck@t        d <= t * |left shoulder - right hip| of the annotation
    pck_limbs@t  the same without head and neck
    auc          area under pck@t over t = 0:.01:.2, as a part of that range
    pckh@0.5     d <= .5 * |head top - neck|; never comparable with MPII's, where it is
                 d <= .5 * .6 * the diagonal of the head box
    pcp          strict: both ends of a stick within half its length, mean over ten sticks
    epe          mean distance in pixels, of those that have an answer
    pck_person@t d <= t * the longer side of the person's box (JHMDB); there a torso that is not
                 labelled, or shorter than a pixel, is that of the answer

Labelled joints count, pooled over all people (in LSP all are labelled). A person whose reference
is not labelled is left out of what needs it, and counted. An answer that is not finite is none,
and wrong in every joint. Shares are in percent.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import torch
from torch import Tensor

from posediff.diffusion.aggregate import Poses
from posediff.diffusion.choices import one_of
from posediff.metrics.collected import Collected
from posediff.metrics.metric import Metric, check_skeleton
from posediff.pose.skeleton import Skeleton
from posediff.pose.skeleton import skeleton as named_skeleton
from posediff.truth import Truth

SIDES = ("left", "right")
PARTS = ("shoulder", "elbow", "wrist", "hip", "knee", "ankle")
TORSO = ("left_shoulder", "right_hip")
HEAD = ("head_top", "upper_neck")
HEADS = ("face", "nose", "head_top", "head_bottom")  # that video benchmarks call head
# A stick is two ends, an end the middle of some joints.
LIMBS = [("shoulder", "elbow"), ("elbow", "wrist"), ("hip", "knee"), ("knee", "ankle")]
STICKS = [
    *(((f"{side}_{a}",), (f"{side}_{b}",)) for side in SIDES for a, b in LIMBS),
    (("left_hip", "right_hip"), ("left_shoulder", "right_shoulder")),
    ((HEAD[0],), (HEAD[1],)),
]


def errors(pred: Tensor, truth: Tensor, size: Tensor | float = 1.0) -> Tensor:
    """Distances in units of each person's size. (N, J, 2), (N, J, 2), (N,) -> (N, J).

    Infinite where the answer is not finite; NaN for a person without a size (0 or NaN).
    """
    size = torch.as_tensor(size, dtype=truth.dtype)[..., None]
    apart = (pred - truth).square().sum(-1).sqrt()
    apart = torch.where(pred.isfinite().all(-1), apart, torch.inf)
    return apart / torch.where(size > 0, size, torch.nan)


def pck(errors: Tensor, counted: Tensor, threshold: float, strict: bool = False) -> Tensor:
    """Share of errors up to (strict: below) the threshold of every joint, in percent.

    (N, J), (N, J) bool -> (J,), NaN where no person counts. An error that is NaN never counts.
    """
    counted = counted & ~errors.isnan()
    near = errors < threshold if strict else errors <= threshold
    return 100 * (near & counted).sum(0) / counted.sum(0).double()


def pooled_pck(errors: Tensor, counted: Tensor, threshold: float, strict: bool = False) -> Tensor:
    """The same of all joints as one. -> ()."""
    return pck(errors.flatten(), counted.flatten(), threshold, strict)


def auc(errors: Tensor, counted: Tensor) -> Tensor:
    """Mean of pooled_pck over thresholds from 0 to .2, by the trapezoidal rule. -> ()."""
    curve = [pooled_pck(errors, counted, i * 0.2 / 20) for i in range(21)]
    return torch.trapezoid(torch.stack(curve)) / 20


def pcp(pred: Tensor, truth: Tensor, labelled: Tensor, skeleton: Skeleton) -> Tensor:
    """Share of each stick's people who have both ends right, in percent. -> (S,)."""
    shares = []
    for ends in STICKS:
        if not {*ends[0], *ends[1]} <= {*skeleton.joints}:
            continue
        rows = [[skeleton.joints.index(joint) for joint in end] for end in ends]
        p, g = (torch.stack([x[:, row].mean(1) for row in rows], 1) for x in (pred, truth))
        known = labelled[:, rows[0] + rows[1]].all(1)
        worst = errors(p, g, (g[:, 0] - g[:, 1]).norm(dim=-1)).amax(1)
        shares.append(pck(worst, known, 0.5))
    return torch.stack(shares) if shares else truth.new_empty(0)


class _Answers:
    """Poses and annotations of one skeleton, by aggregation rule."""

    def __init__(self, truth: Truth, metric: str, *further: str) -> None:
        truth.require(2, f"eval={metric}")
        self.skeleton, self.further = named_skeleton(truth.skeleton), further
        self.collected = Collected()

    def add(self, name: str, poses: Poses, sample: Mapping[str, Any]) -> None:
        check_skeleton(poses, self.skeleton.name)
        self.collected.add(
            name,
            id=sample["id"],
            pred=poses.keypoints,
            spread=poses.spread,
            truth=sample["keypoints_annotation"],
            visible=sample["visible_annotation"],
            **{key: sample[key] for key in self.further},
        )

    def figures(
        self, score: Callable[[dict[str, Tensor]], Mapping[str, Any]], prefix: str = ""
    ) -> dict[str, float]:
        """As `Collected.figures`; a table also has `labelled`."""
        return self.collected.figures(
            lambda table: score({**table, "labelled": table["visible"] > 0}), prefix
        )


class TorsoPCK(Metric):
    """The figures of one evaluation, for any number of aggregation rules.

    The data set is the first part of every key, `<dataset>/pck@0.2/<rule>`, since other data or
    another choice of joints makes another figure. Samples may come in any order, in batches of any
    size, and twice.
    """

    def __init__(self, truth: Truth) -> None:
        self.answers, self.dataset = _Answers(truth, "pck"), truth.dataset
        joints = self.answers.skeleton.joints
        self.limbs = [j for j, joint in enumerate(joints) if joint.endswith(PARTS)]
        self.columns = _columns(joints) | {
            "head": [j for j, joint in enumerate(joints) if joint in HEAD]
        }

    def update(self, name: str, poses: Poses, sample: Mapping[str, Any]) -> None:
        """Poses (B, J, 2) in pixels of the annotation by the rule `name`.

        `sample` holds id, keypoints_annotation (B, J, 2) and visible_annotation (B, J), which is
        0 where a joint is not labelled. Raises ValueError for poses of another skeleton.
        """
        self.answers.add(name, poses, sample)

    def compute(self) -> dict[str, float]:
        """Every figure by its key; `:<part>` is the mean of that part's joints."""
        return self.answers.figures(self._figures, f"{self.dataset}/")

    def _figures(self, table: Mapping[str, Tensor]) -> dict[str, Tensor | float]:
        pred, truth, labelled = table["pred"], table["truth"], table["labelled"]
        torso, head = (self._length(truth, labelled, pair) for pair in (TORSO, HEAD))
        by_torso, by_head, pixels = (errors(pred, truth, size) for size in (torso, head, 1.0))
        limbs, figures = self.limbs, dict[str, Tensor | float]()
        for t in (0.2, 0.1):
            joints = pck(by_torso, labelled, t)
            figures[f"pck@{t}"] = pooled_pck(by_torso, labelled, t)
            figures[f"pck_limbs@{t}"] = pooled_pck(by_torso[:, limbs], labelled[:, limbs], t)
            parts = {part: joints[rows].nanmean() for part, rows in self.columns.items()}
            figures |= {f"pck@{t}:{part}": x for part, x in parts.items()}
        scored = labelled & ~by_torso.isnan()
        return figures | {
            "auc": auc(by_torso, labelled),
            "pcp": pcp(pred, truth, labelled, self.answers.skeleton).nanmean(),
            "pckh@0.5": pooled_pck(by_head, labelled, 0.5),
            "epe": pixels[labelled & pixels.isfinite()].mean(),
            "spread": table["spread"][labelled].nanmean(),
            "people": len(pred),
            "people_without_answer": (~pred.isfinite().all(-1).all(-1)).sum(),
            "people_without_torso": torso.isnan().sum(),
            "people_without_head": head.isnan().sum(),
            "joints": scored.sum(),
            "joints_of_limbs": scored[:, limbs].sum(),
        }

    def _length(self, truth: Tensor, labelled: Tensor, pair: Sequence[str]) -> Tensor:
        """(N,) from one annotated joint to the other; NaN where one is not labelled, or both lie
        in one point."""
        joints = self.answers.skeleton.joints
        if not {*pair} <= {*joints}:
            return truth.new_full((len(truth),), torch.nan)
        a, b = (joints.index(joint) for joint in pair)
        length = (truth[:, a] - truth[:, b]).norm(dim=-1)
        return torch.where(labelled[:, a] & labelled[:, b] & (length > 0), length, torch.nan)

    def summary(self) -> dict[str, Any]:
        """What a report must say about these figures."""
        return {
            "evaluator": "pck",
            "reference": "left shoulder to right hip of the annotation; d <= t * reference",
            "joints_scored": "labelled, of people with a torso, pooled",
        }


class PersonPCK(Metric):
    """JHMDB's measure, by the size of the person's box and of the torso, for any number of rules.

    Every labelled joint of every person counts. `pck_person@0.2` pools them; `:joints` is the mean
    of the joints' shares and `:groups` that of seven groups, which other tables print for the same
    answers. strict: d < t * size, as in mmpose. The data set is the first part of every key.
    """

    def __init__(self, truth: Truth, strict: bool = False) -> None:
        self.answers, self.strict = _Answers(truth, "pck_person", "box"), strict
        self.dataset = truth.dataset
        joints = self.answers.skeleton.joints
        self.torso = [joints.index(joint) for joint in TORSO]
        head = [j for j, joint in enumerate(joints) if joint in HEADS]
        self.columns = {"head": head} | _columns(joints)

    def update(self, name: str, poses: Poses, sample: Mapping[str, Any]) -> None:
        """Poses (B, J, 2) in pixels of the annotation by the rule `name`.

        `sample` holds id, keypoints_annotation (B, J, 2), visible_annotation (B, J) and the box
        (B, 4) of the person, x1, y1, x2, y2. Raises ValueError for poses of another skeleton.
        """
        self.answers.add(name, poses, sample)

    def compute(self) -> dict[str, float]:
        """Every figure by its key, `<dataset>/<metric>/<rule>`; the headline is the first."""
        return self.answers.figures(self._figures, f"{self.dataset}/")

    def _figures(self, table: Mapping[str, Tensor]) -> dict[str, Tensor | float]:
        pred, truth, labelled = table["pred"], table["truth"], table["labelled"]
        box = table["box"]
        sizes = {
            "pck_person": (box[:, 2:] - box[:, :2]).amax(1),
            "pck": self._torso(pred, truth, labelled),
        }
        figures: dict[str, Tensor | float] = {}
        for metric, size in sizes.items():
            error = errors(pred, truth, size)
            for t in (0.2, 0.1, 0.05):
                shares = self._shares(error, labelled, t)
                figures |= {f"{metric}@{t}{part}": x for part, x in shares.items()}
        figures["spread"] = table["spread"][labelled].nanmean()
        return figures | {"people": len(pred), "joints": labelled.sum()}

    def _shares(self, error: Tensor, labelled: Tensor, t: float) -> dict[str, Tensor]:
        joints = pck(error, labelled, t, self.strict)
        groups = {part: joints[rows].nanmean() for part, rows in self.columns.items()}
        return {
            "": pooled_pck(error, labelled, t, self.strict),
            ":joints": joints.nanmean(),
            ":groups": torch.stack([*groups.values()]).nanmean(),
            **{f":{part}": x for part, x in groups.items()},
        }

    def _torso(self, pred: Tensor, truth: Tensor, labelled: Tensor) -> Tensor:
        known = labelled[:, self.torso].all(1)
        own, answered = (
            (x[:, self.torso[0]] - x[:, self.torso[1]]).norm(dim=-1) for x in (truth, pred)
        )
        return torch.where(known & (own >= 1), own, answered)

    def summary(self) -> dict[str, Any]:
        """What a report must say about these figures."""
        return {
            "evaluator": "pck_person",
            "reference": f"longer side of the box; d {'<' if self.strict else '<='} t * reference",
            "joints_scored": "labelled, pooled, with an answer or without",
        }


class PCKh(Metric):
    """MPII's measure, without pelvis and thorax, pooled over the other joints.

    rule: "hrnet" takes d <= t, and for what it calls pckh@0.1 t = 0.11; "mmpose" d < t and 0.1.
    """

    def __init__(self, truth: Truth, rule: Literal["hrnet", "mmpose"] = "hrnet") -> None:
        one_of("eval.metric.rule", rule, ("hrnet", "mmpose"))
        self.answers, self.rule = _Answers(truth, "pckh", "head_box"), rule
        joints = self.answers.skeleton.joints
        self.scored = [j for j, joint in enumerate(joints) if joint not in ("pelvis", "thorax")]
        self.columns = _columns(joints) | {"head": [j for j in self.scored if joints[j] == HEAD[0]]}

    def update(self, name: str, poses: Poses, sample: Mapping[str, Any]) -> None:
        """Poses (B, J, 2) in pixels of the annotation by the rule `name`.

        `sample` holds id, keypoints_annotation (B, J, 2), visible_annotation (B, J) and head_box
        (B, 4), x1, y1, x2, y2 in pixels, NaN for a person without one, who does not count. Raises
        ValueError if the sample has no head_box, and for poses of another skeleton.
        """
        if "head_box" not in sample:
            raise ValueError(
                "eval=pckh needs boxes of heads (bbox_head of the annotations), and the data has "
                "none: set eval=pck"
            )
        self.answers.add(name, poses, sample)

    def compute(self) -> dict[str, float]:
        """pckh@0.5/<rule>, pckh@0.1/<rule>, and by part with `:<part>`."""
        return self.answers.figures(self._figures)

    def _figures(self, table: Mapping[str, Tensor]) -> dict[str, Tensor | float]:
        strict, small = self.rule == "mmpose", 0.1 if self.rule == "mmpose" else 0.11
        box, labelled, some = table["head_box"], table["labelled"], self.scored
        diagonal = (box[:, 2:] - box[:, :2]).norm(dim=-1)
        error = errors(table["pred"], table["truth"], 0.6 * diagonal)
        figures: dict[str, Tensor | float] = {}
        for t, used in ((0.5, 0.5), (0.1, small)):
            joints = pck(error, labelled, used, strict)
            figures[f"pckh@{t}"] = pooled_pck(error[:, some], labelled[:, some], used, strict)
            parts = {part: joints[rows].nanmean() for part, rows in self.columns.items()}
            figures |= {f"pckh@{t}:{part}": x for part, x in parts.items()}
        figures["spread"] = table["spread"][labelled].nanmean()
        return figures | {
            "people": len(labelled),
            "people_without_head_box": diagonal.isnan().sum(),
        }

    def summary(self) -> dict[str, Any]:
        """What a report must say about these figures."""
        said = {"hrnet": "d <= t, pckh@0.1 at t = 0.11", "mmpose": "d < t"}
        return {"evaluator": "pckh", "rule": f"{self.rule}: {said[self.rule]}"}


def _columns(joints: Sequence[str]) -> dict[str, list[int]]:
    """The joints of the left and the right that a table shows as one."""
    return {
        part: [joints.index(f"{side}_{part}") for side in SIDES]
        for part in PARTS
        if f"left_{part}" in joints
    }
