"""`posediff check PATH...`: what is there and what is wrong, before a long run."""

import sys
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

from posediff import announce, checkpoint, config, run_folder, shipped, usage
from posediff.command import expected_errors, one_line, one_line_errors
from posediff.corrections import explained
from posediff.inference.keypoint_files import KINDS as KEYPOINTS
from posediff.inference.keypoints import rows_of
from posediff.inference.photo_input import KINDS as PHOTOS
from posediff.inference.photo_input import read_boxes
from posediff.inference.plausible import doubts
from posediff.inference.video_input import open_video
from posediff.options import Parser
from posediff.people.sources import is_film, pictures_of
from posediff.pose.skeleton import Skeleton, skeleton

SPLITS = ("train", "validation", "test")
LISTED = 10  # faults of one folder


class Finding(NamedTuple):
    """One line about an input."""

    words: str
    wrong: bool = False


def main() -> None:
    with one_line_errors():
        asked = parser().parse_args()
        layout = skeleton(asked.layout, "--layout")
        wrong = 0
        for finding in findings(asked.inputs, layout):
            print(f"{'wrong' if finding.wrong else 'good':8} {finding.words}", flush=True)
            wrong += finding.wrong
    if wrong:
        sys.exit(1)


def findings(words: Sequence[str], layout: Skeleton) -> Iterator[Finding]:
    """Findings about each path or name, and the data set that the key=value words describe."""
    keys = [word for word in words if "=" in word and not Path(word).exists()]
    for word in words:
        if word not in keys:
            yield from _guarded(word, partial(of_path, word, layout))
    for split in SPLITS if keys else ():
        name = f"{' '.join(keys)}: {split}"
        yield from _guarded(name, partial(of_data, keys, split))


def of_path(word: str, layout: Skeleton) -> Iterator[Finding]:
    """Findings about a file, a folder or a name, by its kind."""
    path = Path(word)
    if not path.exists() or is_model(path):
        yield from of_model(word)
    elif is_film(word):
        yield of_video(path)
    elif path.suffix.lower() in KEYPOINTS:
        yield from of_keypoints(path, layout)
    elif path.is_dir() and not any(p.suffix.lower() in PHOTOS for p in path.iterdir()):
        raise ValueError(
            f"{path}: no model and no photos in this folder; a data set is checked by its name: "
            "posediff check task=image2d dataset=coco"
        )
    else:
        yield from of_photos(path)


def is_model(path: Path) -> bool:
    """True if it is a model folder, or that of a training."""
    marks = (shipped.CONFIG, run_folder.BEST, ".hydra", "checkpoints")
    return path.is_dir() and any((path / mark).exists() for mark in marks)


def of_model(word: str) -> Iterator[Finding]:
    folder = shipped.find(word)
    checkpoint.load(folder)
    saved = checkpoint.read_config(folder)
    if "method" in saved and "name" in saved.get("dataset", {}):
        yield Finding(" ".join(announce.used(folder).split("\n")[0].split()))
    else:
        yield Finding(f"model {folder}")


def of_video(path: Path) -> Finding:
    """A video, of which the first, the middle and the last frame are read."""
    video = open_video(path)
    count = len(video.names)
    height, width = video.read(0).shape[:2]
    for index in (count // 2, count - 1):
        video.read(index)
    return Finding(f"{path}: {count} frames of {width} x {height}, {video.rate:g} a second")


def of_keypoints(path: Path, layout: Skeleton) -> Iterator[Finding]:
    try:
        rows = rows_of(path, layout)
    except ValueError:
        if path.suffix.lower() != ".json" or not _are_boxes(path):
            raise
        boxes = read_boxes(path)
        count = sum(map(len, boxes.values()))
        yield Finding(f"{path}: {count} boxes in {len(boxes)} pictures")
        return
    tracks = len(set(rows.tracks.tolist()))
    words = f"{len(rows.names)} people in frames, {tracks} track{'s' * (tracks > 1)}"
    yield Finding(f"{path}: keypoints of {layout.name}, {words}, {len(rows.empty)} frames empty")
    for doubt in doubts(rows.points, rows.scores, layout):
        yield Finding(f"{path}: {doubt}", wrong=True)


def of_photos(path: Path) -> Iterator[Finding]:
    """A photo, or all photos of a folder, each of which is read."""
    pictures, bad = pictures_of(path), list[str]()
    sizes = set()
    for picture in pictures:
        try:
            sizes.add(picture.read().shape[1::-1])
        except (ValueError, OSError) as error:
            bad.append(one_line(error))
    good = len(pictures) - len(bad)
    if good:
        low, high = min(sizes), max(sizes)
        size = f"{low[0]} x {low[1]}" + (f" to {high[0]} x {high[1]}" if low != high else "")
        yield Finding(f"{path}: {good} photo{'s' * (good > 1)}, {size} pixels")
    for line in bad[:LISTED]:
        yield Finding(line, wrong=True)
    if bad[LISTED:]:
        yield Finding(f"{path}: {len(bad) - LISTED} more cannot be used", wrong=True)


def of_data(keys: Sequence[str], split: str) -> Iterator[Finding]:
    """A part of a data set, of which the first and the last samples are read."""
    cfg = config.compose("train", keys)
    data = config.dataset(cfg, split)
    data.__getitems__(sorted({0, len(data) - 1}))
    left = data.summary().get("left_out", 0)
    words = f", {left:,} left out" if left else ""
    yield Finding(f"{cfg.dataset.name}, {split}: {len(data):,} samples{words}")
    for line in data.summary().get("unusable_annotations", ())[:LISTED]:
        yield Finding(line, wrong=True)


def _are_boxes(path: Path) -> bool:
    try:
        return bool(read_boxes(path))
    except ValueError:
        return False


def _guarded(name: str, found: Callable[[], Iterator[Finding]]) -> Iterator[Finding]:
    """The findings of a check; an expected error is one of them."""
    try:
        yield from found()
    except expected_errors() as error:
        said = explained(str(error), "check", sys.argv[1:])
        line = one_line(error) if said == str(error) else " ".join(said.split())
        yield Finding(line if name in line else f"{name}: {line}", wrong=True)


def parser() -> Parser:
    made = Parser("posediff check", usage.CHECK)
    made.add_argument("inputs", nargs="+")
    made.add_argument("--layout", default="coco17")
    return made


if __name__ == "__main__":
    main()
