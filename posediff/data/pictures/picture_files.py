"""Images of files: RGB, 8 bits, as they are stored or upright.

Coordinates of benchmarks refer to the stored pixels, those of a user's own photos and labels to the
picture as programs show it: turned by the orientation that the camera noted (EXIF). Grey becomes
three equal channels, CMYK becomes RGB, 16 bits become 8, transparency is dropped.
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

RGB = NDArray[np.uint8]  # (h, w, 3)

JPEG, PNG = b"\xff\xd8", b"\x89PNG"
EXIF, NOTES = (b"Exif\0\0", b"eXIf"), 1 << 16  # marks of notes of the camera; bytes that have them
# every segment is 0xFF, a kind, two bytes of length; these kinds contain height and width
FRAMES = (*range(0xC0, 0xC4), *range(0xC5, 0xC8), *range(0xC9, 0xCC), *range(0xCD, 0xD0))


def read(path: Path, upright: bool = False) -> RGB:
    """Image (h, w, 3) of a file of any usual format. upright: turned as its EXIF says.

    Raises FileNotFoundError if there is no such file, ValueError if it is cut short or no image.
    """
    import cv2

    _require_file(path)
    data = path.read_bytes()
    problem = "empty" if not data else "" if _is_complete(data) else "cut short"
    flags = cv2.IMREAD_COLOR | (0 if upright else cv2.IMREAD_IGNORE_ORIENTATION)
    image = None if problem else cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    if image is None:
        raise ValueError(f"{path}: the image is {problem or 'damaged'}: copy it again")
    if min(image.shape[:2]) < 2:
        size = f"{image.shape[1]}x{image.shape[0]}"
        raise ValueError(f"{path}: the image has {size} pixels: too small for a person")
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), np.uint8)


def size(path: Path, upright: bool = False) -> tuple[int, int]:
    """Width and height, from the header of a JPEG or PNG file; other formats, and those that may be
    turned, are decoded.

    Raises as `read`.
    """
    _require_file(path)
    with path.open("rb") as file:
        head = file.read(NOTES)
        if upright and any(mark in head for mark in EXIF):
            height, width, _ = read(path, upright).shape
            return width, height
        head = head[:24]
        if head.startswith(PNG) and len(head) == 24:
            return int.from_bytes(head[16:20]), int.from_bytes(head[20:24])
        at = 2
        while head.startswith(JPEG) and file.seek(at) and len(part := file.read(9)) == 9:
            if part[1] in FRAMES:
                return int.from_bytes(part[7:9]), int.from_bytes(part[5:7])
            at += 2 + int.from_bytes(part[2:4])
    height, width, _ = read(path, upright).shape
    return width, height


def _require_file(path: Path) -> None:
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such image file")


def _is_complete(data: bytes) -> bool:
    """Whether a JPEG or PNG has its end; some versions of OpenCV fill a missing part with grey."""
    if data.startswith(JPEG):  # the end marker follows the start of the last scan
        return data.rfind(b"\xff\xd9") > data.rfind(b"\xff\xda")
    return not data.startswith(PNG) or b"IEND" in data
