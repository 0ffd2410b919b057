"""Costs of image2d: parameters, multiply-adds and milliseconds of backbone, encode and a step.

    python benchmarks/cost_image2d.py [--rounds 5] [--batch 1 32] [--device cpu] [--threads 1]
                                      [--compile]

Weights are random, pictures are noise; K = 1, no flip test. `encode` is everything that is done
once a picture, the backbone included. A time is the least of all calls: of the process's CPU time
on one thread, so that a busy machine disturbs little, else by the clock. `ratio` is
(encode + 4 steps) / backbone, of the times and of the multiply-adds. With --compile, encode and
step are those of a model with compile=true, and the backbone stays as it is.
"""

import argparse
import time
from collections.abc import Callable, Sequence

import torch
from torch.utils.flop_counter import FlopCounterMode

import posediff
from posediff import speed
from posediff.diffusion import DiffusionModel

LARGE, SMALL = "dataset.size=[192,256]", "dataset.size=[96,128]"
PAPER = ("preset=sgdd",)
ROWS: tuple[tuple[str, Sequence[str]], ...] = (
    ("HRNet-W32, 256 x 192, light", ("backbone=hrnet_w32", LARGE, "preset=sgdd_light")),
    ("HRNet-W32, 256 x 192, C = 64", ("backbone=hrnet_w32", LARGE, *PAPER)),
    (
        "HRNet-W32, 256 x 192, C = 128",
        ("backbone=hrnet_w32", LARGE, *PAPER, "task.head.decoder.channels=128"),
    ),
    (
        "HRNet-W32, 256 x 192, C = 256",
        ("backbone=hrnet_w32", LARGE, *PAPER, "task.head.decoder.channels=256"),
    ),
    ("Lite0, 128 x 96, light", ("backbone=efficientnet_lite0", SMALL, "preset=sgdd_light")),
    (
        "Lite0, 128 x 96, C = 32, stride 4",
        ("backbone=efficientnet_lite0", SMALL, "preset=sgdd_light", "task.codec.stride=4"),
    ),
    ("small, 128 x 96, light", ("backbone=small", SMALL, "preset=sgdd_light")),
)
HEAD = (
    *("model", "batch", "M params backbone", "M params rest"),
    *("GMAC backbone", "GMAC encode", "GMAC step", "ms backbone", "ms encode", "ms step"),
    *("ratio ms", "ratio GMAC"),
)


@torch.no_grad()
def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--batch", type=int, nargs="+", default=[1, 32])
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--only", default="", help="rows whose name has this in it")
    args = parser.parse_args(arguments)
    torch.set_num_threads(args.threads)
    print(f"| {' | '.join(HEAD)} |\n{'|---' * len(HEAD)}|")
    for name, overrides in ROWS:
        if args.only in name:
            given = ["dataset=coco", *overrides]
            for batch in args.batch:
                model = posediff.build("image2d", overrides=given).to(args.device).eval()
                alone = args.threads == 1
                print(row(name, model, batch, args.rounds, alone, args.compile), flush=True)


def row(
    name: str, model: DiffusionModel, batch: int, rounds: int, alone: bool, compiled: bool
) -> str:
    head, device = model.head, next(model.parameters()).device
    W, H = head.coarse.codec.size
    sample = {"image": torch.randn(batch, 3, H, W, device=device)}
    x = torch.randn(batch, len(head.bones.joints), 2, device=device)
    t, context = torch.full((batch,), 249, device=device), head.encode(sample)
    calls = (
        lambda: head.coarse.backbone(sample["image"]),
        lambda: head.encode(sample),
        lambda: head.denoise(x, t, context),
    )
    macs = [multiply_adds(call) / batch / 1e9 for call in calls]
    if compiled:
        print(speed.compiled_answers([model]), flush=True)
    times = [ms / batch for ms in milliseconds(calls, rounds, device, alone)]
    ratios = [(encode + 4 * step) / backbone for backbone, encode, step in (times, macs)]
    backbone = sum(p.numel() for p in head.coarse.backbone.parameters()) / 1e6
    rest = sum(p.numel() for p in head.parameters()) / 1e6 - backbone
    figures = (backbone, rest, *macs, *times, *ratios)
    return f"| {name} | {batch} | {' | '.join(f'{x:.3g}' for x in figures)} |"


def multiply_adds(call: Callable[[], object]) -> float:
    with FlopCounterMode(display=False) as counter:
        call()
    return counter.get_total_flops() / 2


def milliseconds(
    calls: Sequence[Callable[[], object]], rounds: int, device: torch.device, alone: bool
) -> list[float]:
    """The least time of each, called by turns."""
    clock = time.process_time if alone and device.type == "cpu" else time.perf_counter
    best = [float("inf") for _ in calls]
    for _ in range(rounds + 1):
        for i, call in enumerate(calls):
            begin = clock()
            call()
            if device.type == "cuda":
                torch.cuda.synchronize()
            best[i] = min(best[i], clock() - begin)
    return [1000 * seconds for seconds in best]


if __name__ == "__main__":
    main()
