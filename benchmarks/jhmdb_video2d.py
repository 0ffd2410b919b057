"""The table of video2d on JHMDB clips: trains and scores every row, then prints it.

    python benchmarks/jhmdb_video2d.py [--seeds 0 1 2] [--jobs 1] [--workers 0] [--finished]
                                       [--table FILE] [--overrides KEY=VALUE ...]

jhmdb_video, EfficientNet-Lite0 with ImageNet weights, 128 x 96, three frames (two apart), UDP, no
flip test, a small STRL and the light decoder. Backbone, STRL and plain head are trained once a
seed; every other row goes on from them, for equally many samples and by the same recipe: the plain
head alone, and decoders that look up, fuse directly, do not see the noisy heatmap, or know the last
timestep only. One frame alone is trained for as many samples as these have seen in all. Models are
selected on videos that are held out of the training part; the test part is scored once, and one
checkpoint serves all numbers of steps S and of noise sets K. Runs lie under --runs and are kept;
what is there is not made again, and a row that is missing is left out of the table.

--jobs runs train at once, each with its own --workers loading; --finished trains nothing more and
prints the table of what is there. Overrides are of all runs, such as device=cuda or
trainer.recipe.epoch_samples=2000, which scales all of them.
"""

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from functools import partial
from pathlib import Path

import torch
from mocap_lift3d import spread

from posediff import checkpoint, config, engine
from posediff.diffusion import DiffusionModel, Model
from posediff.diffusion.aggregate import Poses, mean
from posediff.eval import metric_of
from posediff.metrics.metric import Metric
from posediff.pose.rules import coord_mean, max_score, medoid
from posediff.sample import to

DATA = (
    "dataset=jhmdb_video",
    "dataset.size=[96,128]",
    "dataset.codec=udp",
    "backbone=efficientnet_lite0",
)
FRAMES, ONE = "dataset.offsets=[-2,0,2]", "dataset.offsets=[0]"
SMALL = ("task.clip_features={channels: 128, depth: 2, heads: 4, ratio: 4}",)
RECIPE = (
    "trainer=people_minutes",
    "trainer.recipe.batch_size=32",
    "trainer.recipe.epoch_samples=4800",  # about one pass
    "eval.monitor=jhmdb_video/pck_person@0.1/mean",
)
FIRST, MORE, ALL = (f"trainer.recipe.epochs={n}" for n in (5, 4, 9))
PLAIN = ("experiment=video2d_plain", FRAMES)
LIGHT = ("task=video2d", "preset=decoder_light", FRAMES)
BEFORE = {
    "one": ("experiment=video2d_plain", ONE, ALL),
    "first": (*PLAIN, FIRST),
}
AFTER = {
    "longer": (*PLAIN, MORE),
    "lookup": (*LIGHT, MORE),
    "direct": (*LIGHT, MORE, "task.head.decoder.mode=direct"),
    "none": (*LIGHT, MORE, "task.head.decoder.mode=none"),
    "fixed": (*LIGHT, MORE, "model.process.train_t=999"),
}
GRID = [(S, K) for S in (1, 2, 4) for K in (1, 2, 4)]
RULES = {"mean": mean, "max_score": max_score, "coord_mean": coord_mean, "medoid": medoid}
EVERY = "mean of all steps"  # and of all sets
# name, run, S, K, rule
ROWS = (
    ("one frame, no diffusion", "one", 1, 1, "mean"),
    ("three frames, no diffusion: where all below begin", "first", 1, 1, "mean"),
    ("three frames, no diffusion, trained on as long as all below", "longer", 1, 1, "mean"),
    ("decoder that knows the last timestep only", "fixed", 1, 1, "mean"),
    *((f"lookup, S = {S}, K = {K}", "lookup", S, K, "mean") for S, K in GRID),
    *((f"S = 4, K = 4, {rule}", "lookup", 4, 4, rule) for rule in (*list(RULES)[1:], EVERY)),
    *(
        (f"direct fusion, S = {S}, K = {K}", "direct", S, K, "mean")
        for S, K in ((1, 1), (4, 1), (4, 4))
    ),
    ("noisy heatmap not seen", "none", 1, 1, "mean"),
)
BASE = ROWS[2][0]
FIGURES = {
    "@.2": "pck_person@0.2/mean",
    "@.1": "pck_person@0.1/mean",
    "@.05": "pck_person@0.05/mean",
    "torso @.2": "pck@0.2/mean",
    "spread px": "spread/mean",
}
PARTS = ("head", "shoulder", "elbow", "wrist", "hip", "knee", "ankle")
BY_PART = {f"{part} @.1": f"pck_person@0.1/mean:{part}" for part in PARTS}
GAIN = "@.1"

Scores = dict[str, float]


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--jobs", type=int, default=1, help="trainings at once")
    parser.add_argument("--workers", type=int, default=0, help="loading processes of each")
    parser.add_argument("--finished", action="store_true", help="train nothing more")
    parser.add_argument("--clips", type=int, help="so many of the test part; all of them else")
    parser.add_argument("--runs", type=Path, default=Path("runs/jhmdb_table"))
    parser.add_argument("--table", type=Path, help="a file that is written after every row")
    parser.add_argument("--overrides", nargs="*", default=[], metavar="KEY=VALUE")
    args = parser.parse_args(arguments)
    given = (f"trainer.recipe.workers={args.workers}", *args.overrides)
    done: dict[str, dict[int, Scores]] = {}
    with ThreadPoolExecutor(args.jobs) as pool:
        for stage in (BEFORE, AFTER):
            todo = [(seed, run) for seed in args.seeds for run in stage]
            if args.finished:
                todo = [x for x in todo if (folder_of(args.runs, *x) / "finished").exists()]
            for seed, run in pool.map(partial(train, args.runs, stage, given), todo):
                scored = score(args, seed, run)  # while others train
                for name, source, *at in ROWS:
                    if source == run:
                        done.setdefault(name, {})[seed] = scored[" ".join(map(str, at))]
                if args.table:
                    args.table.write_text(table(done))
    print(table(done))


