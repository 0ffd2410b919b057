"""The answers that a metric has collected."""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from torch import Tensor

from posediff.sample import cat, take


class Collected:
    """Columns by aggregation rule. A table has every sample once, sorted by its id (7/box9
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
        whole = cat(batches)
        row = {key: i for i, key in enumerate(whole["id"])}
        found: dict[str, Any] = take(whole, [row[key] for key in sorted(row, key=_natural)])
        return found

    def figures(
        self, score: Callable[[Mapping[str, Any]], Mapping[str, Any]], prefix: str = ""
    ) -> dict[str, float]:
        """The figures that `score` gives of the table of every rule, without those that are NaN.
        `<metric>[:part]` becomes `<prefix><metric>/<rule>[:part]`."""
        found: dict[str, float] = {}
        for name in self.batches:
            for key, x in score(self.table(name)).items():
                metric, colon, part = key.partition(":")
                found[f"{prefix}{metric}/{name}{colon}{part}"] = float(x)
        return {key: x for key, x in found.items() if x == x}


def rows_by_image(images: Sequence[Any]) -> dict[Any, list[int]]:
    rows: dict[Any, list[int]] = {}
    for i, image in enumerate(images):
        rows.setdefault(image, []).append(i)
    return rows


def _natural(key: str) -> list[int | str]:
    """Words and numbers in turn."""
    return [int(x) if i % 2 else x for i, x in enumerate(re.split(r"(\d+)", key))]
