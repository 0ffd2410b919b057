"""A frame as one picture: the photo with its 2D poses, and beside it each person in 3D.

The part in 3D is as high as the photo and WIDE times as wide as it is high, whoever is in the
picture, so that the frames of a film have one size. Every person has a cell with two views, from
the front and from the side, called by the number in the box of the photo, in the order of these
numbers; of many people the PEOPLE largest. In a film everybody keeps a cell (`Cells`). A low photo
is enlarged, so that the cells are large enough to be read.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import torch

from posediff.diffusion.aggregate import Poses
from posediff.people.frame import Frame, Person
from posediff.pose.skeleton import skeleton
from posediff.visual.canvas import FINE, Canvas, Picture
from posediff.visual.palette import FAINT, INK
from posediff.visual.pose2d import draw_pose2d
from posediff.visual.pose3d import HEIGHT, WIDTH, draw_views

PEOPLE = 6  # in 3D
WIDE = 1.5
LOWEST = 560  # pixels, height of a photo beside 3D
LINE = 26  # pixels above the cells, for words
ASPECT = HEIGHT / (2 * WIDTH)  # of a cell


def is_lifted(frame: Frame) -> bool:
    """True if the frame has been through a lifter."""
    return "3d" in frame.seconds or any(p.keypoints_3d is not None for p in frame.people)


class Cells:
    """Owners of the cells, by place. Who has one keeps it, also out of sight. A newcomer takes the
    first whose owner is out of sight, so that the cells of a film move only when it has more
    people than ever before."""

    def __init__(self) -> None:
        self.owners: list[str] = []

    def take(self, sizes: Mapping[str, float]) -> None:
        """Give a cell to everybody in a frame, at most to the PEOPLE first or, at once, largest."""
        new = sorted(sizes.keys() - self.owners, key=lambda name: -sizes[name])
        free = [n for n, owner in enumerate(self.owners) if owner not in sizes]
        free += range(len(self.owners), PEOPLE)
        for n, name in zip(free, sorted(new[: len(free)], key=int), strict=False):
            self.owners[n : n + 1] = [name]


def draw_frame(frame: Frame, beside: bool, cells: Cells | None = None) -> Picture:
    """The photo with boxes, 2D poses and their spread; and `beside` it the people in 3D. A frame
    without its image is drawn on white. cells: of the frames of the film before this one."""
    import cv2

    width, height = frame.size
    image = np.full((height, width, 3), 255, np.uint8) if frame.image is None else frame.image
    if beside and height < LOWEST:
        size = round(width * LOWEST / height), LOWEST
        image = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_CUBIC), np.uint8)
    names, picture = _names(frame.people), None
    for layout in dict.fromkeys(person.skeleton_2d for person in frame.people):
        some = [i for i, person in enumerate(frame.people) if person.skeleton_2d == layout]
        people = [frame.people[i] for i in some]
        shown = image if picture is None else picture[..., ::-1]
        factor = shown.shape[1] / width
        picture = draw_pose2d(
            shown,
            _flat(people, layout, factor),
            skeleton(layout),
            [names[i] for i in some],
            factor * np.stack([person.box for person in people]),
        )
    if picture is None:
        picture = draw_pose2d(image, _nobody(), skeleton("coco17"))
    if beside:
        picture = np.hstack([picture, _space(frame, names, len(picture), cells or Cells())])
    return picture


def _names(people: Sequence[Person]) -> list[str]:
    return [str(n if p.track is None else p.track) for n, p in enumerate(people, 1)]


def _nobody() -> Poses:
    none = torch.zeros(0, 1)
    return Poses(none[..., None], none, none[..., None, None], none, "coco17")


def _flat(people: Sequence[Person], layout: str, factor: float) -> Poses:
    """People with as many hypotheses as each of them has; the keypoints themselves if one has
    none. factor: pixels of the drawing per pixel of the picture."""
    K = min(len(person.hypotheses_2d) for person in people)
    drawn = [person.hypotheses_2d[:K] if K else person.keypoints_2d[None] for person in people]
    return Poses(
        factor * torch.from_numpy(np.stack([person.keypoints_2d for person in people])),
        torch.from_numpy(np.stack([person.scores for person in people])),
        factor * torch.from_numpy(np.stack(drawn)),
        factor * torch.from_numpy(np.stack([person.spread_2d for person in people])),
        layout,
    )


def _space(frame: Frame, names: Sequence[str], height: int, cells: Cells) -> Picture:
    """The people in 3D on white, as high as the photo."""
    people = dict(zip(names, frame.people, strict=True))
    poses = {name: pose for name in names if (pose := _solid(people[name])) is not None}
    corners = {name: people[name].box for name in poses}
    cells.take({name: float(np.prod(box[2:] - box[:2])) for name, box in corners.items()})
    shown = [name for name in cells.owners if name in poses]
    side, left_out = round(WIDE * height), len(frame.people) - len(shown)
    canvas = Canvas(side, height)
    words = "3D from the front and from the side (camera on the right)"
    if left_out:
        words += f"; {left_out} not shown" if shown else "; nobody with enough joints"
    canvas.text((10, 18), words if frame.people else "nobody found", INK, 11)
    picture = canvas.finish()
    if not shown:
        return picture
    columns, width = _grid(len(cells.owners), side, height)
    for name in shown:
        tile, n = _cell(poses[name], name, width), cells.owners.index(name)
        y, x = LINE + n // columns * len(tile), n % columns * tile.shape[1]
        picture[y : y + len(tile), x : x + tile.shape[1]] = tile
    return picture


def _grid(count: int, side: int, height: int) -> tuple[int, int]:
    """Columns, and the width of a cell, the largest at which all cells fit."""

    def width(columns: int) -> int:
        rows = -(-count // columns)
        return int(min(side / columns, (height - LINE) / rows / ASPECT))

    best = max(range(1, count + 1), key=width)
    return best, width(best)


def _cell(pose: Poses, name: str, width: int) -> Picture:
    """Both views of a person at that width, with the name and the mean spread."""
    import cv2

    views = draw_views(pose, skeleton(pose.skeleton), words=False)
    label = Canvas(width, int(width * ASPECT))
    size = label.fine.shape[1::-1]
    label.fine[:] = cv2.resize(views, size, interpolation=cv2.INTER_AREA)
    label.text((8, 18), name, INK, 13, bold=True)
    spread = f"spread {1000 * float(pose.spread.nanmean()):.0f} mm"
    label.text((8, label.fine.shape[0] // FINE - 8), spread, FAINT, 10)
    return label.finish()


def _solid(person: Person) -> Poses | None:
    """One of `Poses` in 3D, None if there is none."""
    if person.keypoints_3d is None or person.skeleton_3d is None:
        return None
    pose = torch.from_numpy(person.keypoints_3d)
    if not pose.isfinite().all():
        return None
    drawn = person.hypotheses_3d
    spread = torch.zeros(len(pose)) if person.spread_3d is None else person.spread_3d
    return Poses(
        pose,
        torch.ones(len(pose)),
        pose[None] if drawn is None or not len(drawn) else torch.from_numpy(drawn),
        torch.as_tensor(spread),
        person.skeleton_3d,
    )
