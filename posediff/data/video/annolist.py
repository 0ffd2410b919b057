"""PoseTrack17's own form -> that of PoseTrack18.

    annolist [{image [{name}], is_labeled [0 or 1], imgnum, ignore_regions [{point [{x, y}]}],
               annorect [{x1, y1, x2, y2, track_id,
                          annopoints [{point [{id, x, y, is_visible}]}]}]}]

Every scalar is a list of one. x1, y1, x2, y2 are the box of the head; a person has none. ids of
joints are those of `OFFICIAL`, and only labelled joints stand there.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

OFFICIAL = (
    "right_ankle", "right_knee", "right_hip", "left_hip", "left_knee", "left_ankle", "right_wrist",
    "right_elbow", "right_shoulder", "left_shoulder", "left_elbow", "left_wrist", "head_bottom",
    "nose", "head_top",
)  # fmt: skip


def from_annolist(path: Path, data: Mapping[str, Any]) -> dict[str, Any]:
    """ValueError, one line, for an entry of another form."""
    frames = data["annolist"]
    images: list[dict[str, Any]] = []
    people: list[dict[str, Any]] = []
    for i, frame in enumerate(frames):
        try:
            images.append(_image(frame, i, len(frames)))
            for person in frame.get("annorect") or []:
                people.append(_person(person, i))
        except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
            raise ValueError(
                f"{path}: annolist[{i}]: not of PoseTrack17's form, where every value is a list of "
                f"one, image [{{name}}] and annorect [{{x1, y1, x2, y2, track_id, annopoints}}] "
                f"({error!r})"
            ) from None
    category = {"id": 1, "name": "person", "keypoints": list(OFFICIAL)}
    return {"images": images, "categories": [category], "annotations": people}


def _image(frame: Mapping[str, Any], i: int, count: int) -> dict[str, Any]:
    name = str(_one(_one(frame["image"])["name"]))
    regions = [region["point"] for region in frame.get("ignore_regions") or []]
    return {
        "id": i,
        "file_name": name,
        "is_labeled": bool(_one(frame.get("is_labeled", [1]))),
        "ignore_regions_x": [[_one(p["x"]) for p in region] for region in regions],
        "ignore_regions_y": [[_one(p["y"]) for p in region] for region in regions],
    }


def _person(person: Mapping[str, Any], image: int) -> dict[str, Any]:
    values = [0.0] * (3 * len(OFFICIAL))
    for points in person.get("annopoints") or []:
        for point in points.get("point") or []:
            at = 3 * int(_one(point["id"]))
            seen = 2 if _one(point.get("is_visible", [1])) else 1
            values[at : at + 3] = [float(_one(point["x"])), float(_one(point["y"])), seen]
    entry: dict[str, Any] = {"image_id": image, "category_id": 1, "keypoints": values}
    if "track_id" in person:
        entry["track_id"] = int(_one(person["track_id"]))
    if "x1" in person:
        x1, y1, x2, y2 = (float(_one(person[key])) for key in ("x1", "y1", "x2", "y2"))
        entry["bbox_head"] = [x1, y1, x2 - x1, y2 - y1]
    return entry


def _one(value: Any) -> Any:
    """A list of one is what stands in it."""
    return value[0] if isinstance(value, Sequence) and not isinstance(value, str) else value
