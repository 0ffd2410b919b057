"""The table of lift3d on motion capture: trains and scores every row, then prints it as Markdown.

    python benchmarks/mocap_lift3d.py [--seeds 0 1 2] [--keypoints gt noisy] [--jobs 2]
        [--overrides "dataset.sources=[HDM05]" "dataset.test=[cmu05,cmu16]"]

All rows of a seed see equally many training samples: the diffusion rows an encoder and a denoiser
of one budget each, the encoder alone two budgets. Networks are small (width 64, depth 2), models
are selected on a held-out training actor, and the test actor is scored once, at the end. Runs lie
under --runs and are kept; what is there already is not trained again. Overrides are of all runs.
"""

import argparse
import json
import statistics
import subprocess
import sys
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from pathlib import Path

SMALL = ("dataset=mocap", "trainer=minutes")
ENCODER = ("experiment=lift3d_encoder", "model.head.width=64", "model.head.depth=2", *SMALL)
DENOISER = ("task=lift3d", "task.head.width=64", "task.head.depth=2", *SMALL)
TWICE = "trainer.recipe.epochs=8"
STARTS = {"gt": "sampler.start=12", "noisy": "sampler.start=24"}  # as released for GT and CPN


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--keypoints", nargs="+", default=["gt", "noisy"])
    parser.add_argument("--runs", type=Path, default=Path("runs/mocap_table"))
    parser.add_argument("--jobs", type=int, default=2, help="runs at a time, one thread each")
    parser.add_argument("--overrides", nargs="*", default=[], help="of every command")
    args = parser.parse_args(arguments)
    with ThreadPoolExecutor(args.jobs) as pool:
        jobs = [(args.runs, k, seed) for seed in args.seeds for k in args.keypoints]
        done = list(pool.map(lambda job: rows(*job, args.overrides), jobs))
    print(f"Seeds {args.seeds}, {date.today()}\n")
    print("| 2D | row | steps | K | MPJPE | P-MPJPE | training s | scoring s |")
    print("|---|---|---|---|---|---|---|---|")
    for keypoints in args.keypoints:
        mine = [r for job, r in zip(jobs, done, strict=True) if job[1] == keypoints]
        for name in mine[0]:
            print(line(keypoints, name, [r[name] for r in mine]))


def rows(
    runs: Path, keypoints: str, seed: int, given: Sequence[str]
) -> dict[str, dict[str, float]]:
    """Train the models of one seed and 2D source, and score them on the test actor."""
    source = (f"dataset.keypoints={keypoints}", f"seed={seed}", *given)
    tag = f"{keypoints}-s{seed}"
    short = train(runs, f"encoder-{tag}", *ENCODER, *source)
    use = f"task.head.encoder={short}"
    long = train(runs, f"encoder-twice-{tag}", *ENCODER, TWICE, *source)
    paper = train(runs, f"paper-{tag}", *DENOISER, use, *source)
    official = train(runs, f"official-{tag}", *DENOISER, "preset=official_frame", use, *source)
    half, start = seconds(short), STARTS[keypoints]

    def scored(folder: Path, name: str, spent: float, *overrides: str) -> dict[str, float]:
        report = score(runs, f"eval-{name}-{tag}", folder, *of_scoring(source), *overrides)
        return report | {"training": spent + seconds(folder)}

    return {
        "encoder alone, one budget (the context encoder of the rows below)": scored(
            short, "encoder", 0.0
        ),
        "encoder alone, two budgets": scored(long, "encoder-twice", 0.0),
        "official_frame": scored(official, "official", half, start),
        "paper, 1 step, K 1": scored(
            paper, "paper-1-1", half, "sampler.steps=1", "task.hypotheses=1"
        ),
        "paper, 5 steps, K 5": scored(paper, "paper", half),
        "paper, 5 steps, K 20": scored(paper, "paper-5-20", half, "task.hypotheses=20"),
    }


def train(runs: Path, name: str, *overrides: str) -> Path:
    """The best model of a run, which is made, or gone on with, unless it is finished."""
    run = runs / "lift3d/mocap" / name
    if not (run / "finished").exists():
        resume = "true" if (run / "checkpoints/last").exists() else "false"
        call("posediff.train", runs, f"name={name}", f"resume={resume}", *overrides)
        (run / "finished").touch()
    return run / "checkpoints/best"


def score(runs: Path, name: str, folder: Path, *overrides: str) -> dict[str, float]:
    path = runs / "lift3d/mocap" / name / "metrics.json"
    if not path.exists():
        given = ("task=lift3d", "dataset=mocap", f"checkpoint={folder}", f"name={name}")
        call("posediff.eval", runs, *given, *overrides)
    report = json.loads(path.read_text())
    return {
        "steps": report["steps"],
        "K": report["K"],
        "mpjpe": report["metrics"]["mpjpe/mean"],
        "p_mpjpe": report["metrics"]["p_mpjpe/mean"],
        "scoring": report["seconds"],
    }


def of_scoring(overrides: Iterable[str]) -> list[str]:
    return [x for x in overrides if not x.startswith("trainer.")]


def call(module: str, runs: Path, *overrides: str) -> None:
    command = [sys.executable, "-m", module, f"paths.runs={runs}", *overrides]
    print(" ".join(["python", *command[1:]]), file=sys.stderr, flush=True)
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def seconds(folder: Path) -> float:
    """Seconds that the training of a model took, by its log."""
    lines = (folder.parents[1] / "log.jsonl").read_text().splitlines()
    return sum(float(json.loads(text).get("seconds", 0)) for text in lines)


def line(keypoints: str, name: str, runs: Sequence[dict[str, float]]) -> str:
    steps, K = (f"{runs[0][k]:.0f}" for k in ("steps", "K"))
    figures = [spread(r[k] for r in runs) for k in ("mpjpe", "p_mpjpe")]
    times = [f"{statistics.mean(r[k] for r in runs):.0f}" for k in ("training", "scoring")]
    return f"| {' | '.join([keypoints, name, steps, K, *figures, *times])} |"


def spread(values: Iterable[float], digits: int = 1) -> str:
    """Mean and standard deviation over seeds."""
    x = list(values)
    deviation = f" +- {statistics.stdev(x):.{digits}f}" if len(x) > 1 else ""
    return f"{statistics.mean(x):.{digits}f}{deviation}"


if __name__ == "__main__":
    main()
