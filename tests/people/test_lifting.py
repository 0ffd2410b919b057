"""The 3D that is lifted from hypotheses of the 2D."""

import pytest
import torch
from helpers.heads import model

from posediff.diffusion import Poses
from posediff.people.lifting import Draws, Rows, poses_3d


def people(N, K, spread):
    """2D poses of N people whose K hypotheses are `spread` pixels from them."""
    g = torch.Generator().manual_seed(0)
    points = 60 * torch.randn(N, 17, 2, generator=g) + 200
    every = points[:, None] + spread * torch.randn(N, K, 17, 2, generator=g)
    scores = 0.3 + 0.7 * torch.rand(N, 17, generator=g)
    return Poses(points, scores, every, every.std(1).norm(dim=-1), "coco17")


@pytest.mark.parametrize("opposite", [False, True])
def test_hypotheses_of_2d_that_are_all_the_pose_give_what_the_pose_gives(opposite):
    lifter, seen = model("posterior"), people(2, 4, spread=0)
    lifter.opposite = opposite
    rows = Rows(seen, ["a/0", "a/1"], torch.arange(2), torch.zeros(2, dtype=torch.long))
    carried = poses_3d(lifter, rows, Draws(4, carry="posterior"))
    alone = poses_3d(lifter, rows, Draws(4, carry="point"))
    for a, b in zip(carried, alone, strict=True):
        torch.testing.assert_close(a.hypotheses, b.hypotheses, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(a.keypoints, b.keypoints, rtol=1e-4, atol=1e-5)
    first, second = (carried[0].hypotheses - carried[0].keypoints)[:2]
    assert (torch.dist(first, -second) < 1e-3) == opposite  # the same 2D, so opposite about it
