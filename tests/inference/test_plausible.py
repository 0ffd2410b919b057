"""What looks wrong with keypoints, on the drawn body in all layouts that it has."""

import re
from itertools import permutations

import pytest
import torch

from posediff.data.lifting.synthetic_people import synthetic
from posediff.inference.plausible import WORSE, better_layout, doubts, misfit
from posediff.pose.layout import convert
from posediff.pose.skeleton import SKELETONS, skeleton

ALIKE = ({"h36m17", "mocap17"}, {"coco17", "posetrack17"})  # the same order below the head
OTHERS = [
    (a, b)
    for a, b in permutations(sorted(SKELETONS), 2)
    if len(SKELETONS[a].joints) == len(SKELETONS[b].joints) and {a, b} not in ALIKE
]


@pytest.fixture(scope="module")
def body():
    """(N, 17, 2) pixels of h36m17, of all kinds of motion."""
    data = synthetic("test", clips=13, length=9)
    return data.__getitems__(list(range(0, len(data), 12)))["target_2d"]


def in_layout(body, name):
    found = convert(body, torch.ones(body.shape[:2]), skeleton("h36m17"), skeleton(name))
    return found.points, found.visible


@pytest.mark.parametrize("name", sorted(SKELETONS))
def test_the_right_order_is_not_doubted(body, name):
    points, scores = in_layout(body, name)
    assert misfit(points, scores, skeleton(name)) < 0.06
    assert doubts(points, scores, skeleton(name), (1000, 1002)) == []


@pytest.mark.parametrize(("given", "true"), OTHERS)
def test_a_wrong_order_names_the_best_layout(body, given, true):
    points, _ = in_layout(body, true)
    ones = torch.ones(points.shape[:2])
    found = better_layout(points, ones, skeleton(given))
    assert misfit(points, ones, skeleton(found)) == misfit(points, ones, skeleton(true))
    assert misfit(points, ones, skeleton(given)) > 1.1 * WORSE * misfit(
        points, ones, skeleton(true)
    )


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda x: x.flip(-1), "are x and y swapped"),
        (lambda x: torch.stack([x[..., 0], 1000 - x[..., 1]], -1), "does y grow upwards"),
        (lambda x: x + 500, "outside the picture of 1000 x 1000 pixels"),
        (lambda x: torch.cat([torch.zeros_like(x[:, :1]), x[:, 1:]], 1), r"at \(0, 0\) in"),
    ],
)
def test_other_doubts_are_one_line(body, change, words):
    (line,) = doubts(change(body), torch.ones(body.shape[:2]), skeleton("h36m17"), (1000, 1000))
    assert re.search(words, line)
