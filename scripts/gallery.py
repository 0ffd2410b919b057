"""A contact sheet: people found in photos, their 2D poses, and one 3D pose for each photo.

    python scripts/gallery.py PHOTOS docs/gallery/sheet.jpg --image2d image2d --lift3d lift3d \\
        [--count 24] [--columns 2] [--threshold 0.25]

PHOTOS is a photo or a folder; of a folder, `count` photos evenly spaced over its sorted names. A
cell has the photo with all people, and the 3D pose of the largest of them from the front and from
the side, with its hypotheses and their spread. Models are names of shipped ones or folders. A
photo in which nobody is found is shown as it is.
"""

import argparse
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch

import posediff
from posediff.data.pictures import picture_files
from posediff.inference.lift import lifted
from posediff.inference.lifting_input import Tracks
from posediff.inference.person_boxes import detect
from posediff.inference.photo_input import photo_files, photo_sample
from posediff.inference.request import data_settings
from posediff.visual.canvas import Canvas, Picture
from posediff.visual.pose2d import draw_pose2d
from posediff.visual.pose3d import WIDTH, draw_pose3d, write_picture

HEIGHT = 300  # pixels of a cell
WIDE = 400, 540  # pixels of the photo and of the two views in a cell
PEOPLE = 6  # boxes of a photo that are looked at, best first
GAP = 6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("photos")
    parser.add_argument("out", type=Path)
    parser.add_argument("--image2d", default="image2d")
    parser.add_argument("--lift3d", default="lift3d")
    parser.add_argument("--people", default="people")
    parser.add_argument("--count", type=int, default=24)
    parser.add_argument("--columns", type=int, default=2)
    parser.add_argument("--threshold", type=float, default=0.25, help="least score of a person")
    args = parser.parse_args()
    try:
        models = [posediff.load(name) for name in (args.people, args.image2d, args.lift3d)]
        every = photo_files(args.photos)
        some = np.linspace(0, len(every) - 1, min(args.count, len(every))).round().astype(int)
        cells = [cell(every[i], args.threshold, *models) for i in some]
        write_picture(args.out, sheet(cells, args.columns))
    except (OSError, ValueError) as error:
        sys.exit(f"error: {' '.join(str(error).split())}")
    for n, i in enumerate(some, 1):
        print(f"{n} {every[i].name}")


@torch.no_grad()
def cell(path: Path, threshold: float, people: Any, image2d: Any, lift3d: Any) -> Picture:
    """The photo with its people, and the 3D pose of the largest."""
    photo = picture_files.read(path)
    boxes = detect(people.answers, photo, threshold=threshold).boxes[:PEOPLE]
    if not len(boxes):
        return fitted(photo[..., ::-1])
    boxes = torch.cat([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], 1)  # xywh
    settings = data_settings(image2d, "size", "codec", "mean", "std")
    poses = image2d.predict(photo_sample(path, boxes.tolist(), **settings)[1])
    drawn = draw_pose2d(photo, poses, posediff.skeleton(poses.skeleton))
    one = poses[[int(boxes[:, 2:].prod(1).argmax())]]
    rows = Tracks(one.keypoints, one.scores, [path.name], torch.tensor([0]), torch.tensor([0]))
    try:
        found = lifted(lift3d, rows, one.skeleton)
    except ValueError:  # too few joints are known
        return fitted(drawn)
    read, bones = found.sample, posediff.skeleton(found.poses.skeleton)
    panels = draw_pose3d(read["keypoints_2d"][0], read["image_size"][0], found.poses[0], bones)
    return fitted(drawn, panels[:, WIDTH:])  # without the 2D


def fitted(*pictures: Picture) -> Picture:
    """The photo and perhaps the views side by side, each as large as fits, on white."""
    import cv2

    row = np.full((HEIGHT, sum(WIDE) + GAP, 3), 255, np.uint8)
    left = 0
    for picture, width in zip(pictures, WIDE, strict=False):
        factor = min(width / picture.shape[1], HEIGHT / picture.shape[0])
        size = round(picture.shape[1] * factor), round(picture.shape[0] * factor)
        small = cv2.resize(np.ascontiguousarray(picture), size, interpolation=cv2.INTER_AREA)
        row[: size[1], left : left + size[0]] = small
        left += width + GAP
    return row


def sheet(cells: list[Picture], columns: int) -> Picture:
    """Numbered cells, row after row."""
    height, width = cells[0].shape[0] + 24, cells[0].shape[1] + GAP
    rows = -(-len(cells) // columns)
    canvas = Canvas(columns * width, rows * height)
    for n in range(len(cells)):
        at = (n % columns) * width + 6, (n // columns) * height + 17
        canvas.text(at, str(n + 1), (60, 60, 60), 12, bold=True)
    whole = canvas.finish()
    for n, picture in enumerate(cells):
        top, left = (n // columns) * height + 24, (n % columns) * width
        whole[top : top + picture.shape[0], left : left + picture.shape[1]] = picture
    return whole


if __name__ == "__main__":
    main()
