"""Files and folders that are complete or absent: written beside, synced, then renamed."""

import json
import math
import os
import re
import shutil
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

LONGEST = 120  # bytes of a file's name that is made of another


@contextmanager
def replacing(path: Path, synced: bool = True) -> Iterator[Path]:
    """A file beside `path` to write, of the same suffix; it takes that place unless the block
    raises. Missing folders are made. What can be made again, such as a picture, need not be
    synced: the wait for the disk is milliseconds a file.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.stem}.part{path.suffix}")
    if part.is_symlink():  # of somebody else, in a folder that is shared
        part.unlink()
    try:
        with naming(path):
            yield part
            if synced:
                sync(part)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    part.replace(path)
    if synced:
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
    """Place where `replacing_folder` keeps the folder that it replaces."""
    return folder.with_name(folder.name + ".old")


def visible(folder: Path, suffixes: Sequence[str] = ()) -> list[Path]:
    """The files of a folder with one of these suffixes, whatever their case, in the natural order
    of their names (2 before 10). Hidden files are skipped, as those of operating systems
    (._000012.jpg, .DS_Store), and so are links that lead nowhere."""
    found = (x for x in folder.iterdir() if not x.name.startswith(".") and x.exists())
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


def read_text(path: Path) -> str:
    """A text in UTF-8. Raises ValueError, with the path, for another encoding."""
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: not in UTF-8 ({error}): write it again as UTF-8") from None


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
    _, as do dots at its start; a long one is cut and ends in a number made of all of it."""
    safe = "".join(c if c.isalnum() or c in "-_." else "_" for c in name)
    body = safe.lstrip(".")
    safe = "_" * (len(safe) - len(body)) + body or "_"
    if len(safe.encode()) <= LONGEST:
        return safe
    cut = safe.encode()[: LONGEST - 9].decode("utf-8", "ignore")
    return f"{cut}_{zlib.crc32(name.encode('utf-8', 'replace')):08x}"


def safe_names(names: Iterable[str]) -> dict[str, str]:
    """Names -> names that are safe as those of files, and differ also where letters' case does not
    count: one that is taken gets a number."""
    taken = set[str]()
    return {name: free_name(safe_name(name), taken) for name in dict.fromkeys(names)}


def free_name(name: str, taken: set[str]) -> str:
    """The name, with a number if it is taken, also where letters' case does not count; then it is
    taken, too."""
    free, n = name, 1
    while free.casefold() in taken:
        n += 1
        free = f"{name}_{n}"
    taken.add(free.casefold())
    return free


def printable(name: str) -> str:
    """The name of a file as UTF-8 has it; a byte of another encoding becomes backslash-udcXX."""
    return name.encode("utf-8", "backslashreplace").decode()


def inside(folder: Path, name: str, where: object) -> Path:
    """The path of a file by the name that another file gives it, below `folder`.

    Links of the folder's owner are followed. Raises ValueError for an absolute path, for one with
    .. that leaves the folder, and for what cannot be a path.
    """
    if ".." in name or name[:1] in ("/", "\\") or ":" in name or "\0" in name:
        path = os.path.normpath(folder / name)
        if "\0" in name or not Path(path).is_relative_to(os.path.normpath(folder)):
            raise ValueError(
                f"{where}: {name[:200]!r} is outside of {folder}: name files by their path below "
                "it, or set dataset.images to a folder that contains them all"
            )
    return folder / name


def require_writable(folder: Path, option: str) -> None:
    """Raise OSError, which names the option, if the folder cannot be made or written in."""
    there = next(path for path in (folder, *folder.parents) if path.exists())
    if not there.is_dir():
        raise OSError(f"{option}{folder}: {there} is a file; name a folder for the results")
    if not os.access(there, os.W_OK):
        raise OSError(f"{option}{folder}: {there} cannot be written in; name another folder")


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
