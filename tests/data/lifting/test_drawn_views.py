"""Views that training draws: closed forms, and what all of them keep."""

import math

import numpy as np
import pytest
import torch

from posediff.data.lifting import drawn_views
from posediff.data.lifting.drawn_views import BONE, HEIGHT, NUMBERS, ROOM, SIZE, VIEWS, draw
from posediff.data.lifting.lifting_dataset import LiftingDataset
from posediff.data.lifting.mocap import mocap
from posediff.data.lifting.synthetic_people import people, synthetic
from posediff.data.lifting.views import Clip
from posediff.pose.camera import Camera, camera_to_world, project, world_to_camera
from posediff.pose.mirror import mirror_sample
from posediff.pose.skeleton import skeleton

H36M = skeleton("h36m17")
DRAWN = VIEWS[1:]


def source(views, frames=1, clips=2, **kwargs):
    return synthetic("train", "gt", clips, 40, views=views, window=frames, **kwargs)


def every(data):
    return data.__getitems__(list(range(len(data))))


def frames_and_cameras():
    """The rows and the cameras of all frames of four cameras, and their world."""
    data = source("fixed", clips=1)
    view = data.windows.sequence
    cameras = Camera(*(part[view] for part in data.cameras))
    return data.rows, cameras, camera_to_world(data.rows.keypoints, cameras)


def middle_numbers(n, **changes):
    """Numbers (n, ..) of the middle of all ranges: no other size, no roll."""
    u = torch.full((n, drawn_views.numbers(H36M)), 0.5, dtype=torch.float64)
    for place, value in changes.items():
        u[:, int(place[1:])] = value
    return u


@pytest.mark.parametrize(("quarters", "axes"), [(0, (1, 0, 0, 1)), (1, (0, -1, 1, 0))])
def test_a_turn_alone_is_the_turned_world_seen_by_the_same_camera(quarters, axes):
    rows, cameras, world = frames_and_cameras()
    u = middle_numbers(len(rows.frame), u0=quarters / 4, u1=0)  # to the middle of the room
    seen, same = draw("turned", rows, cameras, u, H36M)
    x, y, z = world.unbind(-1)
    a, b, c, d = axes
    x, y = a * x + b * y, c * x + d * y
    x, y = (v - (v.amin(-1) + v.amax(-1))[:, None] / 2 for v in (x, y))
    expected = world_to_camera(torch.stack([x, y, z], -1), cameras)
    torch.testing.assert_close(seen.keypoints, expected, atol=1e-5, rtol=0)
    pixels = project(expected, cameras.intrinsics)
    torch.testing.assert_close(seen.target, pixels, atol=1e-2, rtol=0)
    assert all(torch.equal(one, other) for one, other in zip(same, cameras, strict=True))
    assert torch.equal(seen.frame, rows.frame)


def test_a_turned_person_stays_in_the_room_at_the_same_height():
    rows, cameras, world = frames_and_cameras()
    u = torch.rand(len(rows.frame), drawn_views.numbers(H36M), generator=torch.manual_seed(0))
    seen, _ = draw("turned", rows, cameras, u.double(), H36M)
    moved = camera_to_world(seen.keypoints, cameras)
    torch.testing.assert_close(moved[..., 2], world[..., 2], atol=1e-5, rtol=0)
    torch.testing.assert_close(
        torch.cdist(moved, moved), torch.cdist(world, world), atol=1e-4, rtol=0
    )
    assert moved[..., :2].norm(dim=-1).max() < ROOM + 1e-4
    assert moved[:, 0, :2].norm(dim=-1).max() > ROOM / 2


def test_a_clip_wider_than_the_room_is_put_in_its_middle():
    world = torch.zeros(1, 2, 3, 3)
    world[0, 1] = torch.tensor([10.0, 0, 1])
    placed = drawn_views.placed(world, torch.tensor([[0.9, 0.2]]))
    assert placed[0, :, 0].tolist() == [[-5, 0, 0], [5, 0, 1]]


def lengths(world):
    a, b = (list(ends) for ends in zip(*H36M.edges, strict=True))
    return (world[..., a, :] - world[..., b, :]).norm(dim=-1)


def test_bones_have_their_drawn_lengths_and_both_sides_are_alike():
    world = frames_and_cameras()[2].double()[:, None]
    u = torch.rand(len(world), len(H36M.edges), generator=torch.manual_seed(0)).double()
    same = torch.full((len(world),), 0.5).double()
    factors = lengths(drawn_views.resized(world, same, u, H36M)) / lengths(world)
    assert H36M.edges[0] == (0, 1)  # pelvis to right hip, then thigh, shin, and the left ones
    torch.testing.assert_close(factors[:, 0, :3], 1 + BONE * (2 * u[:, :3] - 1))
    torch.testing.assert_close(factors[:, 0, 3:6], factors[:, 0, :3])
    arms = [e for e, (_, b) in enumerate(H36M.edges) if b > 10]
    torch.testing.assert_close(factors[..., arms[:3]], factors[..., arms[3:]])
    trunk = [e for e, (a, b) in enumerate(H36M.edges) if H36M.flip[b] == b]
    torch.testing.assert_close(factors[:, 0, trunk], 1 + BONE * (2 * u[:, trunk] - 1))


