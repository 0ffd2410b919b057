"""Boxes of people from files of other tools, by picture.

    ours         JSON {"photo.jpg": [[x, y, w, h] or {"track_id", "box": [x, y, w, h]}, ...], ...}
    COCO         JSON of annotations ({"images", "annotations", "categories"}) or of results
                 ([{"image_id", "category_id", "bbox", "score"}, ...], of people by their
                 `category_name`, else of category 1)
    Ultralytics  JSON ([{"name", "class", "box": {x1, y1, x2, y2}, "track_id"}, ...] of one picture,
                 or a list of these), or text: a file per picture in a folder, a line per box of
                 class, x, y, w, h (of the middle, fractions of the picture), perhaps score and
                 track
    MOT          text, a line per box: frame (from 1), track, x, y, w, h, score, ...

An entry is [x, y, w, h] in pixels, or {"box": [x, y, w, h]} or {"fraction": [x, y, w, h]} with
perhaps "track_id" and "score". -1 is no track, nor is one that is repeated within a picture.
"""

import re
import warnings
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from posediff.doors.checks import array, mapping, number, of_words
from posediff.files import read_text, visible
from posediff.inference.person_boxes import THRESHOLD
from posediff.inference.tools.categories import people_among
from posediff.inference.tools.detections import last_number, shortened, track_name
from posediff.inference.tools.ultralytics import PERSON, label_numbers

FORM = '{"photo.jpg": [[x, y, w, h], ...], ...}'
TEXTS = (".txt", ".csv")


class PictureBoxes(Mapping[str, list[Any]]):
    """Boxes by the names of pictures. A picture is found by its name, its name without folder or
    suffix, or, if the file has numbers alone, by the number in its name.

    path: of the file. first: the number of the first frame of a video file in these names.
    """

    def __init__(self, path: Path, boxes: Mapping[str, list[Any]], first: int = 0) -> None:
        self.path, self.boxes, self.first = path, boxes, first
        self.spelt: dict[str, list[str]] = {}
        for name in boxes:
            for word in {Path(name).name, Path(name).stem, f"#{int(name)}" if _is(name) else name}:
                self.spelt.setdefault(word, []).append(name)

    def __getitem__(self, picture: str) -> list[Any]:
        name = self.name_of(picture)
        if name is None:
            raise KeyError(picture)
        return self.boxes[name]

    def name_of(self, picture: str) -> str | None:
        """The name of a picture in the file, None if it has none. Raises ValueError for several."""
        if picture in self.boxes:
            return picture
        path = Path(picture)
        for word in (path.name, path.stem, f"#{last_number(path.stem)}"):
            found = self.spelt.get(word, [])
            if len(found) > 1:
                both = " and ".join(found[:2])
                raise ValueError(f"{self.path}: both {both} may be {picture}; keep one of them")
            if found:
                return found[0]
        return None

    def __iter__(self) -> Iterator[str]:
        return iter(self.boxes)

    def __len__(self) -> int:
        return len(self.boxes)

    def of_film(self) -> "PictureBoxes":
        """The same by the frames of a video file, which count from 0 (000012).

        Raises ValueError for the labels of several videos.
        """
        if not self.first:
            return self
        numbers = {name: last_number(name) or 0 for name in self.boxes}
        # all but the number: labels are named by their video
        videos = {re.sub(r"\d+(?=\D*$)", "", name): name for name in self.boxes}
        if len(videos) > 1:
            names = shortened([*videos.values()])
            raise ValueError(f"{self.path}: labels of several videos, {names}; keep those of one")
        frames = {f"{n - self.first:06d}": self.boxes[name] for name, n in numbers.items()}
        return PictureBoxes(self.path, frames)


def _is(name: str) -> bool:
    return name.isdecimal()


def boxes_of(path: Path, content: Any) -> PictureBoxes:
    """The boxes of a parsed JSON file. Raises ValueError if it has no form that is known."""
    if isinstance(content, dict) and {"images", "annotations"} <= content.keys():
        return _grouped(path, _of_coco(path, content))
    if isinstance(content, list) and content and _are_results(content):
        return _grouped(path, _of_results(path, content))
    if isinstance(content, list) and any(content):
        pictures = content if isinstance(content[0], list) else [content]
        if all(isinstance(x, dict) and "box" in x for picture in pictures for x in picture):
            names = [path.stem] if pictures[0] is not content[0] else map(str, range(len(pictures)))
            rows = [(n, x) for n, some in zip(names, pictures, strict=True) for x in some]
            return _grouped(path, [_of_ultralytics(f"{path}: picture {n}", n, x) for n, x in rows])
    if not isinstance(content, dict) or not all(isinstance(x, list) for x in content.values()):
        raise ValueError(f"{path}: must be {FORM}, or boxes of COCO, Ultralytics or MOT")
    return PictureBoxes(path, content)


def read_texts(path: Path) -> PictureBoxes:
    """The boxes of a text file of MOT, or of Ultralytics' text files (one, or a folder of them).

    Raises FileNotFoundError if there is none, ValueError if a line cannot be used.
    """
    paths = visible(path, (".txt",)) if path.is_dir() else [path]
    if not paths:
        raise FileNotFoundError(f"{path}: no .txt file of boxes in this folder")
    boxes: dict[str, list[Any]] = {}
    for file in paths:
        lines = [line for line in read_text(file).splitlines() if line.strip()]
        if path.is_file() and lines and "," in lines[0]:
            return _grouped(path, _of_mot(path, lines), first=1)
        boxes[file.stem] = [_of_label(f"{file}: line {i}", x) for i, x in enumerate(lines, 1)]
    kept = {name: [x for x in entries if x is not None] for name, entries in boxes.items()}
    return _grouped(path, [(name, x) for name, some in kept.items() for x in some], first=1)


