"""What every 2D head does with heatmaps of a person's crop, whatever network made them."""

import torch
from einops import rearrange
from torch import Tensor

from posediff.diffusion.head import Decoded, Sample
from posediff.pose.affine import invert, mirror_points, transform
from posediff.pose.combined import Combined
from posediff.pose.heatmap import Codec
from posediff.pose.skeleton import Skeleton

JOINT_WEIGHTS = ("linear", "squared", "none")


def read_heatmaps(maps: Tensor, codec: Codec | Combined, affine: Tensor) -> Decoded:
    """Heatmaps (B, K, J, h, w) -> annotation pixels, with peaks and second moments.

    affine (B, 2, 3) takes annotation pixels to those of the crop.
    """
    points, peaks = codec.decode(maps)
    back = invert(affine)
    pixel = back[..., :2].det().abs().sqrt()[:, None, None]  # of the crop, in the annotation
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
    """The mean square of heatmaps (B, J, h, w) less their target, (B, J), weighted by `weight`
    (B, J), both as `codec.encode` returns them.

    joint_weight: the weight counts as it is (linear); squared, as in HRNet's code; or not at all,
    so that a joint without a label is trained to be nowhere (none).
    """
    if joint_weight != "linear":
        weight = weight.square() if joint_weight == "squared" else torch.ones_like(weight)
    return weight * codec.error(estimate, target)


def mirror_crop(sample: Sample, picture: str, width: float, skeleton: Skeleton) -> Sample:
    """The crop and what is said in its pixels; `affine` stays that of the picture.

    `picture` names the entry, (..., H, W): one picture, or the frames of a clip.
    """
    seen = {**sample, picture: sample[picture].flip(-1)}
    if "keypoints" in sample:
        seen["keypoints"] = mirror_points(sample["keypoints"], width, skeleton)
        seen["visible"] = sample["visible"][..., skeleton.flip]
    return seen
