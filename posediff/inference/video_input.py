"""A user's own video and boxes -> the samples of video2d, without annotations.

A video is a file, or a folder whose photos are its frames in the order of their names. A file of
boxes is JSON: {"000012": [{"track_id": 3, "box": [x, y, w, h]}, ...], ...}, pixels of the frame. A
frame is named by its number in a video file, by its file in a folder. A box alone, [x, y, w, h],
has its index in the list as its track. A frame without an entry has no people.
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
from posediff.inference.photo_input import KINDS, box_in, photo_files, read_boxes

RATE = 25.0  # frames per second of a folder, whose photos have no rate


@dataclass(frozen=True)
class Video:
    path: Path
    names: list[str]  # of all frames
    read: Callable[[int], RGB]  # a frame by its index
    rate: float = RATE  # frames per second

    def index(self, name: str) -> int | None:
        """The index of the frame of that name, None if there is none. In a video file any spelling
        of the frame's number is a name."""
        if name in self.names:
            return self.names.index(name)
        number = int(name) if name.isdecimal() else -1
        return number if self.path.is_file() and 0 <= number < len(self.names) else None


class TrackBox(NamedTuple):
    """A person in one frame."""

    frame: int  # index
    track: int
    box: Tensor  # (4,) xywh, pixels


def open_video(source: str | Path) -> Video:
    """The video of a file or of a folder of photos.

    Raises FileNotFoundError if there is no such file or folder, or no photo in it, ValueError if
    the file is no video.
    """
    source, memory = Path(source), Memory(KEPT)
    if source.is_dir():
        files = photo_files(source)
        size = picture_files.size(files[0])
        names = [path.name for path in files]
        return Video(source, names, lambda i: memory.get(i, lambda: _still(files[i], size)))
    if not source.is_file():
        raise FileNotFoundError(f"{source}: no such video or folder of frames")
    if source.suffix.lower() not in FILMS:
        raise ValueError(
            f"{source}: no video file ({', '.join(FILMS)}) and no folder of frames "
            f"({', '.join(KINDS)})"
        )
    film = VideoFile(source)
    names = [f"{number:06d}" for number in film.numbers]
    return Video(source, names, lambda i: memory.get(i, lambda: film.read(i)), film.rate or RATE)


def people_in(video: Video, boxes: str | Sequence[float] | None) -> list[TrackBox]:
    """The people of a video by frame and track: of a file of boxes, of one box for all frames, or
    of None, one person in the whole frame. Raises ValueError if the boxes cannot be used."""
    height, width = video.read(0).shape[:2]
    if not isinstance(boxes, str):
        given = [0.0, 0.0, width, height] if boxes is None else boxes
        box = box_in(video.path, "box", given, width, height)
        return [TrackBox(i, 0, box) for i in range(len(video.names))]
    people = []
    for name, entries in read_boxes(boxes).items():
        index = video.index(name)
        if index is None:
            raise ValueError(f"{boxes}: {video.path} has no frame {name}")
        for n, entry in enumerate(entries):
            where = f"frame {name}, box {n}"
            track: Any = n
            values: Any = entry
            if isinstance(entry, Mapping):
                track, values = entry.get("track_id", n), entry.get("box")
                if not isinstance(track, int) or values is None:
                    form = '{"track_id": 3, "box": [x, y, w, h]}'
                    raise ValueError(f"{boxes}: {where} must be {form} or [x, y, w, h]")
            people.append(TrackBox(index, track, box_in(Path(boxes), where, values, width, height)))
    if not people:
        raise ValueError(f"{boxes}: no box in it")
    people.sort(key=lambda person: person[:2])
    for person, following in pairwise(people):
        if person[:2] == following[:2]:
            frame = video.names[person.frame]
            raise ValueError(f"{boxes}: frame {frame} has two boxes of track {person.track}")
    return people


def samples(
    video: Video,
    people: Sequence[TrackBox],
    offsets: Sequence[int],
    size: Sequence[int],
    codec: str,
    mean: Sequence[float],
    std: Sequence[float],
    count: int = 16,
) -> Iterator[dict[str, Any]]:
    """Batches for `model.predict` of at most `count` people, in their order.

    offsets .. std: as in the training data (`dataset` in the model's config.json). At the ends of
    the video its first or last frame replaces missing ones. The answers depend on the names of
    video and frame and on the track.
    """
    for start in range(0, len(people), count):
        some = people[start : start + count]
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
    image = picture_files.read(path)
    height, width = image.shape[:2]
    if (width, height) != size:
        first = f"{size[0]} x {size[1]}"
        raise ValueError(f"{path}: {width} x {height} pixels, but the first frame has {first}")
    return image
