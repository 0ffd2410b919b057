"""Random views of people in training: zoom, rotation, shift, mirror image, half body, colour.

    half body  with p .3, if more than 8 joints are labelled: center = the mean of the upper (p .69)
               or the lower joints, scale = 1.5 times their box grown to the shape of the crop; a
               half needs more than 2 joints, else it is the lower one, else the upper one
    shift      center += shift * scale * b        per axis, with a probability
    scale      scale  *= 1 + zoom * b
    rotation   degrees = rotation * b             with a probability
    flip       with p .5 the image and the person in it are mirrored
    colour     contrast and saturation * (1 + colour * u), brightness + 255 * colour * u / 2, with u
               uniform in [-1, 1): in no published recipe

b is a bounded standard normal number: clipped to +-1 (+-2 for the rotation), so that both bounds
are frequent (HRNet), or drawn again until it is in +-1 (mmpose).

The view of a sample depends on its key alone, not on the batch.
"""

from dataclasses import dataclass
from statistics import NormalDist
from typing import Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from posediff.data import random
from posediff.diffusion.choices import one_of
from posediff.pose.affine import box_to_center_scale
from posediff.pose.skeleton import Skeleton

HALF = 1.5  # padding around half a body
MANY = 8  # labelled joints above which half of a person may be shown
SOME = 2  # labelled joints of a half above which it is shown
LOWER = ("pelvis", "hip", "knee", "ankle", "toe", "heel", "foot", "foot_index")
LUMA = (0.299, 0.587, 0.114)


class CropView(NamedTuple):
    """The region of the image that is shown of each of B people."""

    center: Tensor  # (B, 2) image pixels
    scale: Tensor  # (B, 2) image pixels, width and height of the crop
    rotation: Tensor  # (B,) degrees
    flip: Tensor  # (B,) bool
    colour: Tensor | None  # (B, 3, 4), multiplies red, green, blue and 1; None: unchanged


@dataclass(frozen=True)
class Augmentation:
    """HRNet's recipe by default; `MMPOSE` is the other one."""

    flip: float = 0.5  # probability
    half_body: float = 0.3  # probability
    upper: float = 0.69  # probability of the upper half
    zoom: float = 0.35
    rotation: float = 45.0
    turned: float = 0.6  # probability of a rotation
    shift: float = 0.0
    shifted: float = 0.0  # probability of a shift
    bounds: Literal["clipped", "drawn again"] = "clipped"
    colour: float = 0.0

    def draw(
        self,
        center: Tensor,
        scale: Tensor,
        keypoints: Tensor,
        visible: Tensor,
        skeleton: Skeleton,
        keys: NDArray[np.uint64],
        aspect: float,
    ) -> CropView:
        """Views of B people: center and scale (B, 2) of the whole person, keypoints (B, J, 2) in
        image pixels, visible (B, J), keys (B,); aspect, width / height of a crop."""
        u = torch.from_numpy(random.uniform(keys, 12)).to(center.dtype)
        flip, halved, upper, turned, shifted = u[:, :5].T
        labelled = visible > 0
        middle, around, found = _half(keypoints, labelled, skeleton, upper < self.upper, aspect)
        half = found & (labelled.sum(-1) > MANY) & (halved < self.half_body)
        center = torch.where(half[:, None], middle, center)
        scale = torch.where(half[:, None], around, scale)
        shift = self.shift * self._bounded(u[:, 5:7], 1) * (shifted < self.shifted)[:, None]
        rotation = self.rotation * self._bounded(u[:, 7], 2) * (turned < self.turned)
        return CropView(
            center + shift * scale,
            scale * (1 + self.zoom * self._bounded(u[:, 8:9], 1)),
            rotation,
            flip < self.flip,
            _colours(self.colour * (2 * u[:, 9:] - 1)) if self.colour else None,
        )

    def _bounded(self, u: Tensor, bound: float) -> Tensor:
        """Uniform numbers -> bounded standard normal numbers, by the inverse distribution."""
        if self.bounds == "drawn again":
            low = NormalDist().cdf(-1)
            u, bound = low + u * (1 - 2 * low), torch.inf
        normal: Tensor = torch.special.ndtri(u)
        return normal.clamp(-bound, bound)


MMPOSE = Augmentation(zoom=0.5, rotation=80.0, shift=0.16, shifted=0.3, bounds="drawn again")
RECIPES = {"hrnet": Augmentation(), "mmpose": MMPOSE}


def recipe(named: str | Augmentation | None) -> Augmentation | None:
    """The recipe hrnet or mmpose by its name; an Augmentation or None is returned unchanged."""
    if not isinstance(named, str):
        return named
    one_of("dataset.augment", named, RECIPES)
    return RECIPES[named]


def mirrored(affine: Tensor, width: Tensor, flip: Tensor) -> Tensor:
    """The matrix image -> crop (B, 2, 3), applied to the mirror image (x -> width - 1 - x) if flip
    is set: one matrix crops the mirror image, and no pixels are mirrored before."""
    across = torch.where(flip, -1.0, 1.0).to(affine)
    end = torch.where(flip, width - 1, 0).to(affine)
    first, second, shift = affine.unbind(-1)
    return torch.stack([first * across[:, None], second, shift + first * end[:, None]], -1)


def _half(
    keypoints: Tensor, labelled: Tensor, skeleton: Skeleton, upper: Tensor, aspect: float
) -> tuple[Tensor, Tensor, Tensor]:
    """Center and scale (B, 2) of the upper or lower half, (B,) whether it has enough joints."""
    low = torch.tensor([joint.endswith(LOWER) for joint in skeleton.joints])
    above, below = labelled & ~low, labelled & low
    enough = upper & (above.sum(-1) > SOME)
    enough |= below.sum(-1) <= SOME
    half = torch.where(enough[:, None], above, below)
    count = half.sum(-1)
    here = half[..., None]
    start = torch.where(here, keypoints, torch.inf).amin(1)
    extent = torch.where(here, keypoints, -torch.inf).amax(1) - start
    _, scale = box_to_center_scale(torch.cat([start, extent], -1), aspect, HALF)
    mean = (keypoints * here).sum(1) / count[:, None].clamp(min=1)
    return mean, scale, (count >= 2) & (extent > 0).any(-1)


def _colours(amount: Tensor) -> Tensor:
    """Contrast, saturation and brightness (B, 3) in [-colour, colour) -> (B, 3, 4), 0..255 RGB."""
    contrast, saturation, brightness = amount.T
    grey = amount.new_tensor(LUMA).expand(3, 3)
    keep = 1 + saturation[:, None, None]
    mix = keep * torch.eye(3).to(amount) + (1 - keep) * grey
    contrast = 1 + contrast[:, None, None]
    middle = 127.5 * (1 - contrast) + 127.5 * brightness[:, None, None]
    return torch.cat([contrast * mix, middle.expand(-1, 3, 1)], -1)
