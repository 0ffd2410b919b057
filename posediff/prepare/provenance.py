"""Command lines as they are published: without paths of the machine that they ran on."""

import os
import re
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path

ABSOLUTE = re.compile(r"(?<![\w./~$-])/[\w.-][^\s,\]}'\"]*")


def known_roots() -> dict[str, str]:
    """Folders of this machine by path, and their names as the documents have them."""
    folders = {os.environ.get("POSEDIFF_DATA"): "data", os.environ.get("POSEDIFF_RUNS"): "runs"}
    return {str(Path(path).absolute()): name for path, name in folders.items() if path}


def portable(text: str, roots: Mapping[str, str]) -> str:
    """A text in which the paths below `roots` begin with the names of these.

    Raises ValueError for any other path from the root of the file system.
    """

    def renamed(match: re.Match[str]) -> str:
        path = Path(match[0])
        for root, name in roots.items():
            if path.is_relative_to(root):
                return (Path(name) / path.relative_to(root)).as_posix()
        raise ValueError(
            f"{text}: {path} is a path of this machine: put it below POSEDIFF_DATA or "
            "POSEDIFF_RUNS, or use a relative one"
        )

    return ABSOLUTE.sub(renamed, text)


def command_line(start: str, overrides: Sequence[str], roots: Mapping[str, str]) -> str:
    """A command and its overrides, as a shell reads them. Raises as `portable`."""
    return f"{start} {shlex.join(portable(x, roots) for x in overrides)}"