def test_stretched_bones_keep_their_directions_and_the_root():
    pose = torch.randn(4, 17, 3, generator=torch.manual_seed(0)).double()
    factors = torch.rand(4, 16, generator=torch.manual_seed(1)).double() + 0.5
    longer = H36M.stretched(pose, factors)
    assert torch.equal(longer[:, 0], pose[:, 0])
    a, b = (list(ends) for ends in zip(*H36M.edges, strict=True))
    bones = (pose[:, b] - pose[:, a]) * factors[..., None]
    torch.testing.assert_close(longer[:, b] - longer[:, a], bones)


@pytest.mark.parametrize(("u", "factor"), [(0.0, 1 - SIZE), (0.75, 1 + SIZE / 2)])
def test_size_scales_a_body_and_its_motion(u, factor):
    world = frames_and_cameras()[2].double()[:, None]
    size, bones = torch.full((len(world),), u), torch.full((len(world), 16), 0.5)
    resized = drawn_views.resized(world, size.double(), bones.double(), H36M)
    torch.testing.assert_close(resized, factor * world)


def test_a_camera_without_aside_looks_at_the_middle_from_its_height():
    rows, cameras, world = frames_and_cameras()
    u = middle_numbers(len(rows.frame), u0=0, u5=0, u7=0)  # no turn, no distortion, no offset
    seen, lens = draw("free", rows, cameras, u, H36M)
    assert (lens.intrinsics[:, 4:] == 0).all()
    middle = (world.amin(1) + world.amax(1)) / 2
    radius = (world - middle[:, None]).norm(dim=-1).amax(-1)
    focal = 1000 * math.sqrt(0.7 * 2.5)
    border = torch.minimum(cameras.intrinsics[:, 2:4], cameras.size - cameras.intrinsics[:, 2:4])
    assert lens.intrinsics[:, :2].amax(-1) == pytest.approx(focal, rel=2e-3)
    cone = math.sqrt(0.2) * torch.atan(border.amin(-1) / lens.intrinsics[:, :2].amax(-1))
    expected = torch.stack([0 * radius, 0 * radius, radius / torch.sin(cone)], -1)
    found = world_to_camera(middle[:, None], lens)[:, 0]
    torch.testing.assert_close(found, expected, atol=1e-3, rtol=1e-4)
    height = sum(HEIGHT) / 2
    torch.testing.assert_close(
        lens.translation[:, 2], torch.full_like(radius, height), atol=1e-4, rtol=0
    )
    assert (world_to_camera(world, lens) - seen.keypoints).abs().max() < 1e-3


def test_free_cameras_are_rotations_that_see_every_joint_inside_the_cone():
    rows, cameras, _ = frames_and_cameras()
    u = torch.rand(len(rows.frame), drawn_views.numbers(H36M), generator=torch.manual_seed(0))
    u[:, 5] = 0  # no distortion
    seen, lens = draw("free", rows, cameras, u.double(), H36M)
    eye = torch.eye(3).expand_as(lens.rotation)
    torch.testing.assert_close(lens.rotation @ lens.rotation.mT, eye, atol=1e-5, rtol=0)
    assert (lens.rotation.det() > 0).all()
    assert seen.visible.all()
    middle = lens.intrinsics[:, None, 2:4]
    away = (seen.target - middle).norm(dim=-1).amax(-1)
    border = torch.minimum(middle, lens.size[:, None] - middle).amin((1, 2))
    assert (away < border + 1).all()
    assert (away > 0.9 * border).any()


@pytest.mark.parametrize("views", DRAWN)
def test_a_view_is_the_same_alone_in_a_batch_and_shuffled(views):
    for frames in (1, 9):
        data = source(views, frames, mirror=True)
        data.set_epoch(3)
        batch = every(data)
        order = torch.randperm(len(data), generator=torch.manual_seed(0)).tolist()
        shuffled = data.__getitems__(order)
        for key in ("keypoints", "target_2d", "camera", "visible"):
            assert torch.equal(batch[key][order], shuffled[key]), key
            assert torch.equal(data[5][key], batch[key][5]), key
        again = source(views, frames, mirror=True)
        assert not torch.equal(every(again)["keypoints"], batch["keypoints"])
        again.set_epoch(3)
        assert torch.equal(every(again)["keypoints"], batch["keypoints"])
        other = source(views, frames, mirror=True, seed=1)
        other.set_epoch(3)
        assert not torch.equal(every(other)["camera"], batch["camera"])


def rigid(world):
    """Distances between all joints of all frames of windows (B, F, J, 3)."""
    points = world.flatten(1, 2).double()
    return torch.cdist(points, points)


