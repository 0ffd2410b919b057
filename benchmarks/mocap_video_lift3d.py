"""The table of the video models of lift3d on motion capture: trains and scores every row.

    python benchmarks/mocap_video_lift3d.py [--seeds 0 1 2] [--keypoints gt noisy] [--jobs 2] \
        [--rules mean jpma rpea p_best j_best] [--overrides device=cuda trainer.recipe.workers=4]

Windows of 27 frames; every network has width 64 and depth 2. One budget is 24,576 windows in
batches of 8, 663,552 frames. All rows but the first see two of them: the models on a frozen MixSTE
one by it and one by themselves, D3DP both by itself. Models are selected on a held-out training
actor, and the test actor is scored once, at the end. Runs lie under --runs and are kept; what is
there already is not trained again.
"""

import argparse
import json
import statistics
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from pathlib import Path
from typing import NamedTuple

from mocap_lift3d import call, of_scoring, seconds, spread, train

DATA = ("dataset=mocap", "dataset.window=27", "trainer=minutes", "trainer.optimizer.lr=3e-3")
BUDGET = ("trainer.recipe.batch_size=8", "trainer.recipe.epoch_samples=6144")
SMALL = (*DATA, *BUDGET, "trainer.validation_samples=256")
TWICE = "trainer.recipe.epochs=8"
MIXSTE = ("width=64", "depth=2", "heads=4")
ENCODER = ("experiment=lift3d_video_encoder", *(f"model.head.{x}" for x in MIXSTE), *SMALL)
ON_TOP = ("task=lift3d", "task.head.width=64", "task.head.depth=2", *SMALL)
D3DP = ("task=lift3d", "preset=d3dp", *(f"task.head.{x}" for x in MIXSTE), TWICE, *SMALL)

METRICS = ("mpjpe", "p_mpjpe", "mpjve")


class Row(NamedTuple):
    name: str
    model: str  # of which training
    budgets: Sequence[str]  # trainings that it stands on
    overrides: Sequence[str] = ()


ROWS = (
    Row("MixSTE alone, one budget (the encoder of the rows below)", "encoder", ["encoder"]),
    Row("MixSTE alone, two budgets", "twice", ["twice"]),
    Row("official_video, 1 step", "official", ["encoder", "official"]),
    Row(
        "official_video, 2 steps as released for exact 2D",
        "official",
        ["encoder", "official"],
        ["sampler.start=12", "sampler.steps=2"],
    ),
    *(
        Row(f"{name}, {at}", model, ["encoder", model], overrides)
        for name, model in (
            ("paper_video", "paper"),
            ("paper_video, each frame by itself", "framewise"),
        )
        for at, overrides in (
            ("1 step, K 1", ["sampler.steps=1", "task.hypotheses=1"]),
            ("5 steps, K 5", []),
            ("5 steps, K 20", ["task.hypotheses=20"]),
        )
    ),
    Row("d3dp, 5 steps, K 5", "d3dp", ["d3dp"], ["task.flip=false"]),
    Row("d3dp, 5 steps, K 5, flip test", "d3dp", ["d3dp"]),
    Row("d3dp, 5 steps, K 20", "d3dp", ["d3dp"], ["task.flip=false", "task.hypotheses=20"]),
)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--keypoints", nargs="+", default=["gt", "noisy"])
    parser.add_argument("--rules", nargs="+", default=["mean", "jpma", "rpea", "p_best", "j_best"])
    parser.add_argument("--runs", type=Path, default=Path("runs/mocap_video_table"))
    parser.add_argument("--jobs", type=int, default=2, help="runs at a time")
    parser.add_argument("--overrides", nargs="*", default=[], help="of every command")
    args = parser.parse_args(arguments)
    cases = [(keypoints, seed) for keypoints in args.keypoints for seed in args.seeds]
    with ThreadPoolExecutor(args.jobs) as pool:

        def trained(names: Sequence[str], before: Mapping[str, Path]) -> dict[str, Path]:
            jobs = [(name, *case) for case in cases for name in names]
            made = pool.map(lambda job: model(args.runs, *job, before, args.overrides), jobs)
            return {tag(*job): folder for job, folder in zip(jobs, made, strict=True)}

        models = trained(["encoder", "twice", "d3dp"], {})
        models |= trained(["paper", "framewise", "official"], models)
        jobs = [(row, *case) for case in cases for row in ROWS]
        reports = list(pool.map(lambda job: score(args, models, *job), jobs))
    print(f"Seeds {args.seeds}, {date.today()}\n")
    print(
        "| 2D | row | rule | steps | K | MPJPE | P-MPJPE | MPJVE | calibration error | training s "
        "| scoring s |"
    )
    print("|---" * 11 + "|")
    for keypoints in args.keypoints:
        for row in ROWS:
            wanted = [(row, keypoints, seed) for seed in args.seeds]
            lines([reports[jobs.index(job)] for job in wanted], keypoints, row.name)


