"""2D keypoints or heatmaps of any layout -> the sample that a lifter reads, without annotations."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from posediff.data.lifting.detector import DetectorNoise, chosen, point_mixture
from posediff.diffusion.noise import Id
from posediff.doors.checks import SINGLE
from posediff.pose.heatmap import Codec
from posediff.pose.layout import Converted, convert, taken_over
from posediff.pose.mixture import FLOOR, from_heatmaps, moments
from posediff.pose.skeleton import skeleton as named
from posediff.sample import where


class Tracks(NamedTuple):
    """2D keypoints, N rows: one person in one frame each."""

    points: Tensor  # (N, J, 2) pixels; any value if the joint is missing
    scores: Tensor  # (N, J); 0 if the joint is missing
    names: Sequence[Id]  # (N,)
    tracks: Tensor  # (N,) number of the person
    frames: Tensor  # (N,) number of the frame in time
    empty: Sequence[str] = ()  # names of the frames without people
    notes: Sequence[str] = ()  # how the file was read
    left_out: Sequence[str] = ()  # files that could not be used, and why
    step: int = 1  # from one frame to the next by their numbers


def lifting_sample(
    points: Tensor,
    image_size: tuple[float, float],
    scores: Tensor | None = None,
    layout: str = "coco17",
    skeleton: str = "h36m17",
    detector: Mapping[str, Any] | None = None,
    ids: Sequence[Id] | None = None,
    camera: Tensor | None = None,
) -> dict[str, Any]:
    """A batch for `model.predict`, one person in one frame per row.

    points (B, J, 2) pixels and scores (B, J), 0 for a missing joint, in the joints of `layout`;
    image_size: width and height; skeleton: that of the model (`model.head.skeleton`); camera:
    intrinsics (9,) or (B, 9). detector: how the 2D of the training data is described (`dataset` in
    the model's config.json); without it every detection is one Gaussian of 5 pixels at a width of
    1000. The answers depend on `ids`, by default the numbers of the rows.

    Raises ValueError if the number of joints is not the layout's.
    """
    points = torch.as_tensor(points, dtype=torch.float32)
    scores = torch.ones(points.shape[:2]) if scores is None else torch.as_tensor(scores).float()
    size = torch.tensor(image_size, dtype=torch.float32).expand(len(points), 2)
    target = named(skeleton)
    found = convert(points, scores, named(layout), target, width=float(image_size[0]))
    detector = detector or {"keypoints": "detected"}
    scale = found.scale
    if detector.get("keypoints") == "gt":
        scale = torch.where(found.visible > 0, FLOOR, scale)
    mixture = point_mixture(found.points, scale)
    if detector.get("keypoints") == "noisy":
        noise = {k: x for k, x in detector["noise"].items() if k != "_target_"}
        seen = DetectorNoise(**noise).posterior(found.points, found.scores, size[:, 0], target)
        mixture = where(found.visible > 0, seen, mixture)
    lens = {} if camera is None else {"camera": camera.expand(len(points), 9)}
    return _sample(found, mixture, size, ids) | lens


def heatmap_sample(
    maps: Tensor,
    codec: Codec,
    affine: Tensor,
    image_size: tuple[float, float],
    layout: str = "coco17",
    skeleton: str = "h36m17",
    ids: Sequence[str] | None = None,
) -> dict[str, Any]:
    """The same from heatmaps (B, J, h, w) of `layout`, whose whole shape the lifter then reads.

    affine (B, 2, 3): image -> crop pixels, as in the sample that image2d read. A joint of both
    layouts keeps its mixture; a derived joint is one Gaussian with the moments of its sources.
    Scores are the peaks, at most 1; an empty map is a missing joint.

    Raises ValueError if the maps do not have the codec's size or are not finite.
    """
    source, target = named(layout), named(skeleton)
    size = torch.tensor(image_size, dtype=torch.float32).expand(len(maps), 2)
    fitted, peaks = from_heatmaps(maps, codec, affine, size)
    mean, deviation = moments(fitted)
    scale = deviation.square().mean(-1).sqrt().float()
    scores = peaks.clamp(max=1).float()
    found = convert(mean.float(), scores, source, target, scale, float(image_size[0]))
    own = taken_over(source, target)
    kept = {key: x[:, own].float() for key, x in fitted.items()}
    derived = point_mixture(found.points, found.scale)
    mixture = where((own >= 0) & (found.visible > 0), kept, derived)
    return _sample(found, mixture, size, ids)


def _sample(
    found: Converted, mixture: dict[str, Tensor], size: Tensor, ids: Sequence[Id] | None
) -> dict[str, Any]:
    return {
        "id": list(ids or map(str, range(len(size)))),
        **chosen(mixture),
        "scores": found.scores,
        "visible": found.visible,
        "mixture": mixture,
        "image_size": size,
    }


def intrinsics(camera: Sequence[float]) -> Tensor:
    """(9,) pixels: f_x, f_y, c_x, c_y, then three radial and two tangential terms, 0 if only the
    first four are given. Raises ValueError if there are not 4 or 9 usable numbers."""
    try:
        numbers = torch.tensor([float(x) for x in camera])
    except (TypeError, ValueError):
        numbers = torch.empty(0)
    if len(numbers) not in (4, 9) or not numbers.isfinite().all():
        raise ValueError(f"camera must be [f_x,f_y,c_x,c_y] or 9 numbers in pixels, got {camera}")
    if not (numbers[:2] > 0).all():
        raise ValueError(f"camera: the focal length must be above 0 pixels, got {camera}")
    return torch.cat([numbers, numbers.new_zeros(9 - len(numbers))])


def image_size(given: Any) -> tuple[float, float]:
    """Width and height in pixels. Raises ValueError if they are not two finite numbers above 0."""
    try:
        width, height = (float(x) for x in given)
    except (TypeError, ValueError):
        width = height = 0.0
    if not (0 < width <= SINGLE and 0 < height <= SINGLE):
        raise ValueError(
            f"image_size must be [width,height] in pixels, got {given}; "
            "posediff FILE: --image-size 640,480"
        )
    return width, height
