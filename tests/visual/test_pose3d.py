import os

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor

from posediff.diffusion import Poses
from posediff.files import write_json
from posediff.pose.skeleton import Skeleton, skeleton
from posediff.visual.palette import LEFT, MIDDLE, RIGHT
from posediff.visual.pose3d import CAPTION, HEIGHT, WIDTH, draw_pose3d, views, write_picture

H36M = skeleton("h36m17")
SIZE = torch.tensor([1000.0, 800.0])
FRONT_PANEL, SIDE_PANEL = slice(WIDTH, 2 * WIDTH), slice(2 * WIDTH, 3 * WIDTH)
CROSS = Skeleton(
    "cross",
    ("left_hip", "left_knee", "right_hip", "right_knee"),
    edges=((0, 1), (2, 3)),
    swaps=((0, 2), (1, 3)),
    root=None,
)


def pose() -> Tensor:
    """A body with arms and legs spread, so that no joint hides another from the front."""
    x = [0, -0.15, -0.25, -0.35, 0.15, 0.25, 0.35, 0, 0, 0, 0, 0.2, 0.4, 0.6, -0.2, -0.4, -0.6]
    y = [0, 0.02, 0.4, 0.8, 0.02, 0.4, 0.8, -0.25, -0.5, -0.6, -0.75, -0.45, -0.3, -0.2]
    z = torch.rand(17, generator=torch.Generator().manual_seed(0)) * 0.4
    return torch.stack([torch.tensor(x), torch.tensor([*y, *y[-3:]]), z], -1)


def draw(
    keypoints: Tensor | None = None,
    hypotheses: Tensor | None = None,
    spread: float = 0.03,
    points: Tensor | None = None,
    layout: Skeleton = H36M,
) -> np.ndarray:
    keypoints = pose() if keypoints is None else keypoints
    hypotheses = keypoints[None] if hypotheses is None else hypotheses
    points = keypoints[:, :2] * 300 + SIZE / 2 if points is None else points
    radii, scores = torch.full((len(keypoints),), spread), torch.ones(len(keypoints))
    shown = Poses(keypoints, scores, hypotheses, radii, layout.name)
    return draw_pose3d(points, SIZE, shown, layout)


def near(picture: np.ndarray, at: np.ndarray, colour: tuple[int, int, int]) -> bool:
    x, y = at.round().astype(int)
    return bool(np.abs(picture[y, x].astype(int) - colour).max() < 40)


def ink(picture: np.ndarray) -> int:
    return int((picture < 250).any(-1).sum())


def vivid(picture: np.ndarray) -> np.ndarray:
    """Pixels of a strong colour (h, w); paper, grid and words are grey."""
    return np.ptp(picture.astype(int), axis=-1) > 60


def test_the_picture_is_three_panels_and_a_caption():
    picture = draw()
    assert picture.shape == (HEIGHT + CAPTION, 3 * WIDTH, 3)
    assert picture.dtype == np.uint8


def test_joints_are_drawn_in_their_colour_at_their_front_projection():
    picture, front = draw()[:, FRONT_PANEL], views(pose().double().numpy(), 0.03)[0]
    for joint, at in zip(H36M.joints, front.project(pose().double().numpy()), strict=True):
        side = {"left": LEFT, "right": RIGHT}.get(joint.split("_")[0], MIDDLE)
        assert near(picture, at, side), joint


def test_the_nearest_joint_of_the_side_view_is_drawn_where_it_projects():
    keypoints = pose()
    at = views(keypoints.double().numpy(), 0.03)[1].project(keypoints.double().numpy())
    assert near(draw()[:, SIDE_PANEL], at[6], LEFT)  # left ankle, left hand: largest x = nearest
    assert near(draw()[:, SIDE_PANEL], at[13], LEFT)


def test_the_front_view_has_x_and_the_side_view_depth_to_the_right():
    front, side = views(pose().double().numpy())
    right, down, forward = np.eye(3)

    def moved(view, step):
        return (view.project(step) - view.project(np.zeros(3))) / view.scale

    assert np.allclose(moved(front, right), [1, 0])
    assert moved(front, down)[1] > 0.95
    assert moved(front, forward)[0] == 0
    assert moved(front, forward)[1] < 0  # seen from above, farther points are higher
    assert np.allclose(moved(side, forward), [1, 0])
    assert abs(moved(side, right)[0]) < 1e-12
    assert moved(side, right)[1] > 0  # nearer to this viewer
    assert front.scale == side.scale


def test_any_pose_fits_into_its_panels():
    generator = torch.Generator().manual_seed(1)
    for size in (0.0, 0.01, 1.0, 30.0):
        keypoints = (torch.randn(17, 3, generator=generator) * size).double().numpy()
        for view in views(keypoints):
            at = view.project(keypoints)
            assert (at > 30).all()
            assert (at < [WIDTH - 30, HEIGHT - 70]).all()
        draw(torch.from_numpy(keypoints))


