"""What is estimated of a picture: its people, in 2D and 3D, with their uncertainty.

Arrays are float32 of numpy: J joints of the 2D skeleton, K hypotheses, J3 joints of the 3D one.
2D is in pixels of the picture (x right, y down), 3D in metres of the camera (x right, y down, z
forward), relative to the root joint. The 3D hypothesis k was lifted from the 2D of hypothesis k,
if the 2D has several and they were carried into 3D; otherwise all from the 2D pose.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Person:
    """One person of a picture. Parts in 3D are None if only 2D was asked for, or if too few joints
    are known."""

    box: Floats  # (4,) x1, y1, x2, y2
    box_score: float
    keypoints_2d: Floats  # (J, 2)
    scores: Floats  # (J,) 0 missing .. 1 sure
    spread_2d: Floats  # (J,) RMS distance of the hypotheses, or of one heatmap
    hypotheses_2d: Floats  # (K, J, 2)
    skeleton_2d: str
    track: int | None = None  # the same number in all frames of a video
    keypoints_3d: Floats | None = None  # (J3, 3)
    spread_3d: Floats | None = None  # (J3,) RMS distance of the hypotheses
    hypotheses_3d: Floats | None = None  # (K, J3, 3)
    scores_3d: Floats | None = None  # (J3,) of the 2D that each joint was lifted from
    skeleton_3d: str | None = None


@dataclass(frozen=True)
class Frame:
    """A picture, alone or of a video, and its people."""

    name: str  # of the file, or the number of the frame in its video
    size: tuple[int, int]  # width and height in pixels
    people: tuple[Person, ...]
    image: NDArray[np.uint8] | None = None  # (height, width, 3) RGB
    index: int | None = None  # the number of the frame in its video, from 0; None: a photo
    time: float | None = None  # seconds from the start of the video
    seconds: Mapping[str, float] = field(default_factory=dict)  # of each part of the estimation