def folder_of(runs: Path, seed: int, run: str) -> Path:
    return runs / "video2d/jhmdb_video" / f"{run}-s{seed}"


def train(
    runs: Path, stage: Mapping[str, Sequence[str]], given: Sequence[str], made: tuple[int, str]
) -> tuple[int, str]:
    """A run of a seed, which is made, or gone on with, unless it is finished."""
    seed, run = made
    folder = folder_of(runs, seed, run)
    if (folder / "finished").exists():
        return made
    resume = "true" if (folder / "checkpoints/last").exists() else "false"
    where = [f"paths.runs={runs.resolve()}", f"name={folder.name}", f"resume={resume}"]
    if run in AFTER:
        begin = folder_of(runs, seed, "first") / "checkpoints/best"
        where.append(f"task.begin={begin.resolve()}")
    command = [sys.executable, "-m", "posediff.train", *stage[run], *DATA, *SMALL, *RECIPE]
    command += [f"seed={seed}", *where, *given]
    print(" ".join(["python", *command[1:]]), file=sys.stderr, flush=True)
    begun = time.monotonic()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    print(f"{folder.name}: {time.monotonic() - begun:.0f} s", file=sys.stderr, flush=True)
    (folder / "finished").touch()
    return made


def score(args: argparse.Namespace, seed: int, run: str) -> dict[str, Scores]:
    """The figures of a run's best model on the test part, by "S K rule"."""
    folder = folder_of(args.runs, seed, run)
    path = folder / "scores.json"
    if not path.exists():
        frames = ONE if run == "one" else FRAMES
        cfg = config.compose("train", ["task=video2d", *DATA, frames, *args.overrides])
        model = checkpoint.load(folder / "checkpoints/best").to(config.device(cfg.device))
        data = config.dataset(cfg, "test")
        clips = data if args.clips is None else engine.Subset(data, args.clips)
        metrics = {tuple(at): metric_of(cfg, data.truth()) for _, of, *at in ROWS if of == run}
        batches = engine.in_order(clips, cfg.eval.batch_size, args.workers, "scoring")
        found = dict(scored(model, batches, metrics, len(clips)))
        path.write_text(json.dumps(found, indent=1) + "\n")
    return json.loads(path.read_text())


@torch.no_grad()
def scored(
    model: Model,
    batches: Iterable[dict],
    metrics: Mapping[tuple[int, int, str], Metric],
    clips: int,
) -> Iterator[tuple[str, Scores]]:
    """Every S, K and rule on the same clips, which are read once."""
    device = next(model.parameters()).device
    seconds = dict.fromkeys(metrics, 0.0)
    for sample in batches:
        here = to(sample, device)
        for at, metric in metrics.items():
            answer = partial(poses, model, here, *at)
            if not any(seconds.values()):
                answer()  # the first call of all is slow
            wait(device)
            begin = time.perf_counter()
            found = answer()
            wait(device)
            seconds[at] += time.perf_counter() - begin
            metric.update("mean", found, sample)
    for at, metric in metrics.items():
        figures = metric.compute()
        named = {k: figures[f"jhmdb_video/{x}"] for k, x in (FIGURES | BY_PART).items()}
        yield " ".join(map(str, at)), {**named, "ms": 1000 * seconds[at] / clips}


def poses(model: Model, sample: dict, S: int, K: int, rule: str) -> Poses:
    if isinstance(model, DiffusionModel):
        model.every_step = rule == EVERY
        return RULES.get(rule, mean)(model.sample(sample, K, S))
    return model.predict(sample)


def wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize()


def table(done: dict[str, dict[int, Scores]]) -> str:
    """All rows, and below them once more by joint.

    Gains are over the plain head that was trained as long, seed by seed.
    """
    base = done.get(BASE, {})
    head = ["row", *FIGURES, f"gain {GAIN}", "seeds", "ms a clip"]
    lines = [f"{date.today()}\n", f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    for name, _, _, K, _ in ROWS:
        mine = done.get(name, {})
        if not mine:
            continue
        figures = [spread(scores[k] for scores in mine.values()) for k in FIGURES]
        if K == 1:  # where nothing can lie apart
            figures[list(FIGURES).index("spread px")] = ""
        gains = [scores[GAIN] - base[seed][GAIN] for seed, scores in mine.items() if seed in base]
        gain = spread(gains) if gains and mine is not base else ""
        cost = statistics.mean(scores["ms"] for scores in mine.values())
        seeds = " ".join(map(str, mine))
        lines.append(f"| {' | '.join([name, *figures, gain, seeds, f'{cost:.2f}'])} |")
    lines += ["", f"| row | {' | '.join(BY_PART)} |", "|---" * (1 + len(BY_PART)) + "|"]
    for name in (row[0] for row in ROWS if row[0] in done):
        parts = [spread(scores[k] for scores in done[name].values()) for k in BY_PART]
        lines.append(f"| {name} | {' | '.join(parts)} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
