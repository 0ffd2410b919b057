"""The tables of lift3d's preset posterior on motion capture: trains and scores every row.

    python benchmarks/posterior_lift3d.py [--seeds 0] [--keypoints gt noisy] [--windows 1 27]
        [--rows encoder paper posterior refined] [--jobs 2] [--overrides dataset.views=turned]

All models of a table see equally many frames, 512,000: the encoder alone and the posterior by
themselves, the paper's denoiser and its encoder half of them each, and so, over windows, the
refined posterior and its lifter of single frames. Every network has width 64; models are selected,
and deviations scaled, on the training actor dg, and the test actor mm is scored once, at the end.
Runs are kept under --runs; what is there already is not trained again.
"as drawn" is the same model with all factors of its deviations 1. "recalibrated" are the
hypotheses of the row above with a factor for every quantile of their distances, found on dg, too.
"""

import argparse
import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from pathlib import Path

import torch
from mocap_lift3d import call, of_scoring, seconds, spread, train

from posediff import checkpoint

DATA = ("dataset=mocap", "trainer=minutes", "trainer.validation_samples=512")
FRAMES = ("trainer.recipe.batch_size=128", "trainer.recipe.epoch_samples=51200")
WINDOWS = (
    *("dataset.window=27", "trainer.recipe.batch_size=8", "trainer.recipe.epoch_samples=1896"),
    *("trainer.validation_samples=64", "trainer.optimizer.lr=3e-3"),
)
HALF, WHOLE = "trainer.recipe.epochs=5", "trainer.recipe.epochs=10"
ALONE = ("model.head.width=64", "model.head.depth=3")
ENCODERS = {
    1: ("experiment=lift3d_encoder", *ALONE),
    27: ("experiment=lift3d_video_encoder", *ALONE, "model.head.heads=4"),
}
SMALL = ("task=lift3d", "task.head.width=64", "task.head.depth=2")
PAPER = (*SMALL, "task.hypotheses=1")
PAPERS = {1: (*PAPER, "preset=paper"), 27: (*PAPER, "preset=paper_video")}
PAIR = (*SMALL, "task.hypotheses=2")
TRUNK = ("task.head.trunk.width=64", "task.head.trunk.depth=3")
POSTERIORS = {
    1: (*PAIR, "preset=posterior", *TRUNK),
    27: (*PAIR, "preset=posterior_video", *TRUNK, "task.head.trunk.heads=4"),
}
REFINED = (*PAIR, "preset=posterior_refined", "task.head.trunk.width=64", "task.head.trunk.heads=4")
ROWS = ("encoder", "paper", "posterior", "refined")
ONE_STEP = ("sampler.steps=1", "task.hypotheses=1")
HELD_OUT = {1: 512, 27: 32}  # samples of dg that recalibrate
COLUMNS = {
    "MPJPE": ("mpjpe/mean", 1),
    "P-MPJPE": ("p_mpjpe/mean", 1),
    "energy score": ("energy_score", 0),
    "coverage at .5": ("coverage@0.5", 2),
    "at .9": ("coverage@0.9", 2),
    "calibration error": ("calibration_error", 3),
    "rank correlation": ("spread_rank/mean", 2),
    "error, occluded": ("joint_error/mean:occluded", 1),
    "visible": ("joint_error/mean:visible", 1),
    "spread, occluded": ("spread/mean:occluded", 1),
    "visible ": ("spread/mean:visible", 1),
}
SPREAD = ("energy", "coverage", "calibration", "spread")  # what recalibration changes
Figures = dict[str, float]
Table = list[tuple[str, Figures]]  # rows by their names


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--keypoints", nargs="+", default=["gt", "noisy"])
    parser.add_argument("--windows", type=int, nargs="+", default=[1, 27], choices=[1, 27])
    parser.add_argument("--rows", nargs="+", default=ROWS, choices=ROWS)
    parser.add_argument("--runs", type=Path, default=Path("runs/posterior_table"))
    parser.add_argument("--jobs", type=int, default=2, help="runs at a time, one thread each")
    parser.add_argument("--overrides", nargs="*", default=[], help="of every command")
    args = parser.parse_args(arguments)
    kinds = [(window, keypoints) for window in args.windows for keypoints in args.keypoints]
    jobs = [(*kind, seed) for seed in args.seeds for kind in kinds]
    with ThreadPoolExecutor(args.jobs) as pool:
        done = list(
            pool.map(lambda job: table(Job(args.runs, *job, args.overrides), args.rows), jobs)
        )
    for window, keypoints in kinds:
        tables = [x for job, x in zip(jobs, done, strict=True) if job[:2] == (window, keypoints)]
        print(f"\nWindow {window}, 2D {keypoints}, seeds {args.seeds}, {date.today()}\n")
        print(f"| row | steps | K | {' | '.join(COLUMNS)} | training s | scoring s |")
        print("|---" * (len(COLUMNS) + 5) + "|")
        for i, (name, _) in enumerate(tables[0]):
            print(line(name, [found[i][1] for found in tables]))


