"""2D keypoints of one's own through a lifter: one pose per row, whatever is missing.

A lifter knows people as large, and as near the middle of the picture, as those that it was trained
on; someone small at the edge would come out bent and short. So, unless the size of the picture is
given, every person is seen in a picture of their own: 1000 x 1000 pixels around the middle of their
box, of a scale at which they take SHARE of it, one scale for a track.

    q = zoom (p - middle) + 500,   f -> zoom f,   c -> zoom (c - middle) + 500

A video model reads windows of successive frames of one person. A frame in which a person is missing
is bridged there by the straight line between its neighbours, as unsure as an occluded joint, so
that time keeps its pace; a gap longer than a window begins a new stretch. No pose is made up for a
frame without detections, nor for a person of whom fewer than FEWEST of the lifter's joints are
known: such a row gets NaN and the score 0.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor

from posediff.data.lifting.windows import windowed
from posediff.diffusion import Model, Poses
from posediff.inference.lifting_input import intrinsics, lifting_sample
from posediff.pose.layout import convert
from posediff.pose.skeleton import Skeleton, skeleton
from posediff.sample import parts, to

Sampled = Callable[[Tensor, Tensor, Tensor], dict[str, Any]]  # of points, scores and their rows
Fold = Callable[[dict[str, Any]], dict[str, Any]]  # one person's frames -> windows

SIDE, SHARE = 1000.0, 0.35  # pixels; what standing people take of the pictures in the data sets
TALL = 0.9  # the quantile of a track's boxes that is its size: people crouch, detectors fail
FEWEST = 9  # joints of a person; no lifter was trained on fewer
BATCH = 1024  # frames at once
BRIDGED = 0.25  # score of a joint in a frame that is bridged: below 0.5 means occluded


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
    tracks (N,) says whose the rows are, frames (N,) when; without them the rows are one person in
    successive frames. hypotheses, steps: as the model was trained, unless given. The answers depend
    on `ids`, the numbers of the rows by default.

    Raises ValueError where nobody can be lifted, or where something does not fit `layout`.
    """
    bones = skeleton(model.head.skeleton)
    points, scores, there = _seen(points, scores, layout, bones)
    N = len(points)
    names = list(ids) if ids is not None else [str(i) for i in range(N)]
    tracks = torch.zeros(N, dtype=torch.long) if tracks is None else torch.as_tensor(tracks)
    frames = torch.arange(N) if frames is None else torch.as_tensor(frames)

    lens = None if camera is None else intrinsics(camera).expand(N, 9)
    size = (SIDE, SIDE) if image_size is None else image_size
    if image_size is None:
        points, lens = alone(points, scores, tracks, lens)

    def sample(points: Tensor, scores: Tensor, rows: Tensor) -> dict[str, Any]:
        told = model.trained_on or None
        own, seen = [names[i] for i in rows.tolist()], None if lens is None else lens[rows]
        return lifting_sample(points, size, scores, layout, bones.name, told, own, seen)

    centred = any(getattr(m, "answers", "all") == "centre" for m in model.modules())
    device, window = next(model.parameters()).device, int(model.trained_on.get("window", 1))
    rows = there.nonzero()[:, 0]
    batches = [sample(points[rows], scores[rows], rows)]
    if window > 1:
        order = sorted(rows.tolist(), key=lambda i: (int(tracks[i]), int(frames[i])))
        rows = torch.tensor(order)
        stretches = _stretches(rows, tracks, frames, window)
        fold = partial(windowed, window=window, centred=centred)
        batches = [_windows(points, scores, frames, part, fold, sample) for part in stretches]
    answers = [
        model.predict(to(part, device), hypotheses, steps, seed).cpu()
        for batch in batches
        for part in parts(batch, max(1, BATCH // window))
    ]
    return _spread_out(Poses.cat(answers), rows, N)


def _seen(
    points: Tensor, scores: Tensor | None, layout: str, bones: Skeleton
) -> tuple[Tensor, Tensor, Tensor]:
    """Points and scores of all joints, and of whom enough joints are known, (N,)."""
    points = torch.as_tensor(points, dtype=torch.float32)
    if points.ndim != 3 or points.shape[-1] != 2 or not len(points):
        raise ValueError(
            f"points must be (frames, joints, 2), at least one; got {(*points.shape,)}"
        )
    scores = torch.ones(points.shape[:2]) if scores is None else torch.as_tensor(scores).float()
    scores = torch.where(points.isfinite().all(-1), scores, 0.0)
    found = convert(points, scores, skeleton(layout), bones).visible.sum(1)
    there = found >= FEWEST
    if not there.any():
        raise ValueError(
            f"nobody to lift: of nobody in any frame are {FEWEST} joints of {bones.name} known"
        )
    return points, scores, there


def alone(
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


def _windows(
    points: Tensor,
    scores: Tensor,
    frames: Tensor,
    rows: Tensor,
    fold: Fold,
    sample: Sampled,
) -> dict[str, Any]:
    """The windows of one stretch of rows; only their own frames are valid, no bridges."""
    at, moved, sure, known = _bridged(points[rows], scores[rows], frames[rows])
    whole = sample(moved, sure, rows[at])
    own = fold({"id": whole["id"], "known": known.float()})["known"]
    batch = fold(whole)
    return batch | {"frames_valid": batch["frames_valid"] * own}


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


def _spread_out(found: Poses, rows: Tensor, N: int) -> Poses:
    """The poses of some rows, in their order, as N; the other rows are NaN with the score 0."""
    nobody = replace(
        found[:1],
        keypoints=torch.full_like(found.keypoints[:1], torch.nan),
        scores=torch.zeros_like(found.scores[:1]),
        hypotheses=torch.full_like(found.hypotheses[:1], torch.nan),
        spread=torch.full_like(found.spread[:1], torch.nan),
    )
    place = torch.full((N,), len(found))
    place[rows] = torch.arange(len(found))
    return Poses.cat([found, nobody])[place]
