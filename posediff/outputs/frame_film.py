"""Frames as pictures, and those of a video as a film: the people in 2D and beside it in 3D."""

import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from posediff.files import safe_name
from posediff.outputs.frame_json import Add
from posediff.people.frame import Frame
from posediff.visual.canvas import Picture
from posediff.visual.film import film_note, filming
from posediff.visual.frame_picture import draw_frame, is_lifted


@contextmanager
def writing_film(path: Path) -> Iterator[Add]:
    """A function that adds a frame to a film, whose rate is that of the first two frames.

    All frames have a part in 3D if one of these two was lifted. A frame without its image is drawn
    on white. Warns if PyAV is missing, see `film_note`. Raises
    ValueError if the first two frames do not follow each other in time.
    """
    if path.suffix != ".gif" and (note := film_note()):
        warnings.warn(note, stacklevel=2)
    waiting: list[Frame] = []
    show: list[Callable[[Picture], None]] = []
    beside = False
    with ExitStack() as stack:

        def add(frame: Frame) -> None:
            nonlocal beside
            waiting.append(frame)
            if len(waiting) == 2 and not show:
                beside = any(map(is_lifted, waiting))
                show.append(stack.enter_context(filming(path, _rate(path, *waiting))))
            if show:
                for ready in waiting:
                    show[0](draw_frame(ready, beside))
                waiting.clear()

        yield add
        if waiting:
            raise ValueError(f"{path.name}: a film needs two frames of a video or more")


@contextmanager
def writing_pictures(folder: Path) -> Iterator[Add]:
    """A function that writes each frame as a picture, called by the frame's name."""
    names = Counter[str]()

    def add(frame: Frame) -> None:
        stem = safe_name(Path(frame.name).stem)
        names[stem] += 1
        number = f"_{names[stem]}" if names[stem] > 1 else ""
        frame.draw(folder / f"{stem}{number}_people.jpg")

    yield add


def _rate(path: Path, a: Frame, b: Frame) -> float:
    if a.time is None or b.time is None or not b.time > a.time:
        raise ValueError(f"{path.name}: a film needs frames of a video, with their times")
    return 1 / (b.time - a.time)
