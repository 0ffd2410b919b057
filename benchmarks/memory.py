"""Peak memory of a training, by task, batch and frames, each in a process of its own.

    python benchmarks/memory.py [--only video2d] [--batch 2 4] [--device cpu]
    python benchmarks/memory.py --defaults [--only video2d] [--limit 8]

Runs `python -m posediff.train ... trainer.profile=1`, two steps, and prints the most resident
memory that the system counted for the process (resource.getrusage), or the most that was allocated
on a GPU. Data are drawn; `again` is trainer.recompute.

--defaults trains every task with its own batches, two steps and the scoring of 64 samples, on a CPU
where no more than `limit` GB can be allocated, and compares the peak with what the command expected
before it began.
"""

import argparse
import os
import re
import resource
import subprocess
import sys
import tempfile
from collections.abc import Sequence

VIDEO = ("dataset=synthetic_video", "dataset.clips=3", "backbone.weights=null")
ROWS: dict[str, Sequence[str]] = {
    "lift3d encoder": ("experiment=lift3d_encoder", "dataset=synthetic"),
    "image2d": ("task=image2d", "dataset.pictures=64"),
    "video2d plain": ("experiment=video2d_plain", *VIDEO),
    "video2d": ("task=video2d", *VIDEO),
}
# the defaults of every task, at the size of crops of photographs for video2d
CLIPS = ("dataset=synthetic_video", "dataset.clips=8", "dataset.size=[192,256]")
DEFAULTS: dict[str, tuple[Sequence[str], int]] = {  # overrides, and two batches
    "lift3d encoder": (("experiment=lift3d_encoder", "dataset=synthetic"), 2048),
    "lift3d paper": (("task=lift3d", "dataset=synthetic"), 2048),
    "lift3d posterior": (("task=lift3d", "dataset=synthetic", "preset=posterior"), 2048),
    "image2d coarse": (("experiment=image2d_coarse", "dataset.pictures=64"), 256),
    "image2d": (("task=image2d", "dataset.pictures=64"), 256),
    "video2d plain": (("experiment=video2d_plain", *CLIPS, "backbone.weights=null"), 32),
    "video2d": (("task=video2d", *CLIPS, "backbone.weights=null"), 32),
}
SHORT = ("trainer.recipe.epochs=1", "trainer.validation_samples=64", "device=cpu")


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--only", default="", help="rows whose name has this in it")
    parser.add_argument("--batch", type=int, nargs="+", default=[2, 4])
    parser.add_argument("--frames", type=int, nargs="+", default=[1, 5])
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--defaults", action="store_true", help="every task as it is, on a CPU")
    parser.add_argument("--limit", type=float, default=8.0, help="GB that --defaults may have")
    args = parser.parse_args(arguments)
    if args.defaults:
        defaults(args.only, args.limit)
        return
    print("| training | frames | batch | again | peak, GB | kept for the backward pass, MB |")
    print("|---" * 6 + "|")
    for name, overrides in ROWS.items():
        for frames in args.frames if VIDEO[0] in overrides else [1]:
            for batch in args.batch if args.only in name else ():
                for again in ("false", "true"):
                    given = [*overrides, f"trainer.recompute={again}", f"device={args.device}"]
                    if VIDEO[0] in overrides:
                        offsets = ",".join(str(i - frames // 2) for i in range(frames))
                        given.append(f"dataset.offsets=[{offsets}]")
                    peak, kept = measured([*given, f"trainer.recipe.batch_size={batch}"])
                    cells = (name, frames, batch, again, f"{peak:.2f}", f"{kept:.0f}")
                    print(f"| {' | '.join(map(str, cells))} |", flush=True)


def defaults(only: str, limit: float) -> None:
    """Print a row for every task. The encoder of the first is that of the second."""
    print("| training | batch | expected, GB | peak, GB | expected / peak |\n|---|--:|--:|--:|--:|")
    with tempfile.TemporaryDirectory() as folder:
        for name, (overrides, samples) in DEFAULTS.items():
            if only not in name:
                continue
            words = [*overrides, *SHORT, f"trainer.recipe.epoch_samples={samples}"]
            said, peak = ended([*words, f"paths.runs={folder}"], limit)
            expected = float(re.search(r"expects .* ([\d.]+) GB", said)[1])
            cells = (name, samples // 2, expected, f"{peak:.2f}", f"{expected / peak:.2f}")
            print(f"| {' | '.join(map(str, cells))} |", flush=True)


def measured(overrides: Sequence[str]) -> tuple[float, float]:
    """Peak in GB and what is kept for the backward pass in MB, of a child. Raises ValueError if it
    fails."""
    with tempfile.TemporaryDirectory() as folder:
        said, peak = ended([*overrides, "trainer.profile=1", f"paths.runs={folder}"])
    kept = re.search(r"kept for the backward pass: ([\d.]+) MB", said)
    own = re.search(r"peak of this process: ([\d.]+) MB", said)
    on_gpu = any(x.startswith("device=cuda") for x in overrides)
    return float(own[1]) / 1e3 if on_gpu else peak, float(kept[1])


def ended(overrides: Sequence[str], limit: float | None = None) -> tuple[str, float]:
    """Output of a training, and its most resident memory in GB. Raises ValueError if it failed."""

    def bound() -> None:
        if limit is not None:
            resource.setrlimit(resource.RLIMIT_DATA, (int(limit * 1e9), resource.RLIM_INFINITY))

    words = [sys.executable, "-m", "posediff.train", *overrides]
    child = subprocess.Popen(words, stdout=subprocess.PIPE, text=True, preexec_fn=bound)
    said = child.stdout.read()
    _, status, used = os.wait4(child.pid, 0)
    if status:
        raise ValueError(f"the training ended with {status}: {' '.join(overrides)}")
    return said, used.ru_maxrss * 1024 / 1e9


if __name__ == "__main__":
    main()
