"""Frames as JSON: all that was estimated, readable again.

    {"format": "posediff frames", "version": 1, "units": {field: unit},
     "frames": [{"name", "index", "time", "size": [w, h], "seconds": {part: s},
                 "made_by": [what was used, ...], "people": [...]}, ...],     a line per frame
     "skeletons": {name: [joint, ...]}}

A person has the fields of `posediff.people.frame.Person`; nested lists have the shapes that are
given there. Pixels are rounded to 0.001, scores and metres to 6 digits; a number that is not finite
is null. Images are not written.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import orjson

from posediff.doors import limits
from posediff.doors.checks import listing, shown
from posediff.doors.json_door import parsed, read_json
from posediff.files import plain
from posediff.people.frame import Floats, Frame, Person
from posediff.pose.skeleton import SKELETONS

FORMAT, VERSION = "posediff frames", 1
Add = Callable[[Frame], None]

# of the arrays of a person: their unit, and their shape behind the first axis, -1 for joints
ARRAYS: dict[str, tuple[str, tuple[int, ...]]] = {
    "box": ("pixels", ()),
    "keypoints_2d": ("pixels", (2,)),
    "scores": ("0 missing .. 1 sure", ()),
    "spread_2d": ("pixels", ()),
    "hypotheses_2d": ("pixels", (-1, 2)),
    "keypoints_3d": ("metres", (3,)),
    "spread_3d": ("metres", ()),
    "hypotheses_3d": ("metres", (-1, 3)),
    "scores_3d": ("0 missing .. 1 sure", ()),
}
UNITS = {name: unit for name, (unit, _) in ARRAYS.items()} | {"time": "seconds"}
DIGITS = {"pixels": 3, "metres": 6, "0 missing .. 1 sure": 6}


@contextmanager
def writing_json(path: Path) -> Iterator[Add]:
    """A function that writes one frame after the other; the file is whole after the block."""
    head = {"format": FORMAT, "version": VERSION, "units": UNITS}
    skeletons: dict[str, list[str]] = {}
    with path.open("wb") as file:
        file.write(orjson.dumps(head)[:-1] + b',"frames":[')
        separator = b"\n"

        def add(frame: Frame) -> None:
            nonlocal separator
            for person in frame.people:
                for name in filter(None, (person.skeleton_2d, person.skeleton_3d)):
                    if name in SKELETONS:
                        skeletons[name] = list(SKELETONS[name].joints)
            file.write(separator + orjson.dumps(as_dict(frame)))
            separator = b",\n"

        yield add
        file.write(b'\n],"skeletons":' + orjson.dumps(skeletons) + b"}\n")


def read(path: str | Path) -> tuple[Frame, ...]:
    """The frames of a file that `writing_json` wrote, without their images; also if another program
    laid it out anew.

    Raises ValueError if the file is of another form or version, or damaged.
    """
    content = read_json(Path(path))
    _refuse_other(path, content)
    entries = listing(f"{path}: frames", content.get("frames", ()))
    return tuple(_frame(path, n, entry) for n, entry in enumerate(entries))


def stream(path: str | Path) -> Iterator[Frame]:
    """The same frames one after the other, of a file as it was written, a line per frame: one is in
    memory, so that its length does not matter.

    Raises ValueError as `read`.
    """
    with Path(path).open("rb") as file:
        lines = _lines(file, path)
        _refuse_other(path, parsed(next(lines, b"") + b"]}", path))
        for n, line in enumerate(lines):
            if line.startswith(b"]"):
                return
            where = f"{path}: frame {n}"
            yield _frame(path, n, parsed(line.rstrip().removesuffix(b","), where))
    raise ValueError(f"{path}: cut short: write it again")


def _lines(file: BinaryIO, path: str | Path) -> Iterator[bytes]:
    """The lines of a file, each bounded as a file of JSON is."""
    most = int(limits.CURRENT.json_mb * 1e6)
    while line := file.readline(most + 1):
        limits.refuse_above("json_mb", path, len(line) / 1e6, "the size of a line in MB")
        yield line


def _refuse_other(path: str | Path, content: Any) -> None:
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise ValueError(f"{path}: not {FORMAT!r}; give a file that posediff.save wrote as json")
    if content.get("version") != VERSION:
        found = content.get("version")
        raise ValueError(f"{path}: version {shown(found)}; this posediff reads {VERSION}")


def _frame(path: str | Path, n: int, entry: Any) -> Frame:
    try:
        return from_dict(entry)
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise ValueError(f"{path}: frame {n} cannot be read: {repr(error)[:200]}") from None


def as_dict(frame: Frame) -> dict[str, Any]:
    """A frame as dicts, lists, numbers and names, without its image."""
    return {
        "name": frame.name,
        "index": frame.index,
        "time": frame.time,
        "size": [int(side) for side in frame.size],
        "seconds": plain(frame.seconds),
        "made_by": list(frame.made_by),
        "people": [_person_as_dict(person) for person in frame.people],
    }


def from_dict(entry: Mapping[str, Any]) -> Frame:
    """The frame of `as_dict`. Raises KeyError, TypeError or ValueError if it is not one."""
    width, height = entry["size"]
    people = tuple(_person(person) for person in entry["people"])
    given = {key: entry[key] for key in ("name", "index", "time", "seconds")}
    made_by = tuple(str(line) for line in entry.get("made_by", ()))  # the first files lack it
    return Frame(size=(width, height), people=people, made_by=made_by, **given)


def _person_as_dict(person: Person) -> dict[str, Any]:
    entry = {f.name: getattr(person, f.name) for f in fields(person)}
    for name, (unit, _) in ARRAYS.items():
        if entry[name] is not None:
            entry[name] = plain(np.asarray(entry[name], np.float64).round(DIGITS[unit]))
    return plain(entry)  # type: ignore[no-any-return]


def _person(entry: Mapping[str, Any]) -> Person:
    parts = {f.name: entry[f.name] for f in fields(Person) if f.name in entry}
    for name, (_, tail) in ARRAYS.items():
        if entry[name] is not None:
            joints = entry["keypoints_3d" if name.endswith("3d") else "keypoints_2d"]
            parts[name] = _array(entry[name], tail, len(joints))
    if parts["box_score"] is None:
        parts["box_score"] = math.nan
    return Person(**parts)


def _array(values: Any, tail: tuple[int, ...], joints: int) -> Floats:
    """An array of that shape behind the first axis, also if it is empty; null is NaN."""
    array = np.array(values, dtype=np.float32)
    shape = (len(values), *(joints if n < 0 else n for n in tail))
    if array.size and array.shape != shape:
        raise ValueError(f"an array is {array.shape} instead of {shape}")
    return array.reshape(shape)
