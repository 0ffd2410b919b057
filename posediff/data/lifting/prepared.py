"""The one HDF5 file of a data set that a script prepares once, and the subjects of its splits.

The attributes `format` and `version` of a file name the script that wrote it.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from posediff.diffusion.choices import one_of
from posediff.files import replacing


@contextmanager
def writing(path: Path, about: Mapping[str, Any]) -> Iterator[Any]:
    """An h5py.File to fill, with attributes `about`; its groups keep their order."""
    import h5py

    with replacing(path) as part, h5py.File(part, "w", track_order=True) as file:
        file.attrs.update(about)
        yield file


def opened(path: Path, about: Mapping[str, Any], script: str, source: str, mini: str) -> Any:
    """The h5py.File. `source`: what `script` makes it from; `mini`: its name for make_mini.

    Raises FileNotFoundError if it is missing, ValueError if it is damaged or of another format.
    """
    import h5py

    if not path.is_file():
        raise FileNotFoundError(
            f"{path} is missing, the one file of {path.parent}/ (dataset.root, or {path.stem}/ "
            f"under POSEDIFF_DATA): make it by `python scripts/{script} FOLDER` from {source}; to "
            f"try things out, `python scripts/make_mini.py {mini} FOLDER` writes a small one"
        )
    try:
        file = h5py.File(path)
    except OSError as error:
        raise ValueError(f"{path}: cannot be read, prepare it again ({error})") from None
    if any(file.attrs.get(key) != about[key] for key in ("format", "version")):
        file.close()
        raise ValueError(f"{path}: not a file of this version's scripts/{script}")
    return file


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
