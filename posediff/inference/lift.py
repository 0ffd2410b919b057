"""2D keypoints of one's own through a lifter: one pose per row, whatever is missing.

A lifter knows people as large, and as near the middle of the picture, as those that it was trained
on; a small person at the edge would come out bent and short. So, unless the size of the picture is
given, every person is seen in a picture of their own: 1000 x 1000 pixels around the middle of their
box, of a scale at which they take SHARE of it, one scale for a track.

    q = zoom (p - middle) + 500,   f -> zoom f,   c -> zoom (c - middle) + 500

A video model reads windows of successive frames of one person. A frame in which a person is missing
is bridged there by the straight line between its neighbours, as unsure as an occluded joint, so
that time keeps its pace; a gap longer than a window begins a new stretch. No pose is made up for a
frame without detections, nor for a person of whom fewer than FEWEST of the lifter's joints are
known: such a row gets NaN and the score 0.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from posediff.data.lifting.windows import windowed
from posediff.diffusion import Model, Poses
from posediff.inference.lifting_input import intrinsics, lifting_sample
from posediff.pose.layout import convert
from posediff.pose.skeleton import Skeleton, skeleton
from posediff.sample import parts, take, to

SIDE, SHARE = 1000.0, 0.35  # pixels; what standing people take of the pictures in the data sets
TALL = 0.9  # the quantile of a track's boxes that is its size: people crouch, detectors fail
FEWEST = 9  # joints of a person; no lifter was trained on fewer
BATCH = 1024  # frames at once
BRIDGED = 0.25  # score of a joint in a frame that is bridged: below 0.5 means occluded


class Tracks(NamedTuple):
    """2D keypoints: N rows, each one person in one frame."""

    points: Tensor  # (N, J, 2) pixels
    scores: Tensor  # (N, J), 0 where a joint is missing
    tracks: Tensor  # (N,) to whom a row belongs
    frames: Tensor  # (N,) when
    ids: Sequence[str]  # (N,)


class Lifted(NamedTuple):
    """N rows that were lifted, or could not be."""

    poses: Poses  # (N, ...); NaN with score 0 where not found
    found: Tensor  # (N,) bool, whether enough joints were known
    sample: dict[str, Any]  # what the lifter read of the rows that were found, as single frames


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
) -> Poses:
    """3D poses of 2D keypoints, row by row, on the CPU.

    points (N, J, 2) pixels in the joints of `layout`; scores (N, J), 0 where a joint is missing
    (None: a joint is missing where it is not finite). image_size: width and height, to see people
    where they are in the picture, as on a data set whose pictures are like those of the training;
    None: each in a picture of their own. camera: f_x, f_y, c_x, c_y and perhaps five terms of
    distortion, for rules that project; a pose needs none.
    tracks (N,): to whom the rows belong, frames (N,): when; without them the rows are one person in
    successive frames. hypotheses, steps: as the model was trained, unless given. The answers depend
    on `ids`, the numbers of the rows by default.

    Raises ValueError if no row can be lifted, or if something does not fit `layout`.
    """
    points = torch.as_tensor(points, dtype=torch.float32)
    if points.ndim != 3 or points.shape[-1] != 2 or not len(points):
        raise ValueError(
            f"points must be (frames, joints, 2), at least one; got {(*points.shape,)}"
        )
    N = len(points)
    rows = Tracks(
        points,
        torch.ones(points.shape[:2]) if scores is None else torch.as_tensor(scores).float(),
        torch.zeros(N, dtype=torch.long) if tracks is None else torch.as_tensor(tracks),
        torch.arange(N) if frames is None else torch.as_tensor(frames),
        [str(i) for i in range(N)] if ids is None else list(ids),
    )
    return lifted(model, rows, layout, image_size, camera, hypotheses, steps, seed).poses


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
    """`lift`, with what the model read of every person."""
    bones = skeleton(model.head.skeleton)
    points, scores, tracks, frames, ids = rows
    scores = torch.where(points.isfinite().all(-1), scores, 0.0)
    found = _found(points, scores, skeleton(layout), bones)
    lens = None if camera is None else intrinsics(camera).expand(len(points), 9)
    size = (SIDE, SIDE) if image_size is None else image_size
    if image_size is None:
        points, lens = own_picture(points, scores, tracks, lens)

    def sample(points: Tensor, scores: Tensor, rows: Tensor) -> dict[str, Any]:
        described = model.trained_on or None
        own, seen = take(ids, rows), None if lens is None else lens[rows]
        return lifting_sample(points, size, scores, layout, bones.name, described, own, seen)

    order = here = found.nonzero()[:, 0]
    single = sample(points[here], scores[here], here)
    window, batches = model.head.window, [single]
    if window.frames > 1:
        order = here[np.lexsort((frames[here], tracks[here]))]
        batches = []
        for part in _stretches(order, tracks, frames, window.frames):
            at, moved, sure, known = _bridged(points[part], scores[part], frames[part])
            whole = sample(moved, sure, part[at]) | {"known": known.float()}
            batch = windowed(whole, *window)
            batch["frames_valid"] *= batch.pop("known")  # bridges count nowhere
            batches.append(batch)
    device = next(model.parameters()).device
    answers = [
        model.predict(to(part, device), hypotheses, steps, seed).cpu()
        for batch in batches
        for part in parts(batch, max(1, BATCH // window.frames))
    ]
    return Lifted(_scattered(Poses.cat(answers), order, len(points)), found, single)


def _found(points: Tensor, scores: Tensor, layout: Skeleton, bones: Skeleton) -> Tensor:
    """(N,) whether enough joints of a row are known. Raises ValueError if that is no row."""
    count = convert(points, scores, layout, bones).visible.sum(1)
    found = count >= FEWEST
    if not found.any():
        raise ValueError(
            f"nobody to lift: no person in any frame has {FEWEST} known joints of {bones.name}"
        )
    return found


def own_picture(
    points: Tensor, scores: Tensor, tracks: Tensor, lens: Tensor | None = None
) -> tuple[Tensor, Tensor | None]:
    """The points (N, J, 2), and the lens (N, 9), of rows in a picture of their own each."""
    seen = (scores > 0)[..., None]
    low = torch.where(seen, points, torch.inf).amin(1)
    high = torch.where(seen, points, -torch.inf).amax(1)
    middle, extent = (low + high) / 2, (high - low).amax(1)
    zoom = torch.ones(len(points))
    for track in torch.unique(tracks):
        there = (tracks == track) & extent.isfinite() & (extent >= 0)
        if there.any():
            zoom[tracks == track] = SHARE * SIDE / extent[there].quantile(TALL).clamp(min=1)
    moved = zoom[:, None, None] * (points - middle[:, None]) + SIDE / 2
    if lens is None:
        return moved, None
    f, c, distortion = torch.split(lens, [2, 2, 5], -1)
    centre = zoom[:, None] * (c - middle) + SIDE / 2
    return moved, torch.cat([zoom[:, None] * f, centre, distortion], -1)


def _stretches(rows: Tensor, tracks: Tensor, frames: Tensor, window: int) -> Sequence[Tensor]:
    """Rows in the order of track and time, cut where the track changes or pauses too long."""
    step = frames[rows].diff()
    cut = (tracks[rows].diff() != 0) | (step > window)
    if ((step == 0) & ~cut).any():
        raise ValueError("a track has two rows in one frame: give every track one person")
    return rows.tensor_split((cut.nonzero()[:, 0] + 1).tolist())


def _bridged(points: Tensor, scores: Tensor, frames: Tensor) -> tuple[Tensor, ...]:
    """One person's rows with the frames between them: every frame's row (that before a gap, for its
    name), points, scores, and whether it is a row itself."""
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


def _scattered(found: Poses, rows: Tensor, N: int) -> Poses:
    """The poses of some rows, in their order, as N; the other rows are NaN with the score 0."""
    missing = replace(
        found[:1],
        keypoints=torch.full_like(found.keypoints[:1], torch.nan),
        scores=torch.zeros_like(found.scores[:1]),
        hypotheses=torch.full_like(found.hypotheses[:1], torch.nan),
        spread=torch.full_like(found.spread[:1], torch.nan),
    )
    place = torch.full((N,), len(found))
    place[rows] = torch.arange(len(found))
    return Poses.cat([found, missing])[place]