def test_all_frames_of_a_window_are_seen_by_one_camera():
    data, still = source("turned", 9), source("fixed", 9)
    batch, plain = every(data), every(still)
    assert batch["id"] == plain["id"]
    assert torch.equal(batch["meta"]["frame"], plain["meta"]["frame"])
    torch.testing.assert_close(
        rigid(batch["keypoints"]), rigid(plain["keypoints"]), atol=1e-5, rtol=0
    )
    free = every(source("free", 9))
    for window in (batch, free):
        assert (window["camera"] == window["camera"][:, :1]).all()
        seen = project(window["keypoints"], window["camera"])
        torch.testing.assert_close(seen, window["target_2d"], atol=1e-2, rtol=0)
    bones = lengths(free["keypoints"])
    torch.testing.assert_close(bones, bones[:, :1].expand_as(bones), atol=1e-4, rtol=0)
    assert (free["camera"][:, 0, 0].unique().numel()) > 0.9 * len(free["id"])


def test_noise_and_mixtures_are_those_of_the_drawn_projection():
    data = synthetic("train", "noisy", 1, 20, views="free")
    batch = every(data)
    away = (batch["keypoints_2d"] - batch["target_2d"]).norm(dim=-1)
    assert 0 < away.median() < 10
    again = data.noise.posterior(
        batch["keypoints_2d"], batch["scores"], batch["image_size"][:, 0], data.skeleton
    )
    assert all(torch.equal(again[name], batch["mixture"][name]) for name in again)


@pytest.mark.parametrize("views", DRAWN)
def test_a_mirrored_view_is_the_mirror_image_of_the_view(views):
    batch, plain = every(source(views, 9, mirror=True)), every(source(views, 9))
    turned = mirror_sample(plain, H36M)
    mirrored = (batch["keypoints"] != plain["keypoints"]).flatten(1).any(1)
    assert 0.3 < mirrored.float().mean() < 0.7
    for key in ("keypoints", "target_2d", "camera"):
        assert torch.equal(batch[key][mirrored], turned[key][mirrored])
        assert torch.equal(batch[key][~mirrored], plain[key][~mirrored])


def test_a_frame_of_a_window_in_which_few_joints_are_seen_does_not_count():
    clip = next(people("train", 0, 20))
    clip.world[5:8, :, 2] += 40
    video, single = (
        LiftingDataset([clip], "h36m17", training=True, views="turned", window=frames)
        for frames in (20, 1)
    )
    assert (every(video)["frames_valid"] == 0).nonzero().tolist() == [
        [c, f] for c in range(4) for f in (5, 6, 7)
    ]
    assert (len(single), single.left_out) == (80, 0)


def test_only_training_is_drawn_and_fixed_is_as_without_the_option():
    for views in DRAWN:
        for split in ("validation", "test"):
            one, other = (synthetic(split, clips=1, length=5, views=v) for v in (views, "fixed"))
            assert torch.equal(every(one)["keypoints_2d"], every(other)["keypoints_2d"])
    assert not torch.equal(
        every(source("turned"))["keypoints"], every(source("fixed"))["keypoints"]
    )


def test_views_that_cannot_be_drawn_are_one_line():
    with pytest.raises(ValueError, match=r"dataset\.views must be one of fixed, turned, free, got"):
        source("round")
    clip = next(people("train", 0, 4))
    found = [np.zeros((4, 17, 2), np.float32)] * 4
    clip = Clip(**vars(clip) | {"detections": found})
    with pytest.raises(ValueError, match=r"dataset\.views=free has no 2D of cpn: set dataset\.key"):
        LiftingDataset([clip], "h36m17", "detected", views="free", training=True, label="cpn")


@pytest.mark.parametrize("frames", [1, 27])
@pytest.mark.parametrize("views", DRAWN)
def test_people_of_real_data_are_in_the_images(shared, views, frames):
    data = mocap(shared / "data/mocap17", views=views, window=frames)
    batch = data.__getitems__(list(range(0, len(data), len(data) // 4000)))
    assert batch["visible"].mean() > 0.9999  # all of them when it was measured
    assert batch["keypoints"][..., 2].min() > 0.5


def test_drawn_numbers_are_all_used():
    rows, cameras, _ = frames_and_cameras()
    u = middle_numbers(len(rows.frame), u7=0.3)
    before, lens = draw("free", rows, cameras, u, H36M)
    for place in range(drawn_views.numbers(H36M)):
        changed = u.clone()
        changed[:, place] = 0.9
        after, other = draw("free", rows, cameras, changed, H36M)
        mirrored = place >= NUMBERS and place - NUMBERS in (3, 4, 5, 13, 14, 15)
        moved = not torch.equal(after.target, before.target)
        assert moved is not mirrored, place
    assert all(x.dtype == torch.float32 for x in (*lens, *other, before.target))
