"""Run folders, runs/<task>/<dataset>/<name>: what a training or an evaluation leaves.

.hydra/overrides.yaml    the options of the command
log.jsonl                of a training: a line for every step, and one for every epoch
checkpoints/best/        of a training: its model folder
metrics.json             of an evaluation: figures, and how they were measured
"""

from collections.abc import Iterable
from pathlib import Path

OVERRIDES, LOG, METRICS, BEST = (
    ".hydra/overrides.yaml",
    "log.jsonl",
    "metrics.json",
    "checkpoints/best",
)


def overrides(run: Path) -> list[str]:
    """The options of the command, none if they were not kept. Raises ValueError for a bad file."""
    import yaml

    path = run / OVERRIDES
    if not path.is_file():
        return []
    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError):
        raise ValueError(f"{path}: not valid YAML; delete the file to go on without it") from None
    return [str(x) for x in found or []]


def is_debug(given: Iterable[str]) -> bool:
    """Whether these options choose a preset of conf/debug: such a run measures nothing."""
    chosen = [x.partition("=")[2] for x in given if x.partition("=")[0].lstrip("+") == "debug"]
    return bool(chosen) and chosen[-1] != "null"


def name_of(model: Path) -> str:
    """A model folder in short: <task>/<dataset>/<name> of its run, or its own name."""
    model = model.absolute()
    return "/".join(model.parts[-5:-2]) if model.as_posix().endswith(BEST) else model.name
