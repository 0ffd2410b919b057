"""A contact sheet: people found in photos, their 2D poses, and one 3D pose for each photo.

    python scripts/gallery.py docs/gallery/sheet.jpg [PHOTOS] --image2d image2d --lift3d lift3d \\
        [--count 24] [--columns 2]

PHOTOS is a photo or a folder; of a folder, `count` photos evenly spaced over its sorted names.
Without it they are those of docs/gallery, from data/ or POSEDIFF_DATA. A cell has the photo with
all people, and beside it their poses in 3D from the front and from the side, with hypotheses and
spread. Models are names of shipped ones or folders. A photo in which nobody is found is shown as it
is.
"""

import argparse
import os
import sys
from pathlib import Path

import numpy as np

import posediff
from posediff.inference.photo_input import photo_files
from posediff.visual.canvas import Canvas, Picture
from posediff.visual.pose3d import write_picture

WIDTH, HEIGHT = 946, 320  # pixels of a cell
GAP = 6
COCO = (790, 129648, 174375, 234748, 256353, 433998, 442450)  # of coco_mini, that may be shown


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("photos", nargs="?")
    parser.add_argument("--image2d", default="image2d")
    parser.add_argument("--lift3d", default="lift3d")
    parser.add_argument("--people", default="people")
    parser.add_argument("--count", type=int, default=24)
    parser.add_argument("--columns", type=int, default=2)
    args = parser.parse_args()
    try:
        models = {"image2d": args.image2d, "lift3d": args.lift3d}
        data = Path(os.environ.get("POSEDIFF_DATA", "data"))
        every = photo_files(args.photos) if args.photos else documented(data)
        some = np.linspace(0, len(every) - 1, min(args.count, len(every))).round().astype(int)
        photos = [every[i] for i in some]
        cells = [cell(x) for x in posediff.estimate(photos, models=models, detect=args.people)]
        write_picture(args.out, sheet(cells, args.columns))
    except (OSError, ValueError) as error:
        sys.exit(f"error: {' '.join(str(error).split())}")
    for n, i in enumerate(some, 1):
        print(f"{n} {every[i].name}")


def documented(data: Path) -> list[Path]:
    """The photos of docs/gallery: of COCO, and the middle frame of every second test clip of
    JHMDB."""
    clips = data / "jhmdb_video/images/test"
    if not clips.is_dir():
        raise FileNotFoundError(f"{clips}: no such folder; name PHOTOS, or set POSEDIFF_DATA")
    frames = [photo_files(clip) for clip in sorted(clips.iterdir())[::2]]
    photos = [data / f"coco_mini/images/{number:012d}.jpg" for number in COCO]
    return photos + [some[len(some) // 2] for some in frames]


def cell(frame: posediff.Frame) -> Picture:
    """The photo with its people, and beside it their poses in 3D."""
    return fitted(np.ascontiguousarray(frame.draw()[..., ::-1]))


def fitted(picture: Picture) -> Picture:
    """The picture as large as fits, on white."""
    import cv2

    row = np.full((HEIGHT, WIDTH, 3), 255, np.uint8)
    factor = min(WIDTH / picture.shape[1], HEIGHT / picture.shape[0])
    size = round(picture.shape[1] * factor), round(picture.shape[0] * factor)
    row[: size[1], : size[0]] = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
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