def without_weak(boxes: PictureBoxes) -> PictureBoxes:
    """The same without those of a score below THRESHOLD, which a warning counts. Boxes with a track
    stay: their tracker has chosen them, and a person would have gaps."""

    def is_weak(name: str, n: int, entry: Any) -> bool:
        tracked = isinstance(entry, Mapping) and entry.get("track_id") is not None
        return not tracked and score_of(f"{boxes.path}: {name}, box {n}", entry) < THRESHOLD

    kept = {
        name: [entry for n, entry in enumerate(entries) if not is_weak(name, n, entry)]
        for name, entries in boxes.items()
    }
    total, left = (sum(map(len, some.values())) for some in (boxes, kept))
    if left < total:
        lost = f"{total - left} of {total} boxes left out for a score below {THRESHOLD}"
        warnings.warn(f"{boxes.path}: {lost}", stacklevel=3)
    return PictureBoxes(boxes.path, kept, boxes.first)


def score_of(where: str, entry: Any) -> float:
    """The score of an entry, at most 1, which counts for one without a score."""
    given = entry.get("score") if isinstance(entry, Mapping) else None
    return 1.0 if given is None else min(1.0, float(array(f"{where}: score", given)))


Row = tuple[str, dict[str, Any]]  # name of the picture, and an entry


def _grouped(path: Path, rows: Sequence[Row | None], first: int = 0) -> PictureBoxes:
    """The entries by picture, with tracks if all have one that is once in a picture."""
    known = [row for row in rows if row is not None]
    tracks = [
        (name, track_name(f"picture {name}", entry.pop("track_id", None))) for name, entry in known
    ]
    numbers = [None if t is None or not t.isdecimal() else int(t) for _, t in tracks]
    twice = {track for (_, track), n in Counter(tracks).items() if n > 1}
    boxes: dict[str, list[Any]] = {}
    for (name, entry), own, (_, track) in zip(known, numbers, tracks, strict=True):
        if not twice and None not in numbers and track is not None:
            entry["track_id"] = own
        boxes.setdefault(name, []).append(entry)
    return PictureBoxes(path, boxes, first)


def _are_results(content: Sequence[Any]) -> bool:
    return all(isinstance(x, dict) and {"image_id", "bbox"} <= x.keys() for x in content)


def _of_coco(path: Path, content: Mapping[str, Any]) -> list[Row]:
    people, _ = people_among(path, content["annotations"], content.get("categories") or [])
    files = {image["id"]: str(image.get("file_name", image["id"])) for image in content["images"]}
    rows: list[Row] = []
    for i, entry in people:
        if not entry.get("iscrowd") and "bbox" in entry:
            if entry.get("image_id") not in files:
                raise ValueError(f"{path}: annotations[{i}]: its image_id is not in `images`")
            rows.append((files[entry["image_id"]], _entry(entry)))
    return rows


def _of_results(path: Path, content: Sequence[Mapping[str, Any]]) -> list[Row]:
    people, _ = people_among(path, content)
    return [(str(entry["image_id"]), _entry(entry)) for _, entry in people]


def _entry(entry: Mapping[str, Any]) -> dict[str, Any]:
    kept = {key: entry[key] for key in ("track_id", "score") if key in entry}
    return {"box": entry["bbox"], **kept}


def _of_ultralytics(where: str, name: str, entry: Mapping[str, Any]) -> Row | None:
    if entry.get("name", "person") != "person":
        return None
    box = mapping(f"{where}: box", entry["box"])
    x1, y1, x2, y2 = (number(f"{where}: {k} of box", box.get(k)) for k in ("x1", "y1", "x2", "y2"))
    kind = "box" if max(x2, y2) > 2 else "fraction"  # results.to_json(normalize=True)
    found = {kind: [x1, y1, x2 - x1, y2 - y1], "track_id": entry.get("track_id")}
    return name, found | ({"score": entry["confidence"]} if "confidence" in entry else {})


def _of_label(where: str, line: str) -> dict[str, Any] | None:
    row = label_numbers(where, line.split())
    if row[0] != PERSON:
        return None
    x, y, w, h = row[1:5].tolist()
    found: dict[str, Any] = {"fraction": [x - w / 2, y - h / 2, w, h]}
    return found | ({"track_id": float(row[6])} if len(row) == 7 else {})


def _of_mot(path: Path, lines: Sequence[str]) -> list[Row | None]:
    """Nine numbers are MOT's own truth: a flag, 0 to ignore, and a class, 1 for pedestrians."""
    rows: list[Row | None] = []
    for i, line in enumerate(lines, 1):
        where = f"{path}: line {i}"
        words = re.split(r"\s*,\s*", line.strip().rstrip(","))
        row = of_words(where, words)
        if len(row) < 6 or not float(row[0]).is_integer() or row[0] < 0:
            raise ValueError(f"{where}: must be frame, track, x, y, w, h, score, ... of MOT")
        ignored = len(row) == 9 and (row[6] == 0 or row[7] != 1)
        entry = {"box": row[2:6].tolist(), "track_id": float(row[1])}
        rows.append(None if ignored else (str(int(row[0])), entry))
    return rows
