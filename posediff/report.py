"""What an evaluation leaves: figures on the screen, result files, a picture of the reliability."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from posediff.engine import Figures
from posediff.metrics.aic import AicAP
from posediff.metrics.calibration import LEVELS, reliability, verdict
from posediff.metrics.coco import CocoAP
from posediff.metrics.posetrack import PoseTrackAP
from posediff.metrics.result_files import write_aic, write_coco, write_posetrack
from posediff.visual.pose3d import write_picture
from posediff.visual.reliability import draw_reliability


def show(figures: Figures) -> None:
    """The headline figures and what they say of the spread, on the screen."""
    print(table(figures))
    if reliability(figures):
        print(verdict(figures))


def table(figures: Figures) -> str:
    """The headline figures, one a line; all others stand in metrics.json."""
    shown = {k: x for k, x in figures.items() if ":" not in k}
    width = max(map(len, shown))
    return "\n".join(f"{k:{width}}  {x:10.{digits(x)}f}" for k, x in shown.items())


def digits(x: float) -> int:
    """Behind the point: none of a count, two of millimetres and percent, four of a share."""
    return 0 if x == int(x) else 2 if abs(x) > 1 else 4


def result_files(
    metric: Any, names: Sequence[str], folder: Path, origin: int = 0
) -> Iterator[Path]:
    """The poses in the benchmark's own form, by rule, where the metric has one.

    origin: what the labels of a video benchmark call the first pixel.
    """
    if isinstance(metric, PoseTrackAP):
        for name in names:
            found = metric.people(name)
            yield write_posetrack(folder / f"results_{name}", metric.documents, *found, origin)
    if isinstance(metric, CocoAP):
        category = metric.truth["categories"][0]["id"]
        for name in names:
            path, people = folder / f"results_{name}.json", metric.people(name)
            if isinstance(metric, AicAP):
                yield write_aic(path, *people)
            else:
                yield write_coco(path, *people, category)


def reliability_picture(figures: Figures, folder: Path) -> Iterator[Path]:
    """Of how often the truth lies within the hypotheses, where the figures tell."""
    if curves := reliability(figures):
        path = folder / "reliability.png"
        write_picture(path, draw_reliability(LEVELS, curves))
        yield path
