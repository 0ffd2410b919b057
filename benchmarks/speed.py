"""All speeds in one run: the core, every head, training, loading and evaluation.

    python benchmarks/speed.py [--to runs/speed.md] [--device cuda] [--threads 1] [--rounds 3]
                               [--batch 1 64] [--precision bfloat16] [--only lift3d] [--tiny]

Prints tables, and writes them with date, commit, machine and command. Networks are those of conf/
with random weights; samples are drawn. A time is the least of all rounds after one to warm up, of
the process's CPU time on one thread, so that a busy machine disturbs little, else by the clock.

ceiling    GFLOP/s of a large product of matrices: the most that this machine has
core       microseconds of a step of the process beside a head that computes nothing
heads      milliseconds of encode, of a step of one hypothesis, and of a whole inference as the
           task's defaults have it; GFLOP/s of encode and step, and their part of the ceiling
graphs     milliseconds of a whole inference for given noise, as it is and as a CUDA graph; on a GPU
data       samples a second: training, with and without loading, loading alone, evaluation
"""

import argparse
import os
import platform
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from itertools import chain
from pathlib import Path
from typing import Any

import torch
from cost_image2d import milliseconds, multiply_adds
from torch import Tensor

from posediff import config, loading, tree
from posediff.diffusion import DDIMSampler, Model, Noise, Prior, Process
from posediff.diffusion.head import Output
from posediff.diffusion.schedule import cosine
from posediff.exporting.graphs import graphs
from posediff.files import replacing
from posediff.recipe import Recipe
from posediff.sample import to as moved

LIFT = ("task=lift3d", "dataset=synthetic", "dataset.clips=26")
CLIPS = ("task=video2d", "dataset=synthetic_video", "dataset.clips=4")
MODELS: dict[str, Sequence[str]] = {
    "lift3d encoder": ("experiment=lift3d_encoder", *LIFT),
    "lift3d paper": LIFT,
    "lift3d posterior": (*LIFT, "preset=posterior"),
    "lift3d official_frame": (*LIFT, "preset=official_frame"),
    "lift3d posterior_video": (*LIFT, "preset=posterior_video", "dataset.window=27"),
    "image2d sgdd_light": ("task=image2d", "preset=sgdd_light"),
    "image2d coarse": ("experiment=image2d_coarse",),
    "video2d decoder_light": (*CLIPS, "preset=decoder_light"),
    "video2d plain": ("experiment=video2d_plain", *CLIPS),
}
TINY = {
    "lift3d posterior": (
        *("task=lift3d", "dataset=synthetic", "dataset.clips=2", "dataset.length=10"),
        *("preset=posterior", "task.head.trunk.width=16", "task.head.trunk.depth=1"),
    ),
    "image2d coarse": (
        *("experiment=image2d_coarse", "dataset.pictures=3", "dataset.size=[48,64]"),
    ),
}
SIDE = {True: 64, False: 2048}  # of the matrices of the ceiling: tiny, or not
HEAD_ROW = ("model", "batch", "M params", "encode ms", "step ms", "inference ms", "steps", "K")
FLOPS = ("encode GFLOP/s", "step GFLOP/s", "encode % of ceiling", "step % of ceiling")
GRAPH_ROW = ("model", "batch", "eager ms", "CUDA graph ms")
DATA_ROW = ("model", "batch", "training", "training without loading", "loading", "evaluation")


def main(arguments: Sequence[str] | None = None) -> None:
    args = parser().parse_args(arguments)
    torch.set_num_threads(args.threads)
    given = sys.argv[1:] if arguments is None else arguments
    lines = list[str]()
    for line in chain(about(args, given), *tables(args)):
        print(line, flush=True)
        lines.append(line)
    args.to.parent.mkdir(parents=True, exist_ok=True)
    with replacing(args.to) as beside:
        beside.write_text("\n".join(lines) + "\n")


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    made.add_argument("--to", type=Path, default=Path("runs/speed.md"))
    made.add_argument("--device", default="cpu")
    made.add_argument("--threads", type=int, default=1)
    made.add_argument("--rounds", type=int, default=3)
    made.add_argument("--batch", type=int, nargs="+", default=[1, 64])
    made.add_argument("--precision", choices=("float32", "bfloat16"), default="float32")
    made.add_argument("--only", default="", help="models whose name has this in it")
    made.add_argument("--tiny", action="store_true", help="small models, to see that it runs")
    return made


