"""People in frames, as detectors and trackers write them, before they are rows of keypoints.

A frame has the number in its name, else the one that the file states, and its place among the
frames only if there are none, or the same one twice. A track is a number or a word that is
at most once in a frame; -1 and other numbers below 0 are no track.
"""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from posediff.doors.checks import integer
from posediff.pose.skeleton import SKELETONS

Values = NDArray[np.float64]
LARGEST = 1 << 53  # of the numbers in names that are numbers of frames
MOST = 1 << 20  # frames between the first and the last; more are no numbers of frames
SHOWN = 5  # names in a note, at most


@dataclass
class Detections:
    """`values`, `frames` and `tracks` have one entry per person and frame."""

    values: list[Values] = field(default_factory=list)  # (J, 3) x, y, score
    frames: list[str] = field(default_factory=list)  # names
    tracks: list[str | None] = field(default_factory=list)  # None: no track
    listed: list[str] = field(default_factory=list)  # all frames, in order, if the file lists them
    unlabelled: set[str] = field(default_factory=set)  # listed frames that were not annotated
    numbers: dict[str, int] = field(default_factory=dict)  # of frames, if the file states them
    notes: list[str] = field(default_factory=list)  # how it was read, for the user
    left_out: list[str] = field(default_factory=list)  # files that could not be used, and why

    def add(self, frame: str, values: Values, track: object = None) -> None:
        self.values.append(values)
        self.frames.append(frame)
        self.tracks.append(track_name(f"frame {frame}", track))

    def extend(self, other: "Detections") -> None:
        """The people of another file after those here."""
        self.values += other.values
        self.frames += other.frames
        self.tracks += other.tracks
        self.listed += other.listed
        self.unlabelled |= other.unlabelled
        self.numbers |= other.numbers
        self.notes += [note for note in other.notes if note not in self.notes]


def track_name(where: str, track: Any) -> str | None:
    """A track as a word; None if it is none: null, "", a number below 0, or an empty list. A list
    has one (AlphaPose, OpenPose). Raises ValueError for a fraction."""
    if isinstance(track, list):
        track = track[0] if track else None
    if isinstance(track, float):
        track = integer(f"{where}: track_id", track)
    word = "" if track is None else str(track).strip()
    return None if not word or re.fullmatch(r"-\d+(\.0*)?", word) else word


def without_repeats(people: Detections) -> Detections:
    """The same, with no track for the ids that are repeated within a frame, and a note of them."""
    pairs = Counter(zip(people.frames, people.tracks, strict=True))
    repeated = {track for (_, track), count in pairs.items() if track is not None and count > 1}
    if repeated:
        named = shortened(sorted(map(str, repeated)))
        people.notes.append(f"no tracks, since they are repeated within a frame: ids {named}")
        people.tracks = [None if track in repeated else track for track in people.tracks]
    return people


def shortened(names: Sequence[str]) -> str:
    """The first names, and the number of the others."""
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more


def names_of(frames: Sequence[str], tracks: Sequence[str | None]) -> list[str]:
    """A name for every person: the frame, followed by the track or, in a frame of several people,
    by the person's index."""
    total, seen = Counter(frames), Counter[str]()
    tracked = {frame for frame, track in zip(frames, tracks, strict=True) if track is not None}
    names = []
    for frame, track in zip(frames, tracks, strict=True):
        single = track is None and total[frame] == 1
        mark = f"{'untracked' * (frame in tracked)}{seen[frame]}" if track is None else track
        names.append(frame if single else f"{frame}#{mark}")
        seen[frame] += 1
    return names


def labels_of(people: Detections) -> list[str]:
    """A label for every person, the same for the rows of one track: of one folder and id, or, if
    the file has no tracks and no frame two people, of one folder."""
    alone = len(set(people.frames)) == len(people.frames) and not any(people.tracks)
    names = names_of(people.frames, people.tracks)
    rows = zip(names, people.frames, people.tracks, strict=True)
    return [
        name if track is None and not alone else f"{Path(frame).parent}#{track or ''}"
        for name, frame, track in rows
    ]


def step_of(numbers: Iterable[int]) -> int:
    """From one frame to the next by their numbers: 30 of 0, 30, 90, and 1 of fewer than three."""
    ordered = sorted(set(numbers))
    return int(np.gcd.reduce(np.diff(ordered))) if len(ordered) > 2 else 1


def numbers_of(people: Detections) -> dict[str, int]:
    """Frame name -> number of the frame in time."""
    named = list(dict.fromkeys([*people.listed, *people.frames]))
    stated = [people.numbers.get(name) for name in named]
    for numbers in (*_in_names(named), stated):
        places = {(Path(name).parent, n) for name, n in zip(named, numbers, strict=True)}
        if len(places) == len(named) and None not in numbers:
            return {name: n for name, n in zip(named, numbers, strict=True) if n is not None}
    return {name: n for n, name in enumerate(named)}


def _in_names(named: Sequence[str]) -> list[list[int | None]]:
    """The last number in each name; if all names have as many, then those before it."""
    digits = [re.findall(r"\d+", Path(name).stem) for name in named]
    counts = {len(found) for found in digits}
    depth = counts.pop() if len(counts) == 1 else 1
    columns = [[int(found[-k]) if found else -1 for found in digits] for k in range(1, depth + 1)]
    return [[n if 0 <= n < LARGEST else None for n in column] for column in columns]


def last_number(stem: str) -> int | None:
    """The last number in a name, None if it has none."""
    digits = re.findall(r"\d+", stem)
    return int(digits[-1]) if digits and len(digits[-1]) < 16 else None


def empty_frames(people: Detections) -> list[str]:
    """The frames without people, in order. A file that lists no frames, but has tracks, has those
    between its frames that its step leaves room for."""
    numbers, occupied = numbers_of(people), set(people.frames)
    if people.listed or not any(people.tracks):
        return [name for name in people.listed if name not in occupied | people.unlabelled]
    taken = set(numbers.values())
    between = range(min(taken), max(taken) + 1, step_of(taken))
    return [str(n) for n in between if n not in taken] if len(between) < MOST else []


def numeric(where: str, data: object) -> Values:
    """Nested lists or an array of any shape as float64, null as NaN.

    Raises ValueError, which starts with `where`, if it is not an array of real numbers.
    """
    try:
        values = np.asarray(data)
        if values.size and values.dtype.kind not in "iufO":
            raise TypeError(f"values of type {values.dtype}")
        return values.astype(np.float64)
    except (TypeError, ValueError, OverflowError) as error:
        raise ValueError(
            f"{where}: not numbers in lists of one length; write [x, y, score] for every joint"
        ) from error


def triples(where: str, flat: object, joints: int) -> Values:
    """x, y, score of every joint, (J, 3), of a flat list. Raises ValueError for another number."""
    row = numeric(where, flat).ravel()
    if row.size != 3 * joints:
        raise miscounted(where, joints, f"{row.size / 3:g} (x, y, score each)", row.size // 3)
    return row.reshape(joints, 3)


def miscounted(where: str, joints: int, found: str, count: int | None = None) -> ValueError:
    """The error, to be raised, of a file whose number of joints is not the layout's."""
    fit = [name for name, layout in SKELETONS.items() if len(layout.joints) == count]
    choice = f": {' or '.join(f'layout={name}' for name in fit)}" if fit else ""
    return ValueError(
        f"{where}: the layout has {joints} joints, the file has {found}; "
        f"name the layout of the keypoints{choice}"
    )
