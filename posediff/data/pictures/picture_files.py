"""Pictures as they lie in their files: RGB, 8 bits, never turned.

A camera's note about its orientation (EXIF) is not followed, as the benchmarks' coordinates are
those of the stored pixels. Grey becomes three equal channels, CMYK becomes RGB, 16 bits become 8,
transparency is dropped.
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

RGB = NDArray[np.uint8]  # (h, w, 3)

JPEG = b"\xff\xd8"
# every segment is 0xFF, a kind, two bytes of length; these kinds hold height and width
FRAMES = (*range(0xC0, 0xC4), *range(0xC5, 0xC8), *range(0xC9, 0xCC), *range(0xCD, 0xD0))


def read(path: Path) -> RGB:
    """The picture (h, w, 3) of a file of any usual kind.

    FileNotFoundError, or ValueError with one line, where it is missing, cut short or no picture.
    """
    import cv2

    data = _bytes(path)
    whole = _ends(data)
    image = None
    if whole:
        flags = cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
        image = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    if image is None:
        raise ValueError(
            f"{path}: the picture is {'damaged' if whole else 'cut short'}: copy it again"
        )
    if min(image.shape[:2]) < 2:
        raise ValueError(f"{path}: a picture of {image.shape[1]}x{image.shape[0]} shows nobody")
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), np.uint8)


def size(path: Path) -> tuple[int, int]:
    """Width and height, from the head of a JPEG or PNG file; other kinds are decoded."""
    if not path.is_file():
        raise _missing(path)
    with path.open("rb") as file:
        head = file.read(24)
        if head.startswith(b"\x89PNG") and len(head) == 24:
            return int.from_bytes(head[16:20]), int.from_bytes(head[20:24])
        at = 2
        while head.startswith(JPEG) and file.seek(at) and len(part := file.read(9)) == 9:
            if part[1] in FRAMES:
                return int.from_bytes(part[7:9]), int.from_bytes(part[5:7])
            at += 2 + int.from_bytes(part[2:4])
    height, width, _ = read(path).shape
    return width, height


def _bytes(path: Path) -> bytes:
    if not path.is_file():
        raise _missing(path)
    data = path.read_bytes()
    if not data:
        raise ValueError(f"{path}: the picture is empty: copy it again")
    return data


def _missing(path: Path) -> FileNotFoundError:
    return FileNotFoundError(f"{path}: no such picture")


def _ends(data: bytes) -> bool:
    """Whether a JPEG or PNG reaches its end; some versions of OpenCV fill the rest with grey."""
    if data.startswith(JPEG):  # an end marker after the last scan has begun
        return data.rfind(b"\xff\xd9") > data.rfind(b"\xff\xda")
    return not data.startswith(b"\x89PNG") or b"IEND" in data
