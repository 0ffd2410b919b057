import pytest
import torch

from posediff.pose.camera import normalise, project
from posediff.pose.mirror import mirror_pose, mirror_sample
from posediff.pose.skeleton import skeleton

H36M = skeleton("h36m17")


def lift3d_sample(batch=(4,)):
    """A sample of exact 2D, in float64 for small tolerances."""
    torch.manual_seed(0)
    keypoints = torch.randn(*batch, 17, 3, dtype=torch.float64) * 0.5
    keypoints[..., 2] += 5
    lens = [1145.0, 1143.8, 512.5, 490.5, -0.2071, 0.2478, -0.0031, -0.00098, -0.00142]
    camera = torch.tensor(lens, dtype=torch.float64).expand(*batch, 9)
    pixels = project(keypoints, camera)
    return {
        "id": ["mm/clip#0/cam2/000123"],
        "keypoints": keypoints,
        "keypoints_2d": pixels + torch.randn_like(pixels),
        "keypoints_2d_scale": torch.rand_like(pixels),
        "target_2d": pixels,
        "scores": torch.rand_like(pixels[..., 0]),
        "visible": (torch.rand_like(pixels[..., 0]) > 0.2).double(),
        "mixture": {
            "weights": torch.rand(*batch, 17, 5).double(),
            "loc": torch.rand(*batch, 17, 5, 2).double() * 1000,
            "scale": torch.rand(*batch, 17, 5, 2).double() * 40,
        },
        "camera": camera,
        "image_size": torch.tensor([1000.0, 1002.0], dtype=torch.float64).expand(*batch, 2),
        "meta": {"action": ["walk"]},
    }


def entries(sample):
    flat = {**sample, **{f"mixture.{k}": v for k, v in sample.get("mixture", {}).items()}}
    return {k: v for k, v in flat.items() if isinstance(v, torch.Tensor)}


@pytest.mark.parametrize("batch", [(), (4,), (2, 3)], ids=["single", "batch", "clips"])
def test_twice_in_the_mirror_is_the_sample_itself(batch):
    sample = lift3d_sample(batch)
    if len(batch) == 2:  # a clip has one camera and one size for all its frames
        sample |= {"camera": sample["camera"][:, 0], "image_size": sample["image_size"][:, 0]}
    twice = mirror_sample(mirror_sample(sample, H36M), H36M)
    assert twice.keys() == sample.keys()
    for name, value in entries(sample).items():
        torch.testing.assert_close(entries(twice)[name], value, atol=1e-12, rtol=0)


def test_all_entries_but_the_size_change_and_the_input_does_not():
    sample, untouched = lift3d_sample(), lift3d_sample()
    mirrored = mirror_sample(sample, H36M)
    for name, value in entries(sample).items():
        assert torch.equal(value, entries(untouched)[name])
        assert torch.equal(value, entries(mirrored)[name]) == (name == "image_size"), name
    assert mirrored["meta"] is sample["meta"]


def test_the_mirrored_pose_projects_onto_the_mirrored_2d():
    mirrored = mirror_sample(lift3d_sample(), H36M)
    pixels = project(mirrored["keypoints"], mirrored["camera"])
    torch.testing.assert_close(pixels, mirrored["target_2d"], atol=1e-9, rtol=0)


def test_on_the_screen_x_is_negated_and_sides_change_places():
    sample = lift3d_sample()
    mirrored = mirror_sample(sample, H36M)
    for name in ("keypoints_2d", "target_2d"):
        screen = normalise(sample[name], sample["image_size"])
        expected = mirror_pose(screen, H36M)
        screen = normalise(mirrored[name], mirrored["image_size"])
        torch.testing.assert_close(screen, expected, atol=1e-12, rtol=0)
    right_wrist, left_wrist = 16, 13
    for name in ("scores", "visible", "keypoints_2d_scale"):
        assert torch.equal(mirrored[name][:, right_wrist], sample[name][:, left_wrist])
    loc = normalise(sample["mixture"]["loc"][:, left_wrist], sample["image_size"])
    swapped = normalise(mirrored["mixture"]["loc"][:, right_wrist], sample["image_size"])
    torch.testing.assert_close(swapped, loc * torch.tensor([-1, 1]), atol=1e-12, rtol=0)
    for name in ("weights", "scale"):
        swapped = mirrored["mixture"][name][:, right_wrist]
        assert torch.equal(swapped, sample["mixture"][name][:, left_wrist])


def test_a_sample_without_labels_is_mirrored():
    needed = ("id", "keypoints_2d", "scores", "visible", "mixture", "image_size")
    sample = {k: v for k, v in lift3d_sample().items() if k in needed}
    assert mirror_sample(sample, H36M).keys() == sample.keys()


def test_a_state_is_mirrored_along_the_axes_that_run_across():
    x = torch.randn(2, 3, 17, 5)
    mirrored = mirror_pose(x, H36M, axes=(0, 2))
    assert torch.equal(mirrored, x[..., H36M.flip, :] * torch.tensor([-1, 1, -1, 1, 1]))
    assert torch.equal(mirror_pose(mirrored, H36M, axes=(0, 2)), x)
    y = torch.randn_like(x)
    torch.testing.assert_close(
        mirror_pose(x + 2 * y, H36M, (0, 2)), mirrored + 2 * mirror_pose(y, H36M, (0, 2))
    )
