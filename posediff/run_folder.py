"""Run folders, runs/<task>/<dataset>/<name>: what a training or an evaluation leaves.

.hydra/overrides.yaml    the options of the command
log.jsonl                of a training: a line for every step, and one for every epoch
checkpoints/best/        of a training: its model folder
train.lock               of a training: empty, locked as long as a process trains here
metrics.json             of an evaluation: figures, and how they were measured
"""

import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from posediff.doors.json_door import read_json
from posediff.files import naming, read_text, replacing, sync

CONFIG, OVERRIDES = ".hydra/config.yaml", ".hydra/overrides.yaml"
LOG, METRICS, BEST = "log.jsonl", "metrics.json", "checkpoints/best"
LOCK = "train.lock"


@contextmanager
def locked(run: Path) -> Iterator[None]:
    """Let one process train in a run folder. The lock ends with the process, however that ends, and
    a folder in which nothing was written is removed.

    Raises ValueError if another process has it.
    """
    from fcntl import LOCK_EX, LOCK_NB, lockf

    with (run / LOCK).open("w") as file:
        try:
            lockf(file, LOCK_EX | LOCK_NB)
        except (BlockingIOError, PermissionError):
            raise ValueError(
                f"{run}: another process trains here; wait for it, or name= starts another run"
            ) from None
        try:
            yield
        finally:
            with suppress(OSError):
                if [*run.iterdir()] == [run / LOCK]:
                    (run / LOCK).unlink()
                    run.rmdir()


def is_begun(run: Path) -> bool:
    """True if a training has left anything here that another must not overwrite."""
    kept = [path for path in (run / "checkpoints").glob("*") if path.suffix != ".part"]
    return bool(kept) or any("epoch" in line for line in log(run))


def keep_options(run: Path, config: str, overrides: Iterable[str]) -> None:
    """Write the configuration of the command, as YAML, and its options."""
    import yaml

    for name, text in ((CONFIG, config), (OVERRIDES, yaml.safe_dump([*overrides]))):
        with replacing(run / name) as part:
            part.write_text(text, encoding="utf-8")


def write_line(run: Path, figures: Mapping[str, Any]) -> None:
    """Add a line to log.jsonl."""
    path = run / LOG
    with naming(path), path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(dict(figures)) + "\n")


def log_size(run: Path) -> int:
    """Bytes of log.jsonl that are on the disk, 0 without it."""
    path = run / LOG
    if not path.is_file():
        return 0
    sync(path)
    return path.stat().st_size


def cut_log(run: Path, size: int) -> None:
    """Take off what was written to log.jsonl after it had `size` bytes."""
    path = run / LOG
    if path.is_file() and path.stat().st_size > size:
        os.truncate(path, size)


def overrides(run: Path) -> list[str]:
    """The options of the command, none if they were not kept. Raises ValueError for a bad file."""
    path = run / OVERRIDES
    found = _yaml(path) or []
    if not isinstance(found, list):
        raise ValueError(f"{path}: no list of options; delete the file to go on without it")
    return [str(x) for x in found]


def is_debug(given: Iterable[str]) -> bool:
    """True if these options choose a preset of conf/debug: such a run measures nothing."""
    chosen = [x.partition("=")[2] for x in given if x.partition("=")[0].lstrip("+") == "debug"]
    return bool(chosen) and chosen[-1] != "null"


def name_of(model: Path) -> str:
    """A model folder in short: <task>/<dataset>/<name> of its run, or its own name."""
    model = model.absolute()
    return "/".join(model.parts[-5:-2]) if model.as_posix().endswith(BEST) else model.name


def log(run: Path) -> list[dict[str, Any]]:
    """The lines of log.jsonl, none without it; a last line that was cut off is left out.

    Raises ValueError for any other line that is not an object.
    """
    path = run / LOG
    lines = read_text(path).splitlines() if path.is_file() else []
    found = []
    for n, line in enumerate(lines, 1):
        try:
            found.append(dict(json.loads(line)))
        except (ValueError, TypeError, RecursionError):
            if n < len(lines):
                raise ValueError(f"{path}: line {n} is not a JSON object") from None
    return found


def read_object(path: Path) -> dict[str, Any]:
    """The object of a JSON file. Raises ValueError if it has none."""
    found = read_json(path)
    if not isinstance(found, dict):
        raise ValueError(f"{path}: not a JSON object")
    return found


def config(run: Path) -> dict[str, Any]:
    """The whole configuration of the command, its references as they are written; {} without it.

    Raises ValueError for a bad file.
    """
    path = run / CONFIG
    found = _yaml(path) or {}
    if not isinstance(found, dict):
        raise ValueError(f"{path}: no configuration; delete the file to go on without it")
    return found


def _yaml(path: Path) -> Any:
    """The content of a YAML file, None without it. Raises ValueError for a bad one."""
    import yaml

    if not path.is_file():
        return None
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, ValueError, TypeError, AttributeError, RecursionError):
        raise ValueError(f"{path}: not valid YAML; delete the file to go on without it") from None


def resolved(cfg: Mapping[str, Any], key: str, depth: int = 8) -> str:
    """A value as text, references to other keys replaced by theirs; "" for a group, or none."""
    node: Any = cfg
    for word in key.split("."):
        node = node.get(word) if isinstance(node, Mapping) else None
    if node is None or isinstance(node, Mapping) or not depth:
        return ""
    if isinstance(node, bool):
        return str(node).lower()
    return re.sub(r"\$\{([\w.]+)\}", lambda m: resolved(cfg, m[1], depth - 1), str(node))
