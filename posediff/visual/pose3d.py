"""Drawing of a 3D pose, its hypotheses and the 2D keypoints that it was lifted from.

On the left the 2D keypoints in the frame of their image; then the pose by orthographic projection,
from the front (the side of the camera) and from the side, which shows depth. With yaw a and pitch b

    u = x cos a + z sin a             (turned about the vertical)
    d = z cos a - x sin a             (grows away from the viewer)
    v = y cos b - d sin b             (seen from a little above)

The spread r of a joint is a ball, hence a circle of radius r in every view. The grid is at the
height of the lowest joint, perpendicular to the camera's y axis: a hint, not the floor of the
scene. The scale is the largest at which the pose with its circles, of up to REACH, fits.
"""

from pathlib import Path
from typing import NamedTuple

import numpy as np
from torch import Tensor

from posediff.diffusion.aggregate import Poses
from posediff.files import replacing
from posediff.pose.skeleton import Skeleton
from posediff.visual.canvas import Canvas, Picture, Points, to_array
from posediff.visual.palette import FAINT, GRID, INK, LEFT, RIGHT, WHITE, bone_colour, joint_colours

WIDTH, HEIGHT, CAPTION = 400, 400, 44  # pixels, of a panel and of the line below all three
TOP, BOTTOM, SIDES = MARGINS = 52, 78, 36  # pixels of a panel around a pose, with words
BARE = 12, 40, 12  # the same without words
BONE, HYPOTHESIS = 4.0, 1.5  # pixels, widths of lines
FRONT, SIDE, PITCH = 0.0, np.pi / 2, np.radians(12)
PAPER = (250, 248, 247)
REACH = 1.0  # metres, the widest circle that makes the pose smaller so that it is seen whole
BARS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)  # metres


class Projection(NamedTuple):
    """Projection from metres to pixels of a panel."""

    yaw: float
    scale: float  # pixels per metre
    shift: Points  # (2,) pixels

    def project(self, points: Points) -> Points:
        """Pixels (..., 2) of points (..., 3) in metres."""
        return turned(points, self.yaw)[..., :2] * self.scale + self.shift


def turned(points: Points, yaw: float) -> Points:
    """u, v, d (..., 3) of the equations above, for points (..., 3) in the camera frame, metres."""
    x, y, z = np.moveaxis(points, -1, 0)
    u, d = x * np.cos(yaw) + z * np.sin(yaw), z * np.cos(yaw) - x * np.sin(yaw)
    return np.stack([u, y * np.cos(PITCH) - d * np.sin(PITCH), d], axis=-1)


def views(
    pose: Points, radii: Points | float = 0.0, margins: tuple[int, int, int] = MARGINS
) -> tuple[Projection, Projection]:
    """Front and side view at one scale, the largest at which the pose (J, 3), with circles of these
    radii (J,) in metres, fits both panels within margins above, below and at the sides."""
    top, bottom, sides = margins
    room = np.array([WIDTH - 2 * sides, HEIGHT - top - bottom])
    around = np.broadcast_to(np.minimum(radii, REACH), len(pose))[:, None]
    flats = [turned(pose, yaw)[:, :2] for yaw in (FRONT, SIDE)]
    front, side = (np.concatenate([flat - around, flat + around]) for flat in flats)
    scale = min(float((room / np.ptp(flat, 0).clip(min=0.1)).min()) for flat in (front, side))
    middle = np.array([sides, top]) + room / 2
    shift = [middle - scale * (flat.min(0) + flat.max(0)) / 2 for flat in (front, side)]
    return Projection(FRONT, scale, shift[0]), Projection(SIDE, scale, shift[1])


def draw_pose3d(points_2d: Tensor, image_size: Tensor, pose: Poses, skeleton: Skeleton) -> Picture:
    """The 2D input, the pose from the front, the pose from the side, and a caption.

    points_2d: (J, 2) pixels, NaN if a joint is missing. image_size: (2,) width, height. pose: one
    of `Poses`, without the leading dimension, in metres.
    """
    input_panel = _input_panel(to_array(points_2d), to_array(image_size), skeleton)
    panels = np.hstack([input_panel, draw_views(pose, skeleton)])
    return np.vstack([panels, _caption(len(pose.hypotheses), to_array(pose.spread))])


def draw_views(
    pose: Poses, skeleton: Skeleton, within: Tensor | None = None, words: bool = True
) -> Picture:
    """One of `Poses` from the front and from the side, with its hypotheses and spread, (HEIGHT,
    2 WIDTH, 3). within: the pose (J, 3) whose scale and place are used, by default its own. words:
    titles and the length of the scale bar; False for views that become too small for them."""
    joints, hypotheses = to_array(pose.keypoints), to_array(pose.hypotheses)
    radii, panels = to_array(pose.spread), []
    standing, around = (joints, radii) if within is None else (to_array(within), 0.0)
    margins = MARGINS if words else BARE
    for view, title in zip(
        views(standing, around, margins), ("3D, front", "3D, side"), strict=True
    ):
        canvas = Canvas(WIDTH, HEIGHT)
        _grid(canvas, view, standing)
        _spread(canvas, view, joints, radii, skeleton)
        _hypotheses(canvas, view.project(hypotheses), skeleton)
        _bones(canvas, view.project(joints), turned(joints, view.yaw)[:, 2], skeleton, BONE)
        if words:
            _scale_bar(canvas, view)
            canvas.text((16, 30), title, INK, 12.5, bold=True)
        panels.append(canvas.finish())
    return np.hstack(panels)