def table(job: "Job", rows: Sequence[str]) -> Table:
    """Train the models of these rows, and score them on the test actor."""
    return [found for row in rows for found in getattr(job, row)()]


class Job:
    """The models of one window, 2D source and seed."""

    def __init__(
        self, runs: Path, window: int, keypoints: str, seed: int, given: Sequence[str]
    ) -> None:
        self.runs, self.window, self.tag = runs, window, f"{window}-{keypoints}-s{seed}"
        self.own = (f"dataset.keypoints={keypoints}", f"seed={seed}", *given)

    def train(self, name: str, *overrides: str, window: int | None = None) -> Path:
        size = FRAMES if (window or self.window) == 1 else WINDOWS
        return train(self.runs, f"{name}-{self.tag}", *overrides, *DATA, *size, *self.own)

    def scored(
        self, name: str, folder: Path, spent: float, *overrides: str, after: str = ""
    ) -> Figures:
        at = of_scoring((*self.own, *overrides))
        found = score(self.runs, f"eval-{name}-{self.tag}", folder, *at, after=after)
        return found | {"training": spent}

    def drawn(self, name: str, folder: Path, spent: float, *counts: int) -> Table:
        """Rows of one step, and of five steps and so many hypotheses."""
        found = [(name, self.scored(f"{name}-1-1", folder, spent, *ONE_STEP))]
        for K in counts:
            figures = self.scored(f"{name}-5-{K}", folder, spent, f"task.hypotheses={K}")
            found.append((name, figures))
        return found

    def encoder(self) -> Table:
        folder = self.train("encoder", *ENCODERS[self.window], WHOLE)
        return [("encoder alone", self.scored("encoder", folder, seconds(folder)))]

    def paper(self) -> Table:
        half = self.train("half", *ENCODERS[self.window], HALF)
        begin = f"task.head.encoder={half}"
        folder = self.train("paper", *PAPERS[self.window], HALF, begin)
        return self.drawn("paper", folder, seconds(half) + seconds(folder), 20)

    def posterior(self) -> Table:
        folder = self.train("posterior", *POSTERIORS[self.window], WHOLE)
        return self.scaled("posterior", folder, seconds(folder))

    def refined(self) -> Table:
        """None of single frames, of which it is the posterior itself."""
        if self.window == 1:
            return []
        lifter = self.train("lifter", *POSTERIORS[1], HALF, window=1)
        folder = self.train("refined", *REFINED, HALF, f"task.head.trunk.encoder={lifter}")
        return self.scaled("refined", folder, seconds(lifter) + seconds(folder))

    def scaled(self, name: str, folder: Path, spent: float) -> Table:
        """The rows of a posterior, and the last of them with hypotheses that are recalibrated, and
        with deviations that are not scaled."""
        rows = self.drawn(name, folder, spent, 5)
        twenty, held_out = ("task.hypotheses=20",), HELD_OUT[self.window]
        raw = self.scored(f"{name}-raw-5-20", as_drawn(folder), spent, *twenty)
        twenty += (f"eval.recalibrate={held_out}",)
        last = self.scored(f"{name}-5-20", folder, spent, *twenty)
        again = self.scored(f"{name}-5-20", folder, spent, *twenty, after="/recalibrated")
        return [
            *rows,
            (name, last),
            (f"{name}, recalibrated", again),
            (f"{name}, as drawn", raw),
        ]


def as_drawn(folder: Path) -> Path:
    """The same model with deviations that are not scaled, in a folder beside it."""
    weights, config = checkpoint.read_weights(folder), checkpoint.read_config(folder)
    weights["head.factors"] = torch.ones_like(weights["head.factors"])
    raw = folder.with_name("as_drawn")
    checkpoint.save(raw, weights, config)
    return raw


def score(runs: Path, name: str, folder: Path, *overrides: str, after: str = "") -> Figures:
    """The figures of a model, and of its spread those after that: after="/recalibrated"."""
    path = runs / "lift3d/mocap" / name / "metrics.json"
    if not path.exists():
        given = ("task=lift3d", "dataset=mocap", f"checkpoint={folder}", f"name={name}")
        call("posediff.eval", runs, *given, *overrides)
    report = json.loads(path.read_text())
    keys = {name: key + after * key.startswith(SPREAD) for name, (key, _) in COLUMNS.items()}
    figures = {name: report["metrics"].get(key, float("nan")) for name, key in keys.items()}
    return figures | {"steps": report["steps"], "K": report["K"], "scoring": report["seconds"]}


def line(name: str, runs: Sequence[Figures]) -> str:
    figures = [
        spread((run[key] for run in runs), digits) if runs[0][key] == runs[0][key] else "-"
        for key, (_, digits) in COLUMNS.items()
    ]
    counts = [f"{runs[0][key]:.0f}" for key in ("steps", "K")]
    times = [f"{sum(run[key] for run in runs) / len(runs):.0f}" for key in ("training", "scoring")]
    return f"| {' | '.join([name, *counts, *figures, *times])} |"


if __name__ == "__main__":
    main()
