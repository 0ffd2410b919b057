"""How a person is shown in training: larger or smaller, turned, aside, in a mirror, in half.

    half body  with p .3, of a person with more than 8 labelled joints: center = the mean of the
               upper (p .69) or the lower joints, scale = 1.5 times their box grown to the crop's
               shape; a half has more than 2 joints, else it is the lower, else the upper one
    shift      center += shift * scale * b        per axis, with a probability
    scale      scale  *= 1 + zoom * b
    rotation   degrees = rotation * b             with a probability
    flip       with p .5 the picture and the person in it are seen in a mirror
    colour     contrast and saturation * (1 + colour * u), brightness + 255 * colour * u / 2, with u
               uniform in [-1, 1): no published recipe has it

b is a bounded standard normal number: clipped at +-1 (+-2 for the rotation), which heaps draws up
at the ends (HRNet), or drawn again until it lies in +-1 (mmpose).

What a sample is shown as depends on its key alone, not on the batch.
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
MANY = 8  # labelled joints above which a person may be halved
SOME = 2  # and above which a half is shown
LOWER = ("hip", "knee", "ankle", "toe", "heel", "foot")
LUMA = (0.299, 0.587, 0.114)


class CropView(NamedTuple):
    """Where B people are looked at from."""

    center: Tensor  # (B, 2) picture pixels
    scale: Tensor  # (B, 2) picture pixels that the crop is wide and high
    rotation: Tensor  # (B,) degrees
    flip: Tensor  # (B,) bool
    colour: Tensor | None  # (B, 3, 4), what RGB and 1 are multiplied with; None: as it is


@dataclass(frozen=True)
class Augmentation:
    """HRNet's recipe; `MMPOSE` is the other one. Probabilities of flip and half_body are 0 or as
    above in both; bounds says how normal numbers are kept small."""

    flip: float = 0.5
    half_body: float = 0.3
    upper: float = 0.69
    zoom: float = 0.35
    rotation: float = 45.0
    turned: float = 0.6  # how often it is rotated
    shift: float = 0.0
    shifted: float = 0.0  # how often it is shifted
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
    ) -> CropView:
        """The views of B people: center and scale (B, 2) of the whole person, keypoints (B, J, 2)
        in picture pixels, visible (B, J)."""
        u = torch.from_numpy(random.uniform(keys, 12)).to(center.dtype)
        flip, halved, upper, turned, shifted = u[:, :5].T
        halves = self._halved(center, scale, keypoints, visible > 0, skeleton, upper < self.upper)
        many = (visible > 0).sum(-1) > MANY
        center, scale = _choose(many & (halved < self.half_body), halves, (center, scale))
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
        """Normal numbers by the inverse of their distribution."""
        if self.bounds == "clipped":
            return _normal(u).clamp(-bound, bound)
        below = NormalDist().cdf(-1)
        return _normal(below + u * (1 - 2 * below))

    @staticmethod
    def _halved(
        center: Tensor,
        scale: Tensor,
        keypoints: Tensor,
        labelled: Tensor,
        skeleton: Skeleton,
        upper: Tensor,
    ) -> tuple[Tensor, Tensor]:
        """Center and scale of the half that is meant; as they were where no half has the joints."""
        low = torch.tensor([joint.endswith(LOWER) for joint in skeleton.joints])
        above, below = labelled & ~low, labelled & low
        enough = upper & (above.sum(-1) > SOME)
        enough |= below.sum(-1) <= SOME
        half = torch.where(enough[:, None], above, below)
        count = half.sum(-1)
        here = half[..., None]
        start = torch.where(here, keypoints, torch.inf).amin(1)
        extent = torch.where(here, keypoints, -torch.inf).amax(1) - start
        aspect = float(scale[0, 0] / scale[0, 1])
        _, grown = box_to_center_scale(torch.cat([start, extent], -1), aspect, HALF)
        mean = (keypoints * here).sum(1) / count[:, None].clamp(min=1)
        return _choose((count >= 2) & (extent > 0).any(-1), (mean, grown), (center, scale))


MMPOSE = Augmentation(zoom=0.5, rotation=80.0, shift=0.16, shifted=0.3, bounds="drawn again")
RECIPES = {"hrnet": Augmentation(), "mmpose": MMPOSE}


def recipe(named: str | Augmentation | None) -> Augmentation | None:
    """hrnet or mmpose by name; an own one, or none, as it is."""
    if not isinstance(named, str):
        return named
    one_of("dataset.augment", named, RECIPES)
    return RECIPES[named]


def mirrored(affine: Tensor, width: Tensor, flip: Tensor) -> Tensor:
    """Picture -> crop (B, 2, 3), of the picture's mirror image (x -> width - 1 - x) where flip is
    set: one matrix shows the crop of a mirrored picture without mirroring the picture."""
    across = torch.where(flip, -1.0, 1.0).to(affine)
    end = torch.where(flip, width - 1, 0).to(affine)
    first, second, shift = affine.unbind(-1)
    return torch.stack([first * across[:, None], second, shift + first * end[:, None]], -1)


def _colours(amount: Tensor) -> Tensor:
    """Contrast, saturation and brightness (B, 3) in [-colour, colour) -> (B, 3, 4), 0..255 RGB."""
    contrast, saturation, brightness = amount.T
    grey = amount.new_tensor(LUMA).expand(3, 3)
    keep = 1 + saturation[:, None, None]
    mix = keep * torch.eye(3).to(amount) + (1 - keep) * grey
    contrast = 1 + contrast[:, None, None]
    middle = 127.5 * (1 - contrast) + 127.5 * brightness[:, None, None]
    return torch.cat([contrast * mix, middle.expand(-1, 3, 1)], -1)


def _normal(u: Tensor) -> Tensor:
    """Uniform numbers -> standard normal ones; 0 -> minus infinity."""
    x: Tensor = torch.special.ndtri(u)
    return x


def _choose(
    here: Tensor, yes: tuple[Tensor, Tensor], no: tuple[Tensor, Tensor]
) -> tuple[Tensor, Tensor]:
    a, b = (torch.where(here[:, None], x, y) for x, y in zip(yes, no, strict=True))
    return a, b
