"""A user's own video and boxes -> the samples of video2d, without annotations.

A video is a file, or a folder whose photos are its frames in the natural order of their names, with
the numbers in these names, gaps kept, and upright. A file of boxes is one of
posediff/inference/tools/box_files.py, such as JSON: {"000012": [{"track_id": 3, "box": [x, y, w,
h]}, ...], ...}, pixels of the frame. A frame is named by its number in a video file, by its file in
a folder. A box alone, [x, y, w, h], has its index in the list as its track. A frame without an
entry has no people.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from posediff.data.pictures import picture_files
from posediff.data.pictures.crops import boxed, cut, normalised
from posediff.data.pictures.picture_files import RGB
from posediff.data.video.clip_dataset import KEPT, nearest
from posediff.data.video.frames import FILMS, Memory, VideoFile
from posediff.doors.checks import integer
from posediff.inference.photo_input import KINDS, box_in, photo_files, read_boxes
from posediff.inference.tools.box_files import PictureBoxes
from posediff.inference.tools.detections import last_number, step_of

RATE = 25.0  # frames per second of a folder, whose photos have no rate


@dataclass(frozen=True)
class Video:
    path: Path
    names: list[str]  # of all frames
    read: Callable[[int], RGB]  # a frame by its index
    numbers: list[int]  # of all frames in time, ascending
    rate: float = RATE  # frames per second
    note: str = ""  # for the user
    left_out: dict[str, str] = field(default_factory=dict)  # frames that cannot be used, and why
    stamps: Sequence[float] | None = None  # seconds of the frames of a video of variable rate

    def time(self, index: int) -> float:
        """Seconds of a frame from the start of the video."""
        return index / self.rate if self.stamps is None else self.stamps[index]


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
        files, left_out, size = _usable(photo_files(source))
        names = [path.name for path in files]
        read = lambda i: memory.get(i, lambda: _still(files[i], size))  # noqa: E731
        return Video(source, names, read, _numbers(names), left_out=left_out)
    if not source.is_file():
        raise FileNotFoundError(f"{source}: no such video or folder of frames")
    if source.suffix.lower() not in FILMS:
        raise ValueError(
            f"{source}: no video file ({', '.join(FILMS)}) and no folder of frames "
            f"({', '.join(KINDS)})"
        )
    film = VideoFile(source)
    names = [f"{number:06d}" for number in film.numbers]
    read = lambda i: memory.get(i, lambda: film.read(i))  # noqa: E731
    rate, note = film.rate or RATE, film.cut_short()
    return Video(source, names, read, film.numbers, rate, note, stamps=film.stamps)


def _usable(files: Sequence[Path]) -> tuple[list[Path], dict[str, str], tuple[int, int]]:
    """The frames that can be decoded and have the size of the first one, the others by name with
    the reason, and this size. Raises ValueError if there is none."""
    size: tuple[int, int] | None = None
    good, bad = list[Path](), dict[str, str]()
    for path in files:
        try:
            height, width = _still(path, size).shape[:2]
        except (OSError, ValueError) as error:
            bad[path.name] = str(error)
            continue
        size = size or (width, height)
        good.append(path)
    if size is None:
        raise ValueError(next(iter(bad.values())))
    return good, bad, size


def _numbers(names: Sequence[str]) -> list[int]:
    """The numbers of frames by their names, in steps of 1; their places if the names have no
    numbers, the same one twice, or no common step (times)."""
    digits = [last_number(Path(name).stem) for name in names]
    found = [n for n in digits if n is not None]
    steps = [b - a for a, b in pairwise(found)]
    if len(found) < len(names) or (steps and min(steps) != step_of(found)):
        return list(range(len(names)))
    step = step_of(found)
    return found if step == 1 else [(n - found[0]) // step for n in found]


def people_in(video: Video, boxes: str | Sequence[float] | None) -> list[TrackBox]:
    """The people of a video by frame and track: of a file of boxes, of one box for all frames, or
    of None, one person in the whole frame. Raises ValueError if the boxes cannot be used."""
    height, width = video.read(0).shape[:2]
    if not isinstance(boxes, str):
        given = [0.0, 0.0, width, height] if boxes is None else boxes
        box = box_in(video.path, "box", given, width, height)
        return [TrackBox(i, 0, box) for i in range(len(video.names))]
    people = []
    named = read_boxes(boxes)
    named = named.of_film() if video.path.is_file() else named
    indices = _indices(video, named)
    for name, entries in named.items():
        if name not in indices:
            raise ValueError(f"{boxes}: {video.path} has no frame {name}")
        index = indices[name]
        if index >= len(video.names):  # left out
            continue
        for n, entry in enumerate(entries):
            where = f"frame {name}, box {n}"
            track = n
            if isinstance(entry, Mapping):
                if not {"box", "fraction"} & entry.keys():
                    form = '{"track_id": 3, "box": [x, y, w, h]}'
                    raise ValueError(f"{boxes}: {where} must be {form} or [x, y, w, h]")
                track = integer(f"{boxes}: {where}: track_id", entry.get("track_id", n))
            people.append(TrackBox(index, track, box_in(Path(boxes), where, entry, width, height)))
    if not people:
        raise ValueError(f"{boxes}: no box in it")
    people.sort(key=lambda person: person[:2])
    for person, following in pairwise(people):
        if person[:2] == following[:2]:
            frame = video.names[person.frame]
            raise ValueError(f"{boxes}: frame {frame} has two boxes of track {person.track}")
    return people


def _indices(video: Video, boxes: PictureBoxes) -> dict[str, int]:
    """Name of a frame in the boxes -> its index in the video; frames that are left out follow."""
    frames, found = [*video.names, *video.left_out], dict[str, int]()
    for index, frame in enumerate(frames):
        name = boxes.name_of(frame)
        if name in found:
            raise ValueError(
                f"{boxes.path}: frame {name} may be {frames[found[name]]} or {frame}; name frames "
                "by their files"
            )
        if name is not None:
            found[name] = index
    return found


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
    the video, and where frames are missing in a folder, the nearest frame replaces them. The
    answers depend on the names of video and frame and on the track.
    """
    place = {number: i for i, number in enumerate(video.numbers)}
    for start in range(0, len(people), count):
        some = people[start : start + count]
        sample = boxed(torch.stack([person.box for person in some]), size, codec)
        keys = [video.numbers[person.frame] for person in some]
        clips = [[nearest(video.numbers, key, key + n, False) for n in offsets] for key in keys]
        shown = torch.tensor([[place[number] for number, _ in clip] for clip in clips])
        matrix = sample["affine"].repeat_interleave(len(offsets), 0)
        pixels = cut(shown.flatten().tolist(), video.read, matrix, size)
        frames = normalised(pixels, mean, std)
        name = video.path.stem
        yield {
            "id": [f"{name}/{video.names[p.frame]}/{p.track}" for p in some],
            "frames": frames.view(len(some), len(offsets), *frames.shape[1:]),
            "frames_valid": torch.tensor([[float(same) for _, same in clip] for clip in clips]),
            "track_id": torch.tensor([person.track for person in some]),
            **sample,
        }


def _still(path: Path, size: tuple[int, int] | None) -> RGB:
    image = picture_files.read(path, upright=True)
    height, width = image.shape[:2]
    if size and (width, height) != size:
        first = f"{size[0]} x {size[1]}"
        raise ValueError(f"{path}: {width} x {height} pixels, but the first frame has {first}")
    return image
