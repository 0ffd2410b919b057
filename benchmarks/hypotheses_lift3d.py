"""Scores of the hypotheses of one lift3d model: all rules and their calibration, as Markdown.

    python benchmarks/hypotheses_lift3d.py MODEL_FOLDER dataset=mocap [any override of conf/]

All rules read the same draws of the same samples, evenly spaced over the test part. Calibration is
measured with K = 50, and recalibrated by factors from the validation part; the model folder stays
as it is.
"""

import argparse
from collections.abc import Sequence
from datetime import date
from functools import partial

import torch

from posediff import checkpoint, config, engine, recalibration
from posediff.diffusion import DiffusionModel
from posediff.diffusion.aggregate import LEVELS, mean, median
from posediff.metrics.calibration import DRAWS
from posediff.metrics.pose_error import PoseError3D
from posediff.pose.oracle import j_best, p_best
from posediff.pose.reprojection import jpma, rpea
from posediff.pose.rules import medoid, mode
from posediff.truth import Truth

ROOTS = ("estimated", "fixed", "oracle")
RULES = {
    "mean": mean,
    "median": median,
    "medoid": medoid,
    "mode": mode,
    **{f"jpma@{root}_root": partial(jpma, root=root) for root in ROOTS},
    **{f"rpea@{root}_root": partial(rpea, root=root) for root in ROOTS},
    "p_best@oracle": p_best,
    "j_best@oracle": j_best,
}


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", help="a model folder")
    parser.add_argument("overrides", nargs="*", help="of conf/, such as dataset=mocap")
    parser.add_argument("--hypotheses", type=int, default=20, help="K of the rules")
    parser.add_argument("--samples", type=int, default=1024)
    parser.add_argument("--validation", type=int, default=512, help="samples to recalibrate with")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args(arguments)

    torch.set_num_threads(1)
    model = checkpoint.load(args.folder)
    if not isinstance(model, DiffusionModel):
        parser.error(f"{args.folder} draws no hypotheses")
    cfg = config.compose(
        "eval", [*checkpoint.read_config(args.folder)["overrides"], *args.overrides]
    )
    whole = config.dataset(cfg, "test")
    data = engine.Subset(whole, args.samples)
    held_out = engine.Subset(config.dataset(cfg, "validation"), args.validation)
    seen = f"{len(data)} samples of {whole.summary()['keypoints']} 2D"
    steps = model.steps
    print(f"{seen}, {steps} steps, seed {args.seed}, {date.today()}\n", flush=True)
    rules(model, data, whole.truth(), args.hypotheses, args.seed)
    calibration(model, data, held_out, whole.truth(), args.seed)


def rules(model: DiffusionModel, data: engine.Samples, truth: Truth, K: int, seed: int) -> None:
    figures = engine.evaluate(model, data, PoseError3D(truth), RULES, 256, seed, hypotheses=K)
    print(f"| rule, K {K} | MPJPE | P-MPJPE | spread |\n|---|---|---|---|")
    for name in RULES:
        row = (figures[f"{metric}/{name}"] for metric in ("mpjpe", "p_mpjpe", "spread"))
        print(f"| {name} | {' | '.join(f'{x:.1f}' for x in row)} |")


def calibration(
    model: DiffusionModel,
    data: engine.Samples,
    held_out: engine.Samples,
    truth: Truth,
    seed: int,
) -> None:
    found = recalibration.fit(model, held_out, 256, seed)
    metric = PoseError3D(truth, factors=found["factors"])
    figures = engine.evaluate(model, data, metric, {"mean": mean}, 256, seed, hypotheses=DRAWS)
    kinds = [k for k in ("occluded", "visible") if f"spread/mean:{k}" in figures]
    parts = "".join(f", {figures[f'spread/mean:{k}']:.1f} {k}" for k in kinds)
    factors = " ".join(f"{c:.2f}" for c in found["factors"])
    print(f"\nfactors {factors} from {len(held_out)} validation samples; ", end="")
    print(f"spread in mm: {figures['spread/mean']:.1f} over all joints{parts}\n")
    print(f"| K {DRAWS} | {' | '.join(f'@{p}' for p in LEVELS)} | error | energy score | spread |")
    print("|---" * (len(LEVELS) + 4) + "|")
    for label, name in (("as drawn", ""), ("recalibrated", "/recalibrated")):
        shares = [figures[f"coverage@{p}{name}"] for p in LEVELS]
        spread = figures[f"spread{name or '/mean'}"]
        errors = f"{figures[f'calibration_error{name}']:.3f} | {figures[f'energy_score{name}']:.1f}"
        print(f"| {label} | {' | '.join(f'{c:.2f}' for c in shares)} | {errors} | {spread:.1f} |")


if __name__ == "__main__":
    main()
