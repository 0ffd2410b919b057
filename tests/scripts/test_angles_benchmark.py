"""benchmarks/angles.py: what a cell of its table says."""

from pathlib import Path

import pytest
import torch
from helpers.commands import module

from posediff.people.angles import ANGLES


@pytest.fixture(scope="module")
def angles():
    return module(Path(__file__).parents[2] / "benchmarks/angles.py")


def test_a_cell_pools_both_sides_and_leaves_out_what_is_no_angle(angles):
    error = torch.full((2, len(ANGLES)), 90.0)
    inside = torch.zeros(2, len(ANGLES), 2)
    left, right = ANGLES.index("left_knee_flexion"), ANGLES.index("right_knee_flexion")
    error[:, left], error[:, right] = torch.tensor([2.0, 4.0]), torch.tensor([6.0, torch.nan])
    inside[:, [left, right]] = torch.tensor([[[1.0, 1], [0, 1]], [[0, 1], [torch.nan] * 2]])
    assert angles.cell("knee", error, inside) == "4.0°, 0.33, 1.00"
    assert angles.cell("trunk", error, inside) == "90.0°, 0.00, 0.00"
