"""All people of many frames as the arrays of one npz file, a row per person.

    frame        (N,) the place of the person's frame in the four arrays of F frames
    frame_name   (F,)      frame_index  (F,) -1 without      frame_time  (F,) seconds, NaN without
    frame_size   (F, 2) width and height
    track        (N,) -1 without
    box (N, 4), box_score (N,), keypoints_2d (N, J, 2), scores (N, J), spread_2d (N, J),
    hypotheses_2d (N, K, J, 2), keypoints_3d (N, J3, 3), spread_3d (N, J3),
    hypotheses_3d (N, K, J3, 3), scores_3d (N, J3)
    joints_2d (J,), joints_3d (J3,)   names

Pixels and metres are those of `posediff.people.frame`. What a person has not is NaN, fewer
hypotheses too; an array that nobody has is absent. All people are of one skeleton.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from posediff.outputs.frame_json import ARRAYS, Add
from posediff.people.frame import Frame, Person
from posediff.pose.skeleton import skeleton


@contextmanager
def writing_arrays(path: Path) -> Iterator[Add]:
    """A function that takes one frame after the other, but its image; the file is written after the
    block, so that all people must fit the memory. Raises ValueError if skeletons differ."""
    frames: list[tuple[Any, ...]] = []
    people: list[Person] = []
    rows: list[int] = []

    def add(frame: Frame) -> None:
        rows.extend([len(frames)] * len(frame.people))
        index = -1 if frame.index is None else frame.index
        time = np.nan if frame.time is None else frame.time
        frames.append((frame.name, index, time, frame.size))
        people.extend(frame.people)

    yield add
    names, indices, times, sizes = zip(*frames, strict=True) if frames else [()] * 4
    arrays: dict[str, NDArray[Any]] = {
        "frame": np.array(rows, np.int64),
        "frame_name": np.array(names, np.str_),
        "frame_index": np.array(indices, np.int64),
        "frame_time": np.array(times, np.float64),
        "frame_size": np.array(sizes, np.int64).reshape(-1, 2),
        "track": np.array([-1 if p.track is None else p.track for p in people], np.int64),
        "box_score": np.array([p.box_score for p in people], np.float32),
    }
    for field in ("skeleton_2d", "skeleton_3d"):
        if layout := one_skeleton(getattr(person, field) for person in people):
            arrays[field.replace("skeleton", "joints")] = np.array(skeleton(layout).joints)
    for field in ARRAYS:
        values = [getattr(person, field) for person in people]
        if any(value is not None for value in values):
            arrays[field] = padded(values)
    np.savez_compressed(path, allow_pickle=False, **arrays)


def one_skeleton(names: Iterable[str | None]) -> str | None:
    """The skeleton of all people that have one. Raises ValueError if there are several."""
    found = sorted({name for name in names if name is not None})
    if len(found) > 1:
        raise ValueError(
            f"people of several skeletons, {', '.join(found)}: arrays and COCO results are of one; "
            "save them apart, or as json or csv"
        )
    return found[0] if found else None


def padded(values: Sequence[NDArray[Any] | None]) -> NDArray[np.float32]:
    """Arrays that differ in the length of their first axis, stacked; NaN fills them, and those that
    are None."""
    known = [value for value in values if value is not None]
    shape = (max(len(value) for value in known), *known[0].shape[1:])
    stacked = np.full((len(values), *shape), np.nan, np.float32)
    for row, value in zip(stacked, values, strict=True):
        if value is not None:
            row[: len(value)] = value
    return stacked
