"""People in a photo: skeletons, and how sure each joint is.

The spread of a joint is drawn as an ellipse of one standard deviation along each of its axes: of
the K hypotheses, or a circle where a single heatmap tells its second moment alone. Sides have the
colours of the 3D pictures. The heatmaps of a reverse process are drawn over the crop that the
network saw, a row for every step and a column for every joint.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from posediff.diffusion.aggregate import Poses
from posediff.pose.skeleton import Skeleton
from posediff.visual.canvas import FINE, Canvas, Colour, Picture
from posediff.visual.pose3d import LEFT, MIDDLE, RIGHT

Points = NDArray[np.float64]
RGB = NDArray[np.uint8]

WHITE: Colour = (255, 255, 255)
BLACK: Colour = (0, 0, 0)
INK: Colour = (40, 40, 40)
SIDE = (480, 1280)  # the longer side of a picture is brought between these
TILE = 128  # height of a crop among the heatmaps
MARGIN = (90, 20)  # beside and above them, for names
FAINT = 0.05  # a joint with a lower peak is not drawn


def draw_pose2d(
    photo: RGB,
    poses: Poses,
    skeleton: Skeleton,
    names: Sequence[str] = (),
) -> Picture:
    """P people in a photo (h, w, 3), which is enlarged or reduced; above each its name, if any.

    poses: in pixels of the photo.
    """
    canvas, scale = _over(photo)
    points, scores = _array(poses.keypoints), _array(poses.scores)
    every, radii = _array(poses.hypotheses), _array(poses.spread)
    for at, sure, drawn, radius in zip(points, scores, every, radii, strict=True):
        seen = [j for j in range(len(at)) if np.isfinite(at[j]).all() and sure[j] >= FAINT]
        _ellipses(canvas, at, drawn, radius, seen, skeleton, scale)
        _bones(canvas, (at + 0.5) * scale - 0.5, seen, skeleton)
    for at, sure, name in zip(points, scores, names, strict=False):
        _name(canvas, at[np.isfinite(at).all(-1) & (sure >= FAINT)] * scale, name)
    return canvas.finish()


def draw_heatmaps(crop: RGB, steps: Sequence[tuple[str, Tensor]], skeleton: Skeleton) -> Picture:
    """crop (H, W, 3) RGB, and for each named step its heatmaps (J, h, w).

    The highest peak of all is as bright as can be; how high each is stands below it.
    """
    import cv2

    height, width = TILE, round(TILE * crop.shape[1] / crop.shape[0])
    left, top = MARGIN
    canvas = Canvas(left + len(skeleton.joints) * width, top + len(steps) * height)
    size = width * FINE, height * FINE
    dim = cv2.resize(crop[..., ::-1], size).astype(np.float32) * 0.4
    brightest = max(max(float(maps.max()) for _, maps in steps), 1e-6)
    for i, (name, maps) in enumerate(steps):
        canvas.text((8, top + (i + 0.5) * height), name, INK, 11)
        for j, (values, colour) in enumerate(zip(_array(maps), _colours(skeleton), strict=True)):
            x, y = left + j * width, top + i * height
            glow = cv2.resize((values / brightest).astype(np.float32), size).clip(0, 1)[..., None]
            light = np.array(colour, np.float32) * 0.5 + 127
            tile = canvas.fine[y * FINE :, x * FINE :][: size[1], : size[0]]
            tile[...] = (dim + glow * (light - dim)).astype(np.uint8)
            canvas.text((x + 4, y + height - 6), f"{values.max():.2f}", WHITE, 8)
    for j, joint in enumerate(skeleton.joints):
        canvas.text((left + j * width + 4, top - 7), joint.replace("_", " "), INK, 7.5)
    return canvas.finish()


def _over(photo: RGB) -> tuple[Canvas, float]:
    """A canvas with the photo on it, and its pixels per pixel of the photo."""
    import cv2

    longer = max(photo.shape[:2])
    scale = float(np.clip(longer, *SIDE)) / longer
    height, width = (max(1, round(side * scale)) for side in photo.shape[:2])
    canvas = Canvas(width, height)
    fine = cv2.resize(photo[..., ::-1], (width * FINE, height * FINE))
    canvas.fine = np.ascontiguousarray(fine)
    return canvas, scale


def _ellipses(
    canvas: Canvas,
    at: Points,
    every: Points,
    radius: Points,
    seen: Sequence[int],
    skeleton: Skeleton,
    scale: float,
) -> None:
    colours = _colours(skeleton)
    for opacity, filled in ((0.1, True), (0.45, False)):
        with canvas.translucent(opacity):
            for j in seen:
                axes, angle = _axes(every[:, j] - at[j], float(radius[j]))
                canvas.ellipse((at[j] + 0.5) * scale - 0.5, axes * scale, angle, colours[j], filled)


def _axes(apart: Points, spread: float) -> tuple[Points, float]:
    """Standard deviations along the two axes, and the angle of the first in degrees: of draws
    (K, 2), or a circle of the same RMS distance where there is one."""
    if len(apart) == 1:
        return np.full(2, spread / np.sqrt(2)), 0.0
    values, vectors = np.linalg.eigh(apart.T @ apart / len(apart))
    return np.sqrt(values.clip(0)), float(np.degrees(np.arctan2(vectors[1, 0], vectors[0, 0])))


def _name(canvas: Canvas, at: Points, name: str) -> None:
    """Above the highest of somebody's joints, but within the picture."""
    if len(at):
        x, y = at[at[:, 1].argmin()] - (5, 12)
        place = max(x, 4), max(y, 16)
        for shift, ink in ((1, BLACK), (0, WHITE)):
            canvas.text((place[0] + shift, place[1] + shift), name, ink, 12, bold=True)


def _bones(canvas: Canvas, at: Points, seen: Sequence[int], skeleton: Skeleton) -> None:
    colours = _colours(skeleton)
    extent = np.ptp(at[list(seen)], axis=0).max() if seen else 0.0
    width = float(np.clip(extent / 90, 1.5, 4.0))
    ends = [(a, b) for a, b in skeleton.edges if a in seen and b in seen]
    for a, b in ends:
        canvas.line(at[a], at[b], WHITE, width + 1.5)
    for a, b in ends:
        sides = {colours[a], colours[b]} - {MIDDLE}
        canvas.line(at[a], at[b], sides.pop() if len(sides) == 1 else MIDDLE, width)
    for j in seen:
        canvas.disc(at[j], width * 1.1, WHITE)
        canvas.disc(at[j], width * 0.8, colours[j])


def _colours(skeleton: Skeleton) -> list[Colour]:
    sides = {"left": LEFT, "right": RIGHT}
    return [sides.get(joint.split("_")[0], MIDDLE) for joint in skeleton.joints]


def _array(x: Tensor) -> Points:
    return x.detach().double().cpu().numpy()
