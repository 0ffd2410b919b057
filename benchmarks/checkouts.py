"""Training and prediction of two versions of posediff on one machine, in one run.

    python benchmarks/checkouts.py BEFORE AFTER [--to runs/checkouts.md] [--threads 2]
        [--only image2d] [--loading]

BEFORE and AFTER are checkouts (`git worktree add ../before COMMIT`). Every job is a training of
both by the same command, on drawn data or motion capture, and of AFTER once more with
trainer.machine=auto: an epoch of few samples and one of many, whose difference in time over that in
samples is the figure, without what an epoch costs by itself. Loading alone is CPU time of a core.
The models of both then answer held-out samples in memory, one at a time and 32 at once (the least
of five calls of model.predict); those of image2d also photos, those of video2d a film, and these
are timed like trainings. Runs lie in a temporary folder.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image


class Job(NamedTuple):
    task: str
    overrides: Sequence[str]
    samples: int  # of the longer epoch


LIFT, WINDOW = ("dataset=mocap",), ("dataset.window=27",)
PICTURES = ("dataset=synthetic_pictures", "dataset.pictures=96", "backbone.weights=null")
CLIPS = ("dataset=synthetic_video", "dataset.clips=24", "dataset.length=8", "backbone.weights=null")
THUNDER = (
    *("backbone=movenet_thunder", "backbone.frozen=true", "dataset.size=[192,256]"),
    "backbone.weights=posediff/weights/movenet_thunder/model.safetensors",
)
FEW, MANY = 4, 68  # photos, or frames of a film
AT_ONCE = (1, 32)  # samples in memory
ANSWERED = {"image2d": "ms a photo", "video2d": "ms a frame"}
LOADING = """
import sys, time
from posediff import config
data = config.dataset(config.compose("train", sys.argv[2:]), "train")
for _ in range(2):
    begun = time.process_time()
    for i in range(int(sys.argv[1])):
        data[i % len(data)]
    spent = time.process_time() - begun
print(int(sys.argv[1]) / spent)
"""
PREDICTING = """
import sys, time
from posediff import checkpoint, config
model = checkpoint.load(sys.argv[1]).eval()
data = config.dataset(config.compose("train", sys.argv[3:]), "validation")
for batch in map(int, sys.argv[2].split(",")):
    sample = data.__getitems__([i % len(data) for i in range(batch)])
    sample["id"] = [str(i) for i in range(batch)]
    spent = []
    for _ in range(6):
        begun = time.perf_counter()
        model.predict(sample)
        spent.append(time.perf_counter() - begun)
    print(1000 * min(spent[1:]) / batch)
