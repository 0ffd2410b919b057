"""A sequence of images as a video file, as a GIF, and as tiles on one sheet."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from fractions import Fraction
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from posediff.files import replacing
from posediff.visual.canvas import Canvas, Picture
from posediff.visual.palette import INK

Show = Callable[[Picture], None]

GIF_SIDE, GIF_FRAMES = 720, 240  # pixels and images of a GIF, at most
TILE = 300  # pixels, the longer side of a tile
CAPTION = 20  # pixels below a tile, for its name
COLUMNS = 4


def film_note() -> str | None:
    """Form of a film without PyAV and what to install, in one line; None with PyAV."""
    if find_spec("av") is not None:
        return None
    return (
        "films are MPEG-4 Part 2, which browsers do not play: "
        "`pip install 'posediff[video]'` makes them H.264"
    )


def write_film(path: Path, pictures: Iterable[Picture], rate: float) -> None:
    """Write an mp4 or a gif of one or more images of one size, as `filming` does."""
    with filming(path, rate) as add:
        for picture in pictures:
            add(picture)


@contextmanager
def filming(path: Path, rate: float) -> Iterator[Show]:
    """A function that adds an image to an mp4, or to a gif by the suffix of the path; all have the
    size of the first, without the last row or column of an odd side.

    An mp4 is H.264 in 4:2:0, which browsers play, by PyAV; without PyAV it is `film_note`'s. A gif
    is reduced to GIF_SIDE, and of a long one every 2nd image is kept, or every 4th, and so on.
    Raises ValueError if an image has another size, or if OpenCV cannot write the format.
    """
    writer = _gif if path.suffix.lower() == ".gif" else _opencv if film_note() else _h264
    with replacing(path) as part, writer(part, rate) as write:
        size: list[tuple[int, int]] = []

        def add(picture: Picture) -> None:
            height, width = picture.shape[0] // 2 * 2, picture.shape[1] // 2 * 2
            if (height, width) != (size or [(height, width)])[0]:
                raise ValueError(f"{path}: images of several sizes, {size[0]} and {height, width}")
            size[:] = [(height, width)]
            write(np.ascontiguousarray(picture[:height, :width]))

        yield add


@contextmanager
def _h264(path: Path, rate: float) -> Iterator[Show]:
    import av

    fps = Fraction(rate).limit_denominator(1001)
    with av.open(str(path), "w", format="mp4", options={"movflags": "faststart"}) as container:
        stream = container.add_stream("libx264", rate=fps, options={"crf": "20"})
        stream.pix_fmt = "yuv420p"

        def write(picture: Picture) -> None:
            if not stream.codec_context.is_open:
                stream.height, stream.width = picture.shape[:2]
            frame = av.VideoFrame.from_ndarray(picture, format="bgr24")
            container.mux(stream.encode(frame))

        yield write
        container.mux(stream.encode())


@contextmanager
def _opencv(path: Path, rate: float) -> Iterator[Show]:
    import cv2

    writers: list[cv2.VideoWriter] = []

    def write(picture: Picture) -> None:
        if not writers:
            code: Any = cv2.VideoWriter.fourcc(*"mp4v")
            writers.append(cv2.VideoWriter(str(path), code, rate, picture.shape[1::-1]))
            if not writers[0].isOpened():
                raise ValueError(f"{path}: this OpenCV cannot write MPEG-4; use one with FFmpeg")
        writers[0].write(picture)

    yield write
    for writer in writers:
        writer.release()


@contextmanager
def _gif(path: Path, rate: float) -> Iterator[Show]:
    import cv2

    if not hasattr(cv2, "imwriteanimation"):
        raise ValueError(f"{path}: a GIF needs OpenCV 4.11 or newer, not {cv2.__version__}")
    kept: list[Picture] = []
    count, stride = 0, 1

    def write(picture: Picture) -> None:
        nonlocal count, stride
        if count % stride == 0:
            kept.append(_reduced(picture))
        if len(kept) > GIF_FRAMES:
            kept[:], stride = kept[::2], 2 * stride
        count += 1

    yield write
    animation = cv2.Animation()
    animation.frames = kept
    animation.durations = [max(20, round(1000 * stride / rate))] * len(kept)
    # a table of colours for each image; a fixed one makes grey yellow
    quality: Any = [cv2.IMWRITE_GIF_QUALITY, 8, cv2.IMWRITE_GIF_DITHER, 3]
    quality += [cv2.IMWRITE_GIF_COLORTABLE, 1]
    if not kept or not cv2.imwriteanimation(str(path), animation, quality):
        raise ValueError(f"{path}: this OpenCV cannot write a GIF of {len(kept)} images")


def _reduced(picture: Picture) -> Picture:
    """The image, at most GIF_SIDE pixels a side."""
    import cv2

    scale = GIF_SIDE / max(picture.shape[:2])
    if scale >= 1:
        return picture.copy()
    size = round(picture.shape[1] * scale), round(picture.shape[0] * scale)
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8)


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
