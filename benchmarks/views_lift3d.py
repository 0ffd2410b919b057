"""The tables of drawn views and of noise: what training on other people, cameras and errors gives.

    python benchmarks/views_lift3d.py [--seeds 0] [--jobs 2] [--runs runs/views_table]

Encoders of width 64 and depth 3 see 512,000 frames each, with dg held out to select on. One is
trained by each of dataset.views fixed, turned and free with exact 2D, and one by each noise, the
default and that of the shipped image2d, on free views. All are scored on actor mm, 20,008
camera-frames, on the 2D of every column; as stress, on the synthetic body of h36m17, whose cameras,
build and motion no row has seen, and three of whose joints lie elsewhere by 5-10 cm. MPJPE in mm.
"""

import argparse
import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from pathlib import Path

from mocap_lift3d import call, spread, train

BEGIN = (
    *("experiment=lift3d_encoder", "model.head.width=64", "model.head.depth=3", "dataset=mocap"),
    *("trainer=minutes", "trainer.recipe.batch_size=128", "trainer.recipe.epoch_samples=51200"),
    *("trainer.recipe.epochs=10", "trainer.validation_samples=512"),
)
OURS = "dataset/noise=image2d"
ROWS: dict[str, Sequence[str]] = {
    "fixed, exact 2D": ("dataset.views=fixed", "dataset.keypoints=gt"),
    "turned, exact 2D": ("dataset.views=turned", "dataset.keypoints=gt"),
    "free, exact 2D": ("dataset.views=free", "dataset.keypoints=gt"),
    "free, default noise": ("dataset.views=free", "dataset.keypoints=noisy"),
    "free, noise of image2d": ("dataset.views=free", "dataset.keypoints=noisy", OURS),
}
STRESS = ("dataset=synthetic", "dataset.skeleton=mocap17")
COLUMNS: dict[str, Sequence[str]] = {
    "mm, exact 2D": ("dataset.keypoints=gt",),
    "mm, default noise": ("dataset.keypoints=noisy",),
    "mm, noise of image2d": ("dataset.keypoints=noisy", OURS),
    "synthetic, exact 2D": (*STRESS, "dataset.keypoints=gt"),
    "synthetic, noise of image2d": (*STRESS, "dataset.keypoints=noisy", OURS),
}


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--runs", type=Path, default=Path("runs/views_table"))
    parser.add_argument("--jobs", type=int, default=2, help="runs at a time, one thread each")
    args = parser.parse_args(arguments)
    jobs = [(name, seed) for name in ROWS for seed in args.seeds]
    with ThreadPoolExecutor(args.jobs) as pool:
        done = list(pool.map(lambda job: row(args.runs, *job), jobs))
    print(f"Seeds {args.seeds}, {date.today()}\n")
    print(f"| trained on | {' | '.join(COLUMNS)} |")
    print("|---" * (len(COLUMNS) + 1) + "|")
    for name in ROWS:
        mine = [found for job, found in zip(jobs, done, strict=True) if job[0] == name]
        cells = [spread([found[column] for found in mine]) for column in COLUMNS]
        print(f"| {name} | {' | '.join(cells)} |")


def row(runs: Path, name: str, seed: int) -> dict[str, float]:
    """The errors of the encoder of a row, by column."""
    tag = f"{name.replace(', ', '-').replace(' ', '-')}-s{seed}"
    folder = train(runs, tag, *BEGIN, *ROWS[name], f"seed={seed}")
    found = {}
    for number, (column, options) in enumerate(COLUMNS.items()):
        data = "synthetic" if options[0] == STRESS[0] else "mocap"
        path = runs / "lift3d" / data / f"eval{number}-{tag}" / "metrics.json"
        if not path.exists():
            given = ("task=lift3d", f"dataset={data}", f"checkpoint={folder}", f"seed={seed}")
            of_data = [x for x in options if not x.startswith("dataset=")]
            call("posediff.eval", runs, *given, f"name={path.parent.name}", *of_data)
        found[column] = json.loads(path.read_text())["metrics"]["mpjpe/mean"]
    return found


if __name__ == "__main__":
    main()
