"""Video and boxes of one's own -> the samples of video2d, without any annotation.

A video is a file, or a folder whose photos are its frames in the order of their names. A file of
boxes is json: {"000012": [{"track_id": 3, "box": [x, y, w, h]}, ...], ...}, pixels of the frame; a
frame goes by its number in a video file, by its name in a folder. A box alone, [x, y, w, h], has
its place in the list as its track. A frame that the file does not name has nobody in it.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from posediff.data.pictures import picture_files
from posediff.data.pictures.crops import boxed, cut, normalised
from posediff.data.pictures.picture_files import RGB
from posediff.data.video.clip_dataset import KEPT
from posediff.data.video.frames import FILMS, Memory, VideoFile
from posediff.inference.photo_input import KINDS, box_in, photos, read_boxes

RATE = 25.0  # frames a second of a folder, whose photos do not say


@dataclass(frozen=True)
class Video:
    """Frames by their place, from 0, each of its name."""

    path: Path
    names: list[str]
    read: Callable[[int], RGB]
    rate: float = RATE

    def place(self, name: str) -> int | None:
        """Of a frame by its name; in a video file, by any spelling of its number."""
        if name in self.names:
            return self.names.index(name)
        number = int(name) if name.isdecimal() else -1
        return number if self.path.is_file() and 0 <= number < len(self.names) else None


class Person(NamedTuple):
    """Somebody in one frame: its number from 0, whose track, and where in pixels."""

    frame: int
    track: int
    box: Tensor  # (4,) xywh


def open_video(source: str | Path) -> Video:
    """FileNotFoundError or ValueError, one line, for what is no video and no folder of photos."""
    source, memory = Path(source), Memory(KEPT)
    if source.is_dir():
        files = photos(source)
        size = picture_files.size(files[0])
        names = [path.name for path in files]
        return Video(source, names, lambda i: memory.get(i, lambda: _still(files[i], size)))
    if not source.is_file():
        raise FileNotFoundError(f"{source}: no such video or folder of frames")
    if source.suffix.lower() not in FILMS:
        kinds = f"{', '.join(FILMS)}; a folder holds {', '.join(KINDS)}"
        raise ValueError(f"{source}: no video file, which ends in one of {kinds}")
    film = VideoFile(source)
    names = [f"{number:06d}" for number in film.numbers]
    return Video(source, names, lambda i: memory.get(i, lambda: film.read(i)), film.rate or RATE)


def everybody(video: Video, boxes: str | Path | Sequence[float] | None) -> list[Person]:
    """Who is where, frame by frame: by a file, in one box for all frames, or None, which is one
    person in the whole picture. ValueError, one line, for boxes that cannot be used."""
    height, width = video.read(0).shape[:2]
    if not isinstance(boxes, str | Path):
        given = [0.0, 0.0, width, height] if boxes is None else boxes
        box = box_in(video.path, "box", given, width, height)[0]
        return [Person(i, 0, box) for i in range(len(video.names))]
    people = []
    for name, entries in read_boxes(boxes).items():
        place = video.place(name)
        if place is None:
            raise ValueError(f"{boxes}: {video.path} has no frame {name}")
        for n, entry in enumerate(entries):
            track, values = _entry(boxes, name, n, entry)
            box = box_in(Path(boxes), f"frame {name}, box {n}", values, width, height)[0]
            people.append(Person(place, track, box))
    people.sort(key=lambda person: person[:2])
    for one, next_one in pairwise(people):
        if one[:2] == next_one[:2]:
            where = f"frame {video.names[one.frame]}"
            raise ValueError(f"{boxes}: {where} has two boxes of track {one.track}")
    if not people:
        raise ValueError(f"{boxes}: no box in it")
    return people


def samples(
    video: Video,
    people: Sequence[Person],
    offsets: Sequence[int],
    size: Sequence[int],
    codec: str,
    mean: Sequence[float],
    std: Sequence[float],
    count: int = 16,
) -> Iterator[dict[str, Any]]:
    """Batches of up to `count` people for `model.predict`, frame by frame.

    offsets .. std: what the model was trained on (`dataset` in its config.json). At the ends of the
    video its first or last frame stands in for others. Answers depend on the names of video and
    frame and on the track.
    """
    for begin in range(0, len(people), count):
        some = people[begin : begin + count]
        sample = boxed(torch.stack([person.box for person in some]), size, codec)
        wanted = torch.tensor([[person.frame + n for n in offsets] for person in some])
        shown = wanted.clamp(0, len(video.names) - 1)
        matrix = sample["affine"].repeat_interleave(len(offsets), 0)
        pixels = cut(shown.flatten().tolist(), video.read, matrix, size)
        frames = normalised(pixels, mean, std)
        name = video.path.stem
        yield {
            "id": [f"{name}/{video.names[p.frame]}/{p.track}" for p in some],
            "frames": frames.view(len(some), len(offsets), *frames.shape[1:]),
            "frames_valid": (shown == wanted).float(),
            "track_id": torch.tensor([person.track for person in some]),
            **sample,
        }


def _still(path: Path, size: tuple[int, int]) -> RGB:
    picture = picture_files.read(path)
    height, width = picture.shape[:2]
    if (width, height) != size:
        first = f"{size[0]} x {size[1]}"
        raise ValueError(f"{path}: {width} x {height} pixels, but the first frame has {first}")
    return picture


def _entry(path: str | Path, name: str, n: int, entry: Any) -> tuple[int, Any]:
    """The track and the box of one entry of a file."""
    if not isinstance(entry, Mapping):
        return n, entry
    track, box = entry.get("track_id", n), entry.get("box")
    if not isinstance(track, int) or box is None:
        form = '{"track_id": 3, "box": [x, y, w, h]}'
        raise ValueError(f"{path}: frame {name}, box {n} must be {form} or [x, y, w, h]")
    return track, box
