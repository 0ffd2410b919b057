"""Heatmaps: codecs from keypoints to maps and back.

    encode   h[i, j] = exp(-((j - mu_x)^2 + (i - mu_y)^2) / (2 sigma^2)),  peak 1
    decode   mu = argmax h + shift

    codec     mu, the joint in the map   drawn at       and cut 3 sigma from   shift
    udp       crop (w - 1)/(W - 1)       mu             int(mu + 1/2)          -H^-1 g
    dark      crop / stride              mu             (not cut)              -H^-1 g
    quarter   crop / stride              int(mu + 1/2)  int(mu + 1/2)          1/4 uphill
    argmax    crop / stride              int(mu + 1/2)  int(mu + 1/2)          0

g and H are differences of the blurred map's logarithm at the peak: DARK (Zhang et al., CVPR 2020),
and its form in UDP (Huang et al., CVPR 2020). W x H is the crop, w x h the map; points are (x, y),
and (0, 0) is the centre of the top-left pixel in both. Only the codec converts between the two.
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
    """True if the codec of that name measures lengths between pixel centres."""
    return codec.startswith("udp")


@dataclass(frozen=True)
class Codec:
    """Keypoints in crop pixels <-> maps (..., J, h, w).

    Raises ValueError if a name is unknown, or the stride does not divide the size.
    """

    name: str = "udp"
    size: tuple[int, int] = (192, 256)  # of the crop, W and H
    stride: int = 4
    sigma: float = 0.0  # in map pixels; 0 is 1/32 of the longer side: 2 at 64x48, 3 at 96x72
    rule: str = "own"  # hrnet, mmpose: their keypoint for an empty map, and their border test

    def __post_init__(self) -> None:
        one_of("dataset.codec", self.name, NAMES)
        one_of("task.codec.rule", self.rule, RULES)
        if any(side % self.stride for side in self.size):
            raise ValueError(f"crop size {self.size} is not divisible by stride {self.stride}")
        object.__setattr__(self, "size", tuple(self.size))
        if not self.sigma:
            object.__setattr__(self, "sigma", max(self.size) / self.stride / 32)

    @property
    def udp(self) -> bool:
        """True if lengths are measured between pixel centres; the crop's `affine` must agree."""
        return is_udp(self.name)

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width of a map."""
        return self.size[1] // self.stride, self.size[0] // self.stride

    def to_map(self, points: Tensor) -> Tensor:
        """Crop pixels (..., 2) -> map pixels."""
        return points / points.new_tensor(self._pitch)

    def from_map(self, points: Tensor) -> Tensor:
        """Map pixels (..., 2) -> crop pixels."""
        return points * points.new_tensor(self._pitch)

    def encode(self, keypoints: Tensor, visible: Tensor) -> tuple[Tensor, Tensor]:
        """Targets of keypoints (..., J, 2) in crop pixels: maps (..., J, h, w), weights (..., J).

        visible (..., J) is the weight of a joint; it becomes 0 if the joint's window of 3 sigma is
        outside (as published, not yet if it ends next to the border). The map of a joint of weight
        0 is 0, whatever its coordinates.
        """
        mu = self.to_map(keypoints)
        cell = (mu + 0.5).trunc()  # towards 0, as published: (-1.5, 0.5) is pixel 0
        window = mu if self.name == "dark" else cell
        reach, end = 3 * self.sigma, mu.new_tensor(self.shape[::-1])
        inside = ((window - reach < end) & (window + reach + 1 >= 0)).all(-1)
        weights = visible * inside
        centre = mu if self.name in ("udp", "dark") else cell
        centre = torch.where((weights > 0)[..., None], centre, torch.inf)  # renders zeros
        within = None if self.name == "dark" else cell
        return render(centre, self.shape, self.sigma, within), weights

    def decode(self, maps: Tensor) -> tuple[Tensor, Tensor]:
        """Maps (..., J, h, w) -> keypoints (..., J, 2) in crop pixels and peaks (..., J).

        The peak is the raw maximum. Keypoints are finite for all maps: without a usable shift they
        are the (first) argmax. Differentiable through the shift.
        Raises ValueError if the maps have another size than the codec's.
        """
        if maps.shape[-2:] != self.shape:
            raise ValueError(f"maps of {(*maps.shape[-2:],)}, but the codec's are {self.shape}")
        maps = _at_least_float32(maps)
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
        """Mean square error of each map, (..., J)."""
        return (estimate.float() - target).square().mean((-2, -1))

    def flip(self, maps: Tensor, skeleton: Skeleton) -> Tensor:
        """Mirrored maps (..., J, h, w): reversed in x, sides swapped.

        A mirrored crop has x -> W - 1 - x, which on a classic map is one pixel (less 1/stride) to
        the right of w - 1 - x; so these maps move by one, and the first column is repeated.
        """
        mirrored = maps[..., skeleton.flip, :, :].flip(-1)
        if self.udp:
            return mirrored
        return torch.cat([mirrored[..., :1], mirrored[..., :-1]], -1)

    def second_moment(self, maps: Tensor) -> Tensor:
        """sqrt(var_x + var_y) near the peak of a map read as a density, (..., J) in crop pixels.

        Near: within 6 sigma along each axis. Over the whole map, small values far from the peak or
        a second peak would dominate. Negative values count as 0; the density is uniform if no value
        is positive.
        """
        density = _at_least_float32(maps).clamp(min=torch.finfo(torch.float32).tiny)
        index, (h, w) = density.flatten(-2).argmax(-1, keepdim=True), maps.shape[-2:]
        dy = torch.arange(h, device=maps.device) - index // w
        dx = torch.arange(w, device=maps.device) - index % w
        rows, columns = ((d.abs() <= 6 * self.sigma).to(density.dtype) for d in (dy, dx))
        density = density * rows[..., :, None] * columns[..., None, :]

        def variance(line: Tensor, distance: Tensor, pitch: float) -> Tensor:
            line = line / line.sum(-1, keepdim=True)
            x = pitch * (distance - (line * distance).sum(-1, keepdim=True))
            return (line * x.square()).sum(-1)

        pitch_x, pitch_y = self._pitch
        total = variance(density.sum(-1), dy, pitch_y) + variance(density.sum(-2), dx, pitch_x)
        return total.sqrt()

    @property
    def _pitch(self) -> tuple[float, float]:
        """Crop pixels per map pixel, in x and y."""
        if not self.udp:
            return float(self.stride), float(self.stride)
        (W, H), (h, w) = self.size, self.shape
        return (W - 1) / (w - 1), (H - 1) / (h - 1)

    def _shift(self, maps: Tensor, cell: Tensor, peak: Tensor) -> Tensor:
        """The shift from the argmax to the keypoint, (..., J, 2) in map pixels."""
        if self.name == "argmax":
            return torch.zeros_like(cell, dtype=maps.dtype)
        end = cell.new_tensor(self.shape[::-1])
        if self.name == "quarter":
            within = (cell > 1) & (cell < end - 1)
            if self.rule == "hrnet":  # both axes or none
                within = within.all(-1, keepdim=True)
            else:
                within = within & (cell.flip(-1) > 0)
            return torch.where(within, _slope(_patch(maps, cell, 1)).sign() / 4, 0.0)
        if self.name == "dark":
            patch = _patch(maps, cell, 2, self._blur).clamp(min=1e-10)
            within = ((cell > 1) & (cell < end - 2)).all(-1, keepdim=True)
        else:
            patch = _patch(maps, cell, 1, self._blur)
            top = patch.amax((-2, -1), keepdim=True).clamp(min=1e-10)
            patch = (patch * (peak[..., None, None] / top)).clamp(1e-3, 50.0)
            within = torch.ones_like(cell[..., :1], dtype=torch.bool)
        step = _newton(patch.log())
        # beyond sigma the quadratic fit is meaningless: some steps would be 1000s of pixels
        within = within & (step.abs() <= max(self.sigma, 1.0)).all(-1, keepdim=True)
        return torch.where(within, step, 0.0)

    @property
    def _blur(self) -> int:
        """Half side of the blur kernel: 5 for sigma 2, 8 for sigma 3, as published."""
        return max(round(3 * self.sigma - 1), 1)


def _at_least_float32(maps: Tensor) -> Tensor:
    """Half precision cannot represent fractions of a pixel."""
    return maps.to(torch.promote_types(maps.dtype, torch.float32))


def _patch(maps: Tensor, cell: Tensor, reach: int, blur: int = 0) -> Tensor:
    """The blurred map around one pixel of each. (..., h, w), (..., 2) -> (..., 2r + 1, 2r + 1).

    The blur pads with 0, the patch repeats the border. Only the patch is blurred: rows of a band
    matrix, times the map, times columns of another.
    """
    offset = torch.arange(-reach, reach + 1, device=maps.device)

    def taps(centre: Tensor, n: int) -> Tensor:
        return blur_matrix(n, blur, maps)[(centre[..., None] + offset).clamp(0, n - 1)]

    rows, columns = taps(cell[..., 1], maps.shape[-2]), taps(cell[..., 0], maps.shape[-1])
    return rows @ maps @ columns.mT


def blur_matrix(n: int, blur: int, like: Tensor) -> Tensor:
    """Gaussian blur of n pixels as a matrix (n, n); its kernel of 2 blur + 1 has a peak of 1."""
    pixel = torch.arange(n, device=like.device)
    distance = (pixel - pixel[:, None]).abs()
    deviation = 0.3 * (blur - 1) + 0.8  # as in OpenCV
    return torch.exp(-((distance.to(like.dtype) / deviation) ** 2) / 2) * (distance <= blur)


def _slope(patch: Tensor) -> Tensor:
    """Right minus left and lower minus upper neighbour of the middle. (..., n, n) -> (..., 2)."""
    c = patch.shape[-1] // 2
    x = patch[..., c, c + 1] - patch[..., c, c - 1]
    return torch.stack([x, patch[..., c + 1, c] - patch[..., c - 1, c]], -1)


def _newton(patch: Tensor) -> Tensor:
    """-H^-1 g at the middle of a patch, (..., 2). 5 pixels wide: DARK's differences, 3: UDP's."""
    c = patch.shape[-1] // 2

    def at(dx: int, dy: int) -> Tensor:
        return patch[..., c + dy, c + dx]

    if c == 2:
        xx = (at(2, 0) - 2 * at(0, 0) + at(-2, 0)) / 4
        yy = (at(0, 2) - 2 * at(0, 0) + at(0, -2)) / 4
        xy = (at(1, 1) - at(-1, 1) - at(1, -1) + at(-1, -1)) / 4
    else:
        xx = at(1, 0) - 2 * at(0, 0) + at(-1, 0)
        yy = at(0, 1) - 2 * at(0, 0) + at(0, -1)
        xy = (at(1, 1) + at(-1, -1) - 2 * at(0, 0) - xx - yy) / 2
    x, y = (_slope(patch) / 2).unbind(-1)
    xx, yy = xx + EPS, yy + EPS  # the step of a flat patch is 0
    return torch.stack([xy * y - yy * x, xy * x - xx * y], -1) / (xx * yy - xy**2)[..., None]


def render(
    centres: Tensor, shape: tuple[int, int], sigma: float, within: Tensor | None = None
) -> Tensor:
    """Gaussians of peak 1 at centres (..., J, 2) in map pixels, as maps (..., J, h, w).

    `within` (..., J, 2) cuts each to a square of half side 3 sigma around that pixel.
    """

    def profile(axis: int, n: int) -> Tensor:
        pixel = torch.arange(n, dtype=centres.dtype, device=centres.device)
        squared = ((pixel - centres[..., axis, None]) / sigma) ** 2
        y = threshold(torch.exp(-squared.clamp(max=84) / 2), 1e-18, 0)  # denormals are slow
        return y if within is None else y * ((pixel - within[..., axis, None]).abs() <= 3 * sigma)

    return profile(1, shape[0])[..., :, None] * profile(0, shape[1])[..., None, :]
