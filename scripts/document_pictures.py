"""The pictures of README.md and of docs/, made by the models that ship.

python scripts/document_pictures.py [FOLDER, docs/pictures by default]

people.jpg   the photos that ship, with their people
film.jpg     four frames of the video that ships
angles.png   the joint angles of its person over time, if a lifter ships
"""

import sys
from pathlib import Path

import numpy as np

import posediff
from posediff import shipped
from posediff.demo import EXAMPLES, FILM, LIFTER, PHOTOS
from posediff.visual.canvas import Picture
from posediff.visual.pose3d import write_picture

WIDTH, GAP = 1200, 8  # pixels
SHOWN = 4  # frames of the video


def main() -> None:
    folder = Path(*sys.argv[1:2] or ["docs/pictures"])
    to = "3d" if LIFTER in shipped.names() else "2d"
    photos = [drawn(f) for f in posediff.estimate([EXAMPLES / x for x in PHOTOS], to)]
    shown = sheet(photos[1:], 1) if to == "3d" else sheet(photos, len(photos))
    write_picture(folder / "people.jpg", shown)
    frames = list(posediff.estimate(EXAMPLES / FILM, to))
    some = np.linspace(0, len(frames) - 1, SHOWN).round().astype(int)
    write_picture(folder / "film.jpg", sheet([drawn(frames[n], False) for n in some], SHOWN))
    if to == "3d":
        (curves,) = posediff.save(frames, folder, ["curves"])
        curves.replace(folder / "angles.png")
    print(*sorted(folder.iterdir()), sep="\n")


def drawn(frame: posediff.Frame, space: bool = True) -> Picture:
    return np.ascontiguousarray(frame.draw(space=space)[..., ::-1])


def sheet(pictures: list[Picture], columns: int) -> Picture:
    """Pictures in rows of one width, each row as high as its pictures are when they fill it."""
    rows = [pictures[n : n + columns] for n in range(0, len(pictures), columns)]
    return np.vstack([row for some in rows for row in (_row(some), _space(GAP, WIDTH))][:-1])


def _row(pictures: list[Picture]) -> Picture:
    import cv2

    room = WIDTH - GAP * (len(pictures) - 1)
    height = round(room / sum(picture.shape[1] / picture.shape[0] for picture in pictures))
    row, left = _space(height, WIDTH), 0
    for n, picture in enumerate(pictures):
        wide = round(picture.shape[1] * height / picture.shape[0])
        wide = WIDTH - left if n == len(pictures) - 1 else wide
        row[:, left : left + wide] = cv2.resize(
            picture, (wide, height), interpolation=cv2.INTER_AREA
        )
        left += wide + GAP
    return row


def _space(height: int, width: int) -> Picture:
    return np.full((height, width, 3), 255, np.uint8)


if __name__ == "__main__":
    main()
