"""Errors of 3D poses by the protocols of Human3.6M and MPI-INF-3DHP, and the metric of both.

    mpjpe      mean over joints of |p - g|                                      protocol 1
    p_mpjpe    the same after the similarity s, R, t that minimises |s p R + t - g|^2, det R = +1
    n_mpjpe    the same after the scale <p, g> / <p, p>                         protocol 3
    mpjve      the same of first differences in time
    pck150     share of joints with |p - g| < 150 mm                            (pck3d.py)
    auc        mean of such shares over the thresholds 0, 5, ... 150 mm

What a headline averages over, and which joints pck150 and auc count, is the protocol's:

    h36m       actions; all joints but the root
    3dhp       test sequences, with a row for every activity; 14 joints of 3dhp17

Poses are (..., J, 3) in any unit; errors are in the same. Only PoseError3D centres poses and knows
metres from millimetres: metres go in, millimetres and percent come out.
"""

from collections.abc import Mapping
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

ROWS = {"h36m": ("action",), "3dhp": ("subject", "action")}  # the headline is of the first
# what released code does otherwise; a table that was made with it is reproduced by setting it
QUIRKS = ("p2_batch_mean", "p_best_over_batch", "count_overlap", "mpjve_across_clips")
OCCLUDED = 0.5  # a joint's 2D of a lower score was guessed, not seen


def distance(pred: Tensor, target: Tensor) -> Tensor:
    """Of every joint. (..., J, 3), (..., J, 3) -> (..., J)."""
    return (pred - target).square().sum(-1).sqrt()


def mpjpe(pred: Tensor, target: Tensor) -> Tensor:
    """Mean per joint position error of every pose, protocol 1. -> (...)."""
    return distance(pred, target).mean(-1)


def p_mpjpe(pred: Tensor, target: Tensor) -> Tensor:
    """The error that rotating, scaling and moving each pose cannot mend, protocol 2. -> (...)."""
    return mpjpe(align(pred, target), target)


def n_mpjpe(pred: Tensor, target: Tensor) -> Tensor:
    """The error that scaling each pose about the origin cannot mend, protocol 3. -> (...)."""
    overlap, size = (pred * target).sum((-2, -1)), pred.square().sum((-2, -1))
    return mpjpe(_ratio(overlap, size)[..., None, None] * pred, target)


def mpjve(pred: Tensor, target: Tensor) -> Tensor:
    """Mean per joint velocity error between the frames of one sequence.

    (..., F, J, 3) -> (..., F - 1), in the unit per frame.
    """
    return mpjpe(pred.diff(dim=-3), target.diff(dim=-3))


def align(pred: Tensor, target: Tensor) -> Tensor:
    """The prediction after the similarity transform that brings it nearest to the target.

    Never a reflection (Umeyama 1991). A prediction of size zero goes to the target's middle.
    """
    middle = target.mean(-2, keepdim=True)
    p, g = pred - pred.mean(-2, keepdim=True), target - middle
    u, s, vh = torch.linalg.svd(p.mT @ g)
    sign = torch.ones_like(s)
    sign[..., 2] = torch.linalg.det(u @ vh).sign()
    rotation: Tensor = (u * sign[..., None, :]) @ vh
    scale = _ratio((s * sign).sum(-1), p.square().sum((-2, -1)))
    return scale[..., None, None] * (p @ rotation) + middle


def _ratio(a: Tensor, b: Tensor) -> Tensor:
    """a / b, and 0 where b is 0: that of a prediction of size zero."""
    return torch.where(b > 0, a / b.clamp(min=torch.finfo(b.dtype).tiny), 0.0)


