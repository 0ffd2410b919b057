"""Peak memory of a training, by task, batch and frames, each in a process of its own.

    python benchmarks/memory.py [--only video2d] [--batch 2 4] [--device cpu]

Runs `python -m posediff.train ... trainer.profile=1`, two steps, and prints the most resident
memory that the system counted for the process (resource.getrusage), or the most that was allocated
on a GPU. Data are drawn; `again` is trainer.recompute.
"""

import argparse
import os
import re
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


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--only", default="", help="rows whose name has this in it")
    parser.add_argument("--batch", type=int, nargs="+", default=[2, 4])
    parser.add_argument("--frames", type=int, nargs="+", default=[1, 5])
    parser.add_argument("--device", default="cpu")
    args = parser.parse_args(arguments)
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


def measured(overrides: Sequence[str]) -> tuple[float, float]:
    """Peak in GB and what is kept for the backward pass in MB, of a child. Raises ValueError if it
    fails."""
    with tempfile.TemporaryDirectory() as folder:
        words = [*overrides, "trainer.profile=1", f"paths.runs={folder}"]
        child = subprocess.Popen(
            [sys.executable, "-m", "posediff.train", *words], stdout=subprocess.PIPE, text=True
        )
        said = child.stdout.read()
        _, status, used = os.wait4(child.pid, 0)
    if status:
        raise ValueError(f"the training ended with {status}: {' '.join(overrides)}")
    kept = re.search(r"kept for the backward pass: ([\d.]+) MB", said)
    own = re.search(r"peak of this process: ([\d.]+) MB", said)
    on_gpu = any(x.startswith("device=cuda") for x in overrides)
    peak = float(own[1]) / 1e3 if on_gpu else used.ru_maxrss * 1024 / 1e9
    return peak, float(kept[1])


if __name__ == "__main__":
    main()
