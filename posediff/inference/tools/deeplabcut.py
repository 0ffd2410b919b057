"""DeepLabCut's tables: CSV, or HDF5 as pandas writes it (format="table"), nothing unpickled.

The lines of the head are scorer, individuals (of several animals), bodyparts and coords (x, y,
likelihood); the first columns name the frame. Body parts are joints of the layout by their names,
in any usual spelling; others are left out. An individual is a track.
"""

import io
from collections.abc import Sequence
from itertools import takewhile
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from posediff.data.lifting.pickles import read_pickle
from posediff.doors.checks import of_words, reading
from posediff.doors.hdf5_door import Group, opened
from posediff.inference.tools.detections import Detections, Values, numeric, shortened
from posediff.pose.layout import joint_named
from posediff.pose.skeleton import Skeleton

HEAD = ("scorer", "individuals", "bodyparts", "coords")
AXES = ("x", "y", "likelihood")


class Column(NamedTuple):
    individual: str | None
    part: str
    axis: str


def is_deeplabcut(first: Sequence[str]) -> bool:
    """True if this is the first line of its CSV."""
    return first[:1] == ["scorer"]


def read_lines(path: Path, lines: Sequence[Sequence[str]], layout: Skeleton) -> Detections:
    """The people of the lines of a CSV. Raises ValueError if they cannot be used."""
    head = list(takewhile(lambda line: line[0] in HEAD, lines))
    axes = next((line for line in head if line[0] == "coords"), [])
    start = next((k for k, word in enumerate(axes) if word in AXES), None)
    if start is None:
        raise ValueError(f"{path}: no line `coords` with x, y, likelihood in the head")
    columns = _columns(path, [(line[0], line[start:]) for line in head])
    rows, names = [], []
    for n, line in enumerate(lines[len(head) :], len(head) + 1):
        if len(line) != start + len(columns):
            raise ValueError(f"{path}: line {n}: {len(line)} columns, the head has another number")
        cells = ["0"] * start + [*line[start:]]
        rows.append(of_words(f"{path}: line {n}", cells, nan=True)[start:])
        names.append("/".join(cell for cell in line[:start] if cell))
    return _people(path, columns, np.reshape(rows, (len(rows), len(columns))), names, layout)


def read_hdf(path: Path, layout: Skeleton) -> Detections:
    """The people of an HDF5 file. Raises ValueError if it cannot be used."""
    with opened(path, "give DeepLabCut's CSV, or copy it again") as root:
        group = next((root.group(name) for name in root.names() if root.is_group(name)), root)
        table = group.raw("table")
        stored = Group(group.node["table"], path, group.remedy, "table").attributes()
    if not {"index", "values_block_0"} <= set(table.dtype.names or ()):
        raise root.error("no table as pandas writes it")
    with reading(path, "its table has another form than DeepLabCut's"):
        names, kinds = _head_of(stored.get("values_block_0_kind"))
        words = [[str(column[k]) for column in kinds] for k in range(len(names))]
        columns = _columns(path, list(zip(names, words, strict=True)))
        frames = [x.decode() if isinstance(x, bytes) else str(x) for x in table["index"].tolist()]
        values = numeric(str(path), table["values_block_0"])
        if values.ndim != 2 or values.shape[1] != len(columns):
            raise ValueError(f"{values.shape[1:]} values a frame for {len(columns)} columns")
        return _people(path, columns, values, frames, layout)


def _head_of(stored: Any) -> tuple[list[str], list[Any]]:
    """The names of the lines of the head, and the words of every column, which pandas pickles."""
    kinds = None if stored is None else read_pickle(io.BytesIO(bytes(stored)), "columns")
    if not isinstance(kinds, list) or not all(isinstance(column, tuple) for column in kinds):
        raise ValueError("its columns have no names, as DeepLabCut writes them; give its CSV")
    deep = {len(column) for column in kinds}
    if deep not in ({3}, {4}):
        raise ValueError("its columns are not scorer, bodyparts, coords; give its CSV")
    return [name for name in HEAD if name != "individuals" or deep == {4}], kinds


def _columns(path: Path, head: Sequence[tuple[str, Sequence[str]]]) -> list[Column]:
    lines = dict(head)
    if not {"bodyparts", "coords"} <= lines.keys():
        raise ValueError(f"{path}: no lines `bodyparts` and `coords` in the head")
    parts = lines["bodyparts"]
    who: Sequence[str | None] = lines.get("individuals", [None] * len(parts))
    return [Column(*column) for column in zip(who, parts, lines["coords"], strict=True)]


def _people(
    path: Path, columns: Sequence[Column], values: Values, frames: Sequence[str], layout: Skeleton
) -> Detections:
    """values (F, columns) -> the people, with the joints of the layout."""
    found = Detections(listed=list(frames))
    place = {column: k for k, column in enumerate(columns)}
    parts = list(dict.fromkeys(column.part for column in columns))
    joints = {part: joint_named(part, layout) for part in parts}
    unknown = [part for part, j in joints.items() if j is None]
    if len(unknown) == len(parts):
        raise ValueError(
            f"{path}: none of its body parts ({shortened(parts)}) is a joint of {layout.name}; "
            f"name the layout, or rename them to {', '.join(layout.joints)}"
        )
    if unknown:
        found.notes.append(f"body parts that {layout.name} does not have: {shortened(unknown)}")
    for who in dict.fromkeys(column.individual for column in columns):
        person = np.zeros((len(values), len(layout.joints), 3))
        for part, j in joints.items():
            if j is not None and {(who, part, "x"), (who, part, "y")} <= place.keys():
                x, y = (values[:, place[Column(who, part, axis)]] for axis in "xy")
                sure = place.get(Column(who, part, "likelihood"))
                scores = np.ones(len(values)) if sure is None else np.nan_to_num(values[:, sure])
                known = ~np.isnan(x) & ~np.isnan(y)
                person[:, j] = np.stack([x, y, np.where(known, scores, 0)], 1)
        for frame, row in zip(frames, person, strict=True):
            if (row[:, 2] > 0).any():
                found.add(frame, row, who)
    return found
