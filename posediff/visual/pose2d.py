"""Drawing of people in a photo, with the spread of each joint, and of heatmaps.

The spread of a joint is drawn as an ellipse of one standard deviation of the K hypotheses along
each of its axes, or as a circle if a single heatmap gives only its second moment. Sides have the
colours of the 3D drawings. A joint whose score is below HOLLOW is a ring, and its bones are thin; a
joint of score 0 is missing. The heatmaps of a reverse process are drawn over the crop that the
network read, a row for every step and a column for every joint.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from posediff.diffusion.aggregate import Poses
from posediff.pose.skeleton import Skeleton
from posediff.visual.canvas import FINE, Canvas, Picture, Points, to_array
from posediff.visual.palette import BLACK, INK, WHITE, bone_colour, joint_colours

RGB = NDArray[np.uint8]
Floats = NDArray[np.floating]

SIDE = (480, 1280)  # pixels, the shortest and the longest longer side of a drawing
TILE = 128  # pixels, height of a crop among the heatmaps
MARGIN = (90, 20)  # pixels, on the left and above the crops, for names
HOLLOW = 0.3  # a joint with a lower score is drawn hollow; 0 is missing


def draw_pose2d(
    photo: RGB,
    poses: Poses,
    skeleton: Skeleton,
    names: Sequence[str] = (),
    boxes: Floats | None = None,
) -> Picture:
    """P people in a photo (h, w, 3), which is enlarged or reduced; above each person its name, if
    any. poses: in pixels of the photo. boxes (P, 4): x1, y1, x2, y2, drawn with the names."""
    canvas, scale = _photo_canvas(photo)
    points, scores = to_array(poses.keypoints), to_array(poses.scores)
    hypotheses, radii = to_array(poses.hypotheses), to_array(poses.spread)
    colours = joint_colours(skeleton)
    drawn = np.isfinite(points).all(-1) & (scores > 0)
    for p, box in enumerate(() if boxes is None else boxes * scale):
        _box(canvas, box, names[p] if p < len(names) else "")
    for p, joints in enumerate(map(np.flatnonzero, drawn)):
        centres = (points[p] + 0.5) * scale - 0.5
        ellipses = [_axes(hypotheses[p, :, j] - points[p, j], radii[p, j]) for j in joints]
        for opacity, filled in ((0.1, True), (0.45, False)):
            with canvas.translucent(opacity):
                for j, (axes, angle) in zip(joints, ellipses, strict=True):
                    canvas.ellipse(centres[j], axes * scale, angle, colours[j], filled)
        _bones(canvas, centres, joints, scores[p] >= HOLLOW, skeleton)
    for at, shown, name in zip(points, drawn, names if boxes is None else (), strict=False):
        _name(canvas, at[shown] * scale, name)
    return canvas.finish()


def draw_heatmaps(crop: RGB, steps: Sequence[tuple[str, Tensor]], skeleton: Skeleton) -> Picture:
    """Heatmaps (J, h, w) of every named step over the crop (H, W, 3).

    The highest peak of all has the full brightness; the height of each is written below it.
    """
    import cv2

    height, width = TILE, round(TILE * crop.shape[1] / crop.shape[0])
    left, top = MARGIN
    canvas = Canvas(left + len(skeleton.joints) * width, top + len(steps) * height)
    size = width * FINE, height * FINE
    colours = joint_colours(skeleton)
    dim = cv2.resize(crop[..., ::-1], size).astype(np.float32) * 0.4
    brightest = max(max(float(maps.max()) for _, maps in steps), 1e-6)
    for i, (name, maps) in enumerate(steps):
        canvas.text((8, top + (i + 0.5) * height), name, INK, 11)
        for j, (values, colour) in enumerate(zip(to_array(maps), colours, strict=True)):
            x, y = left + j * width, top + i * height
            glow = cv2.resize((values / brightest).astype(np.float32), size).clip(0, 1)[..., None]
            light = np.array(colour, np.float32) * 0.5 + 127
            tile = canvas.fine[y * FINE :, x * FINE :][: size[1], : size[0]]
            tile[...] = (dim + glow * (light - dim)).astype(np.uint8)
            canvas.text((x + 4, y + height - 6), f"{values.max():.2f}", WHITE, 8)
    for j, joint in enumerate(skeleton.joints):
        canvas.text((left + j * width + 4, top - 7), joint.replace("_", " "), INK, 7.5)
    return canvas.finish()


def _photo_canvas(photo: RGB) -> tuple[Canvas, float]:
    """A canvas with the photo on it, and its pixels per pixel of the photo."""
    import cv2

    longer = max(photo.shape[:2])
    scale = float(np.clip(longer, *SIDE)) / longer
    height, width = (max(1, round(side * scale)) for side in photo.shape[:2])
    canvas = Canvas(width, height)
    fine = cv2.resize(photo[..., ::-1], (width * FINE, height * FINE))
    canvas.fine = np.ascontiguousarray(fine)
    return canvas, scale


def _axes(offsets: Points, spread: float) -> tuple[Points, float]:
    """Standard deviations of hypotheses along the two axes of their ellipse, and the angle of the
    first in degrees. offsets: (K, 2) from the joint; for K = 1 a circle of the same RMS distance.
    """
    if len(offsets) == 1:
        return np.full(2, spread / np.sqrt(2)), 0.0
    values, vectors = np.linalg.eigh(offsets.T @ offsets / len(offsets))
    return np.sqrt(values.clip(0)), float(np.degrees(np.arctan2(vectors[1, 0], vectors[0, 0])))


def _name(canvas: Canvas, at: Points, name: str) -> None:
    """Write the name above the highest joint of a person, but within the image."""
    if len(at):
        x, y = at[at[:, 1].argmin()] - (5, 12)
        place = max(x, 4), max(y, 16)
        for shift, ink in ((1, BLACK), (0, WHITE)):
            canvas.text((place[0] + shift, place[1] + shift), name, ink, 12, bold=True)


def _box(canvas: Canvas, box: Floats, name: str) -> None:
    """The box of a person, and its name in its upper left corner, within the image."""
    x1, y1, x2, y2 = (float(side) for side in box)
    corners = ((x1, y1), (x2, y1), (x2, y2), (x1, y2))
    for ink, width in ((BLACK, 2.5), (WHITE, 1.2)):
        with canvas.translucent(0.8):
            for a, b in zip(corners, corners[1:] + corners[:1], strict=True):
                canvas.line(a, b, ink, width)
    if name:
        x, y = max(x1, 0.0), max(y1, 0.0)
        canvas.box((x, y), (x + 10 + 9 * len(name), y + 19), BLACK, BLACK)
        canvas.text((x + 5, y + 15), name, WHITE, 12, bold=True)


def _bones(
    canvas: Canvas,
    at: Points,
    joints: NDArray[np.int64],
    sure: NDArray[np.bool_],
    skeleton: Skeleton,
) -> None:
    """Bones between the `joints` that are drawn, thin if one of their ends is not `sure`."""
    colours = joint_colours(skeleton)
    extent = np.ptp(at[joints], axis=0).max() if len(joints) else 0.0
    width = float(np.clip(extent / 90, 1.5, 4.0))
    ends = [(a, b) for a, b in skeleton.edges if a in joints and b in joints]
    widths = [width if sure[a] and sure[b] else width / 3 for a, b in ends]
    for (a, b), wide in zip(ends, widths, strict=True):
        canvas.line(at[a], at[b], WHITE, wide + 1.5)
    for (a, b), wide in zip(ends, widths, strict=True):
        canvas.line(at[a], at[b], bone_colour(colours[a], colours[b]), wide)
    for j in joints:
        canvas.circle(at[j], width * 1.1, WHITE, filled=True)
        canvas.circle(at[j], width * 0.8, colours[j], filled=True)
        if not sure[j]:
            canvas.circle(at[j], width * 0.45, WHITE, filled=True)
