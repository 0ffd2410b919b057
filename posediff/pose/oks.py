"""Object keypoint similarity (OKS) of people, and the suppression of duplicates by it.

    OKS(p, g) = mean over the counted joints of exp(-d^2 / (2 (2 sigma)^2 area))

sigma is how far annotators differ at a joint (about 0.01 .. 0.11, part of a skeleton), area the
size of the person in square pixels. Two predicted people are compared with the mean of both areas
and all joints; HRNet and mmpose take the area of the padded crop, 1.5 times too large.

Every sort by score is descending and stable, so that results are the same on every machine. Points
are in pixels of one image.
"""

from collections.abc import Sequence
from typing import Literal, get_args

import torch
from torch import Tensor

from posediff.diffusion.choices import one_of

Suppression = Literal["oks", "soft_oks", "none"]
Score = Literal["bbox_keypoint", "bbox_rle", "keypoint"]

TINY = torch.finfo(torch.float64).eps  # numpy.spacing(1) of the reference: no division by 0
SOFT_LIMIT = 20  # people of an image, as in the references


def oks(
    a: Tensor, b: Tensor, area: Tensor, sigmas: Sequence[float], counted: Tensor | None = None
) -> Tensor:
    """Similarity of every person of `a` to every one of `b`. (N, J, 2), (M, J, 2) -> (N, M).

    `area` broadcasts to (N, M), `counted` (bool, all by default) to (N, M, J). The similarity is 0
    if no joint counts.
    """
    deviation = 2 * torch.as_tensor(sigmas, dtype=a.dtype, device=a.device)
    squared = (a[:, None] - b).square().sum(-1)
    similar = (-squared / deviation.square() / (area[..., None] + TINY) / 2).exp()
    if counted is None:
        return similar.mean(-1)
    counted = counted.expand(similar.shape)
    return torch.where(counted, similar, 0.0).sum(-1) / counted.sum(-1).clamp(min=1)


def overlap(boxes: Tensor) -> Tensor:
    """Intersection over union of boxes x1, y1, x2, y2, (N, 4) -> (N, N), as similarity of boxes.

    Both ends are pixels of the box, as in HRNet.
    """
    low = torch.maximum(boxes[:, None, :2], boxes[:, :2])
    high = torch.minimum(boxes[:, None, 2:], boxes[:, 2:])
    shared = (high - low + 1).clamp(min=0).prod(-1)
    area = (boxes[:, 2:] - boxes[:, :2] + 1).prod(-1)
    return shared / (area[:, None] + area - shared)


def oks_nms(similar: Tensor, scores: Tensor, threshold: float = 0.9) -> Tensor:
    """Indices of the people who are no copy (similarity > threshold) of a better one, best first.

    similar (N, N), scores (N,) -> (n,).
    """
    kept: list[int] = []
    for i in scores.argsort(descending=True, stable=True).tolist():
        if bool((similar[i, kept] <= threshold).all()):
            kept.append(i)
    return torch.tensor(kept, dtype=torch.long, device=scores.device)


def soft_oks_nms(similar: Tensor, scores: Tensor, threshold: float = 0.9) -> Tensor:
    """Indices as of `oks_nms`, but copies only lose score, and the best 20 people are kept.

    The reduced scores decide the order only; the references never write them.
    """
    order, kept = scores.argsort(descending=True, stable=True), list[int]()
    scores = scores[order]
    while len(order) and len(kept) < SOFT_LIMIT:
        best = order[0]
        kept.append(int(best))
        order, scores = order[1:], decayed(similar[best, order[1:]], scores[1:], threshold)
        again = scores.argsort(descending=True, stable=True)
        order, scores = order[again], scores[again]
    return torch.tensor(kept, dtype=torch.long, device=scores.device)


def decayed(similar: Tensor, scores: Tensor, threshold: float) -> Tensor:
    """Reduced scores (N,) of people, by their similarity (N,) to a better one."""
    return scores * (-similar.square() / threshold).exp()


def suppress(
    keypoints: Tensor,
    areas: Tensor,
    scores: Tensor,
    sigmas: Sequence[float],
    rule: Suppression = "oks",
    threshold: float = 0.9,
) -> Tensor:
    """Indices of the people of one image who are kept. (N, J, 2), (N,), (N,) -> (n,).

    Raises ValueError if the rule is unknown.
    """
    one_of("nms", rule, get_args(Suppression))
    if rule == "none":
        return torch.arange(len(scores), device=scores.device)
    nms = oks_nms if rule == "oks" else soft_oks_nms
    return nms(oks(keypoints, keypoints, (areas[:, None] + areas) / 2, sigmas), scores, threshold)


def instance_scores(
    boxes: Tensor, joints: Tensor, rule: Score = "bbox_keypoint", threshold: float = 0.2
) -> Tensor:
    """Scores of people (...), from those of their boxes (...) and joints (..., J).

    bbox_keypoint   box * mean of the joint scores above the threshold, 0 without any
    bbox_rle        box + mean + largest of the joint scores
    keypoint        mean of the joint scores

    Raises ValueError if the rule is unknown.
    """
    one_of("score", rule, get_args(Score))
    if rule == "keypoint":
        return joints.mean(-1)
    if rule == "bbox_rle":
        return boxes + joints.mean(-1) + joints.amax(-1)
    sure = joints > threshold
    return boxes * torch.where(sure, joints, 0.0).sum(-1) / sure.sum(-1).clamp(min=1)
