"""Heatmaps of a person's crop, as all 2D heads use them."""

import torch
from einops import rearrange
from torch import Tensor

from posediff.diffusion.head import Decoded, Sample
from posediff.pose.affine import determinant, invert, mirror_points, transform
from posediff.pose.combined import Combined
from posediff.pose.heatmap import Codec
from posediff.pose.skeleton import Skeleton

JOINT_WEIGHTS = ("linear", "squared", "none")


def read_heatmaps(maps: Tensor, codec: Codec | Combined, affine: Tensor) -> Decoded:
    """Keypoints, peaks and second moments of heatmaps (B, K, J, h, w), in annotation pixels.

    affine (B, 2, 3) maps annotation pixels to crop pixels.
    """
    points, peaks = codec.decode(maps)
    back = invert(affine)
    pixel = determinant(back[..., :2]).abs().sqrt()[:, None, None]  # of the crop, in the annotation
    flat = transform(rearrange(points, "b k j c -> b (k j) c"), back)
    keypoints = rearrange(flat, "b (k j) c -> b k j c", k=points.shape[1])
    return Decoded(keypoints, peaks, pixel * codec.second_moment(maps.float()))


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
