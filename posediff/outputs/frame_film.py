"""Frames as pictures, and those of a video as a film: the people in 2D and beside it in 3D."""

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from itertools import pairwise
from pathlib import Path

from posediff.files import free_name, safe_name
from posediff.outputs.frame_json import Add
from posediff.people.frame import Frame
from posediff.visual.canvas import Picture
from posediff.visual.film import film_note, filming
from posediff.visual.frame_picture import Cells, draw_frame, is_lifted

FIRST = 9  # frames that tell the rate of a film


@contextmanager
def writing_film(path: Path) -> Iterator[Add]:
    """A function that adds a frame to a film, whose rate is that of its first frames, by the median
    of their distances in time.

    All frames have a part in 3D if one of the first two was lifted. A frame without its image is
    drawn on white. Warns if PyAV is missing, see `film_note`. Raises ValueError if its first frames
    do not follow each other in time.
    """
    if path.suffix != ".gif" and (note := film_note()):
        warnings.warn(note, stacklevel=2)
    waiting: list[Frame] = []
    show: list[Callable[[Picture], None]] = []
    beside, cells = False, Cells()
    with ExitStack() as stack:

        def add(frame: Frame) -> None:
            waiting.append(frame)
            if show or len(waiting) == FIRST:
                draw()

        def draw() -> None:
            nonlocal beside
            if not show:
                beside = any(map(is_lifted, waiting[:2]))
                show.append(stack.enter_context(filming(path, _rate(path, waiting))))
            for ready in waiting:
                show[0](draw_frame(ready, beside, cells))
            waiting.clear()

        yield add
        if waiting:
            draw()


@contextmanager
def writing_pictures(path: Path) -> Iterator[Add]:
    """A function that writes each frame as a picture; the frame's name takes the place of {} in
    that of the path."""
    taken = set[str]()

    def add(frame: Frame) -> None:
        name = free_name(safe_name(Path(frame.name).stem), taken)
        frame.draw(path.with_name(path.name.format(name)))

    yield add


def _rate(path: Path, frames: Sequence[Frame]) -> float:
    times = [frame.time for frame in frames if frame.time is not None]
    steps = [b - a for a, b in pairwise(times)]
    if len(times) < len(frames) or not all(step > 0 for step in steps):
        raise ValueError(f"{path.name}: a film needs frames of a video, with their times")
    if not steps:
        raise ValueError(f"{path.name}: a film needs two frames of a video or more")
    return 1 / sorted(steps)[len(steps) // 2]
