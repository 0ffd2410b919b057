"""Motion of one track as TRC, the marker file of OpenSim.

Five lines of header separated by tabs, an empty line, then a line per frame: its number from 1, its
time in seconds, and x, y, z of every joint in millimetres: y up, x right in the picture, z to the
camera, relative to the root. `nan` if unknown, as OpenSim writes it.
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from posediff.pose.skeleton import Skeleton

KEYS = (
    *("DataRate", "CameraRate", "NumFrames", "NumMarkers", "Units"),
    *("OrigDataRate", "OrigDataStartFrame", "OrigNumFrames"),
)


def write_trc(
    path: Path, points: NDArray[np.float64], skeleton: Skeleton, rate: float, first: int = 0
) -> None:
    """Write positions (F, J, 3) in metres, y up; NaN if unknown. first: the number of the first
    frame in its video, from 0."""
    frames, markers = points.shape[:2]
    fps = f"{rate:.6g}"
    values = (fps, fps, frames, markers, "mm", fps, 1, frames)
    axes = (f"{axis}{m}" for m in range(1, markers + 1) for axis in "XYZ")
    header = [
        ("PathFileType", "4", "(X/Y/Z)", path.name),
        KEYS,
        tuple(map(str, values)),
        ("Frame#", "Time", *(cell for name in skeleton.joints for cell in (name, "", ""))),
        ("", "", *axes),
        (),
    ]
    rows = (1000 * points).round(3).reshape(frames, -1) + 0.0  # no -0
    data = (
        (str(n + 1), f"{(first + n) / rate:.6f}", *(f"{value:.3f}" for value in row))
        for n, row in enumerate(rows)
    )
    text = "\n".join("\t".join(cells) for cells in (*header, *data))
    path.write_text(text + "\n", encoding="ascii")
