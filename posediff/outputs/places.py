"""The places of results: never that of a file that was given."""

from collections.abc import Iterable
from pathlib import Path


def refuse_inputs(folder: Path, names: Iterable[str], inputs: Iterable[Path], option: str) -> None:
    """Raise ValueError if a file that is written into the folder would replace one of the inputs.

    names: of what is written, * for any part of a name. option: that names another folder.
    """
    there = [path for name in names for path in folder.glob(name) if path.exists()]
    given = {_identity(path) for path in inputs if path.exists()} if there else set()
    for path in there:
        if _identity(path) in given:
            raise ValueError(
                f"{path}: was given, and the results would be written over it; name another "
                f"folder for them, {option}"
            )


def _identity(path: Path) -> tuple[int, int]:
    """Equal for two paths of one file, as in os.path.samefile."""
    found = path.stat()
    return found.st_dev, found.st_ino
