"""Random views in training: their distributions, and what they depend on."""

from dataclasses import replace
from statistics import NormalDist

import pytest
import torch

from posediff.data import random
from posediff.data.pictures.augment import MMPOSE, Augmentation, mirrored, recipe
from posediff.pose.affine import affine, transform
from posediff.pose.skeleton import skeleton

COCO = skeleton("coco17")
N = 4000
ASPECT = 0.75  # of the crop


@pytest.fixture(scope="module")
def person():
    """The same person N times: 17 joints down a body, all labelled."""
    y = torch.tensor([10.0] * 5 + [20, 20, 30, 30, 40, 40] + [50, 50, 70, 70, 90, 90])
    x = torch.linspace(40, 60, 17)
    keypoints = torch.stack([x, y], -1).expand(N, 17, 2)
    center, scale = torch.tensor([50.0, 50.0]), torch.tensor([75.0, 100.0])
    return center.expand(N, 2), scale.expand(N, 2), keypoints, torch.ones(N, 17)


def keys(seed=0, epoch=0, count=N):
    return random.keys(seed, random.name_keys([str(n) for n in range(count)]), epoch)


def plain(**only):
    """An augmentation with this effect only."""
    nothing = {"flip": 0.0, "half_body": 0.0, "zoom": 0.0, "rotation": 0.0}
    return Augmentation(**{**nothing, **only})


def test_a_view_is_that_of_the_seed_the_sample_and_the_epoch(person):
    view = MMPOSE.draw(*person, COCO, keys(), ASPECT)
    again = MMPOSE.draw(*(x[3:5] for x in person), COCO, keys()[3:5], ASPECT)
    for one, other in zip(view[:4], again[:4], strict=True):
        assert torch.equal(one[3:5], other)
    for other in (keys(seed=1), keys(epoch=1)):
        assert (
            MMPOSE.draw(*person, COCO, other, ASPECT).rotation != view.rotation
        ).float().mean() > 0.5


def test_hrnet_s_recipe_clips_normal_numbers_as_often_as_it_should(person):
    view = Augmentation(half_body=0.0).draw(*person, COCO, keys(), ASPECT)
    zoom = view.scale[:, 0] / 75
    beyond = 1 - NormalDist().cdf(1)
    assert (zoom - 0.65 < 1e-5).float().mean() == pytest.approx(beyond, abs=0.02)
    assert (1.35 - zoom < 1e-5).float().mean() == pytest.approx(beyond, abs=0.02)
    assert zoom.min() > 0.65 - 1e-5
    assert zoom.max() < 1.35 + 1e-5
    torch.testing.assert_close(view.scale[:, 1] / 100, zoom)
    assert (view.rotation != 0).float().mean() == pytest.approx(0.6, abs=0.03)
    turned = view.rotation[view.rotation != 0]
    assert turned.abs().max() == 90
    assert turned.std() == pytest.approx(43, abs=3)
    assert view.flip.float().mean() == pytest.approx(0.5, abs=0.03)
    assert torch.equal(view.center, person[0])
    assert view.colour is None


def test_mmpose_s_recipe_draws_again_and_shifts(person):
    view = replace(MMPOSE, half_body=0.0).draw(*person, COCO, keys(), ASPECT)
    zoom = view.scale[:, 0] / 75
    assert zoom.min() < 0.52
    assert zoom.min() > 0.5
    assert 1.48 < zoom.max() < 1.5
    assert ((zoom - 0.5).abs() < 1e-3).float().mean() < 0.01, "the bounds are not frequent"
    assert 78 < view.rotation.abs().max() < 80
    moved = (view.center - person[0]) / person[1]
    here = (moved != 0).all(-1)
    assert here.float().mean() == pytest.approx(0.3, abs=0.03)
    both = here & (view.rotation != 0)
    assert both.float().mean() == pytest.approx(0.3 * 0.6, abs=0.03)
    assert 0.155 < moved.abs().max() < 0.16
    assert abs(torch.corrcoef(moved[here].T)[0, 1]) < 0.1, "the axes are independent"


def test_half_a_body_is_the_mean_of_its_joints_and_their_grown_box(person):
    view = plain(half_body=1.0, upper=1.0).draw(*person, COCO, keys(), ASPECT)
    points = person[2][0, :11]  # all but hips, knees and ankles
    torch.testing.assert_close(view.center[0], points.mean(0))
    high = max(float(points[:, 1].max() - 10), float(points[10, 0] - 40) / 0.75)
    torch.testing.assert_close(view.scale[0], 1.5 * torch.tensor([0.75 * high, high]))
    low = plain(half_body=1.0, upper=0.0).draw(*person, COCO, keys(), ASPECT)
    torch.testing.assert_close(low.center[0], person[2][0, 11:].mean(0))
    some = plain(half_body=0.3).draw(*person, COCO, keys(), ASPECT)
    assert (some.center[:, 1] != 50).float().mean() == pytest.approx(0.3, abs=0.03)
    assert (some.center[:, 1] < 50).float().mean() == pytest.approx(0.3 * 0.69, abs=0.03)


