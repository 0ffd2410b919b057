"""Percentage of correct keypoints, by the size of the torso (LSP and others) or the head (MPII).

    pck@t        d <= t * |left shoulder - right hip| of the annotation
    pck_limbs@t  the same without head and neck
    auc          area under pck@t over t = 0:.01:.2, as a part of that range
    pckh@0.5     d <= .5 * |head top - neck|; never comparable with MPII's, where it is
                 d <= .5 * .6 * the diagonal of the head box
    pcp          strict: both ends of a stick within half its length, mean over ten sticks
    epe          mean distance in pixels, of joints that have an answer
    pck_person@t d <= t * the longer side of the person's box (JHMDB); there a torso that is not
                 labelled, or shorter than a pixel, is replaced by that of the answer

Labelled joints count, pooled over all people (in LSP all are labelled). Figures leave out people
whose reference is not labelled; their number is a figure of its own. An answer that is not finite
is a missing one, and wrong in every joint, and so is one whose own torso is the reference and has
no length. Shares are in percent, but for those of spreads (posediff/metrics/calibration.py).
"""

from collections.abc import Collection, Mapping
from typing import Any, Literal

import torch
from torch import Tensor

from posediff.diffusion.aggregate import Poses
from posediff.diffusion.choices import one_of
from posediff.metrics import calibration
from posediff.metrics.table_metric import TableMetric
from posediff.pose.skeleton import Skeleton
from posediff.truth import Truth

SIDES = ("left", "right")
PARTS = ("shoulder", "elbow", "wrist", "hip", "knee", "ankle")
TORSO = ("left_shoulder", "right_hip")
HEAD = ("head_top", "upper_neck")
TINY = 1e-9  # pixels: the torso of an answer without one, so that all its joints are wrong
HEADS = ("face", "nose", "head_top", "head_bottom")  # joints that video benchmarks call head
# a stick has two ends; an end is the mean of some joints
LIMBS = [("shoulder", "elbow"), ("elbow", "wrist"), ("hip", "knee"), ("knee", "ankle")]
STICKS = [
    *(((f"{side}_{a}",), (f"{side}_{b}",)) for side in SIDES for a, b in LIMBS),
    (("left_hip", "right_hip"), ("left_shoulder", "right_shoulder")),
    ((HEAD[0],), (HEAD[1],)),
]


def errors(pred: Tensor, truth: Tensor, size: Tensor | float = 1.0) -> Tensor:
    """Distances in units of each person's size. (N, J, 2), (N, J, 2), (N,) -> (N, J).

    inf if the answer is not finite; NaN for a person without a size (0 or NaN).
    """
    size = torch.as_tensor(size, dtype=truth.dtype)[..., None]
    distance = (pred - truth).square().sum(-1).sqrt()
    distance = torch.where(pred.isfinite().all(-1), distance, torch.inf)
    return distance / torch.where(size > 0, size, torch.nan)


def pck(errors: Tensor, counted: Tensor, threshold: float, strict: bool = False) -> Tensor:
    """Share of errors up to (strict: below) the threshold of every joint, in percent.

    (N, J), (N, J) bool -> (J,), NaN if no person counts. An error that is NaN never counts.
    """
    counted = counted & ~errors.isnan()
    near = errors < threshold if strict else errors <= threshold
    return 100 * (near & counted).sum(0) / counted.sum(0).double()


def pooled_pck(errors: Tensor, counted: Tensor, threshold: float, strict: bool = False) -> Tensor:
    """`pck` of all joints together. -> ()."""
    return pck(errors.flatten(), counted.flatten(), threshold, strict)


def auc(errors: Tensor, counted: Tensor) -> Tensor:
    """Mean of pooled_pck over thresholds from 0 to .2, by the trapezoidal rule. -> ()."""
    curve = [pooled_pck(errors, counted, i * 0.2 / 20) for i in range(21)]
    return torch.trapezoid(torch.stack(curve)) / 20


def pcp(pred: Tensor, truth: Tensor, labelled: Tensor, skeleton: Skeleton) -> Tensor:
    """Share of people with both ends of a stick right, in percent, for every stick. -> (S,)."""
    shares = []
    for ends in STICKS:
        if not {*ends[0], *ends[1]} <= {*skeleton.joints}:
            continue
        rows = [[skeleton.joints.index(joint) for joint in end] for end in ends]
        p, g = (torch.stack([x[:, row].mean(1) for row in rows], 1) for x in (pred, truth))
        counted = labelled[:, rows[0] + rows[1]].all(1)
        worst = errors(p, g, (g[:, 0] - g[:, 1]).norm(dim=-1)).amax(1)
        shares.append(pck(worst, counted, 0.5))
    return torch.stack(shares) if shares else truth.new_empty(0)


