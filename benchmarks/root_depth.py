"""Errors of the distance of a pose, as found from its 2D, as Markdown.

    python benchmarks/root_depth.py dataset=mocap [any override of conf/]

True poses of the test part, evenly spaced, moved to their roots and seen by their cameras; then 2D
and 3D are disturbed by Gaussian noise, as deviation per axis in pixels and as mean distance of a
joint in millimetres. Errors are of the depth of the root, against the true root.
"""

import argparse
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

import torch

from posediff import config, engine
from posediff.pose.root import Root, bone_length_root, least_squares_root
from posediff.pose.skeleton import skeleton

NOISE = ((0, 0), (5, 0), (10, 0), (0, 50), (5, 50), (10, 50))  # pixels, millimetres


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("overrides", nargs="*", help="of conf/, such as dataset=mocap")
    parser.add_argument("--samples", type=int, default=20000)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args(arguments)

    torch.set_num_threads(1)
    chosen = ["task=lift3d", *args.overrides, "dataset.keypoints=gt"]
    whole = config.dataset(config.compose("eval", chosen), "test")
    data = engine.Subset(whole, args.samples)
    sample = data.__getitems__(list(range(len(data))))
    print(f"{len(data)} poses of {whole.skeleton.name}, seed {args.seed}, {date.today()}\n")
    print("| 2D noise, px | 3D noise, mm | root | found | median error, % | mean, mm | bias, mm |")
    print("|---|---|---|---|---|---|---|")
    for pixels, millimetres in NOISE:
        for name, root in roots(sample, whole.skeleton.name, pixels, millimetres, args.seed):
            print(f"| {pixels} | {millimetres} | {name} | {row(root, sample)} |", flush=True)


def roots(
    sample: Mapping[str, Any], joints: str, pixels: float, millimetres: float, seed: int
) -> list[tuple[str, Root]]:
    bones, noise = skeleton(joints), torch.Generator().manual_seed(seed)
    truth, points = sample["keypoints"].double(), sample["keypoints_2d"].double()
    deviation = millimetres / 1000 * (torch.pi / 8) ** 0.5  # of a joint's mean distance
    points = points + pixels * torch.randn(points.shape, generator=noise, dtype=torch.float64)
    poses = truth + deviation * torch.randn(truth.shape, generator=noise, dtype=torch.float64)
    poses = poses - poses[:, [bones.root]]
    found = (poses, points, sample["camera"], sample["visible"])
    return [
        ("estimated", least_squares_root(*found)),
        ("fixed", bone_length_root(*found, bones)),
    ]


def row(root: Root, sample: Mapping[str, Any]) -> str:
    depth = sample["keypoints"][root.found, 0, 2].double()
    error = root.position[root.found, 2] - depth
    share, mean, bias = (error.abs() / depth).median(), error.abs().mean(), error.mean()
    found = root.found.double().mean()
    return f"{found:.2%} | {100 * share:.2g} | {1000 * mean:.1f} | {1000 * bias:.1f}"


if __name__ == "__main__":
    main()