@pytest.mark.parametrize("spread", [0.1, 0.4, 1.0])
def test_no_circle_is_cut_at_the_border_of_its_panel(spread):
    picture = draw(spread=spread)[52 : HEIGHT - 78]
    for panel in (FRONT_PANEL, SIDE_PANEL):
        seen = vivid(picture[:, panel]).any(0) | (np.ptp(picture[:, panel], axis=-1) > 5).any(0)
        assert not seen[:30].any()
        assert not seen[-30:].any()


def test_a_bone_hides_bones_behind_it():
    near_left = torch.tensor([[-0.5, -0.5, 1.0], [0.5, 0.5, 1], [-0.5, 0.5, 2], [0.5, -0.5, 2]])
    near_right = near_left * torch.tensor([1, 1, -1.0])
    for keypoints, colour in ((near_left, LEFT), (near_right, RIGHT)):
        x = keypoints.double().numpy()
        a, b, c, d = views(x)[0].project(x)
        s = np.linalg.solve(np.stack([b - a, c - d], -1), c - a)[0]  # a + s (b - a): the crossing
        assert near(draw(keypoints, layout=CROSS)[:, FRONT_PANEL], a + s * (b - a), colour)


def test_more_spread_is_more_ink_in_both_views_and_none_in_the_input():
    pictures = [draw(spread=s) for s in (0.0, 0.05, 0.1, 0.2)]
    for panel in (FRONT_PANEL, SIDE_PANEL):
        inks = [ink(picture[:HEIGHT, panel]) for picture in pictures]
        assert inks == sorted(set(inks))
    for picture in pictures[1:]:
        assert np.array_equal(picture[:HEIGHT, :WIDTH], pictures[0][:HEIGHT, :WIDTH])


def test_the_circle_of_a_joint_has_the_spread_as_its_radius():
    front = views(pose().double().numpy(), 0.15)[0]
    x, y = front.project(pose()[13].double().numpy())
    row = draw(spread=0.15)[round(y), FRONT_PANEL]
    inside, outside = (row[round(x + r * 0.15 * front.scale)] for r in (0.85, 1.1))
    assert inside.min() < 245
    assert outside.min() > 250


def test_hypotheses_appear_beside_the_pose_and_wild_ones_do_no_harm():
    apart = pose() + torch.tensor([[[0.1, 0, 0]], [[-0.1, 0, 0]]])
    plain, spread_out = draw(), draw(hypotheses=apart)
    assert vivid(spread_out[:HEIGHT]).sum() > 1.2 * vivid(plain[:HEIGHT]).sum()
    draw(hypotheses=apart * 1e9, spread=1e9)


def test_the_input_is_drawn_to_the_scale_of_its_image():
    centres = []
    for corner in (0.0, 0.25, 0.5, 1.0):
        points = (corner * (SIZE - 1)).expand(17, 2) + torch.zeros(17, 2)
        y, x = np.nonzero(vivid(draw(points=points)[:HEIGHT, :WIDTH]))
        centres.append((x.mean(), y.mean()))
    steps = (np.array(centres[1:]) - centres[0]) / np.array([[0.25], [0.5], [1.0]])
    assert np.allclose(steps, steps[-1], atol=1.0)
    assert np.isclose(steps[-1][0] / steps[-1][1], 999 / 799, rtol=0.01)


def test_a_missing_joint_and_its_bones_are_left_out_of_the_input_alone():
    points = pose()[:, :2] * 300 + SIZE / 2
    lost = points.clone()
    lost[13] = torch.nan
    whole, part = draw(points=points), draw(points=lost)
    assert vivid(part[:, :WIDTH]).sum() < vivid(whole[:, :WIDTH]).sum()
    assert np.array_equal(part[:, WIDTH:], whole[:, WIDTH:])
    draw(points=torch.full((17, 2), torch.nan))


def test_drawing_twice_gives_the_same_image_and_changes_no_input():
    keypoints = pose()
    before = keypoints.clone()
    assert np.array_equal(draw(keypoints), draw(keypoints))
    assert torch.equal(keypoints, before)


def test_an_image_is_written_whole_and_read_back(tmp_path):
    picture = draw()
    write_picture(tmp_path / "a.png", picture)
    assert np.array_equal(cv2.imread(str(tmp_path / "a.png")), picture)
    assert [p.name for p in tmp_path.iterdir()] == ["a.png"]
    with pytest.raises(ValueError, match=r"a\.bmpp: unknown image format.*use \.png"):
        write_picture(tmp_path / "a.bmpp", picture)


def test_a_picture_does_not_wait_for_the_disk(tmp_path, monkeypatch):
    """It can be made again, and there may be a million of them."""
    waited = []
    monkeypatch.setattr(os, "fsync", waited.append)
    write_picture(tmp_path / "a.png", np.zeros((4, 4, 3), np.uint8))
    assert not waited
    write_json(tmp_path / "a.json", {})
    assert len(waited) == 2  # the file, and its name in the folder
