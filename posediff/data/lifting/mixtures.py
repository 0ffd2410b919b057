"""Files of 2D mixtures: the position of every joint of every frame as weighted Gaussians.

posediff's is HDF5, without pickles, written by scripts/fit_mixture.py:

    /<subject>/<clip>/<camera>    (F, J, M, 5) float32 = weight, mu_u, mu_v, s_u, s_v
    attributes of the root        format, version, unit = pixel, scale = std, skeleton, source, ...

The released lift3d has npz files, `positions_2d` a pickled dict [subject][clip] -> list over the
cameras of (F, 17, M, 5), read here without being executed. In them mu is in pixels, but s is used
as screen units; s times half the image width is in pixels.
"""

import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from posediff.data.lifting.pickles import read_npz
from posediff.data.lifting.prepared import writing
from posediff.data.lifting.views import Clip
from posediff.doors import hdf5_door
from posediff.doors.checks import as_array, listing, mapping, shown
from posediff.doors.hdf5_door import same
from posediff.pose.mixture import COMPONENTS

Array = NDArray[np.float32]

FORMAT: dict[str, str | int] = {
    "format": "posediff-mixture",
    "version": 1,
    "unit": "pixel",
    "scale": "std",
}
SUFFIXES = (".h5", ".hdf5", ".npz")
WIDE = 0.5  # screen units: a quarter of the image
ROUNDING = 1e-3  # largest error of a sum of weights in a file


def is_file(keypoints: str) -> bool:
    """True if dataset.keypoints names a file of mixtures, not a kind of 2D."""
    return Path(keypoints).suffix in SUFFIXES


def write(path: Path, entries: Iterable[tuple[str, Array]], about: Mapping[str, Any]) -> int:
    """Write entries by name, `subject/clip/camera`, with attributes `about`. Their number."""
    count = 0
    with writing(path, FORMAT | dict(about)) as file:
        for name, mixture in entries:
            file.create_dataset(name, data=mixture, dtype="f4", compression="lzf")
            count += 1
    return count


def add_mixtures(clips: Iterable[Clip], path: str | Path, skeleton: str) -> None:
    """Give every clip the mixtures of a file, per camera (F, J, 5, 5) in pixels.

    An entry may have more frames than its clip, never fewer. Warns if all mixtures are single
    Gaussians, and if scales are too large for pixels.
    Raises FileNotFoundError if there is no such file, ValueError if the file or an entry is wrong.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file of mixtures (dataset.keypoints)")
    released = path.suffix == ".npz"
    with nullcontext(_released(path)) if released else _hdf5(path, skeleton) as entries:
        _add(clips, path, released, entries)


def _add(clips: Iterable[Clip], path: Path, released: bool, entries: Callable[[str], Any]) -> None:
    single, wide = True, False
    for clip in clips:
        clip.mixtures = []
        for number, (camera, name) in enumerate(zip(clip.cameras, clip.camera_names, strict=True)):
            entry = f"{clip.subject}/{clip.name}/{number if released else name}"
            half = float(camera.size[0]) / 2  # pixels of a screen unit
            frames, joints, _ = clip.world.shape
            mixture = _checked(entries(entry), frames, joints, f"{path}: {entry}")
            mixture[..., 3:] *= half if released else 1
            single &= bool((mixture[..., 0].max(-1) > 1 - 1e-4).all())
            wide |= bool((mixture[..., 3:] / half > WIDE).any())
            clip.mixtures.append(mixture.astype(np.float32))
    if single:
        warnings.warn(f"{path}: every mixture is a single Gaussian", stacklevel=3)
    if wide:
        message = f"{path}: some scales exceed {WIDE} screen units: are they pixels?"
        warnings.warn(message, stacklevel=3)


def _checked(entry: Any, frames: int, joints: int, where: str) -> NDArray[np.float64]:
    if entry is None:
        raise ValueError(f"{where}: no such entry, but the data set has that clip")
    mixture = as_array(entry)
    if mixture is None:
        raise ValueError(f"{where}: not an array of numbers")
    if mixture.ndim != 4 or mixture.shape[-1] != 5 or not 0 < mixture.shape[2] <= COMPONENTS:
        raise ValueError(
            f"{where}: an array of shape {mixture.shape}, not (F, J, M, 5) with M = 1 .. "
            f"{COMPONENTS}"
        )
    if mixture.shape[1] != joints:
        raise ValueError(f"{where}: {mixture.shape[1]} joints, but the clip has {joints}")
    if len(mixture) < frames:
        raise ValueError(f"{where}: {len(mixture)} frames, but the clip has {frames}")
    return sound(mixture[:frames], where)


def sound(mixture: NDArray[np.float64], where: str) -> NDArray[np.float64]:
    """Mixtures (F, J, M, 5), heaviest component first, with weights that sum to 1, padded to M = 5.

    Raises ValueError for numbers that are not finite, weights that are negative or do not sum to 1,
    and a component of positive weight with a scale that is zero or negative. `where` names the
    entry.
    """
    weights, live = mixture[..., 0], mixture[..., :1] > 0
    for wrong, what in (
        (~np.isfinite(mixture).all(-1), "not a finite number"),
        (weights < 0, "a negative weight"),
        (np.abs(weights.sum(-1) - 1)[..., None] > ROUNDING, "weights that do not sum to 1"),
        ((live & (mixture[..., 3:] <= 0)).any(-1), "a scale that is zero or negative"),
    ):
        if wrong.any():
            frame, joint = np.argwhere(wrong.any(-1))[0]
            raise ValueError(f"{where}: {what} in frame {frame}, joint {joint}: fit it again")
    order = np.argsort(-weights, axis=-1, kind="stable")
    mixture = np.take_along_axis(mixture, order[..., None], -2)
    mixture = np.pad(mixture, [(0, 0), (0, 0), (0, COMPONENTS - mixture.shape[-2]), (0, 0)])
    unused = mixture[..., :1] == 0
    mixture[..., 1:] = np.where(unused, mixture[..., :1, 1:], mixture[..., 1:])
    mixture[..., 0] /= mixture[..., 0].sum(-1, keepdims=True)
    return mixture


@contextmanager
def _hdf5(path: Path, skeleton: str) -> Iterator[Callable[[str], Any]]:
    """A function that finds an entry, or None, by `subject/clip/camera`."""
    with hdf5_door.opened(path, "fit it again") as root:
        given = root.attributes()
        for key, value in FORMAT.items():
            if not same(given.get(key), value):
                raise ValueError(
                    f"{path}: its {key} is {shown(given.get(key))}, not {value!r}: write it with "
                    "scripts/fit_mixture.py"
                )
        if not same(given.get("skeleton"), skeleton):
            raise ValueError(
                f"{path}: mixtures of {shown(given.get('skeleton'))}, but the data set has the "
                f"joints of {skeleton}"
            )
        yield lambda entry: root.array(entry, -1, -1, -1, -1, nan=True) if entry in root else None


def _released(path: Path) -> Callable[[str], Any]:
    """A function that finds an entry, or None, by `subject/clip/number of the camera`."""
    content = read_npz(path).get("positions_2d")
    if not isinstance(content, dict):
        raise ValueError(f"{path}: no dict `positions_2d`, so not a released file of mixtures")
    found = {
        f"{subject}/{clip}/{c}": mixture
        for subject, clips in content.items()
        for clip, cameras in mapping(f"{path}: {shown(subject)}", clips).items()
        for c, mixture in enumerate(
            cameras
            if isinstance(cameras, np.ndarray) and cameras.ndim
            else listing(f"{path}: {shown(subject)}/{shown(clip)}", cameras)
        )
    }
    return found.get
