"""2D poses of frames as COCO's result file (`posediff.metrics.result_files`).

image_id is the number that the frame's name is (000000129648.jpg: 129648), or else its name. A
person's score is that of its box times the mean score of its joints; a joint without a position has
0, 0, 0.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import Tensor

from posediff.metrics.result_files import Found, write_coco
from posediff.outputs.arrays import one_skeleton
from posediff.outputs.frame_json import Add
from posediff.people.frame import Frame, Person


@contextmanager
def writing_coco(path: Path) -> Iterator[Add]:
    """A function that takes the people of one frame after the other; the file is written after the
    block. Raises ValueError if skeletons differ."""
    images: list[int | str] = []
    columns: tuple[list[Tensor], list[Tensor], list[Tensor]] = ([], [], [])
    layouts: set[str] = set()

    def add(frame: Frame) -> None:
        stem = Path(frame.name).stem
        number = int(stem) if stem.isascii() and stem.isdigit() else frame.name
        for person in frame.people:
            layouts.add(person.skeleton_2d)
            one_skeleton(layouts)
            images.append(number)
            for column, value in zip(columns, _entry(person), strict=True):
                column.append(value)

    yield add
    empty = torch.zeros(0, 1, 2), torch.zeros(0, 1), torch.zeros(0)
    stacked = map(torch.stack, columns) if images else empty
    write_coco(path, Found(images, *stacked))


def _entry(person: Person) -> tuple[Tensor, Tensor, Tensor]:
    """Points (J, 2), scores (J,) and the score of a person."""
    points, scores = torch.from_numpy(person.keypoints_2d), torch.from_numpy(person.scores)
    known = points.isfinite().all(-1)
    scores = scores.double().where(known, 0)
    return points.where(known[:, None], 0), scores, person.box_score * scores.mean()
