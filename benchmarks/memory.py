"""Peak memory of a training, by task, batch and frames, each in a process of its own.

    python benchmarks/memory.py [--only video2d] [--batch 2 4] [--device cpu]
    python benchmarks/memory.py --defaults [--only video2d] [--limit 8]
    python benchmarks/memory.py --answers [--hypotheses 1 5 20]
    python benchmarks/memory.py --steady

Runs `python -m posediff.train ... trainer.profile=1`, two steps, and prints the most resident
memory that the system counted for the process (resource.getrusage), or the most that was allocated
on a GPU. Data are drawn; `again` is trainer.recompute.

--defaults trains every task with its own batches, two steps and the scoring of 64 samples, on a CPU
where no more than `limit` GB can be allocated, and compares the peak with what the command expected
before it began. --answers prints the peak of a process that answers one batch, by K; --steady
trains small networks for 1,000 steps, and prints the resident memory of the process on its way.
"""

import argparse
import os
import re
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

VIDEO = ("dataset=synthetic_video", "dataset.clips=3", "backbone.weights=null")
BACKBONE = ("backbone=efficientnet_lite0", "backbone.weights=null")
WINDOWS = ("task=lift3d", "dataset=synthetic", "dataset.length=300", "preset=posterior_video")
ROWS: dict[str, Sequence[str]] = {
    "lift3d encoder": ("experiment=lift3d_encoder", "dataset=synthetic"),
    "image2d": ("task=image2d", "dataset.pictures=64"),
    "video2d plain": ("experiment=video2d_plain", *VIDEO),
    "video2d": ("task=video2d", *VIDEO),
    "image2d light": ("task=image2d", "preset=sgdd_light", "dataset.pictures=64", *BACKBONE),
    "lift3d window 27": (*WINDOWS, "dataset.window=27"),
    "lift3d window 243": (*WINDOWS, "dataset.window=243"),
}
SMALL: dict[str, Sequence[str]] = {
    "lift3d": ("experiment=lift3d_encoder", "dataset=synthetic", "model.head.width=16"),
    "image2d": ("experiment=image2d_coarse", "dataset.pictures=8", "dataset.size=[48,64]"),
}
STEPS = 1000
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
ANSWER = "--answer"  # of a child: batch, K, overrides
SHORT = ("trainer.recipe.epochs=1", "trainer.validation_samples=64", "device=cpu")


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--only", default="", help="rows whose name has this in it")
    parser.add_argument("--batch", type=int, nargs="+", default=[2, 4])
    parser.add_argument("--frames", type=int, nargs="+", default=[1, 5])
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--defaults", action="store_true", help="every task as it is, on a CPU")
    parser.add_argument("--limit", type=float, default=8.0, help="GB that --defaults may have")
    parser.add_argument("--answers", action="store_true", help="one batch, by hypotheses")
    parser.add_argument("--hypotheses", type=int, nargs="+", default=[1, 5, 20])
    parser.add_argument("--steady", action="store_true", help="1,000 steps of small networks")
    args = parser.parse_args(arguments)
    if args.defaults:
        defaults(args.only, args.limit)
        return
    if args.answers:
        answers(args.only, args.batch, args.hypotheses)
        return
    if args.steady:
        steady(args.only)
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


def answers(only: str, batches: Sequence[int], hypotheses: Sequence[int]) -> None:
    """Print a row for every network, batch and K, each of a process of its own."""
    print("| answers of | batch | K | peak, GB |\n|---|--:|--:|--:|")
    for name, overrides in ROWS.items():
        for batch in (
            batches if only in name and "plain" not in name and "encoder" not in name else ()
        ):
            for count in hypotheses:
                words = [sys.executable, __file__, ANSWER, str(batch), str(count), *overrides]
                print(f"| {name} | {batch} | {count} | {waited(words)[1]:.2f} |", flush=True)


def answer(batch: int, count: int, overrides: Sequence[str]) -> None:
    """Answer the first samples of the held-out data with an untrained model."""
    import torch

    from posediff import config, tree

    cfg = config.compose("train", overrides)
    model, data = tree.build(config.plain(cfg.model)).eval(), config.dataset(cfg, "validation")
    with torch.no_grad():
        model.sample(data.__getitems__(list(range(batch))), count)


def steady(only: str) -> None:
    """Print the resident memory in MB after 100, 500 and all steps."""
    marks = (STEPS // 10, STEPS // 2, STEPS - 1)
    print(f"| training | {' | '.join(f'step {n}, MB' for n in marks)} |\n|---|--:|--:|--:|")
    for name, overrides in SMALL.items():
        if only not in name:
            continue
        with tempfile.TemporaryDirectory() as folder:
            size = f"trainer.recipe.epoch_samples={8 * STEPS}"
            words = [
                *overrides,
                *SHORT,
                "trainer.recipe.batch_size=8",
                size,
                f"paths.runs={folder}",
            ]
            child = subprocess.Popen(
                [sys.executable, "-m", "posediff.train", *words], stdout=subprocess.DEVNULL
            )
            held = [resident(child, Path(folder), step) for step in marks]
            child.wait()
        print(f"| {name} | {' | '.join(f'{x:.0f}' for x in held)} |", flush=True)


def resident(child: subprocess.Popen[bytes], runs: Path, step: int) -> float:
    """Resident memory in MB once the log has so many steps. Raises ValueError if it ends before."""
    while sum(x.read_text().count("\n") for x in runs.glob("*/*/*/log.jsonl")) < step:
        if child.poll() is not None:
            raise ValueError(f"the training ended with {child.returncode} before step {step}")
        time.sleep(0.05)
    pages = int(Path(f"/proc/{child.pid}/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 1e6


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

    return waited([sys.executable, "-m", "posediff.train", *overrides], bound)


def waited(words: Sequence[str], bound: Callable[[], None] = lambda: None) -> tuple[str, float]:
    """Output of a process, and its most resident memory in GB. Raises ValueError if it failed."""
    child = subprocess.Popen(words, stdout=subprocess.PIPE, text=True, preexec_fn=bound)
    said = child.stdout.read()
    _, status, used = os.wait4(child.pid, 0)
    if status:
        raise ValueError(f"it ended with {status}: {' '.join(words)}")
    return said, used.ru_maxrss * 1024 / 1e9


if __name__ == "__main__":
    if sys.argv[1:2] == [ANSWER]:
        answer(int(sys.argv[2]), int(sys.argv[3]), sys.argv[4:])
    else:
        main()
