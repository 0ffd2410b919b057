"""The table of image2d on real photographs: trains and scores every row, then prints it.

    python benchmarks/lspet_image2d.py [--seeds 0 1 2] [--only RUN ...] [--table FILE]
                                       [--overrides KEY=VALUE ...]

lspet_crops, EfficientNet-Lite0 with ImageNet weights, 128 x 96, UDP, no flip test. Backbone and
coarse head are trained once a seed; every other row goes on from them, for equally many samples
and by the same recipe: the coarse head alone, three decoders (C = 32, one block a scale) that
differ in what guides them, and one with heatmaps of stride 8. Models are selected on a held-out
part of the training pictures; the test part is scored once. Runs lie under --runs and are kept;
what is there is not made again, and a row that is still missing is left out of the table.
Overrides are of all runs, such as device=cuda or trainer.recipe.epochs=6.
"""

import argparse
import json
import statistics
import subprocess
import sys
from collections.abc import Sequence
from datetime import date
from pathlib import Path

from mocap_lift3d import spread

DATA = ("dataset=lspet_crops", "backbone=efficientnet_lite0", "task.flip=false")
RECIPE = (
    "trainer=people_minutes",
    "trainer.recipe.batch_size=16",
    "trainer.recipe.epoch_samples=2400",  # half of the pictures
)
BEGIN, MORE = "trainer.recipe.epochs=6", "trainer.recipe.epochs=3"
COARSE = ("experiment=image2d_coarse", "task.codec.stride=4")
SGDD = ("task=image2d", "preset=sgdd_light", "task.codec.stride=4", "task.head.decoder.blocks=1")
GUIDES = {
    "attention": (),
    "plain": ("task.head.guide.condition=[]",),
    "masks": ("task.head.guide.kind=none",),
    "light": ("task.codec.stride=8",),
}
# name, the run it reads, and what it is scored with
ROWS = (
    ("coarse head, where all others begin", "coarse", COARSE),
    ("coarse head, trained on as long as the rows below", "longer", COARSE),
    ("SGDD, 1 step", "plain", ("sampler.steps=1",)),
    ("SGDD, 4 steps", "plain", ()),
    ("+ masks, 4 steps", "masks", ()),
    ("its coarse head alone", "attention", COARSE),
    ("+ cross-attention, 1 step", "attention", ("sampler.steps=1",)),
    ("+ cross-attention, 4 steps", "attention", ()),
    ("+ cross-attention, 4 steps, heatmaps fed back", "attention", ("sampler=repeat",)),
    (
        "+ K = 5, 4 steps",
        "attention",
        ("task.hypotheses=5", "task.inference.init=coarse+noise"),
    ),
    ("all of it at stride 8, the light preset, 4 steps", "light", ()),
)
RUNS = tuple(dict.fromkeys(source for _, source, _ in ROWS))  # the coarse head first
FIGURES = {"14 @.2": "pck", "12 @.2": "pck_limbs"}


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--only", nargs="+", choices=RUNS, default=RUNS, help="so many at once")
    parser.add_argument("--runs", type=Path, default=Path("runs/lspet_table"))
    parser.add_argument("--table", type=Path, help="a file that is written again after every row")
    parser.add_argument("--overrides", nargs="*", default=[], metavar="KEY=VALUE")
    args = parser.parse_args(arguments)
    done: dict[str, dict[int, dict[str, float]]] = {}
    for seed in args.seeds:
        given = (f"seed={seed}", *args.overrides)
        for run in args.only:
            folder = train(args.runs, run, seed, *given)
            for name, source, overrides in ROWS:
                if source == run:
                    scored = score(args.runs, name, seed, folder, *overrides, *given)
                    done.setdefault(name, {})[seed] = scored
                    if args.table:
                        args.table.write_text(table(done))
    print(table(done))


def train(runs: Path, run: str, seed: int, *overrides: str) -> Path:
    """The best model of a run, which is made, or gone on with, unless it is finished."""
    folder = runs / "image2d/lspet_crops" / f"{run}-s{seed}"
    if not (folder / "finished").exists():
        resume = "true" if (folder / "checkpoints/last").exists() else "false"
        begin = folder.with_name(f"coarse-s{seed}") / "checkpoints/best"
        if run == "coarse":
            method: tuple[str, ...] = (*COARSE, BEGIN)
        elif run == "longer":
            method = (*COARSE, MORE, f"task.begin={begin}")
        else:
            method = (*SGDD, *GUIDES[run], MORE, f"task.begin={begin}")
        where = (f"name={folder.name}", f"resume={resume}")
        call("posediff.train", runs, *method, *DATA, *RECIPE, *where, *overrides)
        (folder / "finished").touch()
    return folder / "checkpoints/best"


def score(runs: Path, name: str, seed: int, folder: Path, *overrides: str) -> dict[str, float]:
    slug = "".join(c if c.isalnum() else "_" for c in f"eval {name} s{seed}")
    path = runs / "image2d/lspet_crops" / slug / "metrics.json"
    if not path.exists():
        method = () if "experiment=image2d_coarse" in overrides else ("task=image2d",)
        given = (*method, *DATA, f"checkpoint={folder.resolve()}", f"name={slug}")
        call("posediff.eval", runs, *given, *overrides)
    report = json.loads(path.read_text())
    figures = {k: report["metrics"][f"lspet_crops/{x}@0.2/mean"] for k, x in FIGURES.items()}
    return {**figures, "people": report["people"], "seconds": report["seconds"]}


def call(module: str, runs: Path, *overrides: str) -> None:
    command = [sys.executable, "-m", module, f"paths.runs={runs.resolve()}", *overrides]
    print(" ".join(["python", *command[1:]]), file=sys.stderr, flush=True)
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def table(done: dict[str, dict[int, dict[str, float]]]) -> str:
    """Gains are over the coarse head that was trained as long, seed by seed."""
    base = done.get(ROWS[1][0], {})
    head = ["row", *FIGURES, "gain 12 @.2", "seeds", "ms a person"]
    lines = [f"{date.today()}\n", f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    for name, _, _ in ROWS:
        mine = done.get(name, {})
        if not mine:
            continue
        figures = [spread(r[k] for r in mine.values()) for k in FIGURES]
        gains = [r["12 @.2"] - base[s]["12 @.2"] for s, r in mine.items() if s in base]
        gain = spread(gains) if gains and mine is not base else ""
        cost = statistics.mean(1000 * r["seconds"] / r["people"] for r in mine.values())
        seeds = " ".join(map(str, mine))
        lines.append(f"| {' | '.join([name, *figures, gain, seeds, f'{cost:.0f}'])} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
