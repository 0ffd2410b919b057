"""Speed of lift3d at released size: networks against the plain reference, and whole inferences.

    python benchmarks/speed_lift3d.py [--rounds 10] [--compile]
    python benchmarks/speed_lift3d.py --inference [--device cuda] [--compile] [--rounds 10]
                                      [--only d3dp]

First form: both run in this process by turns, with the same weights and inputs, and must say the
same. Counted is CPU time of the process, the least over all calls, so that a busy machine disturbs
little; one CPU thread. Prints one Markdown row per network and batch size. --compile adds our
networks as `compile=true` has them.

Second form: frames per second of `model.predict` from 2D on the device to poses in the quickest
round, by the wall clock of a GPU and by the CPU time of one thread; one frame at a time, many, and
one window of 243. --compile has torch.compile make the networks (on a GPU with its graphs), and the
poses must stay the same.
"""

import argparse
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import reference_lift3d as reference
import torch
from torch import Tensor, nn

from posediff import speed
from posediff.data.lifting.synthetic_people import synthetic
from posediff.diffusion import DDIMSampler, DiffusionModel, FlipTest, Model, Process
from posediff.diffusion.schedule import cosine, linear
from posediff.nn.mixste import MixSTE
from posediff.pose.skeleton import skeleton
from posediff.prepare.released import DENOISER, LIFTER, Network, translate
from posediff.sample import to
from posediff.tasks.lift3d import D3DP, Encoder, Lift3D, Official, VideoEncoder
from posediff.tasks.lift3d.network import ContextDenoiser, GraphLifter, GraphRefiner

CPU = torch.device("cpu")
CALLS = {1: 40, 1024: 1}  # per round, of each batch size
MANY = 1024  # single frames at once
WINDOW = 243


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--inference", action="store_true", help="whole inferences")
    parser.add_argument("--device", default="cpu", help="of --inference: cpu or cuda")
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--only", default="", help="rows of --inference that have this in them")
    args = parser.parse_args()
    torch.manual_seed(0)
    torch.set_num_threads(1)
    if args.inference:
        inference(torch.device(args.device), args.rounds, args.compile, args.only)
    else:
        networks(args.rounds, args.compile)


def networks(rounds: int, compile: bool) -> None:
    adjacency = skeleton("h36m17").adjacency()
    pairs = {
        DENOISER: (reference.denoiser(adjacency), GraphRefiner(adjacency)),
        LIFTER: (reference.lifter(adjacency), GraphLifter(adjacency)),
    }
    columns = ["network", "batch", "reference, ms", "ours, ms", "ratio"]
    columns += ["compiled, ms", "ratio"] if compile else []
    print(f"| {' | '.join(columns)} |\n{'|---' * len(columns)}|")
    for network, (plain, ours) in pairs.items():
        same_weights(plain, ours, network)
        forms = [ours, *([speed.for_all_sizes(ours, CPU, "inductor")] if compile else [])]
        for batch, calls in CALLS.items():
            x, t = torch.randn(batch, 17, 5), torch.full((batch,), 12)
            inputs = (x, t) if network is DENOISER else (x[..., :2].contiguous(),)
            slow, *quick = race([plain, *forms], inputs, rounds, calls)
            ratios = [f"{ms:.2f} | {ms / slow:.3f}" for ms in quick]
            cells = [network.name, str(batch), f"{slow:.2f}", *ratios]
            print(f"| {' | '.join(cells)} |", flush=True)


def same_weights(plain: nn.Module, ours: nn.Module, network: Network) -> None:
    """Random weights without the zeros and ones of a fresh network, for both."""
    with torch.no_grad():
        for weight in plain.parameters():
            weight += 0.02 * torch.randn_like(weight)
    state = translate(plain.state_dict(), network)
    ours.load_state_dict({k.removeprefix(network.prefix): x for k, x in state.items()})
    plain.eval()
    ours.eval()


@torch.no_grad()
def race(
    forms: Sequence[Callable[..., Any]], inputs: tuple[Tensor, ...], rounds: int, calls: int
) -> list[float]:
    """Least milliseconds of a call of each, after their outputs were found equal."""
    plain, *ours = [network(*inputs) for network in forms]
    for said in ours:
        said = said[0] if isinstance(said, tuple) else said
        torch.testing.assert_close(said, plain, rtol=1e-5, atol=1e-5)
    best = [float("inf")] * len(forms)
    for _ in range(rounds):
        for i, network in enumerate(forms):
            for _ in range(calls):
                start = time.process_time()
                network(*inputs)
                best[i] = min(best[i], 1e3 * (time.process_time() - start))
    return best


