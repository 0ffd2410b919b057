"""The frames of a video by their numbers: image files in a folder, or a video file instead.

The number of a frame is at the end of its file's name: 12 of 000012.jpg. In a video file frames
count from 0 or 1, depending on the data set.
"""

import os
import re
from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping
from functools import cached_property, lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from posediff.data.pictures import picture_files
from posediff.data.pictures.picture_files import RGB
from posediff.data.pictures.picture_memory import MEMORY

FILMS = (".mp4", ".avi", ".mov", ".mkv", ".webm", ".m4v")
EXACT = (".mp4", ".avi", ".mov", ".m4v")  # of these, the header states the number of frames
FAR = 0.1  # part of the rate by which that of the header may differ from the times of the frames
FASTEST = 10_000.0  # frames a second; headers that state more have none
DIGITS = 18  # of a frame's number: what 64 bits hold
os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")  # errors are ours: one line
NUMBERED = re.compile(r"(.*?)(\d+)")


class Frames(Protocol):
    """The frames of one video; `numbers` ascend."""

    @property
    def numbers(self) -> list[int]: ...

    def read(self, number: int) -> RGB: ...


class Stills:
    """Frames in image files, by number. Raises as `picture_files.read`."""

    def __init__(self, files: Mapping[int, Path], upright: bool = False) -> None:
        self.files, self.numbers, self.upright = files, sorted(files), upright

    def read(self, number: int) -> RGB:
        return MEMORY.read(self.files[number], self.upright)

    def size(self) -> tuple[int, int]:
        """Width and height."""
        return picture_files.size(self.files[self.numbers[0]], self.upright)


class VideoFile:
    """Frames in a video file. It is decoded forwards from the last frame that was read, so frames
    in ascending order are cheap; an earlier frame opens the file again.

    Its frames are those that can be decoded, counted once when they are asked for: the header of a
    video of variable rate, of a browser or of a film that was cut short states another number.

    upright: turned as the file says (a telephone's display matrix).
    Raises FileNotFoundError if there is no such file, ValueError if it cannot be decoded.
    """

    def __init__(self, path: Path, first: int = 0, upright: bool = True) -> None:
        import cv2

        self.path, self.first, self.upright = path, first, upright
        self.open()
        self.stated = int(self.capture.get(cv2.CAP_PROP_FRAME_COUNT))  # by the header
        self.stated_rate = float(self.capture.get(cv2.CAP_PROP_FPS))

    def open(self) -> None:
        import cv2

        if not self.path.is_file():
            raise FileNotFoundError(f"{self.path}: no such video")
        self.capture: Any = cv2.VideoCapture(str(self.path))
        if not self.capture.isOpened():
            raise ValueError(f"{self.path}: no video, or a damaged one: copy it again")
        self.capture.set(cv2.CAP_PROP_ORIENTATION_AUTO, float(self.upright))
        self.next, self.owner = self.first, os.getpid()  # a forked worker needs its own capture

    @cached_property
    def times(self) -> list[float]:
        """Seconds of all frames that can be decoded, at least one, as the file states them."""
        about = self.path.stat()
        return list(_times(self.path, about.st_mtime_ns, about.st_size))

    @cached_property
    def numbers(self) -> list[int]:
        return list(range(self.first, self.first + len(self.times)))

    @property
    def rate(self) -> float:
        """Frames a second: that of the header, unless the times of the frames are far from it; 0:
        unknown."""
        took = self.times[-1] - self.times[0]
        measured = (len(self.times) - 1) / took if took > 0 else 0.0
        far = measured and abs(self.stated_rate / measured - 1) > FAR
        rate = measured if far else self.stated_rate
        return rate if 0 < rate < FASTEST else 0.0

    @cached_property
    def stamps(self) -> list[float] | None:
        """Seconds of all frames if they are no multiples of the step of a constant rate: if one is
        more than half a step from that, and each is later than the one before. Else None."""
        far = self.rate > 0 and any(
            abs(time * self.rate - n) > 0.5 for n, time in enumerate(self.times)
        )
        ascends = all(a < b for a, b in pairwise(self.times))
        return self.times if far and ascends else None

    def cut_short(self) -> str:
        """A line that says so if a file that states its number of frames has fewer, else ""."""
        lost = self.stated - len(self.numbers)
        if lost <= 0 or self.path.suffix.lower() not in EXACT:
            return ""
        return (
            f"{self.path}: {len(self.numbers)} of {self.stated} frames can be decoded; cut short?"
        )

    def read(self, number: int) -> RGB:
        import cv2

        if self.owner != os.getpid() or number < self.next:
            self.open()
        while self.next < number and self.capture.grab():
            self.next += 1
        image = self.capture.read()[1] if self.next == number else None
        if image is None:
            raise ValueError(
                f"{self.path}: frame {number} of {len(self.numbers)} cannot be decoded: the video "
                "is damaged or cut short: copy it again"
            )
        self.next += 1
        return np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), np.uint8)

    def size(self) -> tuple[int, int]:
        """Width and height."""
        import cv2

        sides = (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT)
        width, height = (int(self.capture.get(side)) for side in sides)
        return width, height

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"capture": None, "owner": 0}