class _PCK(TableMetric):
    """Base of the metrics below: labels of one skeleton, and shares by part of the body.

    evaluator   name of the evaluation in configurations
    further     keys of a sample that a table also contains, with a description for the error
    """

    def __init__(self, truth: Truth, evaluator: str, prefix: str = "", **further: str) -> None:
        truth.require(2, f"eval={evaluator}")
        super().__init__(truth.skeleton, prefix)
        self.evaluator, self.further = evaluator, further
        limbs = {part: self._rows([f"{side}_{part}" for side in SIDES]) for part in PARTS}
        self.parts = {part: rows for part, rows in limbs.items() if rows}

    def update(self, name: str, poses: Poses, sample: Mapping[str, Any]) -> None:
        """Add poses (B, J, 2) in pixels of the annotation by the rule `name`.

        `sample` has id, keypoints_annotation (B, J, 2) and visible_annotation (B, J), 0 if a joint
        is not labelled. Raises ValueError if poses have another skeleton, or if the sample lacks
        what the figures need.
        """
        for key, description in self.further.items():
            if key not in sample:
                raise ValueError(
                    f"eval={self.evaluator} needs {description}, the data has none: set eval=pck"
                )
        more = {key: sample[key] for key in self.further}
        truth, visible = sample["keypoints_annotation"], sample["visible_annotation"]
        self.add(name, poses, sample, truth=truth, visible=visible, **more)

    def _rows(self, names: Collection[str]) -> list[int]:
        return [j for j, joint in enumerate(self.skeleton.joints) if joint in names]

    def _spreads(self, table: Mapping[str, Tensor], labelled: Tensor) -> dict[str, float]:
        pixels = errors(table["keypoints"], table["truth"], 1.0)
        return calibration.against_error(table["spread"][labelled], pixels[labelled])

    def _by_part(self, key: str, shares: Tensor) -> dict[str, Tensor]:
        return {f"{key}:{part}": shares[rows].nanmean() for part, rows in self.parts.items()}


class TorsoPCK(_PCK):
    """Figures by the size of the torso, and of the head.

    The data set is the first part of every key, `<dataset>/pck@0.2/<rule>`, since other data or
    another choice of joints makes another figure.
    """

    def __init__(self, truth: Truth) -> None:
        super().__init__(truth, "pck", f"{truth.dataset}/")
        self.limbs = [j for j, name in enumerate(self.skeleton.joints) if name.endswith(PARTS)]
        self.parts |= {"head": self._rows(HEAD)}

    def _figures(self, table: Mapping[str, Tensor]) -> dict[str, Tensor | float]:
        pred, truth, labelled = table["keypoints"], table["truth"], table["visible"] > 0
        torso, head = (self._length(truth, labelled, pair) for pair in (TORSO, HEAD))
        by_torso, by_head, pixels = (errors(pred, truth, size) for size in (torso, head, 1.0))
        limbs, figures = self.limbs, dict[str, Tensor | float]()
        for t in (0.2, 0.1):
            figures[f"pck@{t}"] = pooled_pck(by_torso, labelled, t)
            figures[f"pck_limbs@{t}"] = pooled_pck(by_torso[:, limbs], labelled[:, limbs], t)
            figures |= self._by_part(f"pck@{t}", pck(by_torso, labelled, t))
        scored = labelled & ~by_torso.isnan()
        return figures | {
            "auc": auc(by_torso, labelled),
            "pcp": pcp(pred, truth, labelled, self.skeleton).nanmean(),
            "pckh@0.5": pooled_pck(by_head, labelled, 0.5),
            "epe": pixels[labelled & pixels.isfinite()].mean(),
            **self._spreads(table, labelled),
            "people": len(pred),
            "people_without_answer": (~pred.isfinite().all(-1).all(-1)).sum(),
            "people_without_torso": torso.isnan().sum(),
            "people_without_head": head.isnan().sum(),
            "joints": scored.sum(),
            "joints_of_limbs": scored[:, limbs].sum(),
        }

    def _length(self, truth: Tensor, labelled: Tensor, pair: Collection[str]) -> Tensor:
        """(N,) from one annotated joint to the other; NaN if one is not labelled, or if both are
        the same point."""
        rows = self._rows(pair)
        if len(rows) < 2:
            return truth.new_full((len(truth),), torch.nan)
        length = (truth[:, rows[0]] - truth[:, rows[1]]).norm(dim=-1)
        return torch.where(labelled[:, rows].all(1) & (length > 0), length, torch.nan)

    def summary(self) -> dict[str, Any]:
        return {
            "evaluator": "pck",
            "reference": "left shoulder to right hip of the annotation; d <= t * reference",
            "joints_scored": "labelled, of people with a torso, pooled",
        }