def inference(device: torch.device, rounds: int, compile: bool, only: str) -> None:
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU"
    print(f"{name}, one CPU thread, torch {torch.__version__}\n")
    print("| model | steps | K | frames at once | ms | frames/s |\n|---|---|---|---|---|---|")
    for row, model, frames in models():
        if only not in row:
            continue
        window = WINDOW if frames == WINDOW else 1
        data = synthetic("test", "noisy", clips=13, length=max(window, 25), window=window)
        batch = frames // window
        sample = to(data.__getitems__([i % len(data) for i in range(batch)]), device)
        sample["id"] = [str(i) for i in range(batch)]
        model = model.to(device).eval()
        if compile:
            plain = model.predict(sample).keypoints
            quicken(model, device)
            torch.testing.assert_close(model.predict(sample).keypoints, plain, rtol=0, atol=1e-4)
        seconds = quickest(lambda m=model, s=sample: m.predict(s), device, rounds)
        steps, K = len(model.sampler.grid(len(model.process.schedule))) - 1, model.hypotheses
        print(
            f"| {row} | {steps} | {K} | {frames} | {1e3 * seconds:.1f} | {frames / seconds:.1f} |",
            flush=True,
        )


def models() -> Iterator[tuple[str, Any, int]]:
    """Rows, models of released size with fresh weights, and how many frames they see at once."""

    def ready(encoder: Encoder | VideoEncoder) -> Encoder | VideoEncoder:
        encoder.residual.fill_(0.05)
        return encoder

    process, sampler = Process(cosine(50)), DDIMSampler(5)
    released, two = Process(linear(51, 1e-4, 1e-3), "noise"), DDIMSampler(2, 24, "leading")
    head = Lift3D(ready(Encoder("h36m17")))
    for frames in (1, MANY):
        yield "paper", DiffusionModel(head, process, sampler, hypotheses=5), frames
    yield "official_frame", DiffusionModel(Official(Encoder("h36m17")), released, two), MANY
    for row, temporal in (("paper_video", True), ("paper_video, each frame by itself", False)):
        head = Lift3D(ready(VideoEncoder("h36m17", WINDOW)), temporal=temporal)
        yield row, DiffusionModel(head, process, sampler, hypotheses=5), WINDOW
    official = Official(VideoEncoder("h36m17", WINDOW), uv_scale=0.5)
    one = DDIMSampler(1, 6, "leading")
    yield "official_video", DiffusionModel(official, released, one), WINDOW
    process, sampler = Process(cosine(1000), bound=1.1), DDIMSampler(5, eta=1.0)
    d3dp = D3DP("h36m17", WINDOW)
    yield "d3dp", DiffusionModel(d3dp, process, sampler, hypotheses=5), WINDOW
    flipped = DiffusionModel(FlipTest(d3dp), process, sampler, hypotheses=5)
    yield "d3dp, flip test", flipped, WINDOW


def quicken(model: Model, device: torch.device) -> None:
    """Compile the networks in place. A graph writes into the same memory again, hence the copy."""
    mode = "reduce-overhead" if device.type == "cuda" else "default"
    for network in model.modules():
        if isinstance(network, ContextDenoiser | GraphLifter | GraphRefiner | MixSTE):
            compiled = torch.compile(network.forward, mode=mode)
            network.forward = copied(compiled)  # type: ignore[method-assign]


def copied(network: Callable[..., Any]) -> Callable[..., Any]:
    def call(*inputs: Tensor) -> Any:
        y = network(*inputs)
        return y.clone() if isinstance(y, Tensor) else tuple(part.clone() for part in y)

    return call


def quickest(run: Callable[[], object], device: torch.device, rounds: int) -> float:
    """Least seconds of a call, after one to warm up."""
    clock, best = time.perf_counter if device.type == "cuda" else time.process_time, float("inf")
    for round in range(rounds + 1):
        start = clock()
        run()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        if round:
            best = min(best, clock() - start)
    return best


if __name__ == "__main__":
    main()
