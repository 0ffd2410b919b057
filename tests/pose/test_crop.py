"""Points drawn from heatmaps as densities."""

import pytest
import torch

from posediff.pose.crop import draw_points, read_heatmaps
from posediff.pose.heatmap import Codec, render

CODEC = Codec("udp", (96, 128), 4, sigma=1.5)
PITCH = torch.tensor([95 / 23, 127 / 31])


def numbers(count, joints=1, seed=0):
    return torch.rand(1, count, joints, 2, generator=torch.Generator().manual_seed(seed))


def test_draws_have_the_place_and_the_width_of_a_gaussian():
    maps = render(torch.tensor([[[11.3, 15.6]]]), CODEC.shape, 1.5)
    points = draw_points(maps, CODEC, numbers(20000))[0, :, 0] / PITCH
    torch.testing.assert_close(points.mean(0), torch.tensor([11.3, 15.6]), atol=0.1, rtol=0)
    # cut at a tenth of the peak, plus the width of a cell
    assert points.std(0).tolist() == pytest.approx([1.3, 1.3], abs=0.15)


def test_peaks_are_drawn_by_their_weight_and_background_never():
    maps = torch.full((1, 1, *CODEC.shape), 0.05)
    maps[..., 5, 4], maps[..., 20, 18] = 1.0, 0.5
    points = draw_points(maps, CODEC, numbers(9000))[0, :, 0] / PITCH
    cells = {tuple(cell) for cell in points.round().int().tolist()}
    assert cells == {(4, 5), (18, 20)}
    assert float((points[:, 0] < 10).float().mean()) == pytest.approx(2 / 3, abs=0.02)


def test_an_empty_map_is_uniform_and_finite():
    points = draw_points(torch.zeros(1, 1, *CODEC.shape), CODEC, numbers(4000))[0, :, 0] / PITCH
    assert points.mean(0).tolist() == pytest.approx([11.5, 15.5], abs=0.5)


def test_a_point_belongs_to_its_number_and_is_in_pixels_of_the_annotation():
    maps = render(torch.tensor([[[11.0, 15.0], [3.0, 8.0]]]), CODEC.shape, 1.5)
    affine = torch.tensor([[[2.0, 0.0, 10.0], [0.0, 2.0, -6.0]]])
    draw = read_heatmaps(maps[:, None], CODEC, affine).draw
    u = numbers(7, joints=2)
    points = draw(u)
    torch.testing.assert_close(points[:, :3], draw(u[:, :3]))
    crop = draw_points(maps, CODEC, u)
    torch.testing.assert_close(2 * points + torch.tensor([10.0, -6.0]), crop)


def test_equal_numbers_give_near_points_in_near_maps():
    a, b = (render(torch.tensor([[[x, 15.6]]]), CODEC.shape, 1.5) for x in (11.3, 11.5))
    moved = (draw_points(b, CODEC, numbers(500)) - draw_points(a, CODEC, numbers(500))) / PITCH
    assert float(moved[..., 1].abs().max()) < 0.1
    assert moved[..., 0].mean().item() == pytest.approx(0.2, abs=0.08)  # cut at whole pixels
    assert float(moved[..., 0].abs().max()) < 0.5
