"""The one HDF5 file of a data set that a script prepares once, and the subjects of its splits.

The attributes `format` and `version` of a file name the script that wrote it.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from posediff.diffusion.choices import one_of
from posediff.doors import hdf5_door
from posediff.doors.hdf5_door import Group, same
from posediff.files import replacing


@contextmanager
def writing(path: Path, about: Mapping[str, Any]) -> Iterator[Any]:
    """An h5py.File to fill, with attributes `about`; its groups keep their order."""
    import h5py

    with replacing(path) as part, h5py.File(part, "w", track_order=True) as file:
        file.attrs.update(about)
        yield file


@contextmanager
def opened(
    path: Path, about: Mapping[str, Any], script: str, source: str, mini: str
) -> Iterator[Group]:
    """The root of the file. `source`: what `script` makes it from; `mini`: its name for make_mini.

    Raises FileNotFoundError if it is missing, ValueError if it is damaged or of another format.
    """
    if not path.is_file():
        raise FileNotFoundError(
            f"{path} is missing, the one file of {path.parent}/ (dataset.root, or {path.stem}/ "
            f"under POSEDIFF_DATA): make it by `python scripts/{script} FOLDER` from {source}; to "
            f"try things out, `python scripts/make_mini.py {mini} FOLDER` writes a small one"
        )
    with hdf5_door.opened(path, "prepare it again") as root:
        given = root.attributes()
        if any(not same(given.get(key), about[key]) for key in ("format", "version")):
            raise ValueError(f"{path}: not a file of this version's scripts/{script}")
        yield root


def subjects(
    split: str, validation: str | None, train: Sequence[str], test: Sequence[str]
) -> tuple[str, ...]:
    """The subjects of a split; `validation` is taken out of `train`.

    Raises ValueError for an unknown name, or if the split is empty.
    """
    one_of("split", split, ("train", "validation", "test"))
    if validation is not None:
        one_of("dataset.validation", validation, train)
    if split == "test":
        return tuple(test)
    if split == "train":
        return tuple(s for s in train if s != validation)
    if validation is None:
        raise ValueError(
            f"no subject is held out for validation: set dataset.validation, e.g. to {train[-1]}"
        )
    return (validation,)
