"""Pictures of what a user names as input, each read when its turn comes.

A photo's path, a folder of photos, an array (height, width, 3) of RGB in uint8, or a list of paths
and arrays. An array has its number in the list as its name.
"""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from posediff.data.pictures import picture_files
from posediff.data.pictures.picture_files import RGB
from posediff.data.video.frames import FILMS
from posediff.files import printable
from posediff.inference.photo_input import photo_files

One = str | Path | NDArray[Any]
Source = One | Sequence[One]


class Given(NamedTuple):
    """A picture that a user named. `read` raises FileNotFoundError or ValueError."""

    name: str  # of the file, or the number of the array
    read: Callable[[], RGB]


def is_film(source: Source) -> bool:
    """True if the source is the path of a video file, by its suffix."""
    return isinstance(source, str | Path) and Path(source).suffix.lower() in FILMS


def pictures_of(source: Source) -> list[Given]:
    """The pictures of a source, in the order of the list or of the names in a folder.

    Raises FileNotFoundError if a path does not exist, ValueError for an empty list or another type.
    """
    if isinstance(source, str | Path):
        return [_file(path) for path in photo_files(source)]
    if isinstance(source, np.ndarray) and source.ndim != 4:
        return [_array("0", source)]
    found = list(_listed(source))
    if not found:
        raise ValueError("source: the list is empty; give at least one picture")
    return found


def _listed(source: Any) -> Iterator[Given]:
    if not isinstance(source, np.ndarray | Sequence):
        raise ValueError(
            f"source: a {type(source).__name__} is no input; give a path, a folder, an array "
            "(height, width, 3) or a list of these"
        )
    for n, one in enumerate(source):
        if is_film(one):
            raise ValueError(f"{one}: a video in a list; give one video at a time")
        if isinstance(one, str | Path):
            yield from map(_file, photo_files(one))
        else:
            yield _array(str(n), one)


def _file(path: Path) -> Given:
    return Given(printable(path.name), lambda: picture_files.read(path, upright=True))


def _array(name: str, image: Any) -> Given:
    return Given(name, lambda: _checked(name, image))


def _checked(name: str, image: Any) -> RGB:
    """Raises ValueError if it is no RGB picture of 8 bits."""
    shape: Any = getattr(image, "shape", ())
    kind = getattr(image, "dtype", type(image).__name__)
    if len(shape) != 3 or shape[2] != 3 or min(shape) < 2 or kind != np.uint8:
        raise ValueError(
            f"picture {name}: must be an array (height, width, 3) of RGB in uint8, not "
            f"{tuple(shape)} of {kind}"
        )
    return np.ascontiguousarray(image)
