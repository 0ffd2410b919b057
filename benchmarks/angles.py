"""Coverage of the intervals of joint angles, as Markdown.

    python benchmarks/angles.py [--model lift3d] [--samples 1000] [--hypotheses 20] [OVERRIDES]

Test people of `dataset=mocap`, evenly spaced, with exact 2D, with the default noise and with the
errors of the shipped image2d: for every angle of posediff/people/angles.py the mean distance to the
truth in degrees, and the share of truths in the intervals of 50 and 90 % of the hypotheses. Both
sides of the body are one row. Angles that do not exist, of joints that coincide, are left out.
"""

import argparse
from collections.abc import Sequence
from datetime import date

import torch
from torch import Tensor

import posediff
from posediff import config, engine
from posediff.people.angles import ANGLES, angle_intervals, joint_angles

BATCH = 250
SOURCES = {
    "exact": ("dataset.keypoints=gt",),
    "default noise": ("dataset.keypoints=noisy",),
    "errors of image2d": ("dataset.keypoints=noisy", "dataset/noise=image2d"),
}
PARTS = ("knee", "hip", "elbow", "shoulder", "trunk")


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("overrides", nargs="*", help="of conf/, such as dataset.test=[cmu05]")
    parser.add_argument("--model", default="lift3d")
    parser.add_argument("--samples", type=int, default=1000)
    parser.add_argument("--hypotheses", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args(arguments)
    torch.set_num_threads(1)
    model = posediff.load(args.model)
    print(f"{args.model}, K {args.hypotheses}, {args.samples} people, {date.today()}\n")
    print("| 2D |" + "".join(f" {part} |" for part in PARTS))
    print("|---" * (len(PARTS) + 1) + "|")
    for name, source in SOURCES.items():
        cfg = config.compose("eval", ["task=lift3d", "dataset=mocap", *source, *args.overrides])
        data = engine.Subset(config.dataset(cfg, "test"), args.samples)
        error, inside = scored(model, data, args)
        cells = [cell(part, error, inside) for part in PARTS]
        print(f"| {name} | {' | '.join(cells)} |", flush=True)


@torch.no_grad()
def scored(
    model: posediff.Model, data: engine.Samples, args: argparse.Namespace
) -> tuple[Tensor, Tensor]:
    """The distance (N, A) of the mean angles to the truth in degrees, and whether the two intervals
    hold it (N, A, 2); NaN where there is no angle."""
    errors, inside = list[Tensor](), list[Tensor]()
    for sample in engine.in_order(data, BATCH):
        poses = model.predict(sample, args.hypotheses, seed=args.seed)
        bones = posediff.skeleton(poses.skeleton)
        truth = joint_angles(sample["keypoints"], bones)
        found = angle_intervals(joint_angles(poses.hypotheses, bones))
        off = (truth - found.mean + 180) % 360 - 180
        near = (found.mean + off)[..., None]
        held = ((found.low <= near) & (near <= found.high)).float()
        inside.append(held.masked_fill(off.isnan()[..., None], torch.nan))
        errors.append(off.abs())
    return torch.cat(errors), torch.cat(inside)


def cell(part: str, error: Tensor, inside: Tensor) -> str:
    """Distance, and the shares in both intervals, of an angle of both sides."""
    which = [i for i, name in enumerate(ANGLES) if part in name]
    half, most = inside[:, which].flatten(0, 1).nanmean(0).tolist()
    return f"{error[:, which].nanmean():.1f}°, {half:.2f}, {most:.2f}"


if __name__ == "__main__":
    main()