@lru_cache(maxsize=256)
def _times(path: Path, modified: int, size: int) -> tuple[float, ...]:
    """Seconds of the frames of a video file, which is decoded once as long as it is not changed."""
    import cv2

    capture, found = cv2.VideoCapture(str(path)), list[float]()
    while capture.grab():
        found.append(float(capture.get(cv2.CAP_PROP_POS_MSEC)) / 1000)
    if not found:
        raise ValueError(f"{path}: no frame of it can be decoded: copy it again")
    return tuple(found)


def frames(
    folder: Path, listed: Mapping[int, str], first: int = 0, upright: bool = False
) -> Stills | VideoFile:
    """All frames of a video, found by the names of the `listed` ones below `folder`: files beside
    them of the same suffix and the same name except for the number. If their own folder is missing,
    the video file of its name, whose first frame has the number `first`. upright: frames are turned
    as the EXIF of their files, or the video file, says.
    """
    one = folder / next(iter(listed.values()))
    home, (prefix, _) = one.parent, split(one)
    if not home.is_dir():
        films = (home.with_name(home.name + suffix) for suffix in FILMS)
        film = next((film for film in films if film.is_file()), None)
        return VideoFile(film, first, upright) if film else Stills({}, upright)
    files = {}
    for path in sorted(home.iterdir()):
        found = NUMBERED.fullmatch(path.stem)
        if found and len(found[2]) <= DIGITS and (path.suffix, found[1]) == (one.suffix, prefix):
            files[int(found[2])] = path
    present = set(files.values())
    named = {number: folder / file for number, file in listed.items()}
    return Stills(files | {n: path for n, path in named.items() if path in present}, upright)


def require_frames(video: Stills | VideoFile) -> None:
    """Raise ValueError for a video file of which no frame can be decoded."""
    if isinstance(video, VideoFile):
        _ = video.numbers


def split(file: Path) -> tuple[str, int]:
    """Prefix and number of a frame's name. Raises ValueError if it does not end in a number."""
    found = NUMBERED.fullmatch(file.stem)
    if found is None:
        raise ValueError(f"{file}: the name of a frame must end in its number, as 000012.jpg")
    if len(found[2]) > DIGITS:
        raise ValueError(f"{file}: the number of a frame has more than {DIGITS} digits: rename it")
    return found[1], int(found[2])


class Memory:
    """The images that were used last, up to `size` bytes."""

    def __init__(self, size: int) -> None:
        self.size, self.held = size, 0
        self.images: OrderedDict[Hashable, RGB] = OrderedDict()

    def get(self, key: Hashable, read: Callable[[], RGB]) -> RGB:
        """The image of the key; `read` is called if it is not in memory."""
        if key in self.images:
            self.images.move_to_end(key)
            return self.images[key]
        image = self.images[key] = read()
        self.held += image.nbytes
        while self.held > self.size and len(self.images) > 1:
            self.held -= self.images.popitem(last=False)[1].nbytes
        return image
