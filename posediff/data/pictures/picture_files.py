"""Images of files: RGB, 8 bits, as they are stored or upright.

Coordinates of benchmarks refer to the stored pixels, those of a user's own photos and labels to the
picture as programs show it: turned by the orientation that the camera noted (EXIF). Grey becomes
three equal channels, CMYK becomes RGB, 16 bits become 8, transparency is dropped.
"""

import io
import math
import re
import struct
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray

from posediff.doors.limits import refuse_above

RGB = NDArray[np.uint8]  # (h, w, 3)

JPEG, PNG = b"\xff\xd8", b"\x89PNG"
EXIF, NOTES = (b"Exif\0\0", b"eXIf"), 1 << 16  # marks of notes of the camera; bytes that have them
# every segment is 0xFF, a kind, two bytes of length; these kinds contain height and width
MARKER, END = re.compile(rb"\xff[^\x00\x01\xd0-\xd7\xff]"), b"\xff\xd9"  # others are in the pixels
FRAMES = (*range(0xC0, 0xC4), *range(0xC5, 0xC8), *range(0xC9, 0xCC), *range(0xCD, 0xD0))


def read(path: Path, upright: bool = False) -> RGB:
    """Image (h, w, 3) of a file of any usual format. upright: turned as its EXIF says.

    Raises FileNotFoundError if there is no such file, ValueError if it is cut short or no image.
    """
    import cv2

    _require_file(path)
    data = path.read_bytes()
    problem = "empty" if not data else "" if _is_complete(data) else "cut short"
    if not problem and (sides := stated(io.BytesIO(data))):
        refuse_above("megapixels", path, math.prod(sides) / 1e6, "its size in megapixels")
    flags = cv2.IMREAD_COLOR | (0 if upright else cv2.IMREAD_IGNORE_ORIENTATION)
    try:
        image = None if problem else cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except cv2.error:  # a size beyond that of OpenCV
        image = None
    if image is None:
        remedy = "copy it again" if problem else "copy it again, or name an image"
        raise ValueError(f"{path}: the image is {problem or 'damaged'}: {remedy}")
    if min(image.shape[:2]) < 2:
        size = f"{image.shape[1]}x{image.shape[0]}"
        raise ValueError(f"{path}: the image has {size} pixels: too small for a person")
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), np.uint8)


def is_image(path: Path) -> bool:
    """True if a file begins as an image of a format that is read, whatever its suffix; an empty one
    is an image that lacks all."""
    import cv2

    return path.stat().st_size == 0 or bool(cv2.haveImageReader(str(path)))


def size(path: Path, upright: bool = False) -> tuple[int, int]:
    """Width and height, from the header of a JPEG or PNG file; other formats, and those that may be
    turned, are decoded.

    Raises as `read`.
    """
    _require_file(path)
    with path.open("rb") as file:
        notes = file.read(NOTES) if upright else b""
        if any(mark in notes for mark in EXIF):
            height, width, _ = read(path, upright).shape
            return width, height
        file.seek(0)
        head, found = file.read(4), stated(file)
        if found and (head == PNG or head.startswith(JPEG)) and min(found) > 0:
            refuse_above("megapixels", path, math.prod(found) / 1e6, "its size in megapixels")
            return found
    height, width, _ = read(path, upright).shape
    return width, height


def stated(file: IO[bytes]) -> tuple[int, int] | None:
    """Width and height in the header of a PNG, JPEG, BMP, WebP or TIFF file, None if there are
    none."""
    file.seek(0)
    head = file.read(30)
    if head.startswith(PNG) and len(head) >= 24:
        return int.from_bytes(head[16:20]), int.from_bytes(head[20:24])
    if head.startswith(b"BM") and len(head) >= 26:
        width, height = struct.unpack("<ii", head[18:26])
        return abs(width), abs(height)
    if head[:4] == b"RIFF" and len(head) == 30:
        return _webp(head)
    if head[:4] in (b"II*\0", b"MM\0*"):
        return _tiff(file, "<" if head[:1] == b"I" else ">")
    at = 2
    while head.startswith(JPEG) and file.seek(at) and len(part := file.read(9)) == 9:
        if part[1] in FRAMES:
            return int.from_bytes(part[7:9]), int.from_bytes(part[5:7])
        at += 2 + int.from_bytes(part[2:4])
    return None


def _webp(head: bytes) -> tuple[int, int] | None:
    kind = head[12:16]
    if kind == b"VP8X":
        return 1 + int.from_bytes(head[24:27], "little"), 1 + int.from_bytes(head[27:30], "little")
    if kind == b"VP8L":
        bits = int.from_bytes(head[21:25], "little")
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    width, height = struct.unpack("<HH", head[26:30])
    return (width & 0x3FFF, height & 0x3FFF) if kind == b"VP8 " else None


def _tiff(file: IO[bytes], order: str) -> tuple[int, int] | None:
    """From the first directory: entries of a tag, a type (3: 16 bits), a count and a value."""
    found = dict[int, int]()
    try:
        file.seek(4)
        file.seek(struct.unpack(f"{order}I", file.read(4))[0])
        for _ in range(struct.unpack(f"{order}H", file.read(2))[0]):
            tag, kind, _, value = struct.unpack(f"{order}HHI4s", file.read(12))
            if tag in (256, 257):
                found[tag] = struct.unpack(f"{order}{'H2x' if kind == 3 else 'I'}", value)[0]
    except struct.error:
        return None
    return (found[256], found[257]) if len(found) == 2 else None


def _require_file(path: Path) -> None:
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such image file")


def _is_complete(data: bytes) -> bool:
    """True if a JPEG or PNG has its end; some versions of OpenCV fill a missing part with grey."""
    if not data.startswith(JPEG):
        return not data.startswith(PNG) or b"IEND" in data
    at = 2
    while found := MARKER.search(data, at):
        if found[0] == END:  # what follows is another file, such as a phone's video
            return True
        at = found.end() + int.from_bytes(data[found.end() : found.end() + 2])
    return False
