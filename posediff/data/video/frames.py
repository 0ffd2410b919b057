"""The frames of a video by their numbers: pictures in a folder, or a video file in its place.

The number of a frame is the one at the end of its file's name: 12 of 000012.jpg. In a video file
they count from 0 or 1, as the data set has it.
"""

import os
import re
from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from posediff.data.pictures import picture_files
from posediff.data.pictures.picture_files import RGB

FILMS = (".mp4", ".avi", ".mov", ".mkv", ".webm", ".m4v")
NUMBERED = re.compile(r"(.*?)(\d+)")


class Frames(Protocol):
    """Those of a video; the numbers ascend."""

    numbers: list[int]

    def read(self, number: int) -> RGB: ...
    def size(self) -> tuple[int, int]: ...  # width and height


class Stills:
    """Frames that are pictures, by number."""

    def __init__(self, files: Mapping[int, Path]) -> None:
        self.files, self.numbers = files, sorted(files)

    def read(self, number: int) -> RGB:
        """FileNotFoundError or ValueError, see `picture_files.read`."""
        return picture_files.read(self.files[number])

    def size(self) -> tuple[int, int]:
        """Width and height of the first."""
        return picture_files.size(self.files[self.numbers[0]])


class VideoFile:
    """A video file. It is decoded onwards from the frame that was read last, so that frames in
    their order are cheap; going back begins it again. ValueError, one line, for what is none."""

    def __init__(self, path: Path, first: int = 0) -> None:
        import cv2

        self.path, self.first, self.owner = path, first, 0
        self.open()
        count = int(self.capture.get(cv2.CAP_PROP_FRAME_COUNT))
        self.numbers = list(range(first, first + count))
        self.rate = float(self.capture.get(cv2.CAP_PROP_FPS))  # frames a second; 0: not said

    def open(self) -> None:
        import cv2

        if not self.path.is_file():
            raise FileNotFoundError(f"{self.path}: no such video")
        self.capture: Any = cv2.VideoCapture(str(self.path))
        if not self.capture.isOpened() or self.capture.get(cv2.CAP_PROP_FRAME_COUNT) < 1:
            raise ValueError(f"{self.path}: no video, or a damaged one: copy it again")
        self.next, self.owner = self.first, os.getpid()  # a forked worker needs its own

    def read(self, number: int) -> RGB:
        import cv2

        if self.owner != os.getpid() or number < self.next:
            self.open()
        while self.next < number and self.capture.grab():
            self.next += 1
        image = self.capture.read()[1] if self.next == number else None
        if image is None:
            raise ValueError(
                f"{self.path}: frame {number} cannot be decoded, though the file says that it has "
                f"{len(self.numbers)}: the video is damaged or cut short"
            )
        self.next += 1
        return np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), np.uint8)

    def size(self) -> tuple[int, int]:
        import cv2

        sides = (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT)
        width, height = (int(self.capture.get(side)) for side in sides)
        return width, height

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"capture": None, "owner": 0}


def frames(listed: Mapping[int, Path], first: int = 0) -> Frames:
    """Those beside the listed ones in their folder, of the same kind and name but for the number;
    or the video file that has the folder's name, where there is no folder. `first` is the number
    of a video's first frame.
    """
    one = next(iter(listed.values()))
    folder, (prefix, _) = one.parent, split(one)
    if not folder.is_dir():
        for kind in FILMS:
            film = folder.with_name(folder.name + kind)
            if film.is_file():
                return VideoFile(film, first)
        return Stills({})
    files = {}
    for path in sorted(folder.iterdir()):
        found = NUMBERED.fullmatch(path.stem)
        if found and path.suffix == one.suffix and found[1] == prefix:
            files[int(found[2])] = path
    there = set(files.values())
    return Stills(files | {n: path for n, path in listed.items() if path in there})


def split(file: Path) -> tuple[str, int]:
    """What a frame's name begins with, and its number. ValueError where it has none."""
    found = NUMBERED.fullmatch(file.stem)
    if found is None:
        raise ValueError(f"{file}: the name of a frame must end in its number, as 000012.jpg")
    return found[1], int(found[2])


class Memory:
    """The pictures that were read last, up to so many bytes."""

    def __init__(self, size: int) -> None:
        self.size, self.held = size, 0
        self.pictures: OrderedDict[Hashable, RGB] = OrderedDict()

    def get(self, key: Hashable, read: Callable[[], RGB]) -> RGB:
        """That of the key, read unless it is remembered."""
        if key in self.pictures:
            self.pictures.move_to_end(key)
            return self.pictures[key]
        picture = self.pictures[key] = read()
        self.held += picture.nbytes
        while self.held > self.size and len(self.pictures) > 1:
            self.held -= self.pictures.popitem(last=False)[1].nbytes
        return picture
