"""Tables of 2D keypoints as text: a line per frame or person, separated by commas, semicolons or
tabs; x1,y1,x2,y2,... or x1,y1,s1,x2,..., perhaps a column of names in front, perhaps a header."""

import csv
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from posediff.doors.checks import of_words, read_word
from posediff.inference.tools.detections import Values, miscounted

Line = tuple[int, list[str]]  # number and cells


def lines_of(path: Path) -> list[Line]:
    """The lines that are not blank. Raises ValueError if it is no text."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            top = next((line for line in file if line.strip()), "")
            mark = next(
                (mark for mark in ";\t" if mark in top), ","
            )  # "0,5;0,7" has decimal commas
            file.seek(0)
            reader = csv.reader(file, delimiter=mark)
            lines = [(reader.line_num, row) for row in reader if any(map(str.strip, row))]
    except (UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"{path}: no CSV text ({error}); write it again as UTF-8") from error
    if mark == ";":  # programs that separate by semicolons write decimal commas
        lines = [(n, [_with_point(cell) for cell in row]) for n, row in lines]
    return lines


def points_of(path: Path, lines: Sequence[Line], joints: int) -> tuple[Values, list[str]]:
    """Points (F, joints, 3) and the names of the frames, if there are any. A joint of empty cells
    has the score 0, one without a score 1; other empty cells are NaN.

    Raises ValueError if a line cannot be used.
    """
    lines = _without_last_mark(lines)
    width = len(lines[0][1])
    per_joint = next((n for n in (3, 2) if width - n * joints in (0, 1)), None)
    if per_joint is None:
        raise miscounted(
            f"{path}: line {lines[0][0]}",
            joints,
            f"{width / 3:g} (x, y, score) or {width / 2:g} (x, y) in its {width} columns (one more "
            "in front may name the frames)",
            width // 3,
        )
    first = width - per_joint * joints  # 1 if there is a column of names
    if any(read_word(cell) is None for cell in lines[0][1][first:]):
        _check_header(path, lines.pop(0)[1], first, per_joint)
    rows = [_csv_row(f"{path}: line {number}", row, first, width) for number, row in lines]
    names = [row[0].strip() for _, row in lines] if first else []
    values = np.ones((len(rows), joints, 3))
    values[..., :per_joint] = np.reshape(rows, (len(rows), joints, per_joint))
    empty = [[not cell.strip() for cell in row[first:]] for _, row in lines]
    values[np.reshape(empty, (len(rows), joints, per_joint)).all(-1), 2] = 0
    return values, names


def _without_last_mark(lines: Sequence[Line]) -> list[Line]:
    """The lines without the empty column after a comma at the end of all of them."""
    ends = [(["", "", *row][-2].strip(), row[-1].strip()) for _, row in lines]
    if any(last for _, last in ends) or not any(before for before, _ in ends):
        return list(lines)
    return [(number, row[:-1]) for number, row in lines]


def _with_point(cell: str) -> str:
    return (
        cell.replace(",", ".") if re.fullmatch(r"\s*[+-]?\d*,\d+([eE][+-]?\d+)?\s*", cell) else cell
    )


def _csv_row(where: str, row: list[str], first: int, width: int) -> Values:
    if len(row) != width:
        raise ValueError(
            f"{where}: {len(row)} columns, but the first line has {width}; correct the line"
        )
    return of_words(where, ["0"] * first + row[first:], nan=True)[first:]


def _check_header(path: Path, row: list[str], first: int, per_joint: int) -> None:
    """Refuse columns in another order (x1, x2, ..., y1, y2, ...), which would be misread."""
    for column, cell in enumerate(row[first:]):
        axis, word = "xys"[column % per_joint], cell.strip().lower()
        if axis != "s" and axis not in (word[:1], word[-1:]):
            raise ValueError(
                f"{path}: header, column {first + column + 1} is {word!r} where an {axis} is "
                "needed; order and name the columns x1,y1,x2,y2,... or x1,y1,s1,x2,y2,s2,..."
            )