"""
PART = 4  # the shorter epoch has one of so many parts of the samples

JOBS = {
    "lift3d encoder, frames": Job(
        "lift3d",
        ("experiment=lift3d_encoder", *LIFT, "trainer.recipe.batch_size=256"),
        16384,
    ),
    "lift3d encoder, windows of 27": Job(
        "lift3d",
        (
            *("experiment=lift3d_video_encoder", *LIFT, *WINDOW, "model.head.width=128"),
            *("model.head.depth=4", "trainer.recipe.batch_size=16"),
        ),
        480,
    ),
    "image2d coarse": Job(
        "image2d", ("experiment=image2d_coarse", *PICTURES, "trainer.recipe.batch_size=32"), 1024
    ),
    "image2d coarse, EfficientNet-Lite0": Job(
        "image2d",
        (
            *("experiment=image2d_coarse", *PICTURES, "backbone=efficientnet_lite0"),
            *("dataset.size=[144,192]", "trainer.recipe.batch_size=32"),
        ),
        256,
    ),
    "image2d coarse, frozen Thunder, kept maps": Job(
        "image2d",
        (
            *("experiment=image2d_coarse", *PICTURES, *THUNDER, "trainer.cache.views=1"),
            "trainer.recipe.batch_size=32",
        ),
        1024,
    ),
    "image2d sgdd_light": Job(
        "image2d",
        ("task=image2d", "preset=sgdd_light", *PICTURES, "trainer.recipe.batch_size=32"),
        768,
    ),
    "video2d plain": Job(
        "video2d", ("experiment=video2d_plain", *CLIPS, "trainer.recipe.batch_size=8"), 96
    ),
    "video2d decoder_light": Job(
        "video2d",
        ("task=video2d", "preset=decoder_light", *CLIPS, "trainer.recipe.batch_size=8"),
        96,
    ),
}


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("before", type=Path)
    parser.add_argument("after", type=Path)
    parser.add_argument("--to", type=Path)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--only", default="")
    parser.add_argument("--loading", action="store_true", help="loading alone")
    args = parser.parse_args(arguments)
    text = f"{date.today()}, {platform.processor() or platform.machine()}, {args.threads} threads, "
    text += f"before {commit(args.before)}, after {commit(args.after)}\n\n"
    text += "| | unit | before | after | ratio | after, machine=auto | ratio |\n"
    text += "|---|---|---|---|---|---|---|\n"
    with tempfile.TemporaryDirectory() as folder:
        for name, job in JOBS.items():
            if args.only in name:
                for line in rows(name, job, args, Path(folder)):
                    print(line, flush=True)
                    text += f"{line}\n"
    print(f"\n{text}")
    if args.to:
        args.to.write_text(text)


def rows(name: str, job: Job, args: argparse.Namespace, folder: Path) -> list[str]:
    """The lines of a job: its loading, its training, and its model on photos or a video."""
    read = [loaded(checkout, job, args) for checkout in (args.before, args.after)]
    lines = [line(f"loading, {name}", "samples/s", read)]
    if args.loading:
        return lines
    forms: list[tuple[Path, str, Sequence[str]]] = [
        (args.before, "before", ()),
        (args.after, "after", ()),
        (args.after, "auto", ("trainer.machine=auto",)),
    ]
    trained = [train(at, form, name, job, args, folder, more) for at, form, more in forms]
    lines.append(line(f"training, {name}", "samples/s", [rate for rate, _ in trained]))
    both = [(at, model) for (at, *_), (_, model) in zip(forms[:2], trained, strict=False)]
    spent = [answered(at, job, model, args) for at, model in both]
    for batch, figures in zip(AT_ONCE, zip(*spent, strict=True), strict=True):
        lines.append(line(f"model.predict of {batch}, {name}", "ms a sample", figures))
    if job.task in ANSWERED:
        whole = [predicted(at, job, model, args, folder) for at, model in both]
        lines.append(line(f"predict, {name}", ANSWERED[job.task], whole))
    return lines


def line(name: str, unit: str, figures: Sequence[float]) -> str:
    before, *after = figures
    faster = [x / before if unit == "samples/s" else before / x for x in after]
    cells = [f"{before:.3g}"]
    for x, ratio in zip(after, faster, strict=True):
        cells += [f"{x:.3g}", f"{ratio:.2f}"]
    cells += ["-"] * (5 - len(cells))
    return f"| {name} | {unit} | {' | '.join(cells)} |"


def train(
    checkout: Path,
    form: str,
    name: str,
    job: Job,
    args: argparse.Namespace,
    folder: Path,
    more: Sequence[str],
) -> tuple[float, Path]:
    """Samples a second, and the model."""
    spent = []
    for samples in (job.samples // PART, job.samples):
        runs = folder / f"{form}-{name}-{samples}".replace(" ", "-").replace(",", "")
        size = ("trainer.recipe.epochs=1", f"trainer.recipe.epoch_samples={samples}")
        few = ("trainer.validation_samples=1", f"paths.runs={runs}", "name=timed")
        call(checkout, args.threads, "-m", "posediff.train", *job.overrides, *size, *few, *more)
        (log,) = runs.glob("*/*/timed/log.jsonl")
        lines = map(json.loads, log.read_text().splitlines())
        spent.append(next(x["seconds"] for x in lines if "seconds" in x))
    rate = (job.samples - job.samples // PART) / (spent[1] - spent[0])
    return rate, log.parent / "checkpoints/best"


def loaded(checkout: Path, job: Job, args: argparse.Namespace) -> float:
    """Samples that a core reads a second, the second time."""
    count = str(job.samples // PART)
    return float(call(checkout, args.threads, "-c", LOADING, count, *job.overrides))


def answered(checkout: Path, job: Job, model: Path, args: argparse.Namespace) -> list[float]:
    """Milliseconds a sample in memory, of so many AT_ONCE."""
    batches = ",".join(map(str, AT_ONCE))
    said = call(checkout, args.threads, "-c", PREDICTING, str(model), batches, *job.overrides)
    return [float(x) for x in said.split()[-len(AT_ONCE) :]]


def predicted(
    checkout: Path, job: Job, model: Path, args: argparse.Namespace, folder: Path
) -> float:
    """Milliseconds a photo or a frame of one person, which fills it."""
    spent = []
    # the version of before asks for the data set whose joints the model has
    data = next(option for option in job.overrides if option.startswith("dataset="))
    whose = (f"task={job.task}", data, f"checkpoint={model}")
    for count in (FEW, MANY):
        given = photos(folder / f"photos-{count}", count)
        where = f"paths.runs={folder / f'predict-{job.task}-{count}-{checkout.name}'}"
        options = (*whose, f"input={given}", "name=answers", where)
        started = time.perf_counter()
        call(checkout, args.threads, "-m", "posediff.predict", *options)
        spent.append(time.perf_counter() - started)
    return 1000 * (spent[1] - spent[0]) / (MANY - FEW)


def photos(folder: Path, count: int) -> Path:
    """A folder of drawn noise as photos, or as the frames of a film."""
    if not folder.is_dir():
        folder.mkdir()
        random = np.random.default_rng(0)
        for i in range(count):
            pixels = random.integers(0, 255, (48, 64, 3), dtype=np.uint8)
            Image.fromarray(pixels).resize((640, 480)).save(folder / f"{i:03}.jpg")
    return folder


def call(checkout: Path, threads: int, *arguments: str) -> str:
    """The output of Python with a checkout. Raises RuntimeError with its last words if it fails."""
    where = {"PYTHONPATH": str(checkout.resolve()), "OMP_NUM_THREADS": str(threads)}
    command = [sys.executable, *arguments]
    done = subprocess.run(
        command, cwd=checkout, env=os.environ | where, capture_output=True, text=True
    )
    if done.returncode:
        raise RuntimeError(f"{checkout}: {' '.join(command)}\n{done.stderr[-2000:]}")
    return done.stdout


def commit(checkout: Path) -> str:
    asked = ["git", "-C", str(checkout), "rev-parse", "--short", "HEAD"]
    return subprocess.run(asked, capture_output=True, text=True).stdout.strip() or checkout.name


if __name__ == "__main__":
    main()