class PoseError3D(Metric):
    """The figures of one evaluation, for any number of aggregation rules.

    Frames may come in any order and in batches of any size; the answer is the same. All joints
    count, also those with visible = 0: that says their 2D is missing, while their 3D truth, which
    is what is scored, is there. A frame whose 3D truth is not finite is left out and counted.

    What the hypotheses say of their errors (posediff/metrics/calibration.py) is the same for all
    rules and told once; `factor` also tells it of recalibrated ones.

    quirks: faults of released code to repeat, all off unless set; with one on, a figure may depend
    on the batches. p2_batch_mean: every frame of a batch counts the batch's mean p_mpjpe, so that
    actions in one batch share it. mpjve_across_clips: velocities are taken between all successive
    frames as they come, over the borders of clips. count_overlap is the data set's affair and
    p_best_over_batch that of a rule, and both are only noted here.
    """

    def __init__(
        self,
        truth: Truth,
        protocol: str = "h36m",
        quirks: Mapping[str, bool] | None = None,
        factor: float | None = None,
    ) -> None:
        truth.require(3, "eval=3dhp" if protocol == "3dhp" else "eval=mpjpe")
        skeleton = truth.skeleton
        self.skeleton, self.factor = named_skeleton(skeleton), factor
        one_of("eval.metric.protocol", protocol, ROWS)
        if self.skeleton.root is None:
            raise ValueError(f"3D poses are centred on a root, and skeleton {skeleton} has none")
        if protocol == "3dhp" and skeleton != "3dhp17":
            raise ValueError(f"eval=3dhp scores the joints of 3dhp17, not of {skeleton}")
        for quirk in quirks or {}:
            one_of("a key of eval.quirks", quirk, QUIRKS)
        self.protocol = protocol
        self.quirks = {quirk for quirk, on in (quirks or {}).items() if on}
        limbs = [j for j in range(len(self.skeleton.joints)) if j != self.skeleton.root]
        self.limbs = limbs  # all joints but the root, whose error is 0 by construction
        self.counted = list(COUNTED) if protocol == "3dhp" else limbs
        self.batches: dict[str, list[Columns]] = {}  # by aggregation rule
        self.left_out: dict[str, int] = {}  # joints, likewise

    def update(self, name: str, poses: Poses, sample: Mapping[str, Any]) -> None:
        """Poses (B, J, 3) in metres by the rule `name`, absolute or relative to the root.

        `sample` holds keypoints (B, J, 3) in metres, visible (B, J), id and meta {action, sequence,
        camera, frame, and subject where sequences of several have the same name}.
        Raises ValueError for poses of another skeleton and for such as are not finite.
        """
        check_skeleton(poses, self.skeleton.name)
        tensors = (poses.keypoints, sample["keypoints"], poses.hypotheses)
        pred, truth, hypotheses = (self._millimetres(x) for x in tensors)
        whole, sound = truth.isfinite().all(-1).all(-1), pred.isfinite().all(-1).all(-1)
        if not sound.all():
            broken = sample["id"][int(sound.logical_not().nonzero()[0])]
            raise ValueError(f"the pose of {broken} is not finite: check its 2D and the weights")
        columns = self._errors(pred[whole], truth[whole])
        if "p2_batch_mean" in self.quirks:
            columns["p_mpjpe"] = columns["p_mpjpe"].mean().expand(len(columns["p_mpjpe"]))
        columns |= self._spread(poses, whole)
        columns["unseen"] = (sample["visible"].cpu()[whole] == 0).sum(-1)
        if name == next(iter(self.batches), name):
            drawn, seen = (self._joints(x[whole]) for x in (hypotheses, truth))
            columns |= calibration.columns(drawn, seen, self.factor)
        batch = {key: x.float().numpy() for key, x in columns.items()}
        batch |= {key: x[whole.numpy()] for key, x in _origin(sample["meta"]).items()}
        self.batches.setdefault(name, []).append(batch)
        self.left_out[name] = self.left_out.get(name, 0) + int((~whole).sum()) * truth.shape[1]

    def compute(self) -> dict[str, float]:
        """Every figure by its key, `<metric>/<rule>`, `<metric>/<rule>:<which mean>`.

        The headline is the mean of the actions' means (3dhp: of the sequences'), `:frames` the mean
        of all frames pooled, `:<action>` that of one action; mm, for mpjve mm per frame, for pck150
        and auc percent.
        """
        figures: dict[str, float] = {}
        for name in self.batches:
            table = self._table(name)
            rows = [table[kind] for kind in ROWS[self.protocol]]
            for metric in ("mpjpe", "p_mpjpe", "n_mpjpe", "pck150", "auc"):
                figures |= _means(f"{metric}/{name}", table[metric], *rows)
            next_to, errors = _velocities(table, "mpjve_across_clips" in self.quirks)
            figures |= _means(f"mpjve/{name}", errors, *(row[1:][next_to] for row in rows))
            figures |= _spreads(name, table)
            figures |= calibration.figures(table)
            figures[f"frames/{name}"] = len(table["frame"])
            figures[f"joints_unseen/{name}"] = table["unseen"].sum()
            figures[f"joints_left_out/{name}"] = self.left_out[name]
        return {key: float(x) for key, x in figures.items()}

    def summary(self) -> dict[str, Any]:
        """What a report says beside the figures: the protocol and, of 3dhp, its tables by rule."""
        about: dict[str, Any] = {"protocol": self.protocol, "quirks": sorted(self.quirks)}
        if self.protocol == "3dhp":
            about["tables"] = {name: self._tables(name) for name in self.batches}
        return about

    def _tables(self, name: str) -> dict[str, Any]:
        """The benchmark's tables by sequence and by activity."""
        table = self._table(name)
        errors = torch.from_numpy(table["offset"]).norm(dim=-1)
        return {row: tables(errors, table[row].tolist()) for row in ROWS[self.protocol]}

    def _table(self, name: str) -> Columns:
        """All frames that a rule was scored on, sorted by track and frame."""
        batches = self.batches[name]
        table = {key: np.concatenate([b[key] for b in batches]) for key in batches[0]}
        if "mpjve_across_clips" in self.quirks:
            return table
        order = np.lexsort((table["frame"], table["track"]))
        return {key: column[order] for key, column in table.items()}

    def recalibration(self) -> float:
        """The `factor` of what was scored: let that be validation data and K = 50."""
        batches = next(iter(self.batches.values()), [])
        return calibration.factor(np.concatenate([b["half"] for b in batches if "half" in b]))

    def _spread(self, poses: Poses, whole: Tensor) -> dict[str, Tensor]:
        """Of every frame, in mm: the mean, and the sums over occluded and other joints."""
        spread = 1000 * self._limbs(poses.spread.cpu()[whole])
        occluded = self._limbs(poses.scores.cpu()[whole]) < OCCLUDED
        return {
            "spread": spread.mean(-1),
            "spread:occluded": (spread * occluded).sum(-1),
            "occluded": occluded.sum(-1),
            "spread:visible": (spread * ~occluded).sum(-1),
            "visible": (~occluded).sum(-1),
        }

    def _errors(self, pred: Tensor, truth: Tensor) -> dict[str, Tensor]:
        """Of every frame, in mm or percent."""
        counted = distance(pred, truth)[..., self.counted]
        return {
            "mpjpe": mpjpe(pred, truth),
            "p_mpjpe": p_mpjpe(pred, truth),
            "n_mpjpe": n_mpjpe(pred, truth),
            "pck150": pck150(counted),
            "auc": auc(counted),
            "offset": pred - truth,
        }

    def _millimetres(self, x: Tensor) -> Tensor:
        """Metres (..., J, 3) -> millimetres from the root, in float64."""
        x = 1000 * x.detach().cpu().double()
        return self.skeleton.rooted(x)

    def _limbs(self, x: Tensor) -> Tensor:
        """All joints but the root, whose error is 0 by construction. (..., J) -> (..., J - 1)."""
        return x[..., self.limbs]

    def _joints(self, x: Tensor) -> Tensor:
        """The same of points. (..., J, 3) -> (..., J - 1, 3)."""
        return self._limbs(x.mT).mT


