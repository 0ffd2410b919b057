"""What the data sets that a script prepares once share: their one HDF5 file, and who is in a split.

The file says in its attributes `format` and `version` which script's it is.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from posediff.diffusion.choices import one_of
from posediff.files import replacing


@contextmanager
def writing(path: Path, about: Mapping[str, Any]) -> Iterator[Any]:
    """An h5py.File to fill, of attributes `about`, whose groups keep their order."""
    import h5py

    with replacing(path) as part, h5py.File(part, "w", track_order=True) as file:
        file.attrs.update(about)
        yield file


def opened(path: Path, about: Mapping[str, Any], script: str, source: str, mini: str) -> Any:
    """The h5py.File. FileNotFoundError or ValueError where it is missing, damaged or another's.

    source: what `script` makes it from; mini: what make_mini calls it.
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
    """Who is in a split, where `validation` is one of `train`. ValueError where it is empty."""
    if validation is not None:
        one_of("dataset.validation", validation, train)
    if split == "validation" and validation is None:
        raise ValueError(
            f"nobody is held out for validation: set dataset.validation, e.g. to {train[-1]}"
        )
    people = {
        "train": tuple(s for s in train if s != validation),
        "validation": (str(validation),),
        "test": tuple(test),
    }
    one_of("split", split, people)
    return people[split]
