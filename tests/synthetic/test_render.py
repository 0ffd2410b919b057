"""Painted images: labels fit the pixels."""

import numpy as np
import pytest
import torch

from posediff.data.pictures.synthetic_pictures import rendered
from posediff.pose.skeleton import SKELETONS, Skeleton, skeleton
from posediff.synthetic.backdrop import noise
from posediff.synthetic.figure import Cloth, Solid
from posediff.synthetic.lens import Lens
from posediff.synthetic.render import BACKGROUND, Painting, labels
from posediff.synthetic.stage import scene

SIZE = (160, 120)
LENS = Lens(np.eye(3), np.zeros(3), 100.0, SIZE)
RED = Cloth(np.array([1.0, 0, 0]), np.zeros(3))


def painting():
    rng = np.random.default_rng(0)
    weave = noise(rng, SIZE, 6)
    return Painting(np.zeros((120, 160, 3), np.float32), np.array([0.0, 0.0, -1.0]), weave)


def ball(place, radius):
    return Solid(np.array(place, float), np.array(place, float), (radius, radius), RED)


@pytest.fixture(scope="module")
def shots():
    return [scene(np.random.default_rng(n), (200, 180), 1 + n % 3) for n in range(6)]


def test_a_ball_is_a_disc_as_near_as_its_surface():
    painted = painting()
    painted.solid(LENS, ball((0.2, -0.1, 4), 0.5), 3)
    y, x = np.mgrid[:120, :160]
    far = np.hypot(x - 79.5 - 5, y - 59.5 + 2.5)
    assert ((painted.owner == 3) == (far < 12.5)).mean() > 0.999
    assert painted.depth[57, 84] == pytest.approx(3.5, abs=0.01)
    assert np.isinf(painted.depth[0, 0])
    assert painted.owner[0, 0] == BACKGROUND


def test_what_is_nearer_hides_what_is_further_in_any_order():
    one, other = painting(), painting()
    balls = ball((0, 0, 3), 0.2), ball((0, 0, 5), 1.0)
    for painted, order in ((one, (0, 1)), (other, (1, 0))):
        for n in order:
            painted.solid(LENS, balls[n], n)
    assert (one.owner == other.owner).all()
    assert (one.depth == other.depth).all()
    assert one.owner[60, 80] == 0
    assert one.owner[60, 95] == 1


def test_what_is_behind_the_camera_or_outside_is_not_painted():
    painted = painting()
    for place in ((0, 0, -2), (0, 0, 0.1), (50, 0, 5)):
        painted.solid(LENS, ball(place, 0.3), 0)
    assert (painted.owner == BACKGROUND).all()


def test_the_same_generator_paints_the_same_image(shots):
    again = scene(np.random.default_rng(1), (200, 180), 2)
    assert (again.picture == shots[1].picture).all()
    assert (again.boxes == shots[1].boxes).all()
    assert (again.picture != scene(np.random.default_rng(7), (200, 180), 2).picture).any()


def test_visible_joints_are_on_their_person(shots):
    """A visible joint is inside the image and near the box of its person."""
    for shot in shots:
        for name, points in shot.points.items():
            seen = shot.visible[name]
            inside = ((points > -0.5) & (points < (199.5, 179.5))).all(1)
            assert (inside == (seen > 0)).all(), name
            low, high = shot.boxes[:, :2], shot.boxes[:, :2] + shot.boxes[:, 2:]
            margin = 0.1 * shot.boxes[:, 2:].max(1, keepdims=True) + 3
            near = ((points > low - margin) & (points < high + margin)).all(1)
            assert near[seen == 2].all(), name


def test_boxes_contain_the_visible_pixels_and_no_more(shots):
    for shot in shots:
        assert (shot.area <= shot.boxes[:, 2:].prod(1)).all()
        assert (shot.boxes[:, :2] >= 0).all()
        assert (shot.boxes[:, :2] + shot.boxes[:, 2:] <= (200, 180)).all()
        assert shot.area[0] > 400
        assert len(shot.area) == len(shot.boxes)


def test_an_occluder_hides_joints_that_are_visible_without_it():
    seen = np.zeros(2)
    for n in range(12):
        for k, hidden in enumerate((0.0, 1.0)):
            shot = scene(np.random.default_rng(n), SIZE, 1, hidden=hidden)
            seen[k] += np.mean([shot.visible[j][0] == 2 for j in SKELETONS["coco17"].joints])
    assert seen[1] < seen[0] - 0.5, seen


def test_a_crowd_is_closer_together_than_people_far_apart():
    """Measured by the overlap of their boxes."""

    def shared(apart):
        total = []
        for n in range(5):
            boxes = scene(np.random.default_rng(n), SIZE, 4, apart=apart).boxes
            low, high = boxes[:, None, :2], (boxes[:, :2] + boxes[:, 2:])[:, None]
            both = np.minimum(high, high.swapaxes(0, 1)) - np.maximum(low, low.swapaxes(0, 1))
            area = both.clip(0).prod(-1)
            total.append((area.sum() - np.trace(area)) / max(np.trace(area), 1))
        return np.mean(total)

    assert shared(0.4) > 1.2 * shared(3.0)


@pytest.mark.parametrize("name", ["coco17", "crowdpose14", "aic14", "mpii16"])
def test_the_joints_of_2d_layouts_are_labelled(shots, name):
    points, seen = labels(shots[2], skeleton(name))
    assert points.shape == (3, len(skeleton(name).joints), 2)
    assert set(np.unique(seen)) <= {0, 1, 2}
    assert not points[seen == 0].any()


def test_a_joint_that_the_body_lacks_is_named(shots):
    tail = Skeleton("dog", ("nose", "tail"), ((0, 1),), (), None)
    with pytest.raises(ValueError, match="skeleton dog: the synthetic body has no tail"):
        labels(shots[0], tail)


def test_left_and_right_are_those_of_the_person():
    """Seen from the front, the left eye is on the right of the image."""
    found = 0
    for n in range(12):
        shot = scene(np.random.default_rng(n), SIZE, 1, hidden=0.0)
        eyes = [f"{side}_eye" for side in ("left", "right")]
        if all(shot.visible[j][0] == 2 for j in ("nose", *eyes)):
            left, right = (shot.points[eye][0] for eye in eyes)
            down = shot.points["nose"][0] - (left + right) / 2
            across = left - right
            found += np.sign(across[0] * down[1] - across[1] * down[0])
    assert found >= 3


def test_the_data_set_depends_on_seed_and_split_alone():
    options = {"pictures": 2, "size": (96, 128), "augment": None}
    first, more = rendered("test", **options), rendered("test", **{**options, "pictures": 3})
    rows = list(range(len(first)))
    one, same = first.__getitems__(rows), more.__getitems__(rows)
    assert torch.equal(one["image"], same["image"])
    assert one["id"] == same["id"]
    for other in (rendered("train", **options), rendered("test", seed=1, **options)):
        assert not torch.equal(other.__getitems__([0])["image"], one["image"][:1])
    assert one["visible_annotation"].max() == 2
    assert one["image"].shape[1:] == (3, 128, 96)
    assert (one["area"] > 60).all()


def test_an_empty_data_set_is_an_error():
    with pytest.raises(ValueError, match=r"dataset\.pictures must be at least 1, got 0"):
        rendered(pictures=0)
    with pytest.raises(ValueError, match="split must be one of train, validation, test, got 'val'"):
        rendered("val")
    with pytest.raises(ValueError, match="skeleton halpe26: the synthetic body has no"):
        rendered(pictures=1, skeleton="halpe26")
