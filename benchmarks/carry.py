"""The table "posterior against point": what the 2D posterior is worth in 3D.

    python benchmarks/carry.py [--lift3d lift3d] [--image2d image2d] [--dataset mocap]
        [--samples 1000] [--pictures 200] [--hypotheses 20]

Two kinds of people, each lifted with carry=point and carry=posterior on the same 2D:

    lifted    test people of a data set of motion. Their 2D is that of a simulated model with the
              measured errors of dataset/noise=image2d: a joint is detected with an error of
              deviation s, which is that of its score, or of an outlier. Its 2D posterior,
              N(detection, s^2), knows which; point knows the score alone. Occluded are the
              outliers.
    drawn     people in drawn pictures with drawn occluders, whose 3D is known, found in their true
              boxes by image2d. Occluded are the joints that something hides.

Figures are of the joints of arms and legs, relative to the root, which all skeletons have: MPJPE
in mm, energy score in mm (lower is better) and coverage of the inner half and nine tenths of the
hypotheses (.5 and .9 are right).
"""

import argparse
from collections.abc import Iterator, Sequence
from datetime import date
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

import posediff
from posediff import config, engine
from posediff.data.lifting.detector import TYPICAL, DetectorNoise, extents
from posediff.diffusion.aggregate import LEVELS
from posediff.metrics.calibration import energy_score, ratios
from posediff.people.lifting import Draws, Rows, poses_3d
from posediff.pose.skeleton import skeleton
from posediff.synthetic.render import labels
from posediff.synthetic.stage import scene

CARRIES = ("point", "posterior")
BATCH = 100  # people at once
SIZE = (480, 360)  # of a drawn picture
OCCLUDED = 1  # visibility of a joint that something hides


class Answers(NamedTuple):
    """N people of the joints that are scored, in metres relative to the root."""

    hypotheses: Tensor  # (N, K, J, 3)
    truth: Tensor  # (N, J, 3)
    occluded: Tensor  # (N, J) bool


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--lift3d", default="lift3d")
    parser.add_argument("--image2d", default="image2d")
    parser.add_argument("--dataset", default="mocap")
    parser.add_argument("--samples", type=int, default=1000)
    parser.add_argument("--pictures", type=int, default=200)
    parser.add_argument("--hypotheses", type=int, default=20)
    parser.add_argument("--overrides", nargs="*", default=[], help="of the data set")
    args = parser.parse_args(arguments)
    lifter, K = posediff.load(args.lift3d), args.hypotheses
    print(f"{args.lift3d}, {args.image2d}, K {K}, {lifter.steps} steps, {date.today()}\n")
    print("| people | carry | MPJPE | energy score | coverage at .5 | at .9 | ", end="")
    print("occluded: MPJPE | coverage at .5 | at .9 |\n|---|---|--:|--:|--:|--:|--:|--:|--:|")
    data = test_people(args.dataset, lifter.head.skeleton, args.overrides)
    for carry in CARRIES:
        found = joined(lifted(lifter, data, args.samples, Draws(K, carry=carry)))
        print(row(f"lifted {args.dataset} ({len(found.truth)})", carry, found), flush=True)
    for carry in CARRIES if args.pictures else ():
        models = {"image2d": posediff.load(args.image2d), "lift3d": lifter}
        found = joined(drawn(models, args.pictures, K, carry))
        print(row(f"drawn ({len(found.truth)})", carry, found), flush=True)


def test_people(name: str, layout: str, overrides: Sequence[str]) -> Any:
    """The test people with exact 2D, and the measured errors as its `noise`."""
    keys = ["task=lift3d", f"dataset={name}", "dataset.keypoints=gt", "dataset/noise=image2d"]
    data = config.dataset(config.compose("train", [*keys, *overrides]), "test")
    if data.skeleton.name != layout:
        raise SystemExit(f"error: {name} has the joints of {data.skeleton.name}, not of {layout}")
    return data


