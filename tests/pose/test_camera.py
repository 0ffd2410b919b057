import pytest
import torch

from posediff.pose.camera import (
    Camera,
    camera_to_world,
    denormalise,
    normalise,
    project,
    quaternion_to_matrix,
    undistort,
    world_to_camera,
)

VIEWS = [f"{subject}_cam{c}" for subject in ("S1", "S9", "S11") for c in range(4)]


def golden_camera(z, view):
    """The camera of a view; the file has normalised intrinsics, ours are in pixels."""
    q, t, intrinsics, size = (z[f"{view}_{n}"] for n in ("R", "t", "intr", "res"))
    f, c, rest = intrinsics.split((2, 2, 5))
    pixels = torch.cat([f * size[0] / 2, denormalise(c[None], size)[0], rest])
    return Camera(quaternion_to_matrix(q).mT, t, pixels, size)


def linear(intrinsics):
    """The same (..., 9) without distortion."""
    return torch.cat([intrinsics[..., :4], torch.zeros_like(intrinsics[..., 4:])], -1)


@pytest.mark.parametrize("view", VIEWS)
def test_cameras_agree_with_videopose3d(golden, view):
    z = golden("camera_h36m.npz")

    def entry(name):
        return z[f"{view}_{name}"]

    camera, world = golden_camera(z, view), z[view.split("_")[0] + "_world17"]
    xyz = world_to_camera(world, camera)
    torch.testing.assert_close(xyz, entry("xyz"), atol=1e-5, rtol=0)
    torch.testing.assert_close(camera_to_world(xyz, camera), entry("back"), atol=1e-5, rtol=0)
    full = camera.intrinsics
    for intrinsics, name in ((full, "norm2d"), (linear(full), "norm2d_linear")):
        screen = normalise(project(entry("xyz"), intrinsics), camera.size)
        torch.testing.assert_close(screen, entry(name), atol=1e-5, rtol=0)
    torch.testing.assert_close(
        normalise(entry("px"), camera.size.double()), entry("renorm"), atol=1e-9, rtol=0
    )
    pixels = denormalise(entry("norm2d").double(), camera.size.double())
    torch.testing.assert_close(pixels, entry("px"), atol=1e-9, rtol=0)


def test_cameras_agree_with_the_released_lift3d_code(golden):
    z, size = golden("lift3d/metrics.npz"), torch.tensor([1000.0, 1002.0], dtype=torch.float64)
    camera = Camera(quaternion_to_matrix(z["R"]).mT, z["t"], z["cam"], size)
    xyz = world_to_camera(z["W"], camera)
    torch.testing.assert_close(xyz, z["world_to_camera"], atol=1e-5, rtol=0)
    # projection has no unit: normalised intrinsics make normalised points
    pixels = project(xyz.abs() + 3, z["cam"])
    torch.testing.assert_close(pixels, z["project"], atol=1e-5, rtol=0)
    torch.testing.assert_close(normalise(z["uv"], size), z["uv_norm"], atol=1e-9, rtol=0)
    torch.testing.assert_close(denormalise(z["uv_norm"], size), z["uv_back"], atol=1e-9, rtol=0)


def test_projection_agrees_with_d3dp(golden):
    z = golden("lift3d/aggregate.npz")
    xyz = z["hypotheses"] + z["root"][:, None, :, None]
    for camera, name in ((z["camera"], "reprojected"), (linear(z["camera"]), "reprojected_linear")):
        torch.testing.assert_close(project(xyz, camera), z[name], atol=1e-5, rtol=0)


def some_camera(batch=()):
    q = torch.randn(*batch, 4, dtype=torch.float64)
    intrinsics = [1145.0, 1143.8, 512.5, 515.5, -0.2071, 0.2478, -0.0031, -0.00098, -0.00142]
    return Camera(
        quaternion_to_matrix(q / q.norm(dim=-1, keepdim=True)),
        torch.randn(*batch, 3, dtype=torch.float64) * 3,
        torch.tensor(intrinsics, dtype=torch.float64).expand(*batch, 9),
        torch.tensor([1000.0, 1002.0], dtype=torch.float64).expand(*batch, 2),
    )


def test_a_quaternion_turns_by_its_angle_about_its_axis():
    angle = torch.tensor(0.7)
    q = torch.stack([(angle / 2).cos(), torch.zeros(()), torch.zeros(()), (angle / 2).sin()])
    c, s = angle.cos(), angle.sin()
    turn = torch.stack([c, -s, torch.zeros(()), s, c, torch.zeros(())]).reshape(2, 3)
    torch.testing.assert_close(quaternion_to_matrix(q)[:2], turn)
    torch.manual_seed(0)
    r = some_camera((5,)).rotation
    torch.testing.assert_close(r @ r.mT, torch.eye(3).double().expand(5, 3, 3))
    torch.testing.assert_close(torch.linalg.det(r), torch.ones(5).double())


def test_the_camera_centre_is_the_origin_and_the_way_back_is_exact():
    torch.manual_seed(1)
    camera = some_camera((4,))
    centre = world_to_camera(camera.translation[:, None], camera)
    assert centre.abs().max() == 0
    world = torch.randn(4, 17, 3, dtype=torch.float64)
    back = camera_to_world(world_to_camera(world, camera), camera)
    torch.testing.assert_close(back, world, atol=1e-12, rtol=0)


def test_the_axis_is_the_principal_point_and_far_points_stay_finite():
    camera = some_camera()
    axis, beside = torch.tensor([[0.0, 0.0, 4.0]]), torch.tensor([[900.0, -1.0, 1.0]])
    assert torch.equal(project(axis.double(), camera.intrinsics), camera.intrinsics[None, 2:4])
    clamped = project(torch.tensor([[1.0, -1.0, 1.0]]).double(), camera.intrinsics)
    assert torch.equal(project(beside.double(), camera.intrinsics), clamped)


def test_undistorting_inverts_the_projection_over_the_whole_picture():
    torch.manual_seed(2)
    camera = some_camera()
    pixels = torch.rand(1000, 2, dtype=torch.float64) * camera.size
    rays = undistort(pixels, camera.intrinsics)
    at_depth = torch.cat([rays, torch.ones(1000, 1)], -1) * 4
    again = project(at_depth, camera.intrinsics)
    assert (again - pixels).norm(dim=-1).max() < 1e-10
    f, c = camera.intrinsics[:2], camera.intrinsics[2:4]
    assert torch.equal(undistort(pixels, linear(camera.intrinsics)), (pixels - c) / f)


def test_the_screen_keeps_the_aspect_and_is_centred():
    size = torch.tensor([[640.0, 480.0], [480.0, 640.0]])
    corners = torch.stack([torch.zeros(2, 2), size, size / 2], 1)
    screen = normalise(corners, size)
    expected = torch.tensor([[-1, -0.75], [1, 0.75], [0, 0]])
    torch.testing.assert_close(screen[0], expected)
    torch.testing.assert_close(screen[1], expected / 0.75 * torch.tensor([0.75, 16 / 9 * 0.75]))
    torch.testing.assert_close(denormalise(screen, size), corners)


def test_a_batch_of_cameras_equals_one_camera_at_a_time():
    torch.manual_seed(3)
    cameras, world = some_camera((3,)), torch.randn(3, 17, 3, dtype=torch.float64)
    together = project(world_to_camera(world, cameras), cameras.intrinsics)
    for b in range(3):
        one = Camera(*(x[b] for x in cameras))
        alone = project(world_to_camera(world[b], one), one.intrinsics)
        torch.testing.assert_close(alone, together[b], atol=1e-9, rtol=0)
