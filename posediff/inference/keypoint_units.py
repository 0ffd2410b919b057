"""Points of a user's keypoints in pixels, whatever they were measured in.

    pixels     as they are
    fraction   x and y in 0 .. 1 of the picture's width and height (MediaPipe, Ultralytics)
    centred    x and y in -1 .. 1 from one border to the other
    screen     x in -1 .. 1, y by the same factor: 2 p / width - (1, height / width)   (VideoPose3D)
    metres     of a plane before the camera (MediaPipe's world landmarks): 1000 pixels each

People of several joints within SMALL pixels, no coordinate of which reaches FAR, are none in
pixels, so without a unit they are refused. Joints at (0, 0) are missing, and stay there.
"""

from collections.abc import Sequence
from typing import Literal, get_args

import torch
from torch import Tensor

from posediff.diffusion.choices import one_of

Units = Literal["pixels", "fraction", "centred", "screen", "metres"]

SMALL, FAR, SEVERAL = 4.0, 10.0, 5  # pixels, pixels, joints
PER_METRE = 1000.0


def in_pixels(
    points: Tensor, scores: Tensor, units: Units | None, size: Sequence[float] | None, name: str
) -> Tensor:
    """points (N, J, 2) of joints with scores (N, J), 0 if missing, in pixels; Nones: pixels.

    size: width and height of the picture. name: of the keypoints, in errors.
    Raises ValueError if points without a unit are not pixels, or if a unit needs the size.
    """
    if units is None:
        _require_pixels(points, scores, name)
        return points
    one_of("units", units, get_args(Units))
    if units == "pixels":
        return points
    if units == "metres":
        return PER_METRE * points
    if size is None:
        raise ValueError(
            f"units={units} needs the size of the picture: image_size=[width,height]; "
            "posediff FILE: --image-size W,H"
        )
    width, height = (float(side) for side in size)
    sides = points.new_tensor([width, height])
    if units == "fraction":
        return points * sides
    found = (points + 1) / 2 * sides if units == "centred" else (points * width + sides) / 2
    # else a missing joint would be in the middle of the picture
    return torch.where((points != 0).any(-1, keepdim=True), found, 0.0)


def _require_pixels(points: Tensor, scores: Tensor, name: str) -> None:
    known = ((scores > 0) & points.isfinite().all(-1) & (points != 0).any(-1))[..., None]
    low = torch.where(known, points, torch.inf).amin(1)
    high = torch.where(known, points, -torch.inf).amax(1)
    several = known.sum(1)[:, 0] >= SEVERAL
    extent = (high - low).amax(1)[several]
    reach = torch.maximum(high, -low).amax(1)[several]
    if len(extent) and extent.median() < SMALL and reach.median() < FAR:
        lowest, highest = low[several].min().item(), high[several].max().item()
        raise ValueError(
            f"{name}: the points lie in {lowest:.3g} .. {highest:.3g}, so they are no pixels: add "
            "units=fraction (0..1), centred or screen (-1..1) with image_size=[width,height], or "
            "units=metres; units=pixels if they are (posediff FILE: --units fraction, --image-size)"
        )
