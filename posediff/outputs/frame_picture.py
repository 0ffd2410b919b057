"""A frame as one picture: its people in 2D, and the largest of them in 3D from two sides."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch

from posediff.diffusion.aggregate import Poses
from posediff.outputs.frame_film import draw_frame
from posediff.outputs.frame_json import Add
from posediff.people.frame import Floats, Frame, Person
from posediff.pose.skeleton import skeleton
from posediff.visual.canvas import Canvas, Picture
from posediff.visual.palette import INK
from posediff.visual.pose3d import draw_views, write_picture

LARGEST = 2  # people of a frame that are drawn in 3D
GAP, TITLE = 12, 26  # pixels around a picture, and of a line above it


@contextmanager
def writing_pictures(folder: Path) -> Iterator[Add]:
    """A function that writes a frame as <name>_poses.jpg; a second one of a name has a number."""
    counts: dict[str, int] = {}

    def add(frame: Frame) -> None:
        stem = Path(frame.name).stem
        counts[stem] = counts.get(stem, 0) + 1
        number = f"_{counts[stem]}" if counts[stem] > 1 else ""
        write_picture(folder / f"{stem}_poses{number}.jpg", draw_people(frame))

    yield add


def draw_people(frame: Frame, largest: int = LARGEST) -> Picture:
    """The picture with all its people in 2D; beside it at most `largest` of them in 3D, a row each,
    from the front and from the side, with their hypotheses and spread."""
    names = [str(n if p.track is None else p.track) for n, p in enumerate(frame.people, 1)]
    photo = draw_frame(frame, names if len(names) > 1 else ())
    people = [(n, p) for n, p in zip(names, frame.people, strict=True) if p.skeleton_3d is not None]
    people.sort(key=lambda named: -_area(named[1]))
    if not people[:largest]:
        return photo
    rows = [_views(person, f"person {name}") for name, person in people[:largest]]
    return beside(photo, np.vstack(rows))


def beside(photo: Picture, views: Picture) -> Picture:
    """Both on white, the photo as high as the views or 1.4 times as wide as they are high."""
    import cv2

    height, most = views.shape[0], round(1.4 * views.shape[0])
    factor = min(height / photo.shape[0], most / photo.shape[1])
    size = round(photo.shape[1] * factor), round(photo.shape[0] * factor)
    small = cv2.resize(photo, size, interpolation=cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC)
    page = np.full((height + 2 * GAP, size[0] + views.shape[1] + 2 * GAP, 3), 255, np.uint8)
    top = GAP + (height - size[1]) // 2
    page[top : top + size[1], GAP : GAP + size[0]] = small
    page[GAP : GAP + height, -views.shape[1] :] = views
    return page


def _area(person: Person) -> float:
    x1, y1, x2, y2 = person.box
    return float((x2 - x1) * (y2 - y1))


def _views(person: Person, words: str) -> Picture:
    """A person in 3D from the front and from the side, below a line of words."""
    assert person.skeleton_3d is not None
    joints, several = person.keypoints_3d, person.hypotheses_3d
    assert joints is not None
    pose = Poses(
        _tensor(joints),
        torch.ones(len(joints)),
        _tensor(joints[None] if several is None or not len(several) else several),
        torch.zeros(len(joints)) if person.spread_3d is None else _tensor(person.spread_3d),
        person.skeleton_3d,
    )
    drawn = draw_views(pose, skeleton(person.skeleton_3d))
    canvas = Canvas(drawn.shape[1], TITLE)
    canvas.text((16, 18), words, INK, 11)
    return np.vstack([canvas.finish(), drawn])


def _tensor(array: Floats) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(array))
