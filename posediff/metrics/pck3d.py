"""Correct 3D keypoints, and the tables of MPI-INF-3DHP's evaluation.

    pck150   share of joints whose error is below 150 mm
    auc      mean of such shares over the 31 thresholds 0, 5, ... 150 mm

Both compare strictly, so that an error of 0 is below 30 of the 31. Which joints count is the
caller's: MPI-INF-3DHP counts 14 of its 17, without pelvis, spine and head, others all but the root.
The tables are those of the benchmark's MATLAB code (mpii_evaluate_3d_pck).
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from posediff.pose.skeleton import skeleton

# what the joints of 3dhp17 that count are called together in a table
GROUPS = {
    "Head": (0,), "Neck": (1,), "Shou": (2, 5), "Elbow": (3, 6), "Wrist": (4, 7),
    "Hip": (8, 11), "Knee": (9, 12), "Ankle": (10, 13),
}  # fmt: skip
COUNTED = tuple(sorted(j for group in GROUPS.values() for j in group))


def pck150(errors: Tensor) -> Tensor:
    """Of the last dimension, percent. (..., J) in mm -> (...)."""
    return 100 * (errors < 150).double().mean(-1)


def auc(errors: Tensor) -> Tensor:
    """Of the last dimension, percent. (..., J) in mm -> (...)."""
    below = errors[..., None] < torch.arange(0, 151, 5, device=errors.device)
    return 100 * below.double().mean((-2, -1))


def tables(errors: Tensor, labels: Sequence[str]) -> dict[str, Any]:
    """Rows by label and of all frames: errors (N, 17) mm in the joints of 3dhp17, a label each.

    {"mpjpe": {row: {joint: mm, "Average": mm}}, "pck150" and "auc": {row: {group: percent,
    "Total": percent}}}. A total weighs its joints alike, so the two of a group count twice.
    """
    every = np.asarray(labels)
    rows = {str(label): every == label for label in dict.fromkeys(labels)}
    rows["All"] = np.ones(len(every), dtype=bool)
    joints = skeleton("3dhp17").joints
    found: dict[str, Any] = {"mpjpe": {}, "pck150": {}, "auc": {}}
    for label, rows_in in rows.items():
        inside = errors.double()[torch.from_numpy(rows_in)]
        means = dict(zip(joints, inside.mean(0).tolist(), strict=True))
        found["mpjpe"][label] = means | {"Average": inside.mean().item()}
        for name, share in (("pck150", pck150), ("auc", auc)):
            of = {group: inside[:, list(own)] for group, own in GROUPS.items()}
            of["Total"] = inside[:, list(COUNTED)]
            found[name][label] = {group: share(x).mean().item() for group, x in of.items()}
    return found
