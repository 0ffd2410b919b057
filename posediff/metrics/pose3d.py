"""Errors of 3D poses by the protocols of Human3.6M, and the metric that gathers them.

    mpjpe      mean over joints of |p - g|                                      protocol 1
    p_mpjpe    the same after the similarity s, R, t that minimises |s p R + t - g|^2, det R = +1
    n_mpjpe    the same after the scale <p, g> / <p, p>                         protocol 3
    mpjve      the same of first differences in time
    pck150     share of joints with |p - g| < 150 mm, of the joints that are not the root
    auc        mean of such shares over the thresholds 0, 5, ... 150 mm

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
from posediff.metrics import calibration
from posediff.pose.skeleton import skeleton as named_skeleton

Columns = dict[str, NDArray[Any]]  # each (N, ...), one row per frame

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


class PoseError3D:
    """The figures of one evaluation, for any number of aggregation rules.

    Frames may come in any order and in batches of any size; the answer is the same. All joints
    count, also those with visible = 0: that says their 2D is missing, while their 3D truth, which
    is what is scored, is there. A frame whose 3D truth is not finite is left out and counted.

    What the hypotheses say of their errors (posediff/metrics/calibration.py) is the same for all
    rules and told once; `factor` also tells it of recalibrated ones.
    """

    factor: float | None = None

    def __init__(self, skeleton: str, protocol: str = "h36m") -> None:
        self.skeleton = named_skeleton(skeleton)
        if protocol != "h36m":
            raise ValueError(f"protocol must be 'h36m', got {protocol!r}")
        if self.skeleton.root is None:
            raise ValueError(f"3D poses are centred on a root, and skeleton {skeleton} has none")
        self.batches: dict[str, list[Columns]] = {}  # by aggregation rule
        self.left_out: dict[str, int] = {}  # joints, likewise

    def update(self, name: str, poses: Poses, sample: Mapping[str, Any]) -> None:
        """Poses (B, J, 3) in metres by the rule `name`, absolute or relative to the root.

        `sample` holds keypoints (B, J, 3) in metres, visible (B, J), id and meta {action, sequence,
        camera, frame, and subject where sequences of several have the same name}.
        Raises ValueError for poses of another skeleton and for such as are not finite.
        """
        if poses.skeleton != self.skeleton.name:
            raise ValueError(f"poses of {poses.skeleton} cannot be scored as {self.skeleton.name}")
        tensors = (poses.keypoints, sample["keypoints"], poses.hypotheses)
        pred, truth, hypotheses = (self._millimetres(x) for x in tensors)
        whole, sound = truth.isfinite().all(-1).all(-1), pred.isfinite().all(-1).all(-1)
        if not sound.all():
            broken = sample["id"][int(sound.logical_not().nonzero()[0])]
            raise ValueError(f"the pose of {broken} is not finite: check its 2D and the weights")
        columns = self._errors(pred[whole], truth[whole])
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

        The headline is the mean of the actions' means, `:frames` the mean of all frames pooled,
        `:<action>` that of one action; mm, for mpjve mm per frame, for pck150 and auc percent.
        """
        figures: dict[str, float] = {}
        for name, batches in self.batches.items():
            table = {key: np.concatenate([b[key] for b in batches]) for key in batches[0]}
            order = np.lexsort((table["frame"], table["track"]))
            table = {key: column[order] for key, column in table.items()}
            for metric in ("mpjpe", "p_mpjpe", "n_mpjpe", "pck150", "auc"):
                figures |= _means(f"{metric}/{name}", table[metric], table["action"])
            figures |= _means(f"mpjve/{name}", *_velocities(table))
            figures |= _spreads(name, table)
            figures |= calibration.figures(table)
            figures[f"frames/{name}"] = len(order)
            figures[f"joints_unseen/{name}"] = table["unseen"].sum()
            figures[f"joints_left_out/{name}"] = self.left_out[name]
        return {key: float(x) for key, x in figures.items()}

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
        limbs = self._limbs(distance(pred, truth))
        thresholds = torch.arange(0, 151, 5)
        return {
            "mpjpe": mpjpe(pred, truth),
            "p_mpjpe": p_mpjpe(pred, truth),
            "n_mpjpe": n_mpjpe(pred, truth),
            "pck150": 100 * (limbs < 150).double().mean(-1),
            "auc": 100 * (limbs[..., None] < thresholds).double().mean((-2, -1)),
            "offset": pred - truth,
        }

    def _millimetres(self, x: Tensor) -> Tensor:
        """Metres (..., J, 3) -> millimetres from the root, in float64."""
        x = 1000 * x.detach().cpu().double()
        return x - x[..., [self.skeleton.root], :]

    def _limbs(self, x: Tensor) -> Tensor:
        """All joints but the root, whose error is 0 by construction. (..., J) -> (..., J - 1)."""
        return x[..., [j for j in range(x.shape[-1]) if j != self.skeleton.root]]

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


def _velocities(table: Columns) -> tuple[NDArray[Any], NDArray[Any]]:
    """Errors and actions of all pairs of consecutive frames, the table sorted by track and frame.

    The error of a velocity is the velocity of the error, so the offsets are all it takes.
    """
    track, frame = table["track"], table["frame"]
    next_to = (track[1:] == track[:-1]) & (frame[1:] == frame[:-1] + 1)
    offset = torch.from_numpy(table["offset"])
    errors = mpjve(offset, torch.zeros_like(offset)).numpy()
    return errors[next_to], table["action"][1:][next_to]


def _means(key: str, values: NDArray[Any], actions: NDArray[Any]) -> dict[str, float]:
    """The mean of the actions' means, the mean of all, and every action's; nothing of nothing."""
    if not len(values):
        return {}
    rows = {str(a): values[actions == a].mean(dtype=np.float64) for a in np.unique(actions)}
    means = {key: np.mean(list(rows.values())), f"{key}:frames": values.mean(dtype=np.float64)}
    return means | {f"{key}:{action}": mean for action, mean in rows.items()}
