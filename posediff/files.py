"""Files and folders that are complete or absent: written beside, synced, then renamed."""

import json
import math
import os
import shutil
from collections.abc import Iterator, Mapping
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
    try:
        with naming(path):
            yield part
            sync(part)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    part.replace(path)
    sync(path.parent)


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Name a file in the errors of the system that do not: of writes, such as on a full disk."""
    try:
        yield
    except OSError as error:
        if error.filename is not None or error.errno is None:
            raise
        raise OSError(error.errno, error.strerror, str(path)) from error


def sync(path: Path) -> None:
    """Wait until a file, or the names in a folder, are on the disk: a power cut keeps them."""
    handle = os.open(path, os.O_RDONLY)
    try:
        with naming(path):
            os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def replacing_folder(folder: Path) -> Iterator[Path]:
    """An empty folder beside `folder` to fill with files; it takes that place unless the block
    raises. The folder before it is at `kept_beside` for the moment in between, and goes on being
    there if that moment is the last one.
    """
    old = kept_beside(folder)
    with new_folder(folder) as beside:
        yield beside
    if folder.exists():
        shutil.rmtree(old, ignore_errors=True)
        folder.rename(old)
    beside.rename(folder)
    sync(folder.parent)
    shutil.rmtree(old, ignore_errors=True)


@contextmanager
def new_folder(folder: Path) -> Iterator[Path]:
    """An empty folder beside `folder` to fill with files, which are then synced. It is removed if
    the block raises."""
    beside = folder.with_name(folder.name + ".part")
    shutil.rmtree(beside, ignore_errors=True)
    beside.mkdir(parents=True)
    try:
        with naming(folder):
            yield beside
        for path in [*beside.iterdir(), beside]:
            sync(path)
    except BaseException:
        shutil.rmtree(beside, ignore_errors=True)
        raise


def kept_beside(folder: Path) -> Path:
    """Where `replacing_folder` keeps the folder that it replaces."""
    return folder.with_name(folder.name + ".old")


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