def write_picture(path: Path, picture: Picture) -> None:
    """Write an image in the format of the name. Raises ValueError if it is not .png or .jpg."""
    import cv2

    if path.suffix.lower() not in (".png", ".jpg", ".jpeg"):
        raise ValueError(f"{path}: unknown image format {path.suffix!r}; use .png or .jpg")
    with replacing(path, synced=False) as part:
        part.write_bytes(cv2.imencode(path.suffix, picture)[1].tobytes())


def _input_panel(points: Points, size: Points, skeleton: Skeleton) -> Picture:
    canvas = Canvas(WIDTH, HEIGHT)
    room = np.array([WIDTH - SIDES, HEIGHT - TOP - SIDES / 2])
    scale = float((room / size).min())
    corner = np.array([SIDES / 2, TOP]) + (room - scale * size) * [0.5, 0]
    canvas.box(corner, corner + scale * size, GRID, fill=PAPER)
    at = corner + scale * (points + 0.5)  # the frame starts half a pixel before pixel 0
    seen = at[np.isfinite(at.sum(-1))]
    extent = np.ptp(seen, axis=0).max() if len(seen) else 0.0
    _bones(canvas, at, np.zeros(len(at)), skeleton, width=float(np.clip(extent / 60, 1.5, BONE)))
    x = 16 + canvas.text((16, 30), "2D input", INK, 12.5, bold=True)
    canvas.text((x + 10, 30), f"{size[0]:.0f} x {size[1]:.0f} px", FAINT, 11)
    return canvas.finish()


def _bones(canvas: Canvas, at: Points, depth: Points, skeleton: Skeleton, width: float) -> None:
    """Draw the far bones first, each with a white edge that separates it from those behind."""
    colours, present = joint_colours(skeleton), np.isfinite(at.sum(-1))
    for a, b in sorted(skeleton.edges, key=lambda bone: -depth[list(bone)].sum()):
        if present[a] and present[b]:
            canvas.line(at[a], at[b], WHITE, width + 2)
            canvas.line(at[a], at[b], bone_colour(colours[a], colours[b]), width)
    for j in np.argsort(-depth, kind="stable"):
        if present[j]:
            canvas.circle(at[j], width * 0.95, WHITE, filled=True)
            canvas.circle(at[j], width * 0.7, colours[j], filled=True)


def _spread(
    canvas: Canvas, view: Projection, pose: Points, radii: Points, skeleton: Skeleton
) -> None:
    centres, colours = view.project(pose), joint_colours(skeleton)
    for opacity, filled in ((0.15, True), (0.5, False)):
        with canvas.translucent(opacity):
            for centre, radius, colour in zip(centres, radii * view.scale, colours, strict=True):
                canvas.circle(centre, radius, colour, filled)


def _hypotheses(canvas: Canvas, hypotheses: Points, skeleton: Skeleton) -> None:
    """Draw hypotheses (K, J, 2) in pixels; the more there are, the fainter each."""
    colours = joint_colours(skeleton)
    for at in hypotheses:
        with canvas.translucent(float(np.clip(3 / len(hypotheses), 0.15, 0.5))):
            for a, b in skeleton.edges:
                canvas.line(at[a], at[b], bone_colour(colours[a], colours[b]), HYPOTHESIS)


def _cell(view: Projection) -> float:
    """The largest round length, in metres, that takes at most a quarter of a panel."""
    return max((bar for bar in BARS if bar * view.scale <= WIDTH / 4), default=BARS[0])


def _grid(canvas: Canvas, view: Projection, pose: Points) -> None:
    cell = _cell(view)
    half = cell * int((WIDTH / 2 - 8) / (cell * view.scale))
    for step in np.arange(-half, half + cell / 2, cell):
        for axis in (0, 2):
            ends = np.tile((pose.min(0) + pose.max(0)) / 2, (2, 1))
            ends[:, 1] = pose[:, 1].max()
            ends[:, axis] += step
            ends[:, 2 - axis] += (-half, half)
            a, b = view.project(ends)
            canvas.line(a, b, GRID, 1)


def _scale_bar(canvas: Canvas, view: Projection) -> None:
    """Draw the length of a cell; in the side view also the direction of the camera."""
    cell, x, y = _cell(view), 16.0, HEIGHT - 12.0
    end = x + cell * view.scale
    canvas.line((x, y), (end, y), INK, 2)
    canvas.text((end + 8, y + 4), f"{cell:g} m", INK, 11)
    if view.yaw == SIDE:
        x = WIDTH - 104.0
        canvas.line((x, y), (x + 22, y), FAINT, 1.5)
        for tip in (-4, 4):
            canvas.line((x, y), (x + 5, y + tip), FAINT, 1.5)
        canvas.text((x + 30, y + 4), "camera", FAINT, 11)


def _caption(K: int, radii: Points) -> Picture:
    canvas, x, y = Canvas(3 * WIDTH, CAPTION), 16.0, 27.0
    for colour, words in ((LEFT, "left"), (RIGHT, "right")):
        canvas.line((x + 3, y - 5), (x + 20, y - 5), colour, BONE)
        x += 52 + canvas.text((x + 30, y), words, INK, 11.5)
    with canvas.translucent(0.5):
        for rise in (-2, 2):
            canvas.line((x, y - 5 + rise), (x + 22, y - 5 - rise), LEFT, HYPOTHESIS)
    x += 52 + canvas.text((x + 30, y), f"{K} hypothes{'e' if K > 1 else 'i'}s", INK, 11.5)
    with canvas.translucent(0.5):
        canvas.circle((x + 11, y - 5), 8, LEFT, filled=False)
    canvas.text((x + 30, y), "spread of a joint (RMS)", INK, 11.5)
    canvas.text((2 * WIDTH + 16, y), f"mean spread {1000 * radii.mean():.0f} mm", INK, 11.5)
    return canvas.finish()
