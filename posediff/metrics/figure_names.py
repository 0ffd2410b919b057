"""Units and groups of figures, by their names; a figure that is not named here has neither.

A key is `<data set>/<measure>/<rule>[:<part>]`, where all but the measure may be missing.
Lengths are millimetres beside figures in 3D, else pixels. Shares without a unit are 0 .. 1.
"""

import re
from collections.abc import Iterable
from typing import NamedTuple

LENGTH, TIMED, PERCENT = "length", "length per frame", "%"
ERRORS, SCORES, SPREAD, COUNTS, OTHER = "errors", "scores", "uncertainty", "counts", "other"
GROUPS = (ERRORS, SCORES, SPREAD, COUNTS, OTHER)
# measure: group, unit
MEASURES = {
    r"spread|energy_score": (SPREAD, LENGTH),
    r"coverage@.*|calibration_error|spread_rank|spread_covers": (SPREAD, ""),
    r"(\w+_)?mpjpe|epe|joint_error": (ERRORS, LENGTH),
    r"mpjve": (ERRORS, TIMED),
    r"pck.*|auc|pcp": (SCORES, PERCENT),
    r"mAP": (SCORES, PERCENT),  # of PoseTrack
    r"(m?AP|AR)(\W|_|$).*": (SCORES, ""),
    r"(frames|people|joints|windows)(_\w+)?": (COUNTS, ""),
}


class Figure(NamedTuple):
    """Parts of the key of a figure."""

    measure: str
    rule: str  # "" if it does not depend on one
    group: str
    unit: str


def figures(keys: Iterable[str]) -> dict[str, Figure]:
    """The keys of one evaluation, read together."""
    keys = list(keys)
    length = "mm" if any("mpjpe" in key for key in keys) else "px"
    return {key: _figure(key, length) for key in keys}


def _figure(key: str, length: str) -> Figure:
    *_, measure, rule = key.split("/") if "/" in key else (key, "")
    group, unit = OTHER, ""
    for pattern, found in MEASURES.items():
        if re.fullmatch(pattern, measure):
            group, unit = found
            break
    return Figure(measure, rule, group, unit.replace("length", length))
