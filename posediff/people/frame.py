"""The estimate of a picture: its people, in 2D and 3D, with their uncertainty.

Arrays are float32 of numpy: J joints of the 2D skeleton, K hypotheses, J3 joints of the 3D one.
2D is in pixels of the picture (x right, y down), 3D in metres of the camera (x right, y down, z
forward), relative to the root joint. The 3D hypothesis k was lifted from the 2D hypothesis k, if
these were carried into 3D (posediff/people/lifting.py); otherwise all from the 2D pose.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

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
    """A picture, alone or of a video, and its people, over which an iteration goes."""

    name: str  # of the file, or the number of the frame in its video
    size: tuple[int, int]  # width and height in pixels
    people: tuple[Person, ...]
    image: NDArray[np.uint8] | None = None  # (height, width, 3) RGB
    index: int | None = None  # the number of the frame in its video, from 0; None: a photo
    time: float | None = None  # seconds from the start of the video, as its file states them
    seconds: Mapping[str, float] = field(default_factory=dict)  # of each part of the estimation
    made_by: tuple[str, ...] = ()  # lines: models, what found the boxes, draws, device

    def __iter__(self) -> Iterator[Person]:
        return iter(self.people)

    def __len__(self) -> int:
        return len(self.people)

    def __bool__(self) -> bool:
        """True: a picture without people is a frame, too."""
        return True

    def draw(self, path: str | Path | None = None, space: bool = True) -> NDArray[np.uint8]:
        """The picture with 2D poses and their spread, and beside it the people in 3D from two sides
        if there are some and `space`, as RGB (height, width, 3); also as a file, if a path is
        given.

        Raises ValueError if the path is not .png or .jpg.
        """
        from posediff.visual.frame_picture import draw_frame, is_lifted
        from posediff.visual.pose3d import write_picture

        drawn = draw_frame(self, space and is_lifted(self))
        if path is not None:
            write_picture(Path(path), drawn)
        return np.ascontiguousarray(drawn[..., ::-1])

    def to_dict(self) -> dict[str, Any]:
        """All but the image, as dicts, lists, numbers and names; `from_dict` of
        posediff/outputs/frame_json.py is the way back."""
        from posediff.outputs.frame_json import as_dict

        return as_dict(self)

    def to_json(self, path: str | Path | None = None) -> str:
        """`to_dict` as JSON, on one line; also as a file, if a path is given."""
        from posediff.files import write_json

        if path is not None:
            write_json(Path(path), self.to_dict())
        return json.dumps(self.to_dict(), allow_nan=False)
