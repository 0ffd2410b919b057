"""A sequence of images as a video file, and as tiles on one sheet."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from posediff.files import replacing
from posediff.visual.canvas import Canvas, Picture
from posediff.visual.palette import INK

TILE = 300  # pixels, the longer side of a tile
CAPTION = 20  # pixels below a tile, for its name
COLUMNS = 4


def write_film(path: Path, pictures: Iterable[Picture], rate: float) -> None:
    """Write an mp4 of one or more images of one size, without the last row or column of an odd
    side. Raises ValueError if OpenCV cannot write MPEG-4 video."""
    import cv2

    with replacing(path) as part:
        writer = None
        for picture in pictures:
            height, width = (side // 2 * 2 for side in picture.shape[:2])
            if writer is None:
                code: Any = cv2.VideoWriter.fourcc(*"mp4v")
                writer = cv2.VideoWriter(str(part), code, rate, (width, height))
                if not writer.isOpened():
                    raise ValueError(
                        f"{path}: this OpenCV cannot write MPEG-4; use one with FFmpeg"
                    )
            writer.write(np.ascontiguousarray(picture[:height, :width]))
        if writer is not None:
            writer.release()


def contact_sheet(pictures: Sequence[tuple[str, Picture]]) -> Picture:
    """Named images of one size as tiles, four in a row."""
    import cv2

    height, width = pictures[0][1].shape[:2]
    scale = TILE / max(height, width)
    h, w = round(height * scale), round(width * scale)
    tiles = []
    for name, picture in pictures:
        caption = Canvas(w, CAPTION)
        caption.text((6, CAPTION - 6), name, INK, 9)
        small = cv2.resize(picture, (w, h), interpolation=cv2.INTER_AREA)
        tiles.append(np.concatenate([small, caption.finish()], 0))
    blank = np.full_like(tiles[0], 255)
    tiles += [blank] * (-len(tiles) % COLUMNS)
    rows = [np.concatenate(tiles[i : i + COLUMNS], 1) for i in range(0, len(tiles), COLUMNS)]
    return np.concatenate(rows, 0)
