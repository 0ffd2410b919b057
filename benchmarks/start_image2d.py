"""States of inference against those of training, and the score of each.

    python benchmarks/start_image2d.py MODEL_FOLDER [--dataset lspet_crops] [--split validation]
                                       [--device cpu]

A row is a way to begin, three figures a step. `noise` is sigma / alpha of its timestep: in training
a state, divided by alpha, is so far from the truth along each axis (deviation, in units in which a
crop is 2 zeta wide). `error` is how far it is here (RMS of labelled joints). PCK@0.2, in percent,
is of the twelve limb joints as the step answers. The oracle begins with the truth, without noise:
what a decoder that reads its state would answer. One hypothesis, no flip test.
"""

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch

from posediff import checkpoint, config, engine
from posediff.diffusion import DDIMSampler, DiffusionModel
from posediff.diffusion.aggregate import Hypotheses, mean
from posediff.metrics.pck import TorsoPCK
from posediff.sample import to
from posediff.truth import Truth

SHOWN = "noise, error, PCK@0.2 of step"
ROWS = (
    ("coarse pose, from 250", "coarse", 250),
    ("coarse pose, from 500", "coarse", 500),
    ("coarse pose and noise, from 250", "coarse+noise", 250),
    ("noise", "noise", None),
    ("oracle: the truth, from 250", "oracle", 250),
    ("oracle: the truth, from 50", "oracle", 50),
)


@torch.no_grad()
def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("--dataset", default="lspet_crops")
    parser.add_argument("--split", default="validation")
    parser.add_argument("--device", default="cpu")
    args = parser.parse_args(arguments)
    made_for = checkpoint.read_config(args.model)["dataset"]
    crop = [f"dataset.{key}={made_for[key]}" for key in ("size", "codec", "mean", "std")]
    cfg = config.compose("train", ["task=image2d", f"dataset={args.dataset}", *crop])
    data = config.dataset(cfg, args.split)
    model = checkpoint.load(args.model).eval().to(args.device)
    print(f"{len(data)} people\n\n| begins with | {SHOWN} 1 | 2 | 3 | 4 |\n{'|---' * 5}|")
    for name, init, start in ROWS:
        print(f"| {name} | {' | '.join(row(model, data, init, start))} |", flush=True)


def row(model: DiffusionModel, data: engine.Samples, init: str, start: int | None) -> list[str]:
    head, schedule = model.head, model.process.schedule
    head.set_inference("coarse" if init == "oracle" else init, head.refresh)
    model.sampler = replace(DDIMSampler(4), start=start)
    metric = TorsoPCK(Truth(head.skeleton))
    errors: dict[int, list[torch.Tensor]] = {}
    for sample in engine.in_order(data, 64):
        seen = to(sample, next(model.parameters()).device)
        truth, labelled = head.target(seen), seen["visible"] > 0
        if init == "oracle":
            head.start = lambda context, truth=truth: truth
        for step in model.trajectory(seen, 1):
            apart = step.x_t / schedule.alpha[step.t].to(truth) - truth
            errors.setdefault(step.t, []).append(apart[labelled].cpu())
            every = step.estimate.unsqueeze(1)
            drawn = Hypotheses(every, lambda x, s=seen: head.decode(x, s), seen, head.skeleton)
            metric.update(str(step.t), mean(drawn), sample)
    figures = metric.compute()
    return [
        f"{float(schedule.sigma[t] / schedule.alpha[t]):.3g}, "
        f"{float(torch.cat(apart).square().mean().sqrt()):.3g}, "
        f"{figures[f'/pck_limbs@0.2/{t}']:.1f}"
        for t, apart in errors.items()
    ]


if __name__ == "__main__":
    main()
