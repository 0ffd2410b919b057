"""Heatmaps: how keypoints become maps and maps become keypoints again.

    encode   h[i, j] = exp(-((j - mu_x)^2 + (i - mu_y)^2) / (2 sigma^2)),  peak 1
    decode   mu = argmax h + shift

    codec     mu, the joint in the map   drawn at       and cut 3 sigma from   shift
    udp       crop (w - 1)/(W - 1)       mu             int(mu + 1/2)          -H^-1 g
    dark      crop / stride              mu             nowhere                -H^-1 g
    quarter   crop / stride              int(mu + 1/2)  int(mu + 1/2)          1/4 uphill
    argmax    crop / stride              int(mu + 1/2)  int(mu + 1/2)          0

g and H are differences of the blurred map's logarithm at the peak: DARK (Zhang et al., CVPR 2020),
and its form in UDP (Huang et al., CVPR 2020). W x H is the crop, w x h the map; points are (x, y),
and (0, 0) is the centre of the top-left pixel in both. The codec alone knows how the two relate.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import threshold

from posediff.diffusion.choices import one_of
from posediff.pose.skeleton import Skeleton

NAMES = ("udp", "dark", "quarter", "argmax")
RULES = ("own", "hrnet", "mmpose")
EPS = torch.finfo(torch.float32).eps


def is_udp(codec: str) -> bool:
    """Whether a codec of that name measures lengths between pixel centres."""
    return codec.startswith("udp")


@dataclass(frozen=True)
class Codec:
    """Keypoints in crop pixels <-> maps (..., J, h, w)."""

    name: str = "udp"
    size: tuple[int, int] = (192, 256)  # of the crop, W and H
    stride: int = 4
    sigma: float = 0.0  # in map pixels; 0 is 1/32 of the longer side: 2 at 64x48, 3 at 96x72
    rule: str = "own"  # hrnet, mmpose: the point they give an empty map, and their border test

    def __post_init__(self) -> None:
        one_of("dataset.codec", self.name, NAMES)
        one_of("task.codec.rule", self.rule, RULES)
        if any(side % self.stride for side in self.size):
            raise ValueError(f"a crop of {tuple(self.size)} has no maps of stride {self.stride}")
        object.__setattr__(self, "size", tuple(self.size))
        if not self.sigma:
            object.__setattr__(self, "sigma", max(self.size) / self.stride / 32)

    @property
    def udp(self) -> bool:
        """Whether lengths run between pixel centres, as the crop's `affine` must then, too."""
        return is_udp(self.name)

    @property
    def shape(self) -> tuple[int, int]:
        """Of a map, (h, w)."""
        return self.size[1] // self.stride, self.size[0] // self.stride

    def to_map(self, points: Tensor) -> Tensor:
        """Crop pixels (..., 2) -> map pixels."""
        return points / points.new_tensor(self._pitch)

    def from_map(self, points: Tensor) -> Tensor:
        """Map pixels (..., 2) -> crop pixels."""
        return points * points.new_tensor(self._pitch)

    def encode(self, keypoints: Tensor, visible: Tensor) -> tuple[Tensor, Tensor]:
        """Targets of keypoints (..., J, 2) in crop pixels: maps (..., J, h, w), weights (..., J).

        visible (..., J) is the weight of a joint inside; one whose window of 3 sigma lies outside
        weighs 0 (as published: not yet where it ends next to the border). The map of a joint of
        weight 0 is 0, whatever its coordinates.
        """
        mu = self.to_map(keypoints)
        cell = (mu + 0.5).trunc()  # towards 0, as published: (-1.5, 0.5) is pixel 0
        window = mu if self.name == "dark" else cell
        reach, end = 3 * self.sigma, mu.new_tensor(self.shape[::-1])
        inside = ((window - reach < end) & (window + reach + 1 >= 0)).all(-1)
        weights = visible * inside
        centre = mu if self.name in ("udp", "dark") else cell
        centre = torch.where((weights > 0)[..., None], centre, torch.inf)  # draws nothing
        within = None if self.name == "dark" else cell
        return render(centre, self.shape, self.sigma, within), weights

    def decode(self, maps: Tensor) -> tuple[Tensor, Tensor]:
        """Maps (..., J, h, w) -> keypoints (..., J, 2) in crop pixels and peaks (..., J).

        The peak is the raw maximum. Points are finite whatever the maps are: one that tells nothing
        answers with its arg max, of which the first is taken. Differentiable where the shift is.
        """
        if maps.shape[-2:] != self.shape:
            raise ValueError(f"maps of {(*maps.shape[-2:],)}, but the codec's are {self.shape}")
        maps = _exact(maps)
        peak, index = maps.flatten(-2).max(-1)
        w = maps.shape[-1]
        cell = torch.stack([index % w, index // w], -1)
        with torch.autocast(maps.device.type, enabled=False):
            points = cell + self._shift(maps, cell, peak)
        if self.rule != "own":
            empty = 0.0 if self.rule == "hrnet" else -1.0
            points = torch.where((peak > 0)[..., None], points, empty)
        return self.from_map(points), peak

    def error(self, estimate: Tensor, target: Tensor) -> Tensor:
        """The mean square of a map's error, (..., J)."""
        return (estimate.float() - target).square().mean((-2, -1))

    def flip(self, maps: Tensor, skeleton: Skeleton) -> Tensor:
        """Maps (..., J, h, w) seen in a mirror: reversed in x, sides swapped.

        A mirrored crop has x -> W - 1 - x, which on a classic map is one pixel (less 1/stride) to
        the right of w - 1 - x; so those are moved by one, and the first column is repeated.
        """
        mirrored = maps[..., skeleton.flip, :, :].flip(-1)
        if self.udp:
            return mirrored
        return torch.cat([mirrored[..., :1], mirrored[..., :-1]], -1)

    def second_moment(self, maps: Tensor) -> Tensor:
        """sqrt(var_x + var_y) near the peak of a map read as a density, (..., J) in crop pixels.

        Near: within 6 sigma along each axis. All over the map, the little that a network says
        everywhere else outweighs the peak, and so does a second one far away. What is negative
        counts as 0; where nothing is positive the density is uniform.
        """
        density = _exact(maps).clamp(min=torch.finfo(torch.float32).tiny)
        index, w = density.flatten(-2).argmax(-1, keepdim=True), maps.shape[-1]
        apart = [
            torch.arange(n, device=maps.device) - cell
            for n, cell in zip(maps.shape[-2:], (index // w, index % w), strict=True)
        ]
        rows, columns = ((d.abs() <= 6 * self.sigma).to(density.dtype) for d in apart)
        density = density * rows[..., :, None] * columns[..., None, :]
        variance = torch.zeros_like(density[..., 0, 0])
        for axis, d, pitch in zip((-1, -2), apart, self._pitch[::-1], strict=True):
            line = density.sum(axis)
            line = line / line.sum(-1, keepdim=True)
            x = pitch * (d - (line * d).sum(-1, keepdim=True))
            variance = variance + (line * x.square()).sum(-1)
        return variance.sqrt()

    @property
    def _pitch(self) -> tuple[float, float]:
        """Crop pixels from one map pixel to the next, in x and y."""
        if not self.udp:
            return float(self.stride), float(self.stride)
        (W, H), (h, w) = self.size, self.shape
        return (W - 1) / (w - 1), (H - 1) / (h - 1)

    def _shift(self, maps: Tensor, cell: Tensor, peak: Tensor) -> Tensor:
        """From the arg max to the point, in map pixels. (..., J, 2)."""
        if self.name == "argmax":
            return torch.zeros_like(cell, dtype=maps.dtype)
        end = cell.new_tensor(self.shape[::-1])
        if self.name == "quarter":
            within = (cell > 1) & (cell < end - 1)
            if self.rule == "hrnet":  # both axes or none
                within = within.all(-1, keepdim=True)
            else:
                within = within & (cell.flip(-1) > 0)
            return torch.where(within, _slope(_near(maps, cell, 1)).sign() / 4, 0.0)
        if self.name == "dark":
            near = _near(maps, cell, 2, self._blur).clamp(min=1e-10)
            within = ((cell > 1) & (cell < end - 2)).all(-1, keepdim=True)
        else:
            near = _near(maps, cell, 1, self._blur)
            top = near.amax((-2, -1), keepdim=True).clamp(min=1e-10)
            near = (near * (peak[..., None, None] / top)).clamp(1e-3, 50)
            within = torch.ones_like(cell[..., :1], dtype=torch.bool)
        step = _newton(near.log())
        # beyond the blob's own width H tells nothing: unbounded, some steps are 1000s of pixels
        within = within & (step.abs() <= max(self.sigma, 1.0)).all(-1, keepdim=True)
        return torch.where(within, step, 0.0)

    @property
    def _blur(self) -> int:
        """Half side of the blur's kernel: 5 for sigma 2, 8 for sigma 3, as published."""
        return max(round(3 * self.sigma - 1), 1)


def _exact(maps: Tensor) -> Tensor:
    """Half precision has no room for a fraction of a pixel."""
    return maps.to(torch.promote_types(maps.dtype, torch.float32))


def _near(maps: Tensor, cell: Tensor, reach: int, blur: int = 0) -> Tensor:
    """The blurred map around one pixel of each. (..., h, w), (..., 2) -> (..., 2r + 1, 2r + 1).

    To the blur all is 0 outside the map, and after it the border repeats. Only what is asked for
    is blurred: rows of a band matrix, times the map, times columns of another.
    """
    offset = torch.arange(-reach, reach + 1, device=maps.device)

    def taps(centre: Tensor, n: int) -> Tensor:
        return blur_matrix(n, blur, maps)[(centre[..., None] + offset).clamp(0, n - 1)]

    rows, columns = taps(cell[..., 1], maps.shape[-2]), taps(cell[..., 0], maps.shape[-1])
    return rows @ maps @ columns.mT


def blur_matrix(n: int, blur: int, like: Tensor) -> Tensor:
    """A Gaussian blur of n pixels as a matrix (n, n), a kernel of 2 blur + 1 with the middle 1."""
    pixel = torch.arange(n, device=like.device)
    apart = (pixel - pixel[:, None]).abs()
    deviation = 0.3 * (blur - 1) + 0.8  # OpenCV's
    return torch.exp(-((apart.to(like.dtype) / deviation) ** 2) / 2) * (apart <= blur)


def _slope(near: Tensor) -> Tensor:
    """The right neighbour less the left, the lower less the upper. (..., n, n) -> (..., 2)."""
    c = near.shape[-1] // 2
    x = near[..., c, c + 1] - near[..., c, c - 1]
    return torch.stack([x, near[..., c + 1, c] - near[..., c - 1, c]], -1)


def _newton(near: Tensor) -> Tensor:
    """-H^-1 g at the middle of a patch, (..., 2). 5 pixels wide: DARK's differences, 3: UDP's."""
    c = near.shape[-1] // 2

    def at(dx: int, dy: int) -> Tensor:
        return near[..., c + dy, c + dx]

    if c == 2:
        xx = (at(2, 0) - 2 * at(0, 0) + at(-2, 0)) / 4
        yy = (at(0, 2) - 2 * at(0, 0) + at(0, -2)) / 4
        xy = (at(1, 1) - at(-1, 1) - at(1, -1) + at(-1, -1)) / 4
    else:
        xx = at(1, 0) - 2 * at(0, 0) + at(-1, 0)
        yy = at(0, 1) - 2 * at(0, 0) + at(0, -1)
        xy = (at(1, 1) + at(-1, -1) - 2 * at(0, 0) - xx - yy) / 2
    x, y = (_slope(near) / 2).unbind(-1)
    xx, yy = xx + EPS, yy + EPS  # a flat patch stays where it is
    return torch.stack([xy * y - yy * x, xy * x - xx * y], -1) / (xx * yy - xy**2)[..., None]


def render(
    centres: Tensor, shape: tuple[int, int], sigma: float, within: Tensor | None = None
) -> Tensor:
    """Gaussians of peak 1 at centres (..., J, 2) in map pixels, as maps (..., J, h, w).

    `within` (..., J, 2) cuts each to a square of half side 3 sigma about that pixel.
    """
    profiles = []
    for axis, n in ((1, shape[0]), (0, shape[1])):
        pixel = torch.arange(n, dtype=centres.dtype, device=centres.device)
        squared = ((pixel - centres[..., axis, None]) / sigma) ** 2
        profile = threshold(torch.exp(-squared.clamp(max=84) / 2), 1e-18, 0)  # denormals are slow
        if within is not None:
            profile = profile * ((pixel - within[..., axis, None]).abs() <= 3 * sigma)
        profiles.append(profile)
    rows, columns = profiles
    return rows[..., :, None] * columns[..., None, :]
