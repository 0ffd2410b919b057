"""Accuracy, spread and time of one lift3d model against sampler steps x hypotheses K, as Markdown.

    python benchmarks/steps_and_hypotheses.py MODEL_FOLDER dataset=mocap [any override of conf/]

Every cell reads the same samples (evenly spaced over the test part) and the same seed. Milliseconds
are CPU time of one frame (batch 1) on one thread, the least of many calls.
"""

import argparse
import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import date

import torch

from posediff import checkpoint, config, engine
from posediff.diffusion import DiffusionModel
from posediff.metrics.pose_error import PoseError3D
from posediff.pose.oracle import p_best


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", help="a model folder")
    parser.add_argument("overrides", nargs="*", help="of conf/, such as dataset=mocap")
    parser.add_argument("--steps", type=int, nargs="+", default=[1, 2, 5, 10])
    parser.add_argument("--hypotheses", type=int, nargs="+", default=[1, 2, 5, 20])
    parser.add_argument("--samples", type=int, default=4096)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args(arguments)

    torch.set_num_threads(1)
    model = checkpoint.load(args.folder)
    if not isinstance(model, DiffusionModel):
        parser.error(f"{args.folder} has neither steps nor hypotheses")
    given = checkpoint.read_config(args.folder)["overrides"]
    whole = config.dataset(config.compose("eval", [*given, *args.overrides]), "test")
    data = engine.Subset(whole, args.samples)
    print(f"{len(data)} samples of {whole.summary()['keypoints']} 2D, seed {args.seed}, ", end="")
    print(f"{date.today()}\n")
    print("| steps | K | MPJPE mean | spread | best of K (oracle) | ms per frame |")
    print("|---|---|---|---|---|---|")
    for steps in args.steps:
        model.sampler = replace(model.sampler, steps=steps)
        for K in args.hypotheses:
            model.hypotheses = K
            metric = PoseError3D(whole.truth())
            rules = {"mean": model.aggregate, "p_best@oracle": p_best}
            scores = engine.evaluate(model, data, metric, rules, 512, args.seed)
            print(
                f"| {steps} | {K} | {scores['mpjpe/mean']:.1f} | {scores['spread/mean']:.1f} | "
                f"{scores['mpjpe/p_best@oracle']:.1f} | {milliseconds(model, data):.1f} |",
                flush=True,
            )


def milliseconds(model: DiffusionModel, data: engine.Samples, repeats: int = 50) -> float:
    """The least CPU time of a prediction of one frame, on one thread."""
    sample, best = data.__getitems__([0]), float("inf")
    for _ in range(repeats):
        begin = time.process_time()
        model.predict(sample)
        best = min(best, time.process_time() - begin)
    return 1000 * best


if __name__ == "__main__":
    main()
