"""Errors of 3D poses by the protocols of Human3.6M and MPI-INF-3DHP, and the metric of both.

    mpjpe      mean over joints of |p - g|                                      protocol 1
    p_mpjpe    the same after the similarity s, R, t that minimises |s p R + t - g|^2, det R = +1
    n_mpjpe    the same after the scale <p, g> / <p, p>                         protocol 3
    mpjve      the same of first differences in time
    pck150     share of joints with |p - g| < 150 mm                            (pck3d.py)
    auc        mean of such shares over the thresholds 0, 5, ... 150 mm

The protocol sets the rows over which a headline averages, and the joints of pck150 and auc:

    h36m       actions; all joints but the root
    3dhp       test sequences, with a row for every activity; 14 joints of 3dhp17

Functions take poses (..., J, 3) in any unit and return errors in the same one. PoseError3D centres
poses on the root, reads metres, and returns millimetres and percent.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from posediff.diffusion.aggregate import Poses
from posediff.diffusion.choices import one_of
from posediff.metrics import calibration
from posediff.metrics.metric import Metric, check_skeleton
from posediff.metrics.pck3d import COUNTED, auc, pck150, tables
from posediff.pose.skeleton import skeleton as named_skeleton
from posediff.truth import Truth

Columns = dict[str, NDArray[Any]]  # each (N, ...), one row per frame

ROWS = {"h36m": ("action",), "3dhp": ("subject", "action")}  # the headline averages over the first
# deviations of released code, to reproduce tables that were made with it
QUIRKS = ("p2_batch_mean", "p_best_over_batch", "count_overlap", "mpjve_across_clips")
OCCLUDED = 0.5  # 2D joints of a lower score were guessed, not seen


def distance(pred: Tensor, target: Tensor) -> Tensor:
    """Distance of every joint. (..., J, 3), (..., J, 3) -> (..., J)."""
    return (pred - target).square().sum(-1).sqrt()


def mpjpe(pred: Tensor, target: Tensor) -> Tensor:
    """Mean per joint position error of every pose, protocol 1. -> (...)."""
    return distance(pred, target).mean(-1)


def p_mpjpe(pred: Tensor, target: Tensor) -> Tensor:
    """Mean per joint position error after `align`, protocol 2. -> (...)."""
    return mpjpe(align(pred, target), target)


def n_mpjpe(pred: Tensor, target: Tensor) -> Tensor:
    """Mean per joint position error after the best scale about the origin, protocol 3. -> (...)."""
    overlap, size = (pred * target).sum((-2, -1)), pred.square().sum((-2, -1))
    return mpjpe(_ratio(overlap, size)[..., None, None] * pred, target)


def mpjve(pred: Tensor, target: Tensor) -> Tensor:
    """Mean per joint velocity error between the frames of one sequence.

    (..., F, J, 3) -> (..., F - 1), in the unit per frame.
    """
    return mpjpe(pred.diff(dim=-3), target.diff(dim=-3))


def align(pred: Tensor, target: Tensor) -> Tensor:
    """The prediction after the similarity transform that brings it nearest to the target.

    Never a reflection (Umeyama 1991). A prediction of size zero becomes the centre of the target.
    """
    centre = target.mean(-2, keepdim=True)
    p, g = pred - pred.mean(-2, keepdim=True), target - centre
    u, s, vh = torch.linalg.svd(p.mT @ g)
    sign = torch.ones_like(s)
    sign[..., 2] = torch.linalg.det(u @ vh).sign()
    rotation: Tensor = (u * sign[..., None, :]) @ vh
    scale = _ratio((s * sign).sum(-1), p.square().sum((-2, -1)))
    return scale[..., None, None] * (p @ rotation) + centre


def _ratio(a: Tensor, b: Tensor) -> Tensor:
    """a / b, or 0 if b is 0, as for a prediction of size zero."""
    return torch.where(b > 0, a / b.clamp(min=torch.finfo(b.dtype).tiny), 0.0)


class PoseError3D(Metric):
    """Errors of 3D poses.

    All joints count, also those with visible = 0: only their 2D is missing, and the 3D truth is
    scored. Frames whose 3D truth is not finite are left out; a figure counts their joints.

    The calibration of the hypotheses (posediff/metrics/calibration.py) does not depend on the rule,
    so its figures have no rule in their keys. `factors` adds those of recalibrated hypotheses.

    quirks: faults of released code to repeat, all off by default; with one on, a figure may depend
    on the batches. p2_batch_mean: every frame of a batch counts the batch's mean p_mpjpe, so that
    actions in one batch share it. mpjve_across_clips: velocities are taken between all successive
    frames in the order of updates, also across clips. The data set implements count_overlap, and a
    rule p_best_over_batch; here they are only reported.
    """

    def __init__(
        self,
        truth: Truth,
        protocol: str = "h36m",
        quirks: Mapping[str, bool] | None = None,
        factors: Sequence[float] | None = None,
    ) -> None:
        truth.require(3, "eval=3dhp" if protocol == "3dhp" else "eval=mpjpe")
        one_of("eval.metric.protocol", protocol, ROWS)
        quirks = quirks or {}
        for quirk in quirks:
            one_of("a key of eval.quirks", quirk, QUIRKS)
        self.skeleton = named_skeleton(truth.skeleton)
        name, root = self.skeleton.name, self.skeleton.root
        if root is None:
            raise ValueError(f"3D poses are centred on a root, and skeleton {name} has none")
        if protocol == "3dhp" and name != "3dhp17":
            raise ValueError(f"eval=3dhp scores the joints of 3dhp17, not of {name}")
        self.protocol, self.factors = protocol, factors
        self.quirks = {quirk for quirk, on in quirks.items() if on}
        # all joints but the root, whose error is 0 by construction
        self.limbs = [j for j in range(len(self.skeleton.joints)) if j != root]
        self.counted = list(COUNTED) if protocol == "3dhp" else self.limbs
        self.batches: dict[str, list[Columns]] = {}  # by aggregation rule
        self.left_out = Counter[str]()  # joints, by aggregation rule

    def update(self, name: str, poses: Poses, sample: Mapping[str, Any]) -> None:
        """Add poses (B, J, 3) in metres by the rule `name`, absolute or relative to the root.

        `sample` has keypoints (B, J, 3) in metres, visible (B, J), id, and meta {action, sequence,
        camera, frame; subject if several have sequences of the same name}. Raises ValueError if
        poses have another skeleton or are not finite.
        """
        check_skeleton(poses, self.skeleton.name)
        tensors = (poses.keypoints, sample["keypoints"], poses.hypotheses)
        pred, truth, hypotheses = (
            self.skeleton.rooted(1000 * x.detach().cpu().double()) for x in tensors
        )
        whole, broken = truth.isfinite().all(-1).all(-1), ~pred.isfinite().all(-1).all(-1)
        for i in broken.nonzero()[:1, 0].tolist():
            key = sample["id"][i]
            raise ValueError(f"the pose of {key} is not finite: check its 2D and the weights")
        columns = self._errors(pred[whole], truth[whole])
        if "p2_batch_mean" in self.quirks:
            columns["p_mpjpe"] = columns["p_mpjpe"].mean().expand(len(columns["p_mpjpe"]))
        scores, spread = poses.scores.cpu()[whole], poses.spread.cpu()[whole]
        columns["spread"] = 1000 * spread[..., self.limbs]
        columns["occluded"] = scores[..., self.limbs] < OCCLUDED
        columns["unseen"] = (sample["visible"].cpu()[whole] == 0).sum(-1)
        if name == next(iter(self.batches), name):
            # .mT: figures depend on the layout in memory, in the last digit
            drawn, true = (x[whole].mT[..., self.limbs].mT for x in (hypotheses, truth))
            columns |= calibration.columns(drawn, true, self.factors)
        batch = {key: x.float().numpy() for key, x in columns.items()}
        batch |= {key: x[whole.numpy()] for key, x in _origin(sample["meta"]).items()}
        self.batches.setdefault(name, []).append(batch)
        self.left_out[name] += int((~whole).sum()) * truth.shape[1]

    def compute(self) -> dict[str, float]:
        """Every figure by its key: `<metric>/<rule>` is the mean of the actions' means (3dhp: of
        the sequences'), `:frames` that of all frames, `:<action>` that of one action; in mm, mm per
        frame (mpjve) or percent (pck150, auc).
        """
        figures: dict[str, float] = {}
        for name in self.batches:
            table = self._table(name)
            rows = [table[kind] for kind in ROWS[self.protocol]]
            for metric in ("mpjpe", "p_mpjpe", "n_mpjpe", "pck150", "auc"):
                figures |= _means(f"{metric}/{name}", table[metric], *rows)
            next_to, errors = _velocities(table, "mpjve_across_clips" in self.quirks)
            figures |= _means(f"mpjve/{name}", errors, *(row[1:][next_to] for row in rows))
            figures |= _spreads(name, table, self.limbs)
            figures |= calibration.figures(table)
            figures[f"frames/{name}"] = len(table["frame"])
            figures[f"joints_unseen/{name}"] = table["unseen"].sum()
            figures[f"joints_left_out/{name}"] = self.left_out[name]
        return {key: float(x) for key, x in figures.items()}

    def summary(self) -> dict[str, Any]:
        """The protocol, the quirks and, of 3dhp, its tables by sequence and activity."""
        about: dict[str, Any] = {"protocol": self.protocol, "quirks": sorted(self.quirks)}
        if self.protocol == "3dhp":
            about["tables"] = {name: self._tables(name) for name in self.batches}
        return about

    def _tables(self, name: str) -> dict[str, Any]:
        table = self._table(name)
        errors = torch.from_numpy(table["offset"]).norm(dim=-1)
        return {row: tables(errors, table[row].tolist()) for row in ROWS[self.protocol]}

    def _table(self, name: str) -> Columns:
        """All frames that a rule scored, sorted by track and frame."""
        batches = self.batches[name]
        table = {key: np.concatenate([b[key] for b in batches]) for key in batches[0]}
        if "mpjve_across_clips" in self.quirks:
            return table
        order = np.lexsort((table["frame"], table["track"]))
        return {key: column[order] for key, column in table.items()}

    def _errors(self, pred: Tensor, truth: Tensor) -> dict[str, Tensor]:
        """Errors of every frame, in mm or percent."""
        counted = distance(pred, truth)[..., self.counted]
        return {
            "mpjpe": mpjpe(pred, truth),
            "p_mpjpe": p_mpjpe(pred, truth),
            "n_mpjpe": n_mpjpe(pred, truth),
            "pck150": pck150(counted),
            "auc": auc(counted),
            "offset": pred - truth,
        }


def _origin(meta: Mapping[str, Any]) -> Columns:
    """Track (subject, sequence and camera), frame, action and subject of every pose."""
    names = [meta[key] for key in ("subject", "sequence", "camera") if key in meta]
    tracks = ["/".join(map(str, track)) for track in zip(*names, strict=True)]
    return {
        "track": np.array(tracks, dtype=str),
        "frame": torch.as_tensor(meta["frame"]).cpu().numpy(),
        "action": np.array(meta["action"], dtype=str),
        "subject": np.array(meta.get("subject", [""] * len(meta["action"])), dtype=str),
    }


def _spreads(name: str, table: Columns, limbs: Sequence[int]) -> dict[str, float]:
    """Spreads against errors, over all joints and, if some are occluded, over those and over the
    others, whose mean errors are `joint_error`."""
    error = torch.from_numpy(table["offset"][:, limbs]).norm(dim=-1)
    spread, occluded = (torch.from_numpy(table[key]) for key in ("spread", "occluded"))
    kinds = {"": torch.ones_like(occluded) > 0}
    if occluded.any():
        kinds |= {":occluded": occluded > 0, ":visible": occluded == 0}
    figures = dict[str, float]()
    for kind, rows in kinds.items():
        found = calibration.against_error(spread[rows], error[rows])
        found |= {"joint_error": float(error[rows].double().mean())} if len(kinds) > 1 else {}
        figures |= {f"{key}/{name}{kind}": x for key, x in found.items() if x == x}
    return figures


def _velocities(table: Columns, across: bool) -> tuple[NDArray[Any], NDArray[Any]]:
    """Flags of the rows but the first that follow the row before in their track, all if `across`,
    and the velocity errors of those pairs. The table is sorted by track and frame.

    The error of a velocity is the velocity of the error, so only the offsets are needed.
    """
    track, frame = table["track"], table["frame"]
    next_to = across | ((track[1:] == track[:-1]) & (frame[1:] == frame[:-1] + 1))
    offset = torch.from_numpy(table["offset"])
    errors = mpjve(offset, torch.zeros_like(offset)).numpy()
    return next_to, errors[next_to]


def _means(key: str, values: NDArray[Any], *labels: NDArray[Any]) -> dict[str, float]:
    """Mean of the means of the first labels, mean of all, and mean of every label; no figure if
    there is no value."""
    if not len(values):
        return {}
    kinds = [
        {str(a): values[kind == a].mean(dtype=np.float64) for a in np.unique(kind)}
        for kind in labels
    ]
    means = {
        key: np.mean(list(kinds[0].values())),
        f"{key}:frames": values.mean(dtype=np.float64),
    }
    return means | {f"{key}:{label}": mean for kind in kinds for label, mean in kind.items()}
