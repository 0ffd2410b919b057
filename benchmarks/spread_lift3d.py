"""Sources of the spread of a lift3d model's hypotheses, as Markdown.

    python benchmarks/spread_lift3d.py MODEL_FOLDER dataset=mocap dataset.keypoints=noisy

Joints whose 2D is occluded (score below .5) against the others, along the axes of the camera: how
far the hypotheses lie from their mean (deviation, mean over joints), and how far that mean lies
from the truth (RMS). The start is a draw of u, v from the 2D mixture and of x, y, z around the
encoder's pose; rows take one of the two away, or draw u, v of occluded joints three times as wide.
"""

import argparse
from collections.abc import Sequence
from datetime import date

import torch
from torch import Tensor

from posediff import checkpoint, config, engine
from posediff.data.lifting.detector import point_mixture
from posediff.diffusion import DiffusionModel
from posediff.diffusion.head import Sample
from posediff.pose.skeleton import skeleton
from posediff.tasks.lift3d import Lift3D

BATCH = 256
NARROW = 1e-3  # of a deviation that is not drawn from


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", help="a model folder of preset paper")
    parser.add_argument("overrides", nargs="*", help="of conf/, such as dataset=mocap")
    parser.add_argument("--hypotheses", type=int, default=20)
    parser.add_argument("--samples", type=int, default=1024)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args(arguments)

    torch.set_num_threads(1)
    model = checkpoint.load(args.folder).eval()
    if not isinstance(model, DiffusionModel) or not isinstance(model.head, Lift3D):
        parser.error(f"{args.folder} is no model of preset paper")
    model.hypotheses = args.hypotheses
    cfg = config.compose(
        "eval", [*checkpoint.read_config(args.folder)["overrides"], *args.overrides]
    )
    data = engine.Subset(config.dataset(cfg, "test"), args.samples)
    batches = list(engine.in_order(data, BATCH))
    residual = model.head.encoder.residual
    print(f"{len(data)} samples, K {model.hypotheses}, seed {args.seed}, {date.today()}\n")
    print("| mm along x, y, z | occluded | other joints |\n|---|---|---|")
    spread, error = figures(model, batches, args.seed)
    print(
        f"| error of the mean | {error[0]} | {error[1]} |\n| spread | {spread[0]} | {spread[1]} |"
    )
    wider = figures(model, [widened(sample) for sample in batches], args.seed)[0]
    print(f"| occluded u, v drawn 3 times as wide | {wider[0]} | {wider[1]} |", flush=True)
    exact = figures(model, [sure(sample) for sample in batches], args.seed)[0]
    print(f"| u, v not drawn | {exact[0]} | {exact[1]} |", flush=True)
    residual.mul_(NARROW)
    flat = figures(model, batches, args.seed)[0]
    print(f"| x, y, z not drawn | {flat[0]} | {flat[1]} |")


def figures(
    model: DiffusionModel, batches: Sequence[Sample], seed: int
) -> tuple[list[str], list[str]]:
    """Spread and error of occluded joints and of the others."""
    spreads, errors, hidden, seen = [], [], [], []
    root = skeleton(model.head.skeleton).root
    for sample in batches:
        poses = model.sample(sample, seed=seed).decoded.keypoints
        truth = sample["keypoints"] - sample["keypoints"][:, [root]]
        spreads.append(poses.std(1, unbiased=False))
        errors.append(poses.mean(1) - truth)
        known = sample["visible"] > 0
        known[:, root] = False
        hidden.append(known & (sample["scores"] < 0.5))
        seen.append(known & (sample["scores"] >= 0.5))
    spread, error = torch.cat(spreads), torch.cat(errors)
    which = torch.cat(hidden), torch.cat(seen)
    return (
        [row(spread[joints].mean(0)) for joints in which],
        [row(error[joints].square().mean(0).sqrt()) for joints in which],
    )


def row(metres: Tensor) -> str:
    return ", ".join(f"{1000 * x:.1f}" for x in metres.tolist())


def widened(sample: Sample) -> Sample:
    mixture = sample["mixture"]
    hidden = (sample["scores"] < 0.5)[..., None, None]
    return {**sample, "mixture": {**mixture, "scale": mixture["scale"] * torch.where(hidden, 3, 1)}}


def sure(sample: Sample) -> Sample:
    return {**sample, "mixture": point_mixture(sample["keypoints_2d"], NARROW)}


if __name__ == "__main__":
    main()
