"""Differences of a training in two processes, sharded or not, or killed and resumed in another
number of them, to one in one process.

    python benchmarks/several_processes.py [--only image2d]

Trains small networks of every task on drawn data for 24 steps. Prints, against the run in one
process: the largest relative difference of the loss of a step, the largest difference of a weight
of the last model, and the largest relative difference of a figure of the last epoch. All are 0 of
equal runs. What networks draw themselves is off, but in the rows that say so: every process draws
its own.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from safetensors.torch import load_file

from posediff import train as posediff_train
from posediff.tasks.lift3d import network

SHORT = (
    *("trainer.recipe.epochs=3", "trainer.recipe.batch_size=8", "trainer.recipe.epoch_samples=64"),
    *("trainer.save_every.steps=2", "trainer.validation_samples=16", "trainer.drawn=0"),
    *("device=cpu", "backbone.weights=null", "name=run"),
)
LIFT = (
    *("task=lift3d", "dataset=synthetic", "dataset.clips=2", "dataset.length=20"),
    *("task.head.width=16", "task.head.depth=1", "task.head.trunk.width=16"),
    *(
        "task.head.trunk.depth=1",
        "task.head.trunk.dropout=0",
        "task.head.dropout=0",
        "task.head.joint_dropout=0",
    ),
)
IMAGE = (
    *("task=image2d", "preset=sgdd_light", "dataset.pictures=8", "dataset.size=[48,64]"),
    *("task.head.decoder={channels: 8, blocks: 1, multipliers: [1, 2]}", "task.head.missing=drop"),
)
CLIPS = (
    *("task=video2d", "dataset=synthetic_video", "dataset.clips=2", "dataset.length=4"),
    *("dataset.offsets=[-1,0,1]", "dataset.size=[32,48]", "backbone=small"),
    "task.clip_features={channels: 16, depth: 1, heads: 2, ratio: 2}",
    "task.head.decoder={state_channels: 8, width: 8}",
)
ROWS: dict[str, Sequence[str]] = {
    "lift3d frame": ("preset=posterior", *LIFT),
    "lift3d frame, dropout .1": ("preset=posterior", *LIFT, "task.head.dropout=0.1"),
    "lift3d window of 9": ("preset=posterior_video", *LIFT, "dataset.window=9"),
    "image2d": IMAGE,
    "image2d, states of joints without labels drawn": (*IMAGE, "task.head.missing=noise"),
    "video2d": CLIPS,
}


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--only", default="", help="rows whose name has this in it")
    args = parser.parse_args(arguments)
    print("| training | run | loss of a step | weight | held-out figure |\n|---|---|--:|--:|--:|")
    for name, overrides in ROWS.items():
        if args.only in name:
            for run, found in compared([*overrides, *SHORT]):
                print(f"| {name} | {run} | {' | '.join(f'{x:.1e}' for x in found)} |", flush=True)


def compared(overrides: Sequence[str]) -> Iterator[tuple[str, tuple[float, float, float]]]:
    """Every way to train and its differences to one process."""
    with tempfile.TemporaryDirectory() as folder:
        runs = Path(folder)
        one = trained(runs / "one", 1, overrides)
        yield "1 process again", difference(trained(runs / "again", 1, overrides), one)
        yield "2 processes", difference(trained(runs / "two", 2, overrides), one)
        sharded = trained(runs / "sharded", 2, [*overrides, "trainer.shard=true"])
        yield "2 processes, trainer.shard=true", difference(sharded, one)
        kill(runs / "more", overrides)
        more = trained(runs / "more", 2, [*overrides, "resume=true"])
        yield "1 killed, resumed by 2", difference(more, one)


def started(runs: Path, count: int, overrides: Sequence[str]) -> subprocess.Popen[bytes]:
    many = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={count}"]
    words = [*(many if count > 1 else ()), __file__, "--train", *overrides, f"paths.runs={runs}"]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.Popen([sys.executable, *words], env=environment, stdout=subprocess.DEVNULL)


def train(overrides: Sequence[str]) -> None:
    """posediff.train; without the dropout that GraFormer always has, unless there is other."""
    if "task.head.dropout=0.1" not in overrides:
        network.RESIDUAL_DROPOUT = 0.0
    sys.argv = ["train", *overrides]
    posediff_train.main()


def trained(runs: Path, count: int, overrides: Sequence[str]) -> Path:
    """The folder of a training. Raises ValueError if it fails."""
    if started(runs, count, overrides).wait():
        raise ValueError(f"the training failed: {' '.join(overrides)}")
    (folder,) = runs.glob("*/*/run")
    return folder


def kill(runs: Path, overrides: Sequence[str]) -> None:
    """Begin a training and kill it in its second epoch."""
    training = started(runs, 1, overrides)
    while training.poll() is None:
        if any(len(x.read_text().splitlines()) > 12 for x in runs.glob("*/*/run/log.jsonl")):
            training.send_signal(signal.SIGKILL)
        time.sleep(0.01)
    if training.returncode != -signal.SIGKILL:
        raise ValueError("the training ended before it was killed")


def difference(run: Path, other: Path) -> tuple[float, float, float]:
    """The largest of the losses, relative, and of the last weights; of the last held-out figure."""
    lines = [
        [json.loads(line) for line in (x / "log.jsonl").read_text().splitlines()]
        for x in (run, other)
    ]
    pairs = list(zip(*lines, strict=True))
    losses = max(abs(a["loss"] / b["loss"] - 1) for a, b in pairs if "step" in b)
    a, b = (
        {k: v for k, v in x.items() if k not in ("epoch", "loss", "seconds")} for x in pairs[-1]
    )
    figures = max(abs(a[key] / x - 1) for key, x in b.items() if x)
    kept = [load_file(x / "checkpoints/last/model.safetensors") for x in (run, other)]
    weights = max(float((x.double() - kept[1][k].double()).abs().max()) for k, x in kept[0].items())
    return losses, weights, figures


if __name__ == "__main__":
    if sys.argv[1:2] == ["--train"]:
        train(sys.argv[2:])
    else:
        main()