def about(args: argparse.Namespace, given: Sequence[str]) -> Iterator[str]:
    """The date, commit, machine and command of the run."""
    found = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty"]
    said = subprocess.run(found, capture_output=True, text=True)
    commit = said.stdout.strip() if said.returncode == 0 else "unknown"
    yield f"# Speed, {datetime.now():%Y-%m-%d %H:%M}"
    yield f"\ncommit {commit}, torch {torch.__version__}, {machine(args)}, {args.precision}\n"
    yield f"    {shlex.join(['python', 'benchmarks/speed.py', *given])}"


def machine(args: argparse.Namespace) -> str:
    info = Path("/proc/cpuinfo")
    names = info.read_text().splitlines() if info.exists() else []
    names = [line.partition(":")[2].strip() for line in names if line.startswith("model name")]
    name = names[0] if names else platform.processor() or platform.machine()
    busy = f"load {os.getloadavg()[0]:.1f}"
    gpu = f", {torch.cuda.get_device_name(args.device)}" if args.device.startswith("cuda") else ""
    return f"{name}, {os.cpu_count()} cores, {args.threads} threads, {busy}{gpu}"


def tables(args: argparse.Namespace) -> Iterator[Iterator[str]]:
    device, alone = torch.device(args.device), args.threads == 1
    models = TINY if args.tiny else MODELS
    names = [name for name in models if args.only in name]

    def timed(*calls: Callable[[], object]) -> list[float]:
        with torch.autocast(device.type, torch.bfloat16, enabled=args.precision == "bfloat16"):
            return milliseconds(calls, args.rounds, device, alone)

    most, in_bfloat16 = ceiling(timed, device, SIDE[args.tiny])
    yield iter([f"\nceiling: {most:.4g} GFLOP/s as set, {in_bfloat16:.4g} in bfloat16"])
    yield core(timed, device, args.batch)
    yield rows(
        HEAD_ROW + FLOPS,
        (
            lambda n=n, b=b: head_row(timed, n, models[n], b, device, most)
            for n in names
            for b in args.batch
        ),
    )
    if device.type == "cuda" or args.tiny:  # a CPU has no graphs
        yield rows(
            GRAPH_ROW,
            (
                lambda n=n, b=b: graph_row(timed, n, models[n], b, device)
                for n in names
                for b in args.batch
            ),
        )
    yield rows(
        DATA_ROW,
        (
            lambda n=n, b=b: data_row(timed, n, models[n], b, device, args.precision)
            for n in names
            for b in args.batch
        ),
    )


Timed = Callable[..., list[float]]


def rows(titles: Sequence[str], made: Iterator[Callable[[], Sequence[Any]]]) -> Iterator[str]:
    """A table, a line as soon as it is measured."""
    yield f"\n| {' | '.join(titles)} |\n{'|---' * len(titles)}|"
    for row in made:
        cells = (x if isinstance(x, str) else f"{x:.4g}" for x in row())
        yield f"| {' | '.join(cells)} |"


def ceiling(timed: Timed, device: torch.device, side: int) -> tuple[float, float]:
    """GFLOP/s of a product of side x side matrices: as set, and in bfloat16."""
    x = torch.randn(side, side, device=device)
    half = x.bfloat16()
    single, double = timed(lambda: x @ x, lambda: half @ half)
    return 2 * side**3 / single / 1e6, 2 * side**3 / double / 1e6


def core(timed: Timed, device: torch.device, batches: Sequence[int]) -> Iterator[str]:
    """Steps of DDIM with a network that answers with its input."""
    process, sampler, steps = Process(cosine(50)), DDIMSampler(50), 50

    def call(batch: int) -> Callable[[], object]:
        zero = torch.zeros(batch, 17, 3, device=device)
        noise = Noise(0, range(batch))
        x, prior = zero + 1, Prior(zero, torch.ones_like(zero))
        return lambda: list(sampler(process, lambda x, t: Output(x), x, prior, noise))

    for batch, ms in zip(batches, timed(*map(call, batches)), strict=True):
        yield f"core: {1000 * ms / steps:.4g} microseconds a step, batch {batch} of 17 x 3"


