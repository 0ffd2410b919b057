"""Anti-aliased strokes on white: drawn twice as large with OpenCV, then averaged down."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

Picture = NDArray[np.uint8]  # (h, w, 3) BGR
Colour = tuple[int, int, int]  # BGR
Points = NDArray[np.float64]  # (..., 2) pixels, or (..., 3) metres
Point = Sequence[float] | Points  # x, y in pixels, with fractions

FINE = 2  # pixels drawn per pixel of the image, along each axis
SHIFT = 4  # binary digits of a drawn pixel's fraction in OpenCV's strokes
FAR = 2.0**14  # pixels; OpenCV's strokes count in 32 bits


def to_array(x: Tensor) -> Points:
    return x.detach().double().cpu().numpy()


class Canvas:
    """An image to draw on. Positions and widths are pixels of the finished image; strokes outside
    are clipped."""

    def __init__(self, width: int, height: int) -> None:
        self.fine: Picture = np.full((height * FINE, width * FINE, 3), 255, np.uint8)

    def line(self, a: Point, b: Point, colour: Colour, width: float) -> None:
        import cv2

        thick = max(1, round(width * FINE))
        cv2.line(self.fine, _fixed(a), _fixed(b), colour, thick, cv2.LINE_AA, SHIFT)

    def circle(self, centre: Point, radius: float, colour: Colour, filled: bool) -> None:
        import cv2

        at, thick = _fixed(centre), -1 if filled else FINE
        cv2.circle(self.fine, at, _length(radius), colour, thick, cv2.LINE_AA, SHIFT)

    def ellipse(
        self, centre: Point, axes: Point, angle: float, colour: Colour, filled: bool
    ) -> None:
        """axes: half axes in pixels, the first at `angle` degrees, clockwise on the screen."""
        import cv2

        at, thick = _fixed(centre), -1 if filled else FINE
        half = _length(float(axes[0])), _length(float(axes[1]))
        cv2.ellipse(self.fine, at, half, angle, 0, 360, colour, thick, cv2.LINE_AA, SHIFT)

    def box(self, a: Point, b: Point, colour: Colour, fill: Colour) -> None:
        import cv2

        for ink, thick in ((fill, -1), (colour, FINE)):
            cv2.rectangle(self.fine, _fixed(a), _fixed(b), ink, thick, cv2.LINE_AA, SHIFT)

    def text(self, at: Point, words: str, colour: Colour, size: float, bold: bool = False) -> float:
        """Write words on a baseline that starts at `at`, capitals about `size` pixels high. Returns
        their width."""
        import cv2

        font, scale, thick = cv2.FONT_HERSHEY_SIMPLEX, size * FINE / 21, 2 if bold else 1
        origin = (round(at[0] * FINE), round(at[1] * FINE))
        cv2.putText(self.fine, words, origin, font, scale, colour, thick, cv2.LINE_AA)
        return float(cv2.getTextSize(words, font, scale, thick)[0][0]) / FINE

    @contextmanager
    def translucent(self, opacity: float) -> Iterator[None]:
        """Blend everything drawn in the block over the image, as one layer of that opacity."""
        import cv2

        before = self.fine.copy()
        yield
        cv2.addWeighted(self.fine, opacity, before, 1 - opacity, 0, dst=self.fine)

    def finish(self) -> Picture:
        import cv2

        height, width = (n // FINE for n in self.fine.shape[:2])
        small = cv2.resize(self.fine, (width, height), interpolation=cv2.INTER_AREA)
        return np.asarray(small, np.uint8)


def _length(pixels: float) -> int:
    return int(np.round(min(pixels, FAR) * FINE * 2**SHIFT))


def _fixed(point: Point) -> tuple[int, int]:
    """Drawn pixels in fixed point. In both images the centres of pixels are whole numbers."""
    drawn = (np.clip(point, -FAR, FAR) + 0.5) * FINE - 0.5
    x, y = np.round(drawn * 2**SHIFT).astype(int)
    return int(x), int(y)
