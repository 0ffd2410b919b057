"""Heatmaps of a person's crop, as all 2D heads use them."""

import torch
from einops import rearrange
from torch import Tensor

from posediff.diffusion.head import Decoded, Sample
from posediff.pose.affine import determinant, invert, mirror_points, transform
from posediff.pose.combined import Combined
from posediff.pose.heatmap import Codec
from posediff.pose.skeleton import Skeleton

FAINT = 0.1  # of the peak: lower values of a map are background, and are never drawn
JOINT_WEIGHTS = ("linear", "squared", "none")


def read_heatmaps(maps: Tensor, codec: Codec | Combined, affine: Tensor) -> Decoded:
    """Keypoints, peaks and second moments of heatmaps (B, K, J, h, w), in annotation pixels, and
    how points are drawn from them.

    affine (B, 2, 3) maps annotation pixels to crop pixels.
    """
    points, peaks = codec.decode(maps)
    back = invert(affine)
    pixel = determinant(back[..., :2]).abs().sqrt()[:, None, None]  # of the crop, in the annotation
    spread = pixel * codec.second_moment(maps.float())
    draw = None
    if isinstance(codec, Codec):
        draw = lambda u: _moved(draw_points(maps[:, 0], codec, u), back)  # noqa: E731
    return Decoded(_moved(points, back), peaks, spread, draw)


def draw_points(maps: Tensor, codec: Codec, u: Tensor) -> Tensor:
    """Points (B, N, J, 2) in crop pixels, drawn from maps (B, J, h, w) as densities by numbers u
    (B, N, J, 2) in [0, 1): a row of the map by its mass, then a place in the row.

    Equal numbers give near points in near maps, such as those of successive frames. Values below
    FAINT of the peak count as 0: many small ones far away would weigh more than the peak. An empty
    map is uniform.
    """
    density, u = maps.float().clamp(min=0), u.to(maps.device).movedim(1, 2).double()  # (B, J, N, 2)
    top = density.amax((-2, -1), keepdim=True)
    density = torch.where(density < FAINT * top, 0.0, density)
    density = torch.where(top > 0, density, 1.0).double()
    y = _quantile(density.sum(-1, keepdim=True).mT.expand(*u.shape[:-1], -1), u[..., 1])
    row = (y + 0.5).long().clamp(0, maps.shape[-2] - 1)[..., None].expand(*y.shape, maps.shape[-1])
    x = _quantile(density.gather(-2, row), u[..., 0])
    return codec.from_map(torch.stack([x, y], -1).movedim(2, 1).to(maps.dtype))


def _quantile(mass: Tensor, u: Tensor) -> Tensor:
    """The place (...) of the quantile u (...) of masses (..., n), each of which is uniform over
    the pixel around its number."""
    share = mass.cumsum(-1)
    wanted = (u * share[..., -1])[..., None]
    at = torch.searchsorted(share.contiguous(), wanted.contiguous(), right=True)
    at = at.clamp(max=mass.shape[-1] - 1)
    own = mass.gather(-1, at)
    inside = (wanted - share.gather(-1, at) + own) / own.clamp(min=torch.finfo(own.dtype).tiny)
    return (at + inside - 0.5)[..., 0]


def _moved(points: Tensor, affine: Tensor) -> Tensor:
    """Points (B, K, J, 2) through the affine of their row (B, 2, 3)."""
    flat = transform(rearrange(points, "b k j c -> b (k j) c"), affine)
    return rearrange(flat, "b (k j) c -> b k j c", k=points.shape[1])


def heatmap_errors(
    codec: Codec | Combined,
    estimate: Tensor,
    target: Tensor,
    weight: Tensor,
    joint_weight: str = "linear",
) -> Tensor:
    """Mean square error of heatmaps (B, J, h, w), weighted by joint, (B, J).

    target and weight (B, J) are those of `codec.encode`. joint_weight: `linear` multiplies by the
    weight, `squared` by its square, as HRNet's code does, `none` by 1, so that the map of a joint
    without a label is trained to be 0.
    """
    if joint_weight != "linear":
        weight = weight.square() if joint_weight == "squared" else torch.ones_like(weight)
    return weight * codec.error(estimate, target)


def mirror_crop(sample: Sample, image: str, width: float, skeleton: Skeleton) -> Sample:
    """The sample with its crop and its crop pixels mirrored; `affine` stays that of the image.

    `image` is the key of the pixels (..., H, W): of one image, or of the frames of a clip. Raises
    ValueError if they are maps of a cache, which no mirror image has.
    """
    if not isinstance(sample[image], Tensor):
        raise ValueError(
            "the flip test needs images, not maps of a cache: set trainer.cache.views=null"
        )
    mirrored = {**sample, image: sample[image].flip(-1)}
    if "keypoints" in sample:
        mirrored["keypoints"] = mirror_points(sample["keypoints"], width, skeleton)
        mirrored["visible"] = sample["visible"][..., skeleton.flip]
    return mirrored
