"""Keypoints that are no pixels are recognised, and become pixels by their unit."""

import pytest
import torch

from posediff.inference.keypoint_units import in_pixels

PIXELS = torch.rand(4, 17, 2, generator=torch.manual_seed(0)) * 300 + 100
SCORES = torch.ones(4, 17)
SIZE = 1920.0, 1080.0
SIDES = torch.tensor(SIZE)

UNITS = {
    "fraction": PIXELS / SIDES,
    "centred": 2 * PIXELS / SIDES - 1,
    "screen": 2 * PIXELS / SIZE[0] - torch.tensor([1, SIZE[1] / SIZE[0]]),
}


@pytest.mark.parametrize("units", UNITS)
def test_points_of_a_unit_become_pixels(units):
    found = in_pixels(UNITS[units], SCORES, units, SIZE, "a")
    torch.testing.assert_close(found, PIXELS, atol=1e-3, rtol=0)
    with pytest.raises(ValueError, match=f"units={units} needs the size of the picture"):
        in_pixels(UNITS[units], SCORES, units, None, "a")


@pytest.mark.parametrize("units", UNITS)
def test_a_joint_at_the_origin_of_a_unit_is_missing(units):
    points = UNITS[units].clone()
    points[1, 3] = 0
    found = in_pixels(points, SCORES, units, SIZE, "a")
    assert (found == 0).all(-1).nonzero().tolist() == [[1, 3]]


@pytest.mark.parametrize("units", [*UNITS, "metres"])
def test_without_a_unit_they_are_refused_but_not_pixels(units):
    points = UNITS.get(units, PIXELS / 1000)
    with pytest.raises(ValueError, match=r"a: the points lie in .*no pixels: add units=fraction"):
        in_pixels(points, SCORES, None, None, "a")
    assert in_pixels(points, SCORES, "pixels", None, "a") is points
    assert in_pixels(PIXELS, SCORES, None, None, "a") is PIXELS
    far = points + 58  # a person of a few pixels, somewhere in the picture
    assert in_pixels(far, SCORES, None, None, "a") is far


def test_missing_joints_and_single_ones_say_nothing_of_the_unit():
    points, scores = PIXELS.clone(), SCORES.clone()
    points[:, 4:], scores[:, 4:] = 0.5, 0
    assert in_pixels(points, scores, None, None, "a") is points
    points[:, :5], scores[:, :5] = 0.4, 1
    points[:, 0], points[:, 5], scores[:, 5] = 0.2, torch.nan, 1
    with pytest.raises(ValueError, match=r"lie in 0\.2 \.\. 0\.4"):
        in_pixels(points, scores, None, None, "a")


def test_metres_keep_their_shape_and_unknown_units_are_named():
    assert torch.equal(in_pixels(PIXELS, SCORES, "metres", None, "a"), 1000 * PIXELS)
    with pytest.raises(ValueError, match="units must be one of pixels, fraction"):
        in_pixels(PIXELS, SCORES, "inches", None, "a")