def lifted(model: posediff.Model, data: Any, count: int, draws: Draws) -> Iterator[Answers]:
    """People with 2D of the simulated model, in parts."""
    some, K = engine.Subset(data, count), draws.hypotheses or 1
    for start in range(0, len(some), BATCH):
        sample = some.__getitems__(list(range(start, min(start + BATCH, len(some)))))
        generator = torch.Generator().manual_seed(start)
        seen, occluded = simulated(sample, data.noise, K, generator, model.head.skeleton)
        order = torch.arange(len(occluded))
        rows = Rows(seen, sample["id"], order, torch.zeros_like(order))
        answers = poses_3d(model, rows, draws)
        found = [n for n, answer in enumerate(answers) if answer is not None]
        every = torch.stack([answers[n].hypotheses for n in found])  # type: ignore[union-attr]
        yield scored(every, sample["keypoints"][found], occluded[found], model.head.skeleton)


def simulated(
    sample: Any, noise: DetectorNoise, K: int, generator: torch.Generator, layout: str
) -> tuple[posediff.Poses, Tensor]:
    """2D poses with K hypotheses of the posterior, and which joints are outliers (B, J)."""
    truth, visible = sample["target_2d"], sample["visible"] > 0
    B, J, _ = truth.shape
    edges, sigmas, outliers = (
        torch.tensor(list(x)) for x in (noise.scores, noise.sigmas, noise.outliers)
    )
    place = torch.rand(B, J, generator=generator) * len(sigmas)
    step = place.long().clamp(max=len(sigmas) - 1)
    outlier = torch.rand(B, J, generator=generator) < outliers[step]
    sigma = torch.where(outlier, noise.sigma_outlier, sigmas[step])
    sigma = sigma * (extents(truth, visible).clamp(min=1) / TYPICAL)[:, None]
    points = truth + sigma[..., None] * torch.randn(B, J, 2, generator=generator)
    offsets = sigma[:, None, :, None] * torch.randn(B, K, J, 2, generator=generator)
    scores = torch.lerp(edges[step], edges[step + 1], place - step) * visible
    spread = offsets.square().sum(-1).mean(1).sqrt()
    return posediff.Poses(points, scores, points[:, None] + offsets, spread, layout), outlier


def drawn(models: Any, count: int, K: int, carry: Any) -> Iterator[Answers]:
    """People of drawn pictures, picture by picture."""
    layout = models["lift3d"].head.skeleton
    for number in range(count):
        shot = scene(np.random.default_rng([7, number]), SIZE, people=1, hidden=0.7)
        if not (shot.boxes[:, 2:] > 0).all():
            continue
        (frame,) = posediff.estimate(
            shot.picture, models=models, boxes=shot.boxes, hypotheses=K, carry=carry, seed=number
        )
        (person,) = frame
        if person.hypotheses_3d is None:
            continue
        occluded = labels(shot, skeleton("h36m17"))[1] == OCCLUDED
        truth = torch.from_numpy(shot.bodies).float()
        every = torch.from_numpy(person.hypotheses_3d)[None]
        yield scored(every, truth, torch.from_numpy(occluded), layout)


def scored(every: Tensor, truth: Tensor, occluded: Tensor, layout: str) -> Answers:
    """The joints of arms and legs, relative to the root. The truth has the order of h36m17."""
    bones = skeleton(layout)
    joints = sorted({j for bone in bones.limbs for j in bone})
    return Answers(
        bones.rooted(every)[..., joints, :],
        bones.rooted(truth)[..., joints, :],
        occluded[:, joints],
    )


def joined(parts: Iterator[Answers]) -> Answers:
    return Answers(*(torch.cat(column) for column in zip(*parts, strict=True)))


def row(people: str, carry: str, found: Answers) -> str:
    """A line of the table."""
    every, truth, occluded = found
    error = 1000 * (every.mean(1) - truth).norm(dim=-1)
    covered = (ratios(every, truth) <= 1)[..., [LEVELS.index(0.5), LEVELS.index(0.9)]].float()
    whole = torch.ones_like(occluded)
    energy = 1000 * float(energy_score(every, truth).mean())
    cells = [people, carry, f"{error.mean():.1f}", f"{energy:.0f}"]
    for counted in (whole, occluded):
        if counted is occluded:
            cells.append(f"{error[counted].mean():.1f}")
        cells += [f"{share:.2f}" for share in covered[counted].mean(0).tolist()]
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    main()
