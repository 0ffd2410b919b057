"""Drawings of 2D poses and heatmaps."""

import numpy as np
import pytest
import torch

from posediff.diffusion import Poses
from posediff.pose.skeleton import skeleton
from posediff.visual.palette import LEFT, RIGHT
from posediff.visual.pose2d import MARGIN, TILE, _axes, draw_heatmaps, draw_pose2d

BONES = skeleton("crowdpose14")
J = len(BONES.joints)
# a person (1, J, 2) on a grid, joints far from one another, left ones on the left
AT = torch.tensor([[[60.0 + 250 * (j % 2), 40.0 + 60 * (j // 2)] for j in range(J)]])


def drawn(score=1.0, spread=0.0, shape=(500, 400)):
    photo = np.full((*shape, 3), 128, np.uint8)
    scores, radii = torch.full((1, J), score), torch.full((1, J), spread)
    return draw_pose2d(photo, Poses(AT, scores, AT[:, None], radii, BONES.name), BONES)


def test_joints_are_drawn_at_their_pixels_in_the_colour_of_their_side():
    picture = drawn()
    for joint, (x, y) in list(zip(BONES.joints, AT[0].int().tolist(), strict=True))[:12]:
        colour = LEFT if joint.startswith("left") else RIGHT
        assert np.abs(picture[y, x].astype(int) - colour).max() < 25, joint


def test_a_joint_without_a_peak_and_its_bones_are_not_drawn():
    assert (drawn(score=0.0) == 128).all()


def test_a_small_photo_is_enlarged_and_a_large_one_reduced():
    assert max(drawn(shape=(60, 80)).shape) == 480
    assert max(drawn(shape=(3000, 2000)).shape) == 1280


def test_an_ellipse_has_the_axes_of_the_hypotheses():
    g = np.random.default_rng(0)
    turn = np.array([[np.cos(0.5), -np.sin(0.5)], [np.sin(0.5), np.cos(0.5)]])
    apart = (g.normal(size=(4000, 2)) * [2.0, 7.0]) @ turn.T
    axes, angle = _axes(apart, 0.0)
    assert np.allclose(axes, [2, 7], rtol=0.05)
    assert abs((np.degrees(0.5) - angle + 90) % 180 - 90) < 2
    assert np.allclose(_axes(apart[:1], 3.0)[0], 3 / np.sqrt(2))


def test_a_wider_spread_colours_more_of_the_picture():
    narrow, wide = ((drawn(spread=s) != 128).any(-1).mean() for s in (2.0, 40.0))
    assert wide > 1.5 * narrow


def test_heatmaps_are_one_row_per_step_and_bright_at_their_peak():
    maps = torch.zeros(J, 32, 24)
    maps[:, 8, 6] = 0.2  # the highest of all: full brightness
    crop = np.full((128, 96, 3), 90, np.uint8)
    picture = draw_heatmaps(crop, [("t = 249", maps), ("t = 61", maps / 5)], BONES)
    left, top = MARGIN
    assert picture.shape == (top + 2 * TILE, left + J * 96, 3)
    tiles = [picture[top + i * TILE :, left:][:100, :96].astype(int).sum(-1) for i in range(2)]
    y, x = np.unravel_index(tiles[0].argmax(), tiles[0].shape)
    assert abs(y / TILE - 8.5 / 32) < 0.02
    assert abs(x / 96 - 6.5 / 24) < 0.02
    assert tiles[0].max() > 3 * 90
    assert tiles[1].max() - 3 * 36 == pytest.approx((tiles[0].max() - 3 * 36) / 5, abs=6)
