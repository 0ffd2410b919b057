"""A user's own 2D keypoints through a lifter: one pose per row, whatever is missing.

A lifter expects people of the size and place in the image that it was trained on; the pose of a
small person near the border would be bent and short. So, unless the size of the image is given,
every person is seen in an image of their own: SIDE x SIDE pixels around the middle of their box,
zoomed so that they take SHARE of it, with one zoom for a track.

    q = zoom (p - middle) + SIDE / 2,   f -> zoom f,   c -> zoom (c - middle) + SIDE / 2

A video model reads windows of successive frames of one person. A frame in which the person is
missing is bridged there by the straight line between its neighbours, with the scores of occluded
joints, so that the frame rate stays the same; a gap longer than a window starts a new segment. No
pose is invented for a frame without detections, nor for a person with fewer than FEWEST known
joints: the pose of such a row is NaN with score 0.
"""

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from posediff.data.lifting.windows import windowed
from posediff.diffusion import Model, Poses
from posediff.doors.checks import INTEGER, array
from posediff.inference.keypoint_units import Units, in_pixels
from posediff.inference.lifting_input import Tracks, intrinsics, lifting_sample
from posediff.inference.lifting_input import image_size as sides
from posediff.inference.plausible import doubts
from posediff.pose.layout import convert
from posediff.pose.skeleton import Skeleton, skeleton
from posediff.sample import parts, take, to

TASK = "lift3d"
SIDE, SHARE = 1000.0, 0.35  # pixels; the share of standing people in the images of the data sets
TALL = 0.9  # quantile of a track's boxes that is its size: people crouch, detectors fail
FEWEST = 9  # joints of a person; no lifter was trained on fewer
BATCH = 1024  # frames at once
BRIDGED = 0.25  # score of a joint in a bridged frame; below 0.5 means occluded


class Lifted(NamedTuple):
    poses: Poses  # (N, ...); NaN with score 0 if not found
    found: Tensor  # (N,) bool: enough joints are known
    sample: dict[str, Any]  # the found rows as single frames, as the lifter reads them


def lift(
    model: Model,
    points: Tensor,
    image_size: tuple[float, float] | None = None,
    scores: Tensor | None = None,
    layout: str = "coco17",
    camera: Sequence[float] | None = None,
    tracks: Tensor | None = None,
    frames: Tensor | None = None,
    ids: Sequence[str] | None = None,
    hypotheses: int | None = None,
    steps: int | None = None,
    seed: int = 0,
    units: Units | None = None,
) -> Poses:
    """3D poses of 2D keypoints, row by row, on the CPU.

    points (N, J, 2) pixels and scores (N, J) in the joints of `layout`; a joint is missing if its
    score is 0 or its point is not finite or (0, 0). What looks wrong is a warning
    (posediff/inference/plausible.py). image_size: width and height, to see people at their
    place in the image, if the images are like those of the training data; None: each person in an
    image of their own. camera: f_x, f_y, c_x, c_y and perhaps five terms of distortion, for rules
    that project; a pose needs none. tracks, frames (N,): the numbers of person and frame of every
    row; without them the rows are one person in successive frames. hypotheses, steps: as in
    training, unless given. The answers depend on `ids`, by default the numbers of the rows. units:
    of points that are no pixels (keypoint_units.py), with image_size that of the picture; each
    person is then in an image of their own.

    Raises ValueError if no row can be lifted, if the joints are not those of `layout`, or if an
    argument cannot be used.
    """
    if isinstance(model, str | Path):
        raise ValueError(f"model: give the loaded one, posediff.load({str(model)!r})")
    if (task := model.about.get("task", TASK)) != TASK:
        raise ValueError(f"model: one of {task}, which does not read keypoints; lift3d does")
    points = torch.as_tensor(points, dtype=torch.float32)
    if points.ndim != 3 or points.shape[-1] != 2 or not len(points):
        raise ValueError(
            f"points must be (frames, joints, 2), at least one; got {(*points.shape,)}"
        )
    size = None if image_size is None else sides(image_size)
    rows = _rows(points, scores, tracks, frames, ids)
    rows = rows._replace(points=in_pixels(points, rows.scores, units, size, "points"))
    if units not in (None, "pixels"):
        size = None
    if points.shape[1] == len(skeleton(layout, "layout").joints):
        for doubt in doubts(rows.points, rows.scores, skeleton(layout), size):
            warnings.warn(doubt, stacklevel=2)
    return lifted(model, rows, layout, size, camera, hypotheses, steps, seed).poses


def _rows(points: Tensor, scores: Any, tracks: Any, frames: Any, ids: Any) -> Tracks:
    """The rows of a call; without scores they are 1, without tracks and frames the rows are one
    person in successive frames. Raises ValueError if one of them does not fit the points."""
    N, J = points.shape[:2]
    names = [str(i) for i in range(N)] if ids is None else list(ids)
    if len(names) != N:
        raise ValueError(f"ids must be {N}, one for every row of points, not {len(names)}")
    sure = torch.ones(N, J) if scores is None else _numbers("scores", scores, N, J)
    return Tracks(
        points,
        sure.float(),
        names,
        torch.zeros(N, dtype=torch.long) if tracks is None else _whole("tracks", tracks, N),
        torch.arange(N) if frames is None else _whole("frames", frames, N),
    )


def _whole(name: str, given: Any, count: int) -> Tensor:
    found = _numbers(name, given, count)
    if not ((found == found.round()) & (found.abs() <= INTEGER)).all():
        raise ValueError(f"{name} must be whole numbers, one for every row of points")
    return found.long()


