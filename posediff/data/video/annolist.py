"""PoseTrack17's own form -> that of PoseTrack18.

    annolist [{image [{name}], is_labeled [0 or 1], imgnum, ignore_regions [{point [{x, y}]}],
               annorect [{x1, y1, x2, y2, track_id,
                          annopoints [{point [{id, x, y, is_visible}]}]}]}]

Every scalar is a list of one. x1, y1, x2, y2 are the box of the head; there is no box of a person.
The id of a joint is its index in `OFFICIAL`; only labelled joints are listed.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from posediff.doors.checks import entries, flag, integer, number, text

OFFICIAL = (
    "right_ankle", "right_knee", "right_hip", "left_hip", "left_knee", "left_ankle", "right_wrist",
    "right_elbow", "right_shoulder", "left_shoulder", "left_elbow", "left_wrist", "head_bottom",
    "nose", "head_top",
)  # fmt: skip


def from_annolist(path: Path, data: Mapping[str, Any]) -> dict[str, Any]:
    """A document of PoseTrack18's form. Raises ValueError if an entry has another form."""
    images: list[dict[str, Any]] = []
    people: list[dict[str, Any]] = []
    for i, frame in enumerate(entries(f"{path}: annolist", data["annolist"])):
        try:
            images.append(_image(frame, i))
            people += [_person(person, i) for person in frame.get("annorect") or []]
        except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
            raise ValueError(
                f"{path}: annolist[{i}]: not of PoseTrack17's form, where every value is a list of "
                f"one, image [{{name}}] and annorect [{{x1, y1, x2, y2, track_id, annopoints}}] "
                f"({repr(error)[:200]})"
            ) from None
    category = {"id": 1, "name": "person", "keypoints": list(OFFICIAL)}
    return {"images": images, "categories": [category], "annotations": people}


def _image(frame: Mapping[str, Any], i: int) -> dict[str, Any]:
    regions = [region["point"] for region in frame.get("ignore_regions") or []]
    return {
        "id": i,
        "file_name": text("image name", _only(_only(frame["image"])["name"])),
        "is_labeled": flag("is_labeled", _only(frame.get("is_labeled", [1]))),
        "ignore_regions_x": [[_only(p["x"]) for p in region] for region in regions],
        "ignore_regions_y": [[_only(p["y"]) for p in region] for region in regions],
    }


def _person(person: Mapping[str, Any], image: int) -> dict[str, Any]:
    values = [0.0] * (3 * len(OFFICIAL))
    for points in person.get("annopoints") or []:
        for point in points.get("point") or []:
            at = 3 * integer("id of a joint", _only(point["id"]), 0, len(OFFICIAL) - 1)
            visible = 2 if flag("is_visible", seen(_only(point.get("is_visible", [1])))) else 1
            values[at : at + 3] = [number(k, _only(point[k])) for k in "xy"] + [visible]
    entry: dict[str, Any] = {"image_id": image, "category_id": 1, "keypoints": values}
    if "track_id" in person:
        entry["track_id"] = integer("track_id", _only(person["track_id"]))
    if "x1" in person:
        x1, y1, x2, y2 = (number(key, _only(person[key])) for key in ("x1", "y1", "x2", "y2"))
        entry["bbox_head"] = [x1, y1, x2 - x1, y2 - y1]
    return entry


def _only(value: Any) -> Any:
    """The entry of a list of one; a scalar is returned unchanged."""
    return value[0] if isinstance(value, Sequence) and not isinstance(value, str) else value


def seen(value: Any) -> Any:
    """The visibility of a joint: MATLAB writes an empty list for none, and others texts."""
    return {"0": 0, "1": 1}.get(value, value) if isinstance(value, str) else value
