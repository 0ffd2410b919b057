"""Files that are whole or not there: written beside their place, then renamed."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A file beside `path` to write; it takes that place unless the block raises.

    Missing folders are made.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    yield part
    part.replace(path)


def write_json(path: Path, content: Any, indent: int | None = None) -> Path:
    """Returns the path."""
    text = json.dumps(content, indent=indent) + "\n"
    with replacing(path) as part:
        part.write_text(text, encoding="utf-8")
    return path
