"""A sample: the batch that data sets make, and heads, models and metrics read.

It is a dictionary of tensors (B, ...), lists of B entries, and dictionaries of these. A window of
frames puts F behind B. All functions here return a new nest and leave their input as it is.

    key                     shape            unit and meaning
    id                      list of B        name of the sample, unique in its data set; of
                                             one hypothesis: `posediff.diffusion.noise.Numbered`
    meta                    dict of lists    its origin: image_id, annotation_id, path, file;
                                             subject, camera, sequence, action, frame
    keypoints               (B, J, 2)        2D: crop pixels after augmentation; 0 if not labelled
                            (B, [F,] J, 3)   3D: camera metres, x right, y down, z forward
    visible                 (B, [F,] J)      2D: 1 if labelled; 3D: 1 if its 2D is known

  people in images and video
    image                   (B, 3, H, W)     crop, (RGB 0..255 - mean) / std of the backbone; or,
                                             from a cache, the backbone's maps of it: a dict of
                                             (B, C, h, w)
    frames                  (B, F, 3, H, W)  the same of a clip's frames, instead of image
    frames_valid            (B, F)           0 if another frame replaces a missing one
    offsets                 (B, F)           frames from the key frame
    track_id                (B,)             who it is; -1 for boxes of a detector
    affine                  (B, 2, 3)        annotation pixels -> crop pixels
    center, scale           (B, 2)           annotation pixels: middle, padded width and height
    area                    (B,)             square pixels of the annotation
    keypoints_annotation    (B, J, 2)        annotation pixels, not augmented
    visible_annotation      (B, J)           0 absent, 1 labelled but occluded, 2 visible
    box, head_box           (B, 4)           x1, y1, x2, y2 annotation pixels; NaN if missing
    box_score               (B,)             of a detector; 1 if annotated

  3D from 2D
    keypoints_2d            (B, [F,] J, 2)   pixels, what the lifter reads
    keypoints_2d_scale      (B, [F,] J, 2)   pixels, its standard deviation
    scores                  (B, [F,] J)      0 missing .. 1 sure; below 0.5 counts as occluded
    mixture                 dict             weights (.., J, M), loc, scale (.., J, M, 2) pixels
    target_2d               (B, [F,] J, 2)   pixels, the true projection
    camera                  (B, [F,] 9)      f (2), c (2) pixels; radial (3), tangential (2) lens
    image_size              (B, [F,] 2)      pixels, width and height
    frames_valid            (B, F)           0 if a frame counts in neither loss nor score

Data sets without annotations, and your own input, have no entries that need labels.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from posediff.diffusion.head import Sample as Sample

Index = int | slice | Sequence[int] | Tensor


def take(tree: Any, rows: Index) -> Any:
    """Some rows of a nest. An int gives one row without the leading dimension; indices of shape
    (N, F) give windows, and lists of lists."""
    if isinstance(tree, Mapping):
        return {key: take(x, rows) for key, x in tree.items()}
    if isinstance(tree, Tensor) or isinstance(rows, int | slice):
        return tree[rows]
    indices = rows.tolist() if isinstance(rows, Tensor) else rows
    return [take(tree, i) for i in indices]


def pixels_of(sample: Sample) -> str:
    """The key of what a backbone reads: image, or frames of a clip."""
    return "frames" if "frames" in sample else "image"


def parts(tree: Sample, size: int) -> Iterator[Any]:
    """A batch in parts of at most `size` rows."""
    for start in range(0, len(tree["id"]), size):
        yield take(tree, slice(start, start + size))


def cat(trees: Sequence[Any]) -> Any:
    """Nests of the same keys as one, row after row."""
    first = trees[0]
    if isinstance(first, Mapping):
        return {key: cat([tree[key] for tree in trees]) for key in first}
    if isinstance(first, Tensor):
        return torch.cat(list(trees))
    return [x for tree in trees for x in tree]


def to(tree: Any, device: torch.device) -> Any:
    """The nest with its tensors on `device`."""
    if isinstance(tree, Tensor):
        return tree.to(device, non_blocking=device.type == "cuda")  # from pinned memory
    return {k: to(x, device) for k, x in tree.items()} if isinstance(tree, Mapping) else tree


def where(here: Tensor, yes: Any, no: Any) -> Any:
    """torch.where over two nests of the same keys. `here` is (B,) or (B, J); lists are those of
    `yes`."""
    if isinstance(yes, Mapping):
        return {key: where(here, x, no[key]) for key, x in yes.items()}
    if isinstance(yes, Tensor):
        return torch.where(here.view(here.shape + (1,) * (yes.ndim - here.ndim)), yes, no)
    return yes


def fold(tree: Mapping[str, Any], window: int) -> dict[str, Any]:
    """Single frames (B F, ...), window after window, as windows (B, F, ...)."""
    return {
        key: fold(x, window) if isinstance(x, Mapping) else x.unflatten(0, (-1, window))
        for key, x in tree.items()
    }


def unfold(tree: Any, at: Tensor) -> Any:
    """Single frames of windows, by their window and their place in it, `at` (N, 2): tensors
    (B, F, ...) -> (N, ...). A list has an entry, or a list of F entries, for each window."""
    if isinstance(tree, Mapping):
        return {key: unfold(x, at) for key, x in tree.items()}
    if isinstance(tree, Tensor):
        return tree[at[:, 0], at[:, 1]]
    pairs = ((tree[window], place) for window, place in at.tolist())
    return [one[place] if isinstance(one, list) else one for one, place in pairs]


def places(tree: Any, kept: slice) -> Any:
    """Windows cut to some of their frames: tensors (B, F, ...) -> (B, F', ...), lists as in
    `unfold`."""
    if isinstance(tree, Mapping):
        return {key: places(x, kept) for key, x in tree.items()}
    if isinstance(tree, Tensor):
        return tree[:, kept]
    return [one[kept] if isinstance(one, list) else one for one in tree]
