"""A frame as one picture: the photo with its 2D poses, and beside it each person in 3D.

The part in 3D is as high as the photo and WIDE times as wide as it is high, whoever is in the
picture, so that the frames of a film have one size. Every person has a cell with two views, from
the front and from the side, called by the number in the box of the photo, in the order of these
numbers; of many people the PEOPLE largest. A low photo is enlarged, so that the cells are large
enough to be read.
"""

from collections.abc import Sequence

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


def draw_frame(frame: Frame, beside: bool) -> Picture:
    """The photo with boxes, 2D poses and their spread; and `beside` it the people in 3D. A frame
    without its image is drawn on white."""
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
    return np.hstack([picture, _space(frame, names, len(picture))]) if beside else picture


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


def _space(frame: Frame, names: Sequence[str], height: int) -> Picture:
    """The people in 3D on white, as high as the photo."""
    known = [i for i, p in enumerate(frame.people) if _solid(p) is not None]
    sizes = [float(np.prod(frame.people[i].box[2:] - frame.people[i].box[:2])) for i in known]
    largest = [known[i] for i in np.argsort(sizes)[::-1][:PEOPLE]]
    largest.sort(key=lambda i: int(names[i]))
    side, left_out = round(WIDE * height), len(frame.people) - len(largest)
    canvas = Canvas(side, height)
    words = "3D from the front and from the side (camera on the right)"
    if left_out:
        words += f"; {left_out} not shown" if largest else "; nobody with enough joints"
    canvas.text((10, 18), words if frame.people else "nobody found", INK, 11)
    picture = canvas.finish()
    if not largest:
        return picture
    columns, width = _grid(len(largest), side, height)
    for n, i in enumerate(largest):
        pose = _solid(frame.people[i])
        assert pose is not None
        tile = _cell(pose, names[i], width)
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
