"""Correct 3D keypoints, and the tables of MPI-INF-3DHP's evaluation.

    pck150   share of joints whose error is below 150 mm
    auc      mean of such shares over the 31 thresholds 0, 5, ... 150 mm

Both compare strictly, so that an error of 0 is below 30 of the 31. The caller chooses the joints:
MPI-INF-3DHP counts 14 of its 17, without pelvis, spine and head, others all but the root. The
tables are those of the benchmark's MATLAB code (mpii_evaluate_3d_pck).
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from posediff.pose.skeleton import skeleton

# the joints of 3dhp17 that count, by their name in a table
GROUPS = {
    "Head": (0,), "Neck": (1,), "Shou": (2, 5), "Elbow": (3, 6), "Wrist": (4, 7),
    "Hip": (8, 11), "Knee": (9, 12), "Ankle": (10, 13),
}  # fmt: skip
COUNTED = tuple(sorted(j for group in GROUPS.values() for j in group))


def pck150(errors: Tensor) -> Tensor:
    """Share over the last dimension, percent. (..., J) in mm -> (...)."""
    return 100 * (errors < 150).double().mean(-1)


def auc(errors: Tensor) -> Tensor:
    """Mean of the shares over the last dimension, percent. (..., J) in mm -> (...)."""
    below = errors[..., None] < torch.arange(0, 151, 5, device=errors.device)
    return 100 * below.double().mean((-2, -1))


def tables(errors: Tensor, labels: Sequence[str]) -> dict[str, Any]:
    """Rows by label, and for all frames. errors (N, 17) in mm, joints of 3dhp17; N labels.

    {"mpjpe": {row: {joint: mm, "Average": mm}}, "pck150" and "auc": {row: {group: percent,
    "Total": percent}}}. Every joint has the same weight in a total, so a group of two counts twice.
    """
    every = np.asarray(labels)
    rows = {str(label): every == label for label in dict.fromkeys(labels)}
    rows["All"] = np.ones(len(every), dtype=bool)
    joints, groups = skeleton("3dhp17").joints, GROUPS | {"Total": COUNTED}
    found: dict[str, Any] = {"mpjpe": {}, "pck150": {}, "auc": {}}
    for label, flags in rows.items():
        inside = errors.double()[torch.from_numpy(flags)]
        means = dict(zip(joints, inside.mean(0).tolist(), strict=True))
        found["mpjpe"][label] = means | {"Average": inside.mean().item()}
        for name, share in (("pck150", pck150), ("auc", auc)):
            found[name][label] = {
                group: share(inside[:, list(own)]).mean().item() for group, own in groups.items()
            }
    return found
