"""A user's own 2D keypoints, from .npz, .npy, .json or .csv, checked at the door.

Pixels, the centre of the top-left pixel is (0, 0). A joint is x, y or x, y, score. A score of 0
says that the joint is missing, then its coordinates may be anything, NaN too; a score above 1
(COCO's visibility 2, some detectors) counts as 1; without scores every joint counts as 1.

    .npy   an array (J, 2), (J, 3), (F, J, 2) or (F, J, 3)
    .npz   such an array, alone or as `keypoints`, with an optional `scores` (J,) or (F, J)
    .json  such an array as nested lists, or {"keypoints": ..., "scores": ...} (null is NaN);
           COCO results [{"image_id": ..., "keypoints": [x, y, score] * J}, ...];
           a COCO annotation file: the people of "annotations" with at least one labelled joint
    .csv   a line per frame, split by commas: x1,y1,x2,y2,... or x1,y1,s1,x2,...; one more column
           in front names the frames; an empty cell is NaN. A header is optional and must show the
           order: its words for x begin or end with x, those for y with y (x1, nose_y)

Every person of a COCO file is a frame of its own, named after the image ("12.jpg#1": its second).
"""

import csv
import json
import zipfile
import zlib
from collections import Counter
from collections.abc import Hashable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]  # (F, J, 2 or 3), as the file has them


class Keypoints2D(NamedTuple):
    points: NDArray[np.float32]  # (F, J, 2) pixels; (0, 0) where a joint is missing
    scores: NDArray[np.float32]  # (F, J) in 0..1; 0 = missing
    names: list[str]  # of the F frames


def read_keypoints(path: str | Path, joints: int) -> Keypoints2D:
    """The 2D keypoints of a file whose layout has that many joints.

    FileNotFoundError, or ValueError with one line that says which entry is wrong and what to do.
    """
    path = Path(path)
    readers = {".npz": _numpy, ".npy": _numpy, ".json": _json, ".csv": _csv}
    kind = path.suffix.lower()
    if kind not in readers:
        known = ", ".join(readers)
        raise ValueError(f"{path}: unknown kind of file {kind!r}; 2D keypoints come as {known}")
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file; name the file of 2D keypoints")
    if path.stat().st_size == 0:
        raise ValueError(f"{path}: the file is empty; write the keypoints again")
    values, names = readers[kind](path, joints)
    values = _frames(path, values, joints)
    return _checked(path, values, names or [f"{i:06d}" for i in range(len(values))])


def _numpy(path: Path, joints: int) -> tuple[Values, list[str]]:
    broken = (ValueError, OSError, EOFError, zipfile.BadZipFile, zlib.error)
    try:
        with path.open("rb") as file:
            loaded = np.load(file, allow_pickle=False)
            arrays = {"": loaded} if isinstance(loaded, np.ndarray) else _needed(loaded)
    except broken as error:
        if "pickle" in str(error):
            raise ValueError(
                f"{path}: no plain array (pickled Python objects are not read); save numbers: "
                "np.save(path, np.asarray(keypoints, dtype=np.float32))"
            ) from error
        reason = " ".join(str(error).split())
        raise ValueError(f"{path}: cut short or no NumPy file ({reason}); save it again") from error
    key = next(iter(arrays)) if len(arrays) == 1 else "keypoints"
    if key not in arrays:
        found = ", ".join(arrays) or "no array"
        raise ValueError(f"{path}: holds {found}; call the array of 2D keypoints `keypoints`")
    return _with_scores(path, _array(f"{path}: {key}", arrays[key]), arrays.get("scores")), []


def _needed(archive: Any) -> dict[str, Any]:
    """The arrays of an .npz; of those beside `keypoints` only `scores` is read."""
    with archive:
        unread = set(archive.files) - {"scores"} if "keypoints" in archive.files else set()
        return {k: archive[k] for k in archive.files if k not in unread or k == "keypoints"}


