"""Runs side by side: what each measured, and the settings in which they differ.

A training is shown by the figures of its best epoch, an evaluation by those of its metrics.json.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from fnmatch import fnmatch
from pathlib import Path
from typing import Any, NamedTuple

from posediff import run_folder
from posediff.metrics.figure_names import COUNTS, Figure, figures

# beside the figure that selects, as far as runs have them
SHOWN: tuple[str, ...] = (
    *("p_mpjpe", "pck150", "AP", "mAP", "pck@0.2", "pckh@0.5", "auc", "epe"),
    *("spread", "energy_score", "coverage@0.5", "calibration_error"),
)
FACTS = (
    "task",
    "method",
    "dataset",
    "steps",
    "K",
    "flip",
    "trained_on",
    "checkpoint",
    "parameters",
)
OWN = ("name", "resume", "output", "device", "checkpoint", "paths.runs", "paths.data_dir")
ABSENT = "-"


class Run(NamedTuple):
    """A run folder that was read. `settings` are facts and what its command set, `epochs` the
    figures of every epoch of a training."""

    folder: Path
    settings: dict[str, str]
    cfg: dict[str, Any]  # of a training, for what its command did not set; {} of an evaluation
    monitor: str
    figures: dict[str, float]
    epochs: list[dict[str, float]]


class Comparison(NamedTuple):
    """A table: its columns, and a row for every run."""

    header: list[str]
    rows: list[list[str]]


def runs_in(folder: Path) -> list[Path]:
    """The folder if it is a run, else the runs below it, sorted.

    Raises FileNotFoundError if there is no such folder.
    """
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder}: no such folder; name run folders, or a folder of them")
    files = (run_folder.LOG, run_folder.METRICS)
    if any((folder / name).is_file() for name in files) or (folder / ".hydra").is_dir():
        return [folder]
    return sorted({path.parent for name in files for path in folder.rglob(name)}) or [folder]


def read(folder: Path) -> Run:
    """A run. Raises ValueError if it has no figures, or if a file of it is damaged."""
    cfg, about = run_folder.config(folder), dict[str, Any]()
    monitor, better = (run_folder.resolved(cfg, f"eval.{x}") for x in ("monitor", "better"))
    epochs = [x for x in run_folder.log(folder) if "epoch" in x]
    if (folder / run_folder.METRICS).is_file():
        about = run_folder.read_object(folder / run_folder.METRICS)
        measured = about.get("metrics", {})
    elif epochs:
        best = max if better == "higher" else min
        scored = [x for x in epochs if monitor in x]
        measured = best(scored, key=lambda x: x[monitor]) if scored else epochs[-1]
        measured = {**measured, "seconds": round(sum(x.get("seconds", 0.0) for x in epochs), 1)}
    else:
        raise ValueError(f"{folder}: no epoch in log.jsonl and no metrics.json")
    facts = {k: about[k] for k in FACTS if k in about} or facts_of(folder, cfg)
    if "seconds" in about:
        measured = {**measured, "seconds": about["seconds"]}
    pairs = (x.partition("=")[::2] for x in run_folder.overrides(folder))
    given = {key.lstrip("+"): value for key, value in pairs}
    set_to = {k: run_folder.resolved(cfg, k) or x for k, x in given.items() if k not in OWN}
    settings = {"run": "evaluation" if about else "training", **texts({**facts, **set_to, **facts})}
    return Run(folder, settings, {} if about else cfg, monitor, measured, epochs)


def facts_of(folder: Path, cfg: Mapping[str, Any]) -> dict[str, Any]:
    """Facts of a training, as far as its files have them."""
    best = folder / run_folder.BEST / "config.json"
    if best.is_file():
        saved = run_folder.read_object(best)
        own = {key: saved.get(key) for key in ("task", "method")}
        return {**own, "dataset": saved.get("dataset", {}).get("name")}
    named = {"task": "task.name", "method": "task.method", "dataset": "dataset.name"}
    return {key: run_folder.resolved(cfg, where) for key, where in named.items()}


def texts(facts: Mapping[str, Any]) -> dict[str, str]:
    """Facts as the cells of a table: of training data its name, of a best model its short one."""
    found = {k: str(x.get("name", x) if isinstance(x, dict) else x) for k, x in facts.items()}
    return {
        k: run_folder.name_of(Path(x)) if x.endswith(run_folder.BEST) else x
        for k, x in found.items()
    }


def compare(runs: Sequence[Run], columns: Sequence[str] | None = None) -> Comparison:
    """The table of runs. `columns` are names of figures or settings, also with * in them; None: the
    settings that differ, and the figures that most readers look for.

    Raises ValueError for a column that no run has.
    """
    settings = list(dict.fromkeys(k for run in runs for k in run.settings))
    measured = list(dict.fromkeys(k for run in runs for k in run.figures))
    if columns is None:
        chosen = [k for k in settings if k in ("run", "method", "dataset") or differs(runs, k)]
        chosen += usual(runs, measured)
    else:
        chosen = [k for asked in columns for k in matching(asked, [*settings, *measured])]
    keys = [k for k in chosen if k in measured]
    units = {k: figure for run in runs for k, figure in figures(run.figures).items()}
    shown = {k: short(k, keys) + (f" [{units[k].unit}]" if units[k].unit else "") for k in keys}
    names = titles(runs)
    rows = [
        [name, *(cell(run, key) for key in chosen)] for name, run in zip(names, runs, strict=True)
    ]
    return Comparison(["name", *(shown.get(k, k) for k in chosen)], rows)


def titles(runs: Sequence[Run]) -> list[str]:
    """Names of runs: of their folders, with those above as far as names are the same."""
    for depth in range(1, 5):
        found = ["/".join(run.folder.absolute().parts[-depth:]) for run in runs]
        if len({*found}) == len({run.folder for run in runs}):
            break
    return found


def differs(runs: Sequence[Run], key: str) -> bool:
    """True if a setting differs between trainings, or between evaluations."""
    kinds = {run.settings["run"] for run in runs}
    of = ({setting(run, key) for run in runs if run.settings["run"] == kind} for kind in kinds)
    return any(len(values) > 1 for values in of)


def setting(run: Run, key: str) -> str:
    own = run.settings.get(key) or run_folder.resolved(run.cfg, key)
    return texts({key: own})[key] if own else ABSENT


def usual(runs: Sequence[Run], measured: Sequence[str]) -> list[str]:
    """The figures that select, then those of `SHOWN` that are not of a part, by the same rule."""
    first = [run.monitor for run in runs if run.monitor in run.figures]
    named, rules = figures(measured), {key.rpartition("/")[2] for key in first} | {""}
    more = [
        key
        for name in SHOWN
        for key in measured
        if named[key].measure == name and named[key].rule in rules
    ]
    found = list(dict.fromkeys([*first, *more]))
    if not found:
        found = [k for k in measured if ":" not in k and named[k].group != COUNTS]
    return found + [k for k in ("epoch", "seconds") if k in measured]


def matching(asked: str, known: Sequence[str]) -> list[str]:
    """The known names that are asked for: of that name, of that measure by any rule, or like it.

    Raises ValueError if there is none.
    """
    measures = {key: figure.measure for key, figure in figures(known).items()}
    for fits in (
        lambda key: key == asked,
        lambda key: measures[key] == asked and ":" not in key,
        lambda key: fnmatch(key, asked) or (fnmatch(measures[key], asked) and ":" not in key),
    ):
        if found := [key for key in known if fits(key)]:
            return found
    near = get_close_matches(asked, [*known, *measures.values()], 3) or sorted({*measures.values()})
    raise ValueError(f"--columns: no run has {asked!r}, but {', '.join(near)}")


def short(key: str, keys: Iterable[str]) -> str:
    """A key without its data set, unless others have the same name without it."""
    if key.count("/") < 2:
        return key
    rest = key.partition("/")[2]
    return key if any(k != key and k.endswith(f"/{rest}") for k in keys) else rest


def row_name(key: str, named: Mapping[str, Figure]) -> str:
    """The measure of a figure, with its data set if figures of several have the same name."""
    figure = named[key]
    same = [k for k, x in named.items() if (x.measure, x.rule) == (figure.measure, figure.rule)]
    return figure.measure if len(same) == 1 else key.rpartition("/")[0]


def cell(run: Run, key: str) -> str:
    x = run.figures.get(key)
    return setting(run, key) if x is None else number(x)


def number(x: float) -> str:
    """No decimals of a count, two from 1 on, four of a share."""
    return f"{x:.{0 if x == int(x) else 2 if abs(x) > 1 else 4}f}"


def markdown(table: Comparison) -> str:
    """The table in Markdown, its columns aligned."""
    cells = [[re.sub(r"([|\\])", r"\\\1", x) for x in row] for row in (table.header, *table.rows)]
    wide = [max(map(len, column)) for column in zip(*cells, strict=True)]
    cells.insert(1, ["-" * w for w in wide])
    lines = (" | ".join(x.ljust(w) for x, w in zip(row, wide, strict=True)) for row in cells)
    return "".join(f"| {line} |\n" for line in lines)


def csv_text(table: Comparison) -> str:
    import csv
    import io

    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([table.header, *table.rows])
    return text.getvalue()


def html(table: Comparison, picture: bytes | None) -> str:
    """A page with the table, and the learning curves inside it."""
    from base64 import b64encode
    from html import escape

    def row(cells: Sequence[str], tag: str) -> str:
        return "<tr>" + "".join(f"<{tag}>{escape(x)}</{tag}>" for x in cells) + "</tr>\n"

    data = b64encode(picture or b"").decode()
    image = f'<img alt="learning curves" src="data:image/png;base64,{data}">\n' if data else ""
    return (
        '<!doctype html>\n<meta charset="utf-8">\n<title>posediff report</title>\n'
        "<style>body{font:14px sans-serif;margin:2em}td,th{padding:.3em .8em;text-align:left;"
        "border-bottom:1px solid #ddd}img{max-width:100%}</style>\n"
        f"<table>\n{row(table.header, 'th')}{''.join(row(x, 'td') for x in table.rows)}</table>\n"
        f"{image}"
    )


def curves(runs: Sequence[Run]) -> dict[str, dict[str, list[tuple[float, float]]]]:
    """The loss and the figure that selects, of every training: by label and run, (epoch, value)."""
    found = dict[str, dict[str, list[tuple[float, float]]]]()
    for name, run in zip(titles(runs), runs, strict=True):
        for key in ("loss", run.monitor):
            points = [(x["epoch"], x[key]) for x in run.epochs if x.get(key) is not None]
            if points:
                unit = figures(run.epochs[0])[key].unit
                label = f"{short(key, ())}, held out{unit and f' [{unit}]'}"
                found.setdefault("loss, training" if key == "loss" else label, {})[name] = points
    return found
