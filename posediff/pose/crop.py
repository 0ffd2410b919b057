"""Heatmaps of a person's crop, as all 2D heads use them."""

import torch
from einops import rearrange
from torch import Tensor

from posediff.diffusion.head import Decoded, Sample
from posediff.pose.affine import invert, mirror_points, transform
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
    pixel = back[..., :2].det().abs().sqrt()[:, None, None]  # of the crop, in the annotation
    spread = pixel * codec.second_moment(maps.float())
    draw = None
    if isinstance(codec, Codec):
        draw = lambda u: _moved(draw_points(maps[:, 0], codec, u), back)  # noqa: E731
    return Decoded(_moved(points, back), peaks, spread, draw)


def draw_points(maps: Tensor, codec: Codec, u: Tensor) -> Tensor:
    """Points (B, N, J, 2) in crop pixels, drawn from maps (B, J, h, w) as densities by numbers u
    (B, N, J, 3) in [0, 1): a cell by its value, then a place in it.

    Values below FAINT of the peak count as 0: many small ones far away would weigh more than the
    peak. An empty map is uniform.
    """
    density, u = maps.float().clamp(min=0), u.to(maps.device)
    density = torch.where(density < FAINT * density.amax((-2, -1), keepdim=True), 0.0, density)
    share = density.flatten(-2)
    share = torch.where(share.sum(-1, keepdim=True) > 0, share, 1.0).double().cumsum(-1)
    at = u[..., 0].movedim(1, -1).to(share).contiguous()  # (B, J, N)
    cell = torch.searchsorted(share, at * share[..., -1:], right=True)
    cell = cell.clamp(max=share.shape[-1] - 1).movedim(-1, 1)
    w = maps.shape[-1]
    return codec.from_map(torch.stack([cell % w, cell // w], -1) + u[..., 1:] - 0.5)


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