def _json(path: Path, joints: int) -> tuple[Values, list[str]]:
    try:
        data = json.loads(path.read_text(encoding="utf-8-sig"))
    except ValueError as error:
        raise ValueError(f"{path}: cut short or no JSON ({error}); write it again") from error
    if isinstance(data, list) and data and isinstance(data[0], dict):
        return _coco(path, data, joints, {})
    if isinstance(data, list):
        return _stack(path, data), []
    if isinstance(data, dict) and isinstance(data.get("annotations"), list):
        people = [p for p in data["annotations"] if any(p.get("keypoints", [])[2::3])]
        files = {image["id"]: str(image["file_name"]) for image in data.get("images", [])}
        return _coco(path, people, joints, files)
    if isinstance(data, dict) and "keypoints" in data:
        return _with_scores(path, _stack(path, data["keypoints"]), data.get("scores")), []
    raise ValueError(
        f"{path}: neither a list nor an object with `keypoints` or `annotations`; "
        'write {"keypoints": [frame][joint][x, y, score]}'
    )


def _coco(
    path: Path, people: Sequence[Any], joints: int, files: dict[Hashable, str]
) -> tuple[Values, list[str]]:
    rows, images = [], []
    for i, person in enumerate(people):
        if not isinstance(person, dict) or not {"image_id", "keypoints"} <= person.keys():
            raise ValueError(f"{path}: entry {i}: a COCO entry needs `image_id` and `keypoints`")
        image = person["image_id"]
        row = _array(f"{path}: entry {i} (image {image})", person["keypoints"]).ravel()
        if row.size != 3 * joints:
            found = f"{row.size / 3:g} (x, y, score each)"
            raise _miscounted(f"{path}: entry {i} (image {image})", joints, found)
        rows.append(row.reshape(joints, 3))
        images.append(files.get(image, str(image)))
    return np.array(rows), _distinct(images)


def _csv(path: Path, joints: int) -> tuple[Values, list[str]]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.reader(file)
            lines = [(reader.line_num, row) for row in reader if any(map(str.strip, row))]
    except (UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"{path}: no CSV text ({error}); write it again as UTF-8") from error
    if not lines:
        return np.empty((0, joints, 2)), []
    width = len(lines[0][1])
    per_joint = next((n for n in (3, 2) if width - n * joints in (0, 1)), None)
    if per_joint is None:
        raise _miscounted(
            f"{path}: line {lines[0][0]}",
            joints,
            f"{width / 3:g} (x, y, score) or {width / 2:g} (x, y) in its {width} columns, of which "
            "one more in front may name the frames",
        )
    first = width - per_joint * joints  # 1 where a column of names stands in front
    if not all(_is_number(cell) for cell in lines[0][1][first:]):
        _check_header(path, lines.pop(0)[1], first, per_joint)
    rows = [_csv_row(f"{path}: line {number}", row, first, width) for number, row in lines]
    names = [row[0].strip() for _, row in lines] if first else []
    return np.reshape(rows, (len(rows), joints, per_joint)), _distinct(names)


def _csv_row(where: str, row: list[str], first: int, width: int) -> list[float]:
    if len(row) != width:
        raise ValueError(f"{where}: {len(row)} columns, the first line has {width}; mend the line")
    for column, cell in enumerate(row[first:], start=first + 1):
        if not _is_number(cell):
            raise ValueError(f"{where}, column {column}: {cell!r} is no number; mend the cell")
    return [_number(cell) for cell in row[first:]]


def _check_header(path: Path, row: list[str], first: int, per_joint: int) -> None:
    """Columns in another order (x1, x2, ..., y1, y2, ...) would be read as nonsense."""
    for column, cell in enumerate(row[first:]):
        axis, word = "xys"[column % per_joint], cell.strip().lower()
        if axis != "s" and axis not in (word[:1], word[-1:]):
            raise ValueError(
                f"{path}: header, column {first + column + 1} is {word!r} where an {axis} is "
                "needed; order and name the columns x1,y1,x2,y2,... or x1,y1,s1,x2,y2,s2,..."
            )