def test_half_a_body_is_the_same_beside_a_person_whose_box_has_another_shape(person):
    center, scale, *labels = (x[:2] for x in person)
    scale = scale * torch.tensor([[1.000001, 1.0], [1.0, 1.0]])  # as by rounding
    draw = plain(half_body=1.0).draw
    view = draw(center, scale, *labels, COCO, keys(count=2), ASPECT)
    alone = draw(center[1:], scale[1:], *(x[1:] for x in labels), COCO, keys(count=2)[1:], ASPECT)
    assert torch.equal(view.scale[1:], alone.scale)


@pytest.mark.parametrize(
    ("name", "lower"),
    [("mpii16", "pelvis hip knee ankle"), ("mediapipe33", "hip knee ankle heel foot_index")],
)
def test_the_lower_half_has_the_pelvis_and_the_feet(name, lower):
    body, ends = skeleton(name), tuple(lower.split())
    y = torch.tensor([90.0 if joint.endswith(ends) else 10.0 for joint in body.joints])
    x = torch.linspace(40, 60, len(y))
    points, ones = torch.stack([x, y], -1)[None], torch.ones(1, len(y))
    whole = torch.tensor([[50.0, 50.0]]), torch.tensor([[75.0, 100.0]])
    for upper, middle in ((1.0, 10.0), (0.0, 90.0)):
        draw = plain(half_body=1.0, upper=upper).draw
        view = draw(*whole, points, ones, body, keys(count=1), ASPECT)
        assert view.center[0, 1] == pytest.approx(middle)


@pytest.mark.parametrize(
    ("labelled", "center"),
    [
        (range(8), None),  # not more than 8: the whole person
        ((0, 1, *range(5, 17)), "upper"),
        (range(10), "upper"),  # no lower half
        ((0, 5, *range(11, 17), 1), "upper"),
        ((0, 5, *range(11, 17)), None),
    ],
)
def test_a_half_needs_joints(person, labelled, center):
    center_, scale, keypoints, _ = (x[:5] for x in person)
    visible = torch.zeros(5, 17)
    visible[:, list(labelled)] = 1
    for upper in (0.0, 1.0):
        draw = plain(half_body=1.0, upper=upper).draw
        view = draw(center_, scale, keypoints, visible, COCO, keys(count=5), ASPECT)
        above = [j for j in labelled if j < 11]
        below = [j for j in labelled if j >= 11]
        half = above if (upper and len(above) > 2) or len(below) <= 2 else below
        expected = keypoints[0, half].mean(0) if center else center_[0]
        torch.testing.assert_close(view.center[0], expected)


def test_joints_in_one_point_are_not_halved(person):
    center, scale, keypoints, visible = (x[:5] for x in person)
    view = plain(half_body=1.0).draw(
        center, scale, torch.full_like(keypoints, 7), visible, COCO, keys(count=5), ASPECT
    )
    assert torch.equal(view.center, center)
    assert torch.equal(view.scale, scale)


def test_a_mirrored_matrix_shows_the_mirrored_picture():
    matrix = affine(torch.tensor([[30.0, 20.0]]), torch.tensor([[40.0, 50.0]]), (96, 128), 25.0)
    points = torch.rand(1, 6, 2) * 50
    across = points * torch.tensor([-1.0, 1.0]) + torch.tensor([70.0, 0.0])
    seen = mirrored(matrix, torch.tensor([71]), torch.tensor([True]))
    torch.testing.assert_close(transform(points, seen), transform(across, matrix))
    same = mirrored(matrix, torch.tensor([71]), torch.tensor([False]))
    assert torch.equal(same, matrix)


def test_colours_leave_grey_grey_and_move_by_no_more_than_they_say(person):
    view = plain(colour=0.3).draw(*person, COCO, keys(), ASPECT)
    grey = view.colour @ torch.tensor([127.5, 127.5, 127.5, 1.0])
    assert (grey.max(-1).values - grey.min(-1).values).max() < 1e-3
    assert 36 < (grey - 127.5).abs().max() < 0.15 * 255 + 1e-3
    red = view.colour @ torch.tensor([255.0, 0.0, 0.0, 1.0])
    assert red[:, 0].std() > 10
    two = plain(colour=0.3).draw(*(x[1:3] for x in person), COCO, keys()[1:3], ASPECT)
    assert torch.equal(two.colour, view.colour[1:3])


def test_a_recipe_has_a_name_or_is_one():
    assert recipe("hrnet") == Augmentation()
    assert recipe("mmpose") is MMPOSE
    assert recipe(None) is None
    assert recipe(MMPOSE) is MMPOSE
    with pytest.raises(ValueError, match="augment must be one of hrnet, mmpose, got 'strong'"):
        recipe("strong")