def _numbers(name: str, given: Any, *shape: int) -> Tensor:
    if isinstance(given, Tensor):
        given = given.detach().cpu().double().numpy()
    return torch.from_numpy(array(name, given, *shape))


def lifted(
    model: Model,
    rows: Tracks,
    layout: str,
    image_size: tuple[float, float] | None = None,
    camera: Sequence[float] | None = None,
    hypotheses: int | None = None,
    steps: int | None = None,
    seed: int = 0,
) -> Lifted:
    """`lift`, with the sample that the model read."""
    bones = skeleton(model.head.skeleton)
    points, scores, names, tracks, frames = rows[:5]
    frames = frames // rows.step
    # detectors write a joint that they did not find as (0, 0), and peaks of maps may exceed 1
    there = points.isfinite().all(-1) & (points != 0).any(-1)
    scores = torch.where(there, scores.clamp(0, 1), 0.0)
    found = enough(points, scores, layout, bones)
    if not found.any():
        raise ValueError(
            f"no person in any frame has {FEWEST} known joints of {bones.name}; give more joints"
        )
    lens = None if camera is None else intrinsics(camera).expand(len(points), 9)
    size = (SIDE, SIDE) if image_size is None else image_size
    if image_size is None:
        points, lens = own_image(points, scores, tracks, lens)

    def sample(points: Tensor, scores: Tensor, rows: Tensor) -> dict[str, Any]:
        ids, cameras = take(names, rows), None if lens is None else lens[rows]
        detector = model.trained_on
        return lifting_sample(points, size, scores, layout, bones.name, detector, ids, cameras)

    order = here = found.nonzero()[:, 0]
    single = sample(points[here], scores[here], here)
    window, batches = model.head.window, [single]
    if window.frames > 1:
        order = here[np.lexsort((frames[here], tracks[here]))]
        batches = []
        for part in _segments(order, tracks, frames, window.frames):
            before, moved, sure, known = _bridged(points[part], scores[part], frames[part])
            whole = sample(moved, sure, part[before]) | {"known": known.float()}
            batch = windowed(whole, *window)
            batch["frames_valid"] *= batch.pop("known")  # bridged frames are not valid
            batches.append(batch)
    device = next(model.parameters()).device
    answers = [
        model.predict(to(part, device), hypotheses, steps, seed).cpu()
        for batch in batches
        for part in parts(batch, max(1, BATCH // window.frames))
    ]
    return Lifted(_scattered(Poses.cat(answers), order, found), found, single)


def enough(points: Tensor, scores: Tensor, layout: str, bones: Skeleton) -> Tensor:
    """True if rows (N, J, 2) of `layout` with scores (N, J) have FEWEST known joints of the
    lifter's, (N,) bool."""
    return convert(points, scores, skeleton(layout), bones).visible.sum(1) >= FEWEST


def own_image(
    points: Tensor, scores: Tensor, tracks: Tensor, lens: Tensor | None = None
) -> tuple[Tensor, Tensor | None]:
    """Points (N, J, 2) and lens (N, 9) in pixels of each row's own image."""
    seen = (scores > 0)[..., None]
    low = torch.where(seen, points, torch.inf).amin(1)
    high = torch.where(seen, points, -torch.inf).amax(1)
    middle, extent = (low + high) / 2, (high - low).amax(1)
    zoom = torch.ones(len(points), 1)
    for track in torch.unique(tracks):
        known = (tracks == track) & extent.isfinite()
        if known.any():
            zoom[tracks == track] = SHARE * SIDE / extent[known].quantile(TALL).clamp(min=1)
    if lens is not None:
        f, c, distortion = torch.split(lens, [2, 2, 5], -1)
        lens = torch.cat([zoom * f, zoom * (c - middle) + SIDE / 2, distortion], -1)
    return zoom[:, None] * (points - middle[:, None]) + SIDE / 2, lens


def _segments(rows: Tensor, tracks: Tensor, frames: Tensor, window: int) -> Sequence[Tensor]:
    """Rows, sorted by track and time, cut at a new track and at a gap longer than a window."""
    step = frames[rows].diff()
    cut = (tracks[rows].diff() != 0) | (step > window)
    if ((step == 0) & ~cut).any():
        raise ValueError("a track has two rows in one frame: give every track one person")
    return rows.tensor_split((cut.nonzero()[:, 0] + 1).tolist())


def _bridged(points: Tensor, scores: Tensor, frames: Tensor) -> tuple[Tensor, ...]:
    """One person's rows with the frames between them. For every frame: the last row up to it,
    points, scores, and whether it is a row itself."""
    time = torch.arange(int(frames[0]), int(frames[-1]) + 1)
    before = torch.searchsorted(frames, time, right=True) - 1
    after = (before + 1).clamp(max=len(frames) - 1)
    known = frames[before] == time
    share = (time - frames[before]) / (frames[after] - frames[before]).clamp(min=1)
    share = share[:, None, None]
    both = (scores[before] > 0) & (scores[after] > 0)
    line = torch.lerp(points[before].nan_to_num(), points[after].nan_to_num(), share)
    bridge = torch.where(both, BRIDGED, 0.0)
    moved = torch.where(known[:, None, None], points[before], line)
    return before, moved, torch.where(known[:, None], scores[before], bridge), known


def _scattered(answers: Poses, rows: Tensor, found: Tensor) -> Poses:
    """The answers for `rows`, each at its row of N; NaN with score 0 at the rows not found (N,)."""
    place = torch.zeros(len(found), dtype=torch.long)
    place[rows] = torch.arange(len(rows))
    poses = answers[place]
    for column in (poses.keypoints, poses.hypotheses, poses.spread):
        column[~found] = torch.nan
    poses.scores[~found] = 0
    return poses
