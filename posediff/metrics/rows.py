"""What a metric remembers of the samples it was shown."""

import re
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor


class Rows:
    """Columns by aggregation rule. A table has every sample once and sorted by its id (7/box9
    before 7/box10), however the samples came: batched, shuffled, or twice, from a distributed run
    that fills its last batch up.
    """

    def __init__(self) -> None:
        self.batches: dict[str, list[dict[str, Any]]] = {}

    def add(self, name: str, **columns: Tensor | Sequence[Any]) -> None:
        """A batch by the rule `name`: `id`, and tensors (B, ...) or lists of B."""
        plain = {
            key: x.detach().cpu().double() if isinstance(x, Tensor) else list(x)
            for key, x in columns.items()
        }
        self.batches.setdefault(name, []).append(plain)

    def table(self, name: str) -> dict[str, Any]:
        """Tensors (N, ...) in float64, and lists of N."""
        batches = self.batches[name]
        whole = {key: _joined([batch[key] for batch in batches]) for key in batches[0]}
        row = {key: i for i, key in enumerate(whole["id"])}
        order = [row[key] for key in sorted(row, key=_natural)]
        return {key: picked(column, order) for key, column in whole.items()}


def picked(column: Any, rows: list[int]) -> Any:
    return column[rows] if isinstance(column, Tensor) else [column[i] for i in rows]


def rows_by_image(images: Sequence[Any]) -> dict[Any, list[int]]:
    rows: dict[Any, list[int]] = {}
    for i, image in enumerate(images):
        rows.setdefault(image, []).append(i)
    return rows


def _natural(key: str) -> list[int | str]:
    """Words and numbers in turn."""
    return [int(x) if i % 2 else x for i, x in enumerate(re.split(r"(\d+)", key))]


def _joined(parts: list[Any]) -> Any:
    return torch.cat(parts) if isinstance(parts[0], Tensor) else [x for part in parts for x in part]
