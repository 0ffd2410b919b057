"""Costs of video2d: multiply-adds, milliseconds and memory, by frames, steps and noise sets.

    python benchmarks/cost_video2d.py [--rounds 3] [--batch 1 8] [--device cpu] [--threads 1]
                                      [--only ViT-B] [--frames 1 3 5] [--half]

Weights are random, frames are noise. Per clip: the backbone on all frames, STRL with its
deconvolutions, the decoder's once-per-clip part (`prepare`), and a step of the decoder with one
noise set. `plain` is the baseline without diffusion: backbone, STRL, 1x1 convolution. Ratios are
of a whole inference of S steps and K sets, by the clock, over `plain`. A time is the least of all
rounds: of the process's CPU time on one thread, so that a busy machine disturbs little, else by
the clock. Memory is the peak of an inference of 4 steps above what the loaded model takes.
--half: under autocast to bfloat16.
"""

import argparse
from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate

import torch
from cost_image2d import milliseconds, multiply_adds
from torch import Tensor
from torch.profiler import ProfilerActivity, profile

import posediff
from posediff.diffusion import DiffusionModel

SIZE = "dataset.size=[192,256]"
ROWS: tuple[tuple[str, Sequence[str]], ...] = (
    ("ViT-B, light", ("backbone=vit_b", SIZE, "preset=decoder_light")),
    ("ViT-B, default", ("backbone=vit_b", SIZE)),
    ("ViT-B, as wide as Z", ("backbone=vit_b", SIZE, "task.head.decoder.width=256")),
    ("ViT-S, light", ("backbone=vit_s", SIZE, "preset=decoder_light")),
    ("Lite0, light", ("backbone=efficientnet_lite0", SIZE, "preset=decoder_light")),
)
GRID = ((1, 1), (4, 1), (4, 4))
PARTS = ("backbone", "STRL", "prepare", "step")
HEAD = (
    *("model", "frames", "batch", "M params"),
    *(f"GMAC {part}" for part in PARTS),
    *(f"ms {part}" for part in (*PARTS, "plain")),
    *(f"S={S} K={K} / plain" for S, K in GRID),
    *(f"MB K={K}" for K in (1, 4)),
)


@torch.no_grad()
def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--batch", type=int, nargs="+", default=[1, 8])
    parser.add_argument("--frames", type=int, nargs="+", default=[1, 3, 5])
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--half", action="store_true")
    parser.add_argument("--only", default="", help="rows whose name has this in it")
    args = parser.parse_args(arguments)
    torch.set_num_threads(args.threads)
    device = torch.device(args.device)
    print(f"| {' | '.join(HEAD)} |\n{'|---' * len(HEAD)}|")
    for name, overrides in ROWS:
        for frames in args.frames if args.only in name else ():
            offsets = f"dataset.offsets={[i - frames // 2 for i in range(frames)]}"
            given = [*overrides, offsets.replace(" ", ""), "dataset.skeleton=jhmdb15"]
            model = posediff.build("video2d", "custom_video", given).to(device).eval()
            for batch in args.batch:
                with torch.autocast(device.type, torch.bfloat16, enabled=args.half):
                    figures = row(model, batch, args.rounds, args.threads == 1)
                shown = " | ".join(f"{x:.3g}" for x in figures)
                print(f"| {name} | {frames} | {batch} | {shown} |", flush=True)


def row(model: DiffusionModel, batch: int, rounds: int, alone: bool) -> Iterator[float]:
    """All of a line behind the batch; what is per clip is divided by it."""
    head, device = model.head, next(model.parameters()).device
    (W, H), F, J = head.codec.size, head.clip.strl.frames, len(head.bones.joints)
    sample = {
        "id": list(range(batch)),
        "frames": torch.randn(batch, F, 3, H, W, device=device),
        "affine": torch.eye(3, device=device)[:2].expand(batch, 2, 3),
    }
    pictures = sample["frames"].flatten(0, 1)
    features = head.clip.backbone(pictures).unflatten(0, (batch, F))
    Z = scales(head, features)
    out = torch.nn.Conv2d(head.clip.channels, J, 1).to(device)
    x, t = torch.randn(batch, J, *head.codec.shape, device=device), torch.full((batch,), 999)
    t, context = t.to(device), head.decoder.prepare(Z)
    calls: list[Callable[[], object]] = [
        lambda: head.clip.backbone(pictures),
        lambda: scales(head, features),
        lambda: head.decoder.prepare(Z),
        lambda: head.denoise(x, t, context),
        lambda: out(head.clip(sample["frames"])[-1]),
        *(whole(model, sample, S, K) for S, K in GRID),
    ]
    yield sum(p.numel() for p in model.parameters()) / 1e6
    yield from (multiply_adds(call) / batch / 1e9 for call in calls[: len(PARTS)])
    ms = [x / batch for x in milliseconds(calls, rounds, device, alone)]
    yield from ms[: len(PARTS) + 1]
    yield from (x / ms[len(PARTS)] for x in ms[len(PARTS) + 1 :])
    yield from (megabytes(whole(model, sample, 4, K), device) for K in (1, 4))


def scales(head: torch.nn.Module, features: Tensor) -> list[Tensor]:
    Z = [head.clip.strl(features)]
    for up in head.clip.up[: head.clip.scales - 1]:
        Z.append(up(Z[-1]))
    return Z


def whole(model: DiffusionModel, sample: dict, S: int, K: int) -> Callable[[], object]:
    """Frames to heatmaps of all noise sets; reading keypoints out of them costs all rows alike."""
    return lambda: list(model.trajectory(sample, K, S))[-1].estimate


def megabytes(call: Callable[[], object], device: torch.device) -> float:
    """Memory of tensors at the peak of the call, above what was there before."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
        begin = torch.cuda.memory_allocated()
        call()
        return (torch.cuda.max_memory_allocated() - begin) / 2**20
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiled:
        call()
    events = profiled.profiler.kineto_results.events()
    taken = [(e.start_ns(), e.nbytes()) for e in events if e.name() == "[memory]"]
    return max(accumulate(size for _, size in sorted(taken))) / 2**20


if __name__ == "__main__":
    main()