def _origin(meta: Mapping[str, Any]) -> Columns:
    """Which frame of which camera's view of which sequence each pose is."""
    names = [meta[key] for key in ("subject", "sequence", "camera") if key in meta]
    tracks = ["/".join(map(str, track)) for track in zip(*names, strict=True)]
    return {
        "track": np.array(tracks, dtype=str),
        "frame": torch.as_tensor(meta["frame"]).cpu().numpy(),
        "action": np.array(meta["action"], dtype=str),
        "subject": np.array(meta.get("subject", [""] * len(meta["action"])), dtype=str),
    }


def _spreads(name: str, table: Columns) -> dict[str, float]:
    """The mean over all joints, and those over occluded and over other joints where both are."""
    if not len(table["spread"]):
        return {}
    figures = {f"spread/{name}": table["spread"].mean(dtype=np.float64)}
    for kind in ("occluded", "visible"):
        if table["occluded"].any():
            total = table[f"spread:{kind}"].sum(dtype=np.float64)
            figures[f"spread/{name}:{kind}"] = total / max(table[kind].sum(), 1)
    return figures


def _velocities(table: Columns, across: bool) -> tuple[NDArray[Any], NDArray[Any]]:
    """Which rows follow the one before in their track, in a table sorted by track and frame, or
    `across` all borders, and the errors of those pairs.

    The error of a velocity is the velocity of the error, so the offsets are all it takes.
    """
    track, frame = table["track"], table["frame"]
    next_to = across | ((track[1:] == track[:-1]) & (frame[1:] == frame[:-1] + 1))
    offset = torch.from_numpy(table["offset"])
    errors = mpjve(offset, torch.zeros_like(offset)).numpy()
    return next_to, errors[next_to]


def _means(key: str, values: NDArray[Any], *labels: NDArray[Any]) -> dict[str, float]:
    """The mean of the means of the first labels, the mean of all, and that of every label; nothing
    of nothing."""
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
    rows = {f"{key}:{label}": mean for kind in kinds for label, mean in kind.items()}
    return means | rows
