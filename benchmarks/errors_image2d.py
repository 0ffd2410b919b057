"""The errors of image2d on lspet_crops by kind, and how many a choice among peaks could mend.

    python benchmarks/errors_image2d.py [MODEL] [--split test]

Limb joints that are labelled, of people with a torso; right is within .2 of the torso, of any place
below. Without flip test. Each wrong joint is of the first kind that fits:

    other side     the detection is right for the same joint of the other side
    other joint    ... for another joint of the person
    second peak    it is not, but one of the next two peaks of its heatmap is right for the joint
    near           within .4 of the torso
    far            none of these

and `any peak` is the share of all joints of which one of the first three peaks is right: the most
that a choice among them could reach. The line below counts the people of whom more joints are right
when their sides are exchanged, and what it would give to exchange those.
"""

import argparse
from collections import Counter
from collections.abc import Sequence
from datetime import date

import torch
from torch import Tensor
from torch.nn import functional

import posediff
from posediff import config, engine
from posediff.metrics.pck import PARTS, SIDES, TORSO
from posediff.pose.crop import read_heatmaps
from posediff.pose.skeleton import Skeleton, skeleton

RIGHT, NEAR, PEAKS = 0.2, 0.4, 3
APART = 7  # cells: the width of the window that holds one peak
KINDS = ("other side", "other joint", "second peak", "near", "far")


@torch.no_grad()
def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("model", nargs="?", default="image2d", help="a name or a folder")
    parser.add_argument("--split", default="test", choices=("validation", "test"))
    args = parser.parse_args(arguments)
    model = posediff.load(args.model).eval()
    options = [f"dataset.{key}={model.trained_on[key]}" for key in ("size", "codec", "mean", "std")]
    cfg = config.compose("eval", ["experiment=image2d_coarse", "dataset=lspet_crops", *options])
    data = config.dataset(cfg, args.split)
    body = skeleton(model.head.skeleton)
    counts: dict[str, Counter[str]] = {part: Counter() for part in (*PARTS, "people")}
    for sample in engine.in_order(data, 16, label="people"):
        count(counts, peaks(model.head, sample), sample, body)
    print(f"{args.model}, lspet_crops {args.split}, {date.today()}, percent of the joints\n")
    columns = ["joint", "joints", "right", *KINDS, "any peak"]
    print(f"| {' | '.join(columns)} |\n{'|---' * len(columns)}|")
    people = counts.pop("people")
    for part, found in [*counts.items(), ("all", sum(counts.values(), Counter()))]:
        shares = [100 * found[kind] / found["joints"] for kind in ("right", *KINDS, "any peak")]
        print(f"| {part} | {found['joints']} | {' | '.join(f'{x:.1f}' for x in shares)} |")
    joints = sum(found["joints"] for found in counts.values())
    gained = 100 * people["gained"] / joints
    print(f"\nSides exchanged: {people['exchanged']} of {people['people']} people,", end=" ")
    print(f"{gained:.1f} points")


def peaks(head: torch.nn.Module, sample: dict) -> Tensor:
    """The places of the highest peaks of every joint, highest first, (B, J, PEAKS, 2)."""
    maps = head(sample)
    found = []
    for _ in range(PEAKS):
        found.append(read_heatmaps(maps[:, None], head.codec, sample["affine"]).keypoints[:, 0])
        flat = maps.flatten(2)
        top = functional.one_hot(flat.argmax(-1), flat.shape[-1]).view_as(maps).float()
        maps = maps.masked_fill(functional.max_pool2d(top, APART, 1, APART // 2) > 0, maps.min())
    return torch.stack(found, 2)


def count(counts: dict[str, Counter[str]], found: Tensor, sample: dict, body: Skeleton) -> None:
    """Add the joints of a batch to the counts of their parts."""
    truth, labelled = sample["keypoints_annotation"], sample["visible_annotation"] > 0
    a, b = (body.joints.index(name) for name in TORSO)
    torso = (truth[:, a] - truth[:, b]).norm(dim=-1)
    sized = labelled[:, a] & labelled[:, b] & (torso > 0)
    # distances of the peaks of joint j to the places of all joints i, in torsos: (B, J, PEAKS, J)
    distance = (found[:, :, :, None] - truth[:, None, None]).norm(dim=-1)
    distance = (distance / torso[:, None, None, None]).masked_fill(
        ~labelled[:, None, None, :], torch.inf
    )
    limbs = [body.joints.index(f"{side}_{part}") for side in SIDES for part in PARTS]
    right = distance[:, limbs, 0][:, :, limbs] <= RIGHT  # the answer for a joint, the place of one
    half = len(PARTS)
    for n in sized.nonzero().flatten().tolist():
        own, other = right[n].diagonal().sum(), right[n].roll(half, 1).diagonal().sum()
        gained = max(0, int(other - own))
        counts["people"].update(people=1, exchanged=int(gained > 0), gained=gained)
        for part in PARTS:
            for j in (body.joints.index(f"{side}_{part}") for side in SIDES):
                if labelled[n, j]:
                    to_own, to_all = distance[n, j, :, j], distance[n, j, 0]
                    counts[part]["joints"] += 1
                    counts[part]["any peak"] += int(to_own.min() <= RIGHT)
                    counts[part][kind(to_own, to_all, body.flip[j])] += 1


def kind(to_own: Tensor, to_all: Tensor, partner: int) -> str:
    """The kind of an answer: distances of its peaks to their joint, of the first to all joints."""
    tests = {
        "right": to_own[0] <= RIGHT,
        "other side": to_all[partner] <= RIGHT,
        "other joint": to_all.min() <= RIGHT,
        "second peak": to_own.min() <= RIGHT,
        "near": to_own[0] <= NEAR,
    }
    return next((name for name, holds in tests.items() if holds), "far")


if __name__ == "__main__":
    main()