def _number(cell: str) -> float:
    return float(cell.strip() or "nan")


def _is_number(cell: str) -> bool:
    try:
        _number(cell)
    except ValueError:
        return False
    return True


def _array(where: str, data: object) -> Values:
    try:
        values = np.asarray(data)
        if values.dtype.kind == "c":
            raise TypeError("complex numbers")
        return values.astype(np.float64)
    except (TypeError, ValueError, OverflowError) as error:
        raise ValueError(
            f"{where}: not numbers in lists of one length; write [x, y, score] for every joint"
        ) from error


def _stack(path: Path, entries: object) -> Values:
    """Nested lists as an array; the first entry that differs in shape is named."""
    if not isinstance(entries, list):
        raise ValueError(f"{path}: keypoints must be a list; write [frame][joint][x, y, score]")
    arrays = [_array(f"{path}: entry {i}", entry) for i, entry in enumerate(entries)]
    for i, array in enumerate(arrays):
        if array.shape != arrays[0].shape:
            raise ValueError(
                f"{path}: entry {i} has shape {array.shape}, entry 0 {arrays[0].shape}; "
                "give every frame all joints, a missing one with score 0"
            )
    return np.array(arrays)


def _with_scores(path: Path, points: Values, scores: object) -> Values:
    """Scores that stand in an array of their own become the third column."""
    if scores is None:
        return points
    column = _array(f"{path}: scores", scores)
    if points.shape[-1:] != (2,) or column.shape != points.shape[:-1]:
        raise ValueError(
            f"{path}: keypoints {points.shape} and scores {column.shape} do not belong together; "
            "2D keypoints (F, J, 2) have scores (F, J), and 3D poses are no input"
        )
    return np.concatenate([points, column[..., None]], axis=-1)


def _frames(path: Path, values: Values, joints: int) -> Values:
    if values.size == 0:
        raise ValueError(f"{path}: holds no keypoints; write at least one frame")
    if values.ndim not in (2, 3) or values.shape[-1] not in (2, 3):
        raise ValueError(
            f"{path}: the array has shape {values.shape}; "
            "keypoints of one person are (J, 2), (J, 3), (F, J, 2) or (F, J, 3)"
        )
    if values.shape[-2] != joints:
        raise _miscounted(str(path), joints, str(values.shape[-2]))
    return values.reshape(-1, joints, values.shape[-1])


def _checked(path: Path, values: Values, names: list[str]) -> Keypoints2D:
    points, scores = values[..., :2], np.ones(values.shape[:2])
    if values.shape[-1] == 3:
        scores = values[..., 2]
    for f, j in np.argwhere(~(scores >= 0))[:1]:
        raise ValueError(
            f"{path}: frame {f} ({names[f]}), joint {j}: the third number is a score, 0 (missing) "
            f"to 1, not {scores[f, j]:g}; 3D poses are no input"
        )
    missing = scores == 0
    for f, j in np.argwhere(~np.isfinite(points).all(-1) & ~missing)[:1]:
        raise ValueError(
            f"{path}: frame {f} ({names[f]}), joint {j}: the point is {points[f, j].tolist()}; "
            "give a missing joint the score 0 in a third column"
        )
    points = np.where(missing[..., None], 0, points)
    return Keypoints2D(points.astype(np.float32), scores.clip(max=1).astype(np.float32), names)


def _miscounted(where: str, joints: int, found: str) -> ValueError:
    return ValueError(
        f"{where}: the layout has {joints} joints, the file has {found}; "
        "name the layout that the keypoints are in"
    )


def _distinct(names: list[str]) -> list[str]:
    """Names that occur once as they are, the others numbered: a.jpg#0, a.jpg#1."""
    total, seen = Counter(names), Counter[str]()
    distinct = []
    for name in names:
        distinct.append(f"{name}#{seen[name]}" if total[name] > 1 else name)
        seen[name] += 1
    return distinct