def built(overrides: Sequence[str]) -> tuple[Any, dict[str, Any]]:
    """The configuration and the tree of a model; the encoder that it needs is a new one."""
    cfg = config.compose("train", [*overrides, "backbone.weights=null"])
    made = config.plain(cfg.model)
    if cfg.task.trains_first and cfg.task.method != "encoder":
        data = [x for x in overrides if x.startswith("dataset")]
        made["head"]["encoder"] = built([cfg.task.trains_first, *data])[1]["head"]
    return cfg, made


def ready(overrides: Sequence[str], device: torch.device) -> tuple[Any, Model]:
    torch.manual_seed(0)
    cfg, made = built(overrides)
    model: Model = tree.build(made)
    for name, buffer in model.named_buffers():
        if "residual" in name:
            buffer.fill_(0.05)  # as if it were calibrated
    return cfg, model.to(device).eval()


def batch_of(data: Any, batch: int, device: torch.device) -> dict[str, Any]:
    sample = data.__getitems__([i % len(data) for i in range(batch)])
    return moved({**sample, "id": [str(i) for i in range(batch)]}, device)


@torch.no_grad()
def head_row(
    timed: Timed,
    name: str,
    overrides: Sequence[str],
    batch: int,
    device: torch.device,
    most: float,
) -> list[Any]:
    cfg, model = ready(overrides, device)
    sample = batch_of(config.dataset(cfg, "validation"), batch, device)
    calls: list[Callable[[], object]] = [
        lambda: model.encode(sample),
        lambda: model.sample(sample, 1, 1),
        lambda: model.predict(sample),
    ]
    encode, one, whole = timed(*calls)
    step = max(0.0, one - encode)
    sums = [multiply_adds(call) for call in calls[:2]]
    rates = [
        2 * sums[0] / encode / 1e6,
        2 * (sums[1] - sums[0]) / step / 1e6 if step and model.sampler else 0.0,
    ]
    size = sum(p.numel() for p in model.parameters()) / 1e6
    figures = [size, encode, step, whole, model.steps, model.hypotheses]
    return [name, str(batch), *figures, *rates, *(100 * rate / most for rate in rates)]


@torch.no_grad()
def graph_row(
    timed: Timed, name: str, overrides: Sequence[str], batch: int, device: torch.device
) -> list[Any]:
    cfg, model = ready(overrides, device)
    parts = graphs(model, batch_of(config.dataset(cfg, "validation"), batch, device))
    given = [(part.module, moved(part.inputs, device)) for part in parts]

    def whole() -> object:
        return [module(inputs) for module, inputs in given]

    if device.type != "cuda":
        return [name, str(batch), *timed(whole), "-"]
    try:
        graph = captured(whole)
    except RuntimeError as error:  # a call that a graph cannot hold, such as a copy from the CPU
        return [name, str(batch), *timed(whole), str(error).partition("\n")[0]]
    return [name, str(batch), *timed(whole, graph)]


def captured(run: Callable[[], object]) -> Callable[[], object]:
    """The same work as one graph of a GPU, which reads and writes the same memory every time."""
    beside = torch.cuda.Stream()
    beside.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(beside):
        for _ in range(3):  # what is made at the first call is not part of it
            run()
    torch.cuda.current_stream().wait_stream(beside)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        run()
    return graph.replay


def data_row(
    timed: Timed,
    name: str,
    overrides: Sequence[str],
    batch: int,
    device: torch.device,
    precision: Any,
) -> list[Any]:
    cfg, model = ready(overrides, device)
    data, held_out = (config.dataset(cfg, part) for part in ("train", "validation"))
    optimizer = torch.optim.AdamW(model.parameters(), fused=True)
    recipe = Recipe(epochs=1, batch_size=batch, precision=precision)
    fixed = batch_of(data, batch, device)
    numbers = loading.batches(len(data), batch, 0, 0, 1_000_000)
    loader = loading.loader(data, numbers, 0)
    data.set_epoch(0)

    def step(sample: Any) -> Tensor:
        model.train()
        optimizer.zero_grad(set_to_none=True)
        loss: Tensor = model(sample)
        loss.backward()
        if recipe.max_norm is not None:
            torch.nn.utils.clip_grad_norm_(model.parameters(), recipe.max_norm)
        optimizer.step()
        return loss

    def score() -> object:
        model.eval()
        with torch.no_grad():
            return model.sample(batch_of(held_out, batch, device))

    ms = timed(
        lambda: step(moved(next(loader), device)), lambda: step(fixed), lambda: next(loader), score
    )
    return [name, str(batch), *(1000 * batch / x for x in ms)]


if __name__ == "__main__":
    main()
