"""Human3.6M's 3D poses as they are distributed: world millimetres of 32 joints, a file per clip.

    S1/MyPoseFeatures/D3_Positions/Walking 1.cdf       the data set's own; variable Pose (1, F, 96)
    Poses_D3_Positions_S1.tgz                          the same, packed
    S1/MyPoseFeatures/D3_Positions/Walking 1.cdf.mat   converted by MATLAB: data, a cell of (F, 96)
    S1/MyPoses/3D_positions/Walking 1.h5               the h36m.zip archive: 3D_positions (96, F)

The folders of the subjects may be one level deeper. .cdf files are read by cdflib, which is not
installed with posediff: pip install 'posediff[prepare]'.
"""

import tarfile
import tempfile
from collections.abc import Callable, Iterator
from itertools import product
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from posediff.data.lifting.h36m import BROKEN, TEST, TRAIN
from posediff.data.matlab import read_mat
from posediff.doors import hdf5_door
from posediff.doors.limits import refuse_array

Array = NDArray[np.float64]
Recorded = tuple[str, str, Array]  # subject, name of the clip, (F, 32, 3) metres

FOLDERS = ("MyPoseFeatures/D3_Positions", "MyPoses/3D_positions")
CLIPS = 30  # of every subject


def recordings(folder: Path) -> Iterator[Recorded]:
    """The clips of a folder in any of these forms, by subject and name; none if the folder has no
    such files. The one clip that is corrupt in the data set is skipped.

    Raises ValueError if a file cannot be read, or if cdflib is needed and not installed.
    """
    for subject in (*TRAIN, *TEST):
        files = _files(folder, subject)
        for path in files:
            name = path.name.removesuffix(".mat").rpartition(".")[0]
            if (subject, name) != BROKEN:
                yield subject, name, _poses(path, READERS[path.suffix](path))
        archive = folder / f"Poses_D3_Positions_{subject}.tgz"
        if not files and archive.is_file():
            yield from _unpacked(archive, subject)


def _files(folder: Path, subject: str) -> list[Path]:
    """The subject's files in the first form that the folder contains."""
    homes = (folder / subject, *sorted(folder.glob(f"*/{subject}")))
    for place, home, suffix in product(FOLDERS, homes, (".cdf", ".cdf.mat", ".h5")):
        if found := sorted((home / place).glob(f"[!.]*{suffix}")):
            return found
    return []


def _unpacked(archive: Path, subject: str) -> Iterator[Recorded]:
    with tempfile.TemporaryDirectory() as work:
        plain = Path(work) / "clip.cdf"
        try:
            with tarfile.open(archive) as tar:
                members = [m for m in tar.getmembers() if m.isfile() and m.name.endswith(".cdf")]
                for member in sorted(members, key=lambda m: m.name):
                    name = PurePosixPath(member.name).stem
                    if (subject, name) == BROKEN:
                        continue
                    place = f"{archive}: {member.name}"
                    refuse_array(place, member.size, archive.stat().st_size)
                    content = tar.extractfile(member)
                    assert content is not None
                    plain.write_bytes(content.read())
                    yield subject, name, _poses(place, _cdf(plain, place))
        except (tarfile.TarError, EOFError, OSError) as error:
            raise _unreadable(archive, "a packed folder", error) from None


def _poses(place: Path | str, numbers: Any) -> Array:
    """(..., 96) millimetres -> (F, 32, 3) metres."""
    array = np.asarray(numbers)
    if array.shape[-1:] != (96,) or array.dtype.kind not in "iuf" or not array.size:
        raise ValueError(
            f"{place}: has shape {array.shape}, expected 96 numbers per frame, three for each of "
            "32 joints"
        )
    return array.astype(np.float64).reshape(-1, 32, 3) / 1000


def _cdf(path: Path, place: str | None = None) -> Any:
    """The poses of a .cdf file; `place` is its name in errors, if it is a temporary file."""
    try:
        from cdflib import CDF
    except ImportError:
        raise ValueError(
            f"{place or path}: .cdf files are read by cdflib: pip install 'posediff[prepare]'"
        ) from None
    try:
        return CDF(str(path)).varget("Pose")
    except Exception as error:  # a broken file fails in many ways
        raise _unreadable(place or path, "a .cdf file with the variable Pose", error) from None


def _mat(path: Path) -> Any:
    data = read_mat(path, ("data",)).get("data")
    if not isinstance(data, list) or len(data) != 1:
        raise ValueError(f"{path}: contains no cell `data` of one array: copy it again")
    return data[0]


def _h5(path: Path) -> Any:
    try:
        with hdf5_door.opened(path, "copy it again") as root:
            return root.raw("3D_positions").T
    except ValueError as error:
        raise _unreadable(path, "an HDF5 file with 3D_positions", error) from None


def _unreadable(place: Path | str, kind: str, error: Exception) -> ValueError:
    text = " ".join(str(error).split()) or type(error).__name__
    return ValueError(f"{place}: cannot be read as {kind}: copy it again ({text})")


READERS: dict[str, Callable[[Path], Any]] = {".cdf": _cdf, ".mat": _mat, ".h5": _h5}
