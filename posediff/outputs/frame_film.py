"""Frames of a video as a film that shows their people, each with the number of its track."""

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np
import torch

from posediff.diffusion.aggregate import Poses
from posediff.outputs.arrays import one_skeleton
from posediff.outputs.frame_json import Add
from posediff.people.frame import Frame, Person
from posediff.pose.skeleton import skeleton
from posediff.visual.canvas import Picture
from posediff.visual.film import film_note, filming
from posediff.visual.pose2d import draw_pose2d


@contextmanager
def writing_film(path: Path) -> Iterator[Add]:
    """A function that adds a frame to a film, whose rate is that of the first two frames.

    A frame without its image is drawn on white. Warns if PyAV is missing, see `film_note`. Raises
    ValueError if the first two frames do not follow each other in time.
    """
    if note := film_note():
        warnings.warn(note, stacklevel=2)
    waiting: list[Frame] = []
    show: list[Callable[[Picture], None]] = []
    with ExitStack() as stack:

        def add(frame: Frame) -> None:
            waiting.append(frame)
            if len(waiting) == 2 and not show:
                show.append(stack.enter_context(filming(path, _rate(path, *waiting))))
            if show:
                for ready in waiting:
                    show[0](draw_frame(ready))
                waiting.clear()

        yield add
        if waiting:
            raise ValueError(f"{path.name}: a film needs two frames of a video or more")


def draw_frame(frame: Frame, names: Sequence[str] = ()) -> Picture:
    """A frame with its 2D poses, their spread and `names`, by default the numbers of tracks."""
    width, height = frame.size
    image = np.full((height, width, 3), 255, np.uint8) if frame.image is None else frame.image
    if not frame.people:
        nobody = torch.zeros(0, 1)
        none = Poses(nobody[..., None], nobody, nobody[..., None, None], nobody, "coco17")
        return draw_pose2d(image, none, skeleton("coco17"))
    layout = one_skeleton(person.skeleton_2d for person in frame.people) or ""
    tracks = ["" if person.track is None else str(person.track) for person in frame.people]
    return draw_pose2d(image, _poses(frame.people, layout), skeleton(layout), names or tracks)


def _poses(people: tuple[Person, ...], layout: str) -> Poses:
    """People with as many hypotheses as each of them has; the keypoints themselves if one has
    none."""
    K = min(len(person.hypotheses_2d) for person in people)
    drawn = [person.hypotheses_2d[:K] if K else person.keypoints_2d[None] for person in people]
    return Poses(
        torch.from_numpy(np.stack([person.keypoints_2d for person in people])),
        torch.from_numpy(np.stack([person.scores for person in people])),
        torch.from_numpy(np.stack(drawn)),
        torch.from_numpy(np.stack([person.spread_2d for person in people])),
        layout,
    )


def _rate(path: Path, a: Frame, b: Frame) -> float:
    if a.time is None or b.time is None or not b.time > a.time:
        raise ValueError(f"{path.name}: a film needs frames of a video, with their times")
    return 1 / (b.time - a.time)
