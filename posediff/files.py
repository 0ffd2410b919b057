"""Files and folders that are complete or absent: written beside their place, then renamed."""

import json
import math
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A file beside `path` to write, of the same suffix; it takes that place unless the block
    raises. Missing folders are made.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.stem}.part{path.suffix}")
    yield part
    part.replace(path)


@contextmanager
def replacing_folder(folder: Path) -> Iterator[Path]:
    """An empty folder beside `folder` to fill; it takes that place unless the block raises."""
    beside, old = folder.with_name(folder.name + ".part"), folder.with_name(folder.name + ".old")
    for stale in (beside, old):
        shutil.rmtree(stale, ignore_errors=True)
    beside.mkdir(parents=True)
    try:
        yield beside
    except BaseException:
        shutil.rmtree(beside, ignore_errors=True)
        raise
    if folder.exists():
        folder.rename(old)
    beside.rename(folder)
    shutil.rmtree(old, ignore_errors=True)


def visible(folder: Path, suffixes: Sequence[str] = ()) -> list[Path]:
    """The files of a folder with one of these suffixes, whatever their case, in the natural order
    of their names (2 before 10). Hidden files are skipped, as those of operating systems
    (._000012.jpg, .DS_Store)."""
    found = (path for path in folder.iterdir() if not path.name.startswith("."))
    some = (path for path in found if not suffixes or path.suffix.lower() in suffixes)
    return sorted(some, key=lambda path: natural(path.name))


def natural(name: str) -> list[tuple[int, int | str]]:
    """A key that sorts names by the numbers in them."""
    parts = re.split(r"(\d+)", name)
    return [*((0, int(x)) if x.isdecimal() else (1, x) for x in parts), (1, name)]


def write_json(path: Path, content: Any, indent: int | None = None) -> Path:
    """Write JSON that any reader takes, see `plain`. Returns the path."""
    text = json.dumps(plain(content), indent=indent, allow_nan=False) + "\n"
    with replacing(path) as part:
        part.write_text(text, encoding="utf-8")
    return path


def plain(content: Any) -> Any:
    """The same nest as JSON has it: scalars and arrays of NumPy and torch become Python's numbers
    and lists; a number that is not finite becomes None."""
    if isinstance(content, Mapping):
        return {key: plain(x) for key, x in content.items()}
    if isinstance(content, list | tuple):
        return [plain(x) for x in content]
    if hasattr(content, "tolist"):
        return plain(content.tolist())
    return None if isinstance(content, float) and not math.isfinite(content) else content


def safe_name(name: str) -> str:
    """A name that is safe as a file name: other characters than letters, digits, -, _ and . become
    _."""
    return "".join(c if c.isalnum() or c in "-_." else "_" for c in name)


@contextmanager
def adding_files(folder: Path) -> Iterator[Path]:
    """An empty folder inside `folder` to write files in; they then take their places in `folder`,
    beside what is there, unless the block raises."""
    beside = folder / ".part"
    shutil.rmtree(beside, ignore_errors=True)
    beside.mkdir(parents=True)
    try:
        yield beside
        for path in sorted(beside.iterdir()):
            path.replace(folder / path.name)
    finally:
        shutil.rmtree(beside, ignore_errors=True)
