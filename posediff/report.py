"""The output of an evaluation: figures on the screen, and the reliability diagram."""

from collections.abc import Iterator
from pathlib import Path

from posediff.engine import Figures
from posediff.metrics.calibration import LEVELS, reliability, verdict
from posediff.visual.pose3d import write_picture
from posediff.visual.reliability import draw_reliability


def show(figures: Figures) -> None:
    """Print the headline figures and, if coverage was measured, its verdict."""
    print(table(figures))
    if line := verdict(figures):
        print(line)


def table(figures: Figures) -> str:
    """The headline figures, one a line; metrics.json also contains the others."""
    shown = {k: x for k, x in figures.items() if ":" not in k}
    width = max(map(len, shown), default=0)
    return "\n".join(f"{k:{width}}  {x:10.{digits(x)}f}" for k, x in shown.items())


def digits(x: float) -> int:
    """Decimal places: none of a count, two of millimetres and percent, four of a share."""
    return 0 if x == int(x) else 2 if abs(x) > 1 else 4


def reliability_picture(figures: Figures, folder: Path) -> Iterator[Path]:
    """Write the reliability diagram, if coverage was measured; yields its path."""
    if curves := reliability(figures):
        path = folder / "reliability.png"
        write_picture(path, draw_reliability(LEVELS, curves))
        yield path
