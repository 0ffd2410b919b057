"""The names of the joints that a file of keypoints says, so that their order need not be known.

.json   `joints`, or the `keypoints` of the people's of COCO's `categories`
.npz    `joints`
.csv    a header of x and y for every joint: nose_x,nose_y,nose_score,left_eye_x,...
"""

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from posediff.doors.checks import entries
from posediff.doors.json_door import read_json
from posediff.doors.numpy_door import read_npz
from posediff.inference.tools.categories import people_category
from posediff.pose.layout import by_names, joint_named
from posediff.pose.skeleton import SKELETONS, Skeleton

PARTS = ("x", "y", "score", "s", "c", "likelihood", "confidence")  # of a joint in a header


def names_in(path: str | Path) -> list[str]:
    """The names of the joints in their order; none if the file says none, or cannot be read."""
    path = Path(path)
    kinds = {".json": _json, ".npz": _numpy, ".csv": _csv}
    try:
        found: Any = kinds.get(path.suffix.lower(), lambda _: None)(path)
    except (OSError, ValueError, KeyError, StopIteration, csv.Error):
        return []  # the reader of the keypoints says what is wrong
    if not isinstance(found, list) or not all(isinstance(name, str) for name in found):
        return []
    return found


def belong(path: str | Path, names: Sequence[str], layout: Skeleton) -> bool:
    """True if the names are joints of the layout.

    Raises ValueError if they are not, but are those of another layout, which is named.
    """
    if not names:
        return False
    if _are_of(names, layout):
        return True
    others = [s for s in SKELETONS.values() if _are_of(names, s)]
    if others:
        nearest = min(others, key=lambda s: (s.joints != tuple(names), len(s.joints)))
        raise ValueError(
            f"{path}: its joints are not those of {layout.name}, but of {nearest.name}: set "
            f"layout={nearest.name}"
        )
    return False


def in_order(
    points: Tensor, scores: Tensor, names: Sequence[str], layout: Skeleton
) -> tuple[Tensor, Tensor]:
    """Points (N, J', 2) and scores (N, J') of the named joints, in the order of the layout; joints
    without a name are missing."""
    return by_names(points, scores, names, layout)


def _are_of(names: Sequence[str], layout: Skeleton) -> bool:
    found = [joint_named(name, layout) for name in names]
    return None not in found and len(set(found)) == len(found)


def _json(path: Path) -> Any:
    data = read_json(path)
    if not isinstance(data, dict):
        return None
    categories = data.get("categories")
    if isinstance(categories, list) and categories:
        return people_category(entries(f"{path}: categories", categories)).get("keypoints")
    return data.get("joints")


def _numpy(path: Path) -> Any:
    return read_npz(path, only=["joints"])["joints"].tolist()


def _csv(path: Path) -> Any:
    """Names of columns that go through the joints, each in the same parts."""
    with path.open(newline="", encoding="utf-8-sig") as file:
        row = [cell.strip() for cell in next(csv.reader(file))]
    split = [cell.rpartition("_") for cell in row]
    columns = [(name, part.lower()) for name, _, part in split if name and part.lower() in PARTS]
    names = list(dict.fromkeys(name for name, _ in columns))
    per = len(columns) // len(names) if names else 0
    whole = [name for name in names for _ in range(per)] == [name for name, _ in columns]
    return names if whole and per in (2, 3) and len(row) - len(columns) in (0, 1) else None