class PersonPCK(_PCK):
    """JHMDB's measure, by the size of the person's box (x1, y1, x2, y2) and of the torso.

    Every labelled joint counts, by the box of people who have one, and by the torso of all.
    `pck_person@0.2` pools them; `:joints` is the mean
    of the joints' shares and `:groups` that of seven groups, which other tables print for the same
    answers. strict: d < t * size, as in mmpose. The data set is the first part of every key.
    """

    def __init__(self, truth: Truth, strict: bool = False) -> None:
        boxes = "boxes of people (bbox of the annotations)"
        super().__init__(truth, "pck_person", f"{truth.dataset}/", box=boxes)
        self.strict, self.torso = strict, self._rows(TORSO)
        self.parts = {"head": self._rows(HEADS)} | self.parts

    def _figures(self, table: Mapping[str, Tensor]) -> dict[str, Tensor | float]:
        pred, truth, labelled = table["keypoints"], table["truth"], table["visible"] > 0
        box = table["box"]
        sizes = {
            "pck_person": (box[:, 2:] - box[:, :2]).amax(1),
            "pck": self._torso(pred, truth, labelled),
        }
        figures: dict[str, Tensor | float] = {}
        for metric, size in sizes.items():
            error = errors(pred, truth, size)
            for t in (0.2, 0.1, 0.05):
                key, joints = f"{metric}@{t}", pck(error, labelled, t, self.strict)
                groups = self._by_part(key, joints)
                figures[key] = pooled_pck(error, labelled, t, self.strict)
                figures[f"{key}:joints"] = joints.nanmean()
                figures[f"{key}:groups"] = torch.stack([*groups.values()]).nanmean()
                figures |= groups
        figures |= self._spreads(table, labelled)
        boxed = sizes["pck_person"] > 0
        return figures | {
            "people": len(pred),
            "people_without_box": (~boxed).sum(),
            "joints": labelled[boxed].sum(),
        }

    def _torso(self, pred: Tensor, truth: Tensor, labelled: Tensor) -> Tensor:
        annotated, answered = (
            (x[:, self.torso[0]] - x[:, self.torso[1]]).norm(dim=-1) for x in (truth, pred)
        )
        valid = labelled[:, self.torso].all(1) & (annotated >= 1)
        answered = torch.where(answered > 0, answered, TINY)
        return torch.where(valid, annotated, answered)

    def summary(self) -> dict[str, Any]:
        return {
            "evaluator": "pck_person",
            "reference": f"longer side of the box; d {'<' if self.strict else '<='} t * reference",
            "joints_scored": "labelled, pooled, with an answer or without",
        }


class PCKh(_PCK):
    """MPII's measure, without pelvis and thorax, pooled over the other joints.

    The head_box of a sample is x1, y1, x2, y2 in pixels; people do not count if theirs is NaN.
    rule: "hrnet" compares d <= t, and for what it calls pckh@0.1 t = 0.11; "mmpose" d < t and 0.1.
    """

    def __init__(self, truth: Truth, rule: Literal["hrnet", "mmpose"] = "hrnet") -> None:
        one_of("eval.metric.rule", rule, ("hrnet", "mmpose"))
        super().__init__(truth, "pckh", head_box="boxes of heads (bbox_head of the annotations)")
        self.rule = rule
        self.scored = self._rows({*self.skeleton.joints} - {"pelvis", "thorax"})
        self.parts |= {"head": self._rows(HEAD[:1])}

    def _figures(self, table: Mapping[str, Tensor]) -> dict[str, Tensor | float]:
        strict, small = self.rule == "mmpose", 0.1 if self.rule == "mmpose" else 0.11
        labelled, box, some = table["visible"] > 0, table["head_box"], self.scored
        diagonal = (box[:, 2:] - box[:, :2]).norm(dim=-1)
        error = errors(table["keypoints"], table["truth"], 0.6 * diagonal)
        figures: dict[str, Tensor | float] = {}
        for t, used in ((0.5, 0.5), (0.1, small)):
            figures[f"pckh@{t}"] = pooled_pck(error[:, some], labelled[:, some], used, strict)
            figures |= self._by_part(f"pckh@{t}", pck(error, labelled, used, strict))
        return figures | {
            **self._spreads(table, labelled),
            "people": len(labelled),
            "people_without_head_box": diagonal.isnan().sum(),
        }

    def summary(self) -> dict[str, Any]:
        comparison = {"hrnet": "d <= t, pckh@0.1 at t = 0.11", "mmpose": "d < t"}
        return {"evaluator": "pckh", "rule": f"{self.rule}: {comparison[self.rule]}"}
