"""Files of 2D mixtures: for every joint of every frame where it may be, as weighted Gaussians.

Ours is HDF5, without pickles, and scripts/fit_mixture.py writes it:

    /<subject>/<clip>/<camera>    (F, J, M, 5) float32 = weight, mu_u, mu_v, s_u, s_v
    attributes of the root        format, version, unit = pixel, scale = std, skeleton, source, ...

The released lift3d has npz files, `positions_2d` a pickled dict [subject][clip] -> list over the
cameras of (F, 17, M, 5), read here without being executed. In them mu is in pixels, but s is used
as screen units; so s times half the picture's width is what we call pixels.
"""

import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from posediff.data.lifting.pickles import read_npz
from posediff.data.lifting.prepared import writing
from posediff.data.lifting.views import Clip
from posediff.pose.mixture import COMPONENTS

Array = NDArray[np.float32]

FORMAT = {"format": "posediff-mixture", "version": 1, "unit": "pixel", "scale": "std"}
SUFFIXES = (".h5", ".hdf5", ".npz")
WIDE = 0.5  # screen units: a quarter of the picture
ROUNDING = 1e-3  # by which weights in a file may miss 1


def is_file(keypoints: str) -> bool:
    """Whether dataset.keypoints names a file of mixtures rather than a kind of 2D."""
    return Path(keypoints).suffix in SUFFIXES


def write(path: Path, entries: Iterable[tuple[str, Array]], about: Mapping[str, Any]) -> int:
    """Entries by name, `subject/clip/camera`; `about` are attributes. Their number."""
    count = 0
    with writing(path, FORMAT | dict(about)) as file:
        for name, mixture in entries:
            file.create_dataset(name, data=mixture, dtype="f4", compression="lzf")
            count += 1
    return count


class MixtureFile:
    """Entries are read, checked and padded to M = 5 one at a time.

    Raises FileNotFoundError or ValueError, naming file and entry. `close` warns of a file whose
    mixtures are single Gaussians, and of one with scales that are no part of a picture.
    """

    def __init__(self, path: str | Path, skeleton: str) -> None:
        self.path = Path(path)
        if not self.path.is_file():
            raise FileNotFoundError(f"{self.path}: no such file of mixtures (dataset.keypoints)")
        self.released = self.path.suffix == ".npz"
        self.entries: Any = _released(self.path) if self.released else _ours(self.path, skeleton)
        self.single, self.wide = True, False

    def of_clip(
        self, subject: str, clip: str, cameras: Mapping[str, float], frames: int
    ) -> list[Array]:
        """Of every camera, by name with the width of its picture, (frames, J, 5, 5) in pixels.

        A file may hold more frames than there is motion capture, never fewer.
        """
        return [
            self._read(f"{subject}/{clip}/{number if self.released else camera}", frames, width)
            for number, (camera, width) in enumerate(cameras.items())
        ]

    def _read(self, name: str, frames: int, width: float) -> Array:
        where = f"{self.path}: {name}"
        if name not in self.entries:
            raise ValueError(f"{where}: no such entry, though the data set has that clip")
        found = np.asarray(self.entries[name], dtype=np.float64)
        if found.ndim != 4 or found.shape[-1] != 5 or not 0 < found.shape[2] <= COMPONENTS:
            wanted = f"(F, J, M, 5) with M = 1 .. {COMPONENTS}"
            raise ValueError(f"{where}: an array of shape {found.shape}, not {wanted}")
        if len(found) < frames:
            raise ValueError(f"{where}: {len(found)} frames, but the clip has {frames}")
        found = sound(found[:frames], where)
        if self.released:
            found[..., 3:] *= width / 2
        self.single &= bool((found[..., 0].max(-1) > 1 - 1e-4).all())
        self.wide |= bool((found[..., 3:] * 2 / width > WIDE).any())
        return found.astype(np.float32)

    def close(self) -> None:
        """After the last entry: say what is odd about them all."""
        if self.single:
            message = f"{self.path}: every mixture is a single Gaussian, all weight on one"
            warnings.warn(message, stacklevel=2)
        if self.wide:
            message = f"{self.path}: some scales exceed {WIDE} screen units: are they pixels?"
            warnings.warn(message, stacklevel=2)
        if not self.released:
            self.entries.close()


def add_mixtures(clips: Iterable[Clip], path: str, skeleton: str) -> None:
    """To every clip its mixtures of a file."""
    file = MixtureFile(path, skeleton)
    for clip in clips:
        widths = [float(camera.size[0]) for camera in clip.cameras]
        cameras = dict(zip(clip.camera_names, widths, strict=True))
        clip.mixtures = file.of_clip(clip.subject, clip.name, cameras, len(clip.world))
    file.close()


def sound(mixture: NDArray[np.float64], where: str) -> NDArray[np.float64]:
    """Mixtures (F, J, M, 5), heaviest component first, weights that sum to 1, padded to M = 5.

    ValueError, naming frame and joint, for numbers that are not finite, weights that are negative
    or do not sum to 1, and a deviation that is zero or negative where there is weight.
    """
    weights, live = mixture[..., 0], mixture[..., :1] > 0
    for wrong, what in (
        (~np.isfinite(mixture).all(-1), "not a finite number"),
        (weights < 0, "a negative weight"),
        (np.abs(weights.sum(-1) - 1)[..., None] > ROUNDING, "weights that do not sum to 1"),
        ((live & (mixture[..., 3:] <= 0)).any(-1), "a variance that is zero or negative"),
    ):
        if wrong.any():
            frame, joint = np.argwhere(wrong.any(-1))[0]
            raise ValueError(f"{where}: {what} in frame {frame}, joint {joint}: fit it again")
    order = np.argsort(-weights, axis=-1, kind="stable")
    mixture = np.take_along_axis(mixture, order[..., None], -2)
    mixture = np.concatenate(
        [mixture, np.zeros_like(mixture[..., :1, :]).repeat(COMPONENTS - mixture.shape[-2], -2)], -2
    )
    padding = mixture[..., 0] == 0
    mixture = np.where(padding[..., None], mixture[..., :1, :], mixture)
    mixture[..., 0] = np.where(padding, 0, mixture[..., 0])
    mixture[..., 0] /= mixture[..., 0].sum(-1, keepdims=True)
    return mixture


def _ours(path: Path, skeleton: str) -> Any:
    """The h5py.File."""
    import h5py

    try:
        file = h5py.File(path)
    except OSError as error:
        raise ValueError(f"{path}: cannot be read, fit it again ({error})") from None
    for key, value in FORMAT.items():
        if file.attrs.get(key) != value:
            raise ValueError(
                f"{path}: its {key} is {file.attrs.get(key)!r}, not {value!r}: write it with "
                "scripts/fit_mixture.py"
            )
    if file.attrs.get("skeleton") != skeleton:
        raise ValueError(
            f"{path}: mixtures of {file.attrs.get('skeleton')}, but the data set has the joints of "
            f"{skeleton}"
        )
    return file


def _released(path: Path) -> dict[str, NDArray[Any]]:
    """By `subject/clip/number of the camera`."""
    content = read_npz(path).get("positions_2d")
    if not isinstance(content, dict):
        raise ValueError(f"{path}: no dict `positions_2d`, so not a released file of mixtures")
    found = {}
    for subject, clips in content.items():
        for clip, cameras in clips.items():
            for c, mixture in enumerate(cameras):
                found[f"{subject}/{clip}/{c}"] = mixture
    return found
