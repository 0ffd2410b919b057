"""Speed of the lift3d networks of released size against the plain reference: one CPU thread.

    python benchmarks/speed_lift3d.py [--rounds 10]

Both run in this process by turns, with the same weights and inputs, and must say the same. Counted
is CPU time of the process, the least over all calls, so that a busy machine disturbs little. Prints
one Markdown row per network and batch size.
"""

import argparse
import time

import reference_lift3d as reference
import torch
from torch import Tensor, nn

from posediff.pose.skeleton import skeleton
from posediff.tasks.lift3d.network import GraphLifter, GraphRefiner
from posediff.tasks.lift3d.released import DENOISER, LIFTER, Network, translate

CALLS = {1: 40, 1024: 1}  # per round, of each batch size


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=10)
    rounds = parser.parse_args().rounds
    torch.set_num_threads(1)
    torch.manual_seed(0)
    adjacency = skeleton("h36m17").adjacency()
    pairs = {
        DENOISER: (reference.denoiser(adjacency), GraphRefiner(adjacency)),
        LIFTER: (reference.lifter(adjacency), GraphLifter(adjacency)),
    }
    print("| network | batch | reference, ms | ours, ms | ratio |\n|---|---|---|---|---|")
    for network, (plain, ours) in pairs.items():
        same_weights(plain, ours, network)
        for batch, calls in CALLS.items():
            x, t = torch.randn(batch, 17, 5), torch.full((batch,), 12)
            inputs = (x, t) if network is DENOISER else (x[..., :2].contiguous(),)
            slow, quick = race(plain, ours, inputs, rounds, calls)
            ratio = f"{slow:.2f} | {quick:.2f} | {quick / slow:.3f}"
            print(f"| {network.name} | {batch} | {ratio} |", flush=True)


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
    plain: nn.Module, ours: nn.Module, inputs: tuple[Tensor, ...], rounds: int, calls: int
) -> list[float]:
    """Least milliseconds of a call of each, after their outputs were found equal."""
    said = ours(*inputs)
    said = said[0] if isinstance(said, tuple) else said
    torch.testing.assert_close(said, plain(*inputs), rtol=1e-5, atol=1e-5)
    best = [float("inf"), float("inf")]
    for _ in range(rounds):
        for i, network in enumerate((plain, ours)):
            for _ in range(calls):
                start = time.process_time()
                network(*inputs)
                best[i] = min(best[i], 1e3 * (time.process_time() - start))
    return best


if __name__ == "__main__":
    main()
