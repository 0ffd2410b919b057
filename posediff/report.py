"""Output of an evaluation, and `posediff report RUN...`: runs side by side."""

import sys
from collections.abc import Iterator
from pathlib import Path

from posediff import comparison, usage
from posediff.command import one_line_errors
from posediff.comparison import Run, number
from posediff.engine import Figures
from posediff.files import replacing
from posediff.metrics.calibration import reliability, verdict
from posediff.metrics.figure_names import GROUPS
from posediff.metrics.figure_names import figures as named_figures
from posediff.options import Parser
from posediff.visual.learning_curves import draw_learning_curves
from posediff.visual.pose3d import write_picture
from posediff.visual.reliability import draw_reliability

KINDS = (".md", ".csv", ".html")


def main() -> None:
    with one_line_errors():
        asked = parser().parse_args()
        if asked.to and asked.to.suffix.lower() not in KINDS:
            raise ValueError(f"--to {asked.to}: a name ends with {', '.join(KINDS)}")
        runs = list(read_runs(asked.runs))
        if not runs:
            raise ValueError("no run is left to report on")
        columns = asked.columns and [x.strip() for x in asked.columns.split(",")]
        table = comparison.compare(runs, columns)
        if asked.to is None:
            print(comparison.markdown(table), end="")
        else:
            print("\n".join(map(str, write(asked.to, table, runs))))


def read_runs(folders: list[Path]) -> Iterator[Run]:
    """The runs of these folders; those that cannot be read are named and left out."""
    for folder in (run for given in folders for run in comparison.runs_in(given)):
        try:
            yield comparison.read(folder)
        except (ValueError, OSError) as error:
            print(f"skipped: {error}", file=sys.stderr)


def write(path: Path, table: comparison.Comparison, runs: list[Run]) -> list[Path]:
    """Write the table, and the learning curves beside it if there are any; returns the paths."""
    panels, curves = comparison.curves(runs), path.with_name(f"{path.stem}_curves.png")
    if panels:
        write_picture(curves, draw_learning_curves(panels))
    kind = path.suffix.lower()
    if kind == ".html":
        text = comparison.html(table, curves.read_bytes() if panels else None)
    elif kind == ".csv":
        text = comparison.csv_text(table)
    else:
        link = f"\n![learning curves](<{curves.name}>)\n" if panels else ""
        text = comparison.markdown(table) + link
    with replacing(path) as part:
        part.write_text(text, encoding="utf-8")
    return [path, *([curves] if panels else [])]


def parser() -> Parser:
    made = Parser("posediff report", usage.REPORT)
    made.add_argument("runs", nargs="+", type=Path)
    made.add_argument("--columns")
    made.add_argument("--to", type=Path)
    return made


def show(figures: Figures, monitor: str) -> None:
    """Print the figures of an evaluation and, if coverage was measured, its verdict."""
    print(table(figures, monitor))
    if line := verdict(figures):
        print(line)


def table(figures: Figures, monitor: str) -> str:
    """The figure that selects, then groups of measures with units, a column for every rule; the
    first column also has what depends on no rule. Figures of parts are in metrics.json alone."""
    named = named_figures(figures)
    whole = {key: figure for key, figure in named.items() if ":" not in key}
    rules = list(dict.fromkeys(x.rule for x in whole.values() if x.rule)) or [""]
    lines = [[monitor, named[monitor].unit, number(figures[monitor])]] if monitor in figures else []
    for group in GROUPS:
        keys = [key for key, figure in whole.items() if figure.group == group]
        if keys:
            lines += [[], [group, "", *rules]]
        for name in dict.fromkeys(comparison.row_name(key, whole) for key in keys):
            own = [k for k in keys if comparison.row_name(k, whole) == name]
            of = {whole[k].rule or rules[0]: k for k in own}
            values = [number(figures[of[rule]]) if rule in of else "" for rule in rules]
            lines.append([f"  {name}", whole[next(iter(of.values()))].unit, *values])
    return aligned(lines)


def aligned(lines: list[list[str]]) -> str:
    """Lines of cells as text: the first two columns to the left, the others to the right."""
    count = max(map(len, lines), default=0)
    wide = [max(len(line[i]) for line in lines if len(line) > i) for i in range(count)]
    formats = [f"{{:{'<' if i < 2 else '>'}{w}}}" for i, w in enumerate(wide)]
    texts = ([form.format(x) for form, x in zip(formats, line, strict=False)] for line in lines)
    return "\n".join("  ".join(cells).rstrip() for cells in texts)


def reliability_picture(figures: Figures, folder: Path) -> Iterator[Path]:
    """Write the reliability diagram, if coverage was measured; yields its path."""
    if curves := reliability(figures):
        path = folder / "reliability.png"
        write_picture(path, draw_reliability(curves))
        yield path


if __name__ == "__main__":
    main()
