"""The root in closed form: exact on clean projections, with the expected errors on noisy ones."""

import pytest
import torch

from posediff.data.lifting.h36m_cameras import cameras
from posediff.data.lifting.synthetic_people import synthetic
from posediff.pose.camera import project
from posediff.pose.root import bone_length_root, least_squares_root
from posediff.pose.skeleton import skeleton

CAMERA = cameras("S9")[0].intrinsics.double()
H36M = skeleton("h36m17")


def people(n=2000, seed=0):
    """Synthetic poses relative to their roots (n, 17, 3), and roots 3 to 7 m away."""
    g = torch.Generator().manual_seed(seed)
    bodies = synthetic("test", keypoints="gt", clips=10, length=50)
    rows = torch.randint(len(bodies), (n,), generator=g).tolist()
    poses = bodies.__getitems__(rows)["keypoints"].double()
    roots = torch.rand(n, 3, generator=g, dtype=torch.float64) * 2 - 1
    roots[:, 2] = 5 + 2 * roots[:, 2]
    return poses - poses[:, :1], roots, g


def noise(g, *shape):
    return torch.randn(*shape, generator=g, dtype=torch.float64)


@pytest.mark.parametrize("lens", [True, False])
def test_the_root_of_a_clean_projection_is_exact(lens):
    poses, roots, _ = people()
    camera = CAMERA * torch.tensor([1.0] * 4 + [float(lens)] * 5)
    pixels = project(poses + roots[:, None], camera)
    position, found = least_squares_root(poses, pixels, camera, torch.ones(2000, 17))
    assert found.all()
    assert (position - roots).abs().max() < 1e-9


def test_noisy_2d_and_3d_give_the_known_errors_of_the_depth():
    """Pixels are a deviation per axis, millimetres the mean distance of a joint."""
    _, roots, g = people(8000)
    poses = 0.36 * noise(g, 8000, 17, 3)
    clean = project(poses + roots[:, None], CAMERA)
    expected = {(5, 0): 0.007, (5, 50): 0.013, (10, 50): 0.021}
    for (pixels, millimetres), known in expected.items():
        noisy = clean + pixels * noise(g, 8000, 17, 2)
        lifted = poses + millimetres / 1000 * (torch.pi / 8) ** 0.5 * noise(g, 8000, 17, 3)
        z = least_squares_root(lifted, noisy, CAMERA, torch.ones(8000, 17)).position[:, 2]
        error = z - roots[:, 2]
        assert (error.abs() / roots[:, 2]).median().item() == pytest.approx(known, rel=0.2)
        if pixels == 5:  # noise enlarges the 2D, so the depth is too small
            assert error.mean().item() == pytest.approx(-0.02, abs=0.007)


def test_a_joint_of_weight_zero_does_not_count_and_an_uncertain_one_less():
    poses, roots, _ = people(200)
    pixels = project(poses + roots[:, None], CAMERA)
    pixels[:, 9] += 200
    error = {}
    for weight in (0.0, 1e-2, 1.0):
        weights = torch.ones(200, 17)
        weights[:, 9] = weight
        z = least_squares_root(poses, pixels, CAMERA, weights).position[:, 2]
        error[weight] = (z - roots[:, 2]).abs().mean().item()
    assert error[0.0] < 1e-9
    assert 1e-6 < error[1e-2] < error[1.0] / 5


def test_without_a_depth_the_root_is_not_found_and_finite():
    poses, roots, _ = people(4)
    pixels = project(poses + roots[:, None], CAMERA)
    pixels[0] = torch.tensor([500.0, 500.0])  # all on one pixel
    pixels[1] = 2 * CAMERA[2:4] - pixels[1]  # upside down: behind the camera
    weights = torch.ones(4, 17)
    weights[2] = 0
    least_squares = least_squares_root(poses, pixels, CAMERA, weights)
    for root in (least_squares, bone_length_root(poses, pixels, CAMERA, weights, H36M)):
        assert root.position.isfinite().all()
        assert root.found[[0, 2, 3]].tolist() == [False, False, True]
    assert not least_squares.found[1]


def test_the_mean_bone_length_is_exact_under_weak_perspective():
    poses, roots, _ = people()
    camera = CAMERA * torch.tensor([1.0] * 4 + [0.0] * 5)
    rays = (poses[..., :2] + roots[:, None, :2]) / roots[:, None, 2:]
    pixels = rays * camera[:2] + camera[2:4]
    root = bone_length_root(poses, pixels, camera, torch.ones(2000, 17), H36M)
    assert (root.position - roots).abs().max() < 1e-9
    perspective = project(poses + roots[:, None], camera)
    z = bone_length_root(poses, perspective, camera, torch.ones(2000, 17), H36M).position[:, 2]
    assert 1e-3 < ((z - roots[:, 2]).abs() / roots[:, 2]).median() < 0.05


def test_frames_are_one_more_leading_axis():
    poses, roots, _ = people(12)
    pixels, weights = project(poses + roots[:, None], CAMERA), torch.ones(12, 17)
    inputs = poses, pixels, CAMERA.expand(12, 9), weights
    flat = least_squares_root(*inputs)
    clips = least_squares_root(*(x.unflatten(0, (3, 4)) for x in inputs))
    assert torch.equal(clips.position.flatten(0, 1), flat.position)


@pytest.mark.parametrize("focal", [0.0, -1100.0])
def test_a_camera_without_a_focal_length_is_an_error(focal):
    poses, roots, _ = people(2)
    pixels, camera = project(poses + roots[:, None], CAMERA), CAMERA.clone()
    camera[1] = focal
    with pytest.raises(ValueError, match="focal length"):
        least_squares_root(poses, pixels, camera, torch.ones(2, 17))
    with pytest.raises(ValueError, match="focal length"):
        bone_length_root(poses, pixels, camera, torch.ones(2, 17), H36M)