def model(
    runs: Path,
    name: str,
    keypoints: str,
    seed: int,
    before: Mapping[str, Path],
    overrides: Sequence[str],
) -> Path:
    """The folder of one training, which is made unless it is there."""
    source = (f"dataset.keypoints={keypoints}", f"seed={seed}", *overrides)
    encoder = before.get(tag("encoder", keypoints, seed))
    paper = (*ON_TOP, "preset=paper_video", f"task.head.encoder={encoder}")
    chosen = {
        "encoder": ENCODER,
        "twice": (*ENCODER, TWICE),
        "d3dp": D3DP,
        "paper": paper,
        "framewise": (*paper, "task.head.temporal=false"),
        "official": (*ON_TOP, "preset=official_video", f"task.head.encoder={encoder}"),
    }[name]
    return train(runs, tag(name, keypoints, seed), *chosen, *source)


def tag(name: str, keypoints: str, seed: int) -> str:
    return f"{name}-{keypoints}-s{seed}"


def score(
    args: argparse.Namespace, models: Mapping[str, Path], row: Row, keypoints: str, seed: int
) -> dict[str, float]:
    """The figures of the test actor by their keys, and what they cost."""
    folder = models[tag(row.model, keypoints, seed)]
    name = f"eval-{ROWS.index(row)}-{keypoints}-s{seed}"
    path = args.runs / "lift3d/mocap" / name / "metrics.json"
    if not path.exists():
        call(
            "posediff.eval",
            args.runs,
            *("task=lift3d", "dataset=mocap", f"checkpoint={folder}", f"name={name}"),
            *(f"dataset.keypoints={keypoints}", f"eval.aggregates=[{','.join(args.rules)}]"),
            *row.overrides,
            *of_scoring(args.overrides),
        )
    report = json.loads(path.read_text())
    spent = sum(seconds(models[tag(part, keypoints, seed)]) for part in row.budgets)
    about = {"steps": report["steps"], "K": report["K"], "scoring": report["seconds"]}
    return report["metrics"] | about | {"training": spent}


def lines(reports: Sequence[Mapping[str, float]], keypoints: str, name: str) -> None:
    """A line for every rule: mean and deviation over seeds."""
    keys = [key for key in reports[0] if key.startswith("mpjpe/") and ":" not in key]
    for rule in (key.partition("/")[2] for key in keys):
        if reports[0]["K"] == 1 and rule != "mean":
            continue  # one answer is its own aggregate
        counts = [f"{reports[0][key]:.0f}" for key in ("steps", "K")]
        found = [[r[f"{m}/{rule}"] for r in reports if f"{m}/{rule}" in r] for m in METRICS]
        figures = [spread(values) if values else "-" for values in found]
        told = rule == "mean" and "calibration_error" in reports[0]  # of all rules alike, K >= 10
        figures.append(
            f"{statistics.mean(r['calibration_error'] for r in reports):.2f}" if told else "-"
        )
        times = [f"{statistics.mean(r[k] for r in reports):.0f}" for k in ("training", "scoring")]
        print(f"| {' | '.join([keypoints, name, rule, *counts, *figures, *times])} |")


if __name__ == "__main__":
    main()
