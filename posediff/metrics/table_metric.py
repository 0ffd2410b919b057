"""Metrics that collect the answers to all samples, and score them as one table."""

import re
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from posediff.diffusion.aggregate import Poses
from posediff.metrics import calibration
from posediff.metrics.metric import Metric, check_skeleton
from posediff.pose.oks import Suppression, suppress
from posediff.pose.skeleton import skeleton as named_skeleton
from posediff.sample import cat, take


class TableMetric(Metric):
    """A table by aggregation rule. It contains every sample once, sorted by its id (7/box9 before
    7/box10), also if samples are shuffled or repeated, as in a distributed run that fills up its
    last batch.

    skeleton: name of the layout of the poses; prefix: of the keys of the figures
    """

    def __init__(self, skeleton: str, prefix: str = "") -> None:
        self.skeleton, self.prefix = named_skeleton(skeleton), prefix
        self.batches: dict[str, list[dict[str, Any]]] = {}

    def add(
        self, name: str, poses: Poses, sample: Mapping[str, Any], **columns: Tensor | Sequence[Any]
    ) -> None:
        """Add a batch by the rule `name`; columns are tensors (B, ...) or lists of B.

        Of several hypotheses it also adds their calibration, if the sample has labels. Raises
        ValueError if the poses have another skeleton.
        """
        check_skeleton(poses, self.skeleton.name)
        columns |= {"id": sample["id"], "keypoints": poses.keypoints, "spread": poses.spread}
        if poses.hypotheses.shape[1] > 1 and "keypoints_annotation" in sample:
            labelled = sample["visible_annotation"] > 0
            truth = sample["keypoints_annotation"]
            columns |= calibration.columns(poses.hypotheses, truth, labelled=labelled)
        batch = {
            key: x.detach().cpu().double() if isinstance(x, Tensor) else list(x)
            for key, x in columns.items()
        }
        self.batches.setdefault(name, []).append(batch)

    def table(self, name: str) -> dict[str, Any]:
        """Tensors (N, ...) in float64, and lists of N."""
        whole = cat(self.batches[name])
        row = {key: i for i, key in enumerate(whole["id"])}
        table: dict[str, Any] = take(whole, [row[key] for key in sorted(row, key=_natural)])
        return table

    def compute(self) -> dict[str, float]:
        found: dict[str, float] = {}
        for name in self.batches:
            for key, x in self._figures(self.table(name)).items():
                metric, colon, part = key.partition(":")
                found[f"{self.prefix}{metric}/{name}{colon}{part}"] = float(x)
        for name in [*self.batches][:1]:  # calibration does not depend on the rule
            columns = ("energy_score", "coverage", "coverage_of")
            drawn = {k: x.numpy() for k, x in self.table(name).items() if k in columns}
            found |= calibration.figures(drawn)
        return {key: x for key, x in found.items() if x == x}

    @abstractmethod
    def _figures(self, table: Mapping[str, Any]) -> Mapping[str, Any]:
        """Figures of a table, `<metric>[:<part>]`; `compute` drops those that are NaN."""


def rows_by_image(images: Sequence[Any]) -> dict[Any, list[int]]:
    rows: dict[Any, list[int]] = {}
    for i, image in enumerate(images):
        rows.setdefault(image, []).append(i)
    return rows


def unsuppressed(
    table: Mapping[str, Any],
    scores: Tensor,
    sigmas: Sequence[float],
    rule: Suppression,
    threshold: float,
) -> list[int]:
    """Rows of the people that stay after suppression, image by image, best first.

    The table contains images (N,), keypoints (N, J, 2) and areas (N,).
    """
    kept = []
    for group in rows_by_image(table["images"]).values():
        people = (table["keypoints"][group], table["areas"][group], scores[group])
        kept += [group[i] for i in suppress(*people, sigmas, rule, threshold).tolist()]
    return kept


def _natural(key: str) -> list[int | str]:
    """Words and numbers in turn."""
    return [int(x) if i % 2 else x for i, x in enumerate(re.split(r"(\d+)", key))]
