"""Object keypoint similarity of people, and what is done with it to the people that were found.

    OKS(p, g) = mean over the counted joints of exp(-d^2 / (2 (2 sigma)^2 area))

sigma is how far annotators differ at a joint (about 0.01 .. 0.11, part of a skeleton), area the
size of the person in square pixels. Two people who were found are alike by the mean of both areas
and all joints; the area of one is that of its padded crop in HRNet and mmpose, 1.5 times too large.

Every sort by score is descending and stable, so that the same people give the same answer on every
machine. Points are in pixels of one image.
"""

from collections.abc import Sequence
from typing import Literal, get_args

import torch
from torch import Tensor

from posediff.diffusion.choices import one_of

Suppression = Literal["oks", "soft_oks", "none"]
Score = Literal["bbox_keypoint", "bbox_rle", "keypoint"]

TINY = torch.finfo(torch.float64).eps  # numpy.spacing(1) of the reference: no division by 0


def oks(
    a: Tensor, b: Tensor, area: Tensor, sigmas: Sequence[float], counted: Tensor | None = None
) -> Tensor:
    """Similarity of every person of `a` to every one of `b`. (N, J, 2), (M, J, 2) -> (N, M).

    `area` is anything that broadcasts to (N, M), `counted` (bool, all by default) to (N, M, J).
    Where no joint counts the similarity is 0.
    """
    spread = 2 * torch.as_tensor(sigmas, dtype=a.dtype, device=a.device)
    squared = (a[:, None] - b).square().sum(-1)
    similar = (-squared / spread.square() / (area[..., None] + TINY) / 2).exp()
    if counted is None:
        return similar.mean(-1)
    counted = counted.expand(similar.shape)
    return torch.where(counted, similar, 0.0).sum(-1) / counted.sum(-1).clamp(min=1)


def likeness(keypoints: Tensor, areas: Tensor, sigmas: Sequence[float]) -> Tensor:
    """How alike the people of one image are, as suppression sees it. (N, J, 2), (N,) -> (N, N)."""
    return oks(keypoints, keypoints, (areas[:, None] + areas) / 2, sigmas)


def overlap(boxes: Tensor) -> Tensor:
    """Intersection over union of boxes x1, y1, x2, y2, both ends of them pixels of theirs, as in
    HRNet. (N, 4) -> (N, N); with it `oks_nms` is the suppression of a detector's boxes."""
    low = torch.maximum(boxes[:, None, :2], boxes[:, :2])
    high = torch.minimum(boxes[:, None, 2:], boxes[:, 2:])
    shared = (high - low + 1).clamp(min=0).prod(-1)
    area = (boxes[:, 2:] - boxes[:, :2] + 1).prod(-1)
    return shared / (area[:, None] + area - shared)


def oks_nms(similar: Tensor, scores: Tensor, threshold: float = 0.9) -> Tensor:
    """Indices of the people that are no copy (similarity > threshold) of a better one, best first.

    similar (N, N), scores (N,) -> (n,).
    """
    kept: list[int] = []
    for i in scores.argsort(descending=True, stable=True).tolist():
        if bool((similar[i, kept] <= threshold).all()):
            kept.append(i)
    return torch.tensor(kept, dtype=torch.long, device=scores.device)


def soft_oks_nms(
    similar: Tensor, scores: Tensor, threshold: float = 0.9, limit: int = 20
) -> Tensor:
    """The same, but copies only lose score, and the best `limit` of what is left are kept.

    The scores that this leaves are for the order alone; the references never write them.
    """
    order, kept = scores.argsort(descending=True, stable=True), list[int]()
    left = scores[order]
    while len(order) and len(kept) < limit:
        best = order[0]
        kept.append(int(best))
        order, left = order[1:], decayed(similar[best, order[1:]], left[1:], threshold)
        again = left.argsort(descending=True, stable=True)
        order, left = order[again], left[again]
    return torch.tensor(kept, dtype=torch.long, device=scores.device)


def decayed(similar: Tensor, scores: Tensor, threshold: float) -> Tensor:
    """Scores (N,) of people who are so similar (N,) to a better one."""
    return scores * (-similar.square() / threshold).exp()


def suppress(
    keypoints: Tensor,
    areas: Tensor,
    scores: Tensor,
    sigmas: Sequence[float],
    rule: Suppression = "oks",
    threshold: float = 0.9,
) -> Tensor:
    """Indices of the people of one image that stay. (N, J, 2), (N,), (N,) -> (n,)."""
    one_of("nms", rule, get_args(Suppression))
    if rule == "none":
        return torch.arange(len(scores), device=scores.device)
    similar = likeness(keypoints, areas, sigmas)
    return {"oks": oks_nms, "soft_oks": soft_oks_nms}[rule](similar, scores, threshold)


def instance_scores(
    boxes: Tensor, joints: Tensor, rule: Score = "bbox_keypoint", threshold: float = 0.2
) -> Tensor:
    """The score of a person from those of its box (...) and its joints (..., J). -> (...).

    bbox_keypoint   box * mean of the joint scores above the threshold, 0 without any
    bbox_rle        box + mean + largest of the joint scores
    keypoint        mean of the joint scores
    """
    one_of("score", rule, get_args(Score))
    if rule == "keypoint":
        return joints.mean(-1)
    if rule == "bbox_rle":
        return boxes + joints.mean(-1) + joints.amax(-1)
    sure = joints > threshold
    return boxes * torch.where(sure, joints, 0.0).sum(-1) / sure.sum(-1).clamp(min=1)
