import cv2
import numpy as np
import pytest
import torch

from posediff.pose.affine import (
    affine,
    box_to_center_scale,
    clean_box,
    invert,
    mirror_points,
    transform,
    warp,
)
from posediff.pose.skeleton import skeleton


def close(ours, reference, tolerance):
    """Absolute for small entries, relative for large ones."""
    assert ((ours - reference).abs() <= tolerance * (1 + reference.abs())).all()


@pytest.mark.parametrize("size", [(192, 256), (288, 384), (256, 256)])
def test_boxes_become_centre_and_scale_as_in_the_released_codes(golden, size):
    z, name = golden("affine.npz"), f"{size[0]}x{size[1]}"
    center, scale = box_to_center_scale(z["boxes"], size[0] / size[1])
    for reference in (z[f"center_{name}"], z[f"mm_center_{name}"]):
        torch.testing.assert_close(center, reference.double(), atol=1e-3, rtol=0)
    torch.testing.assert_close(scale, z[f"mm_scale_px_{name}"], atol=1e-3, rtol=0)
    padded = z[f"center_{name}"][:, 0] != -1  # HRNet does not pad that one
    hrnet = 200 * z[f"scale_{name}"].double()
    torch.testing.assert_close(scale[padded], hrnet[padded], atol=1e-3, rtol=0)
    torch.testing.assert_close(
        scale[:, 0] / scale[:, 1], torch.full((12,), size[0] / size[1]).double()
    )


def test_a_box_loses_a_pixel_by_one_rule_and_none_by_the_other():
    boxes = torch.tensor(
        [[10.0, 20, 30, 40], [-5, -5, 30, 40], [90, 10, 30, 40], [120, 10, 5, 5], [3, 4, 0, 0]]
    )
    size = torch.tensor([100.0, 80.0])
    hrnet, remain = clean_box(boxes, size)
    mmpose, remain_too = clean_box(boxes, size, "mmpose")
    assert remain.tolist() == [True, True, True, False, False]
    assert remain_too.tolist() == [True, True, True, True, False]  # a line at the border
    assert hrnet[:3].tolist() == [[10, 20, 29, 39], [0, 0, 29, 39], [90, 10, 9, 39]]
    assert mmpose[:4].tolist() == [
        [10, 20, 30, 40],
        [0, 0, 25, 35],
        [90, 10, 9, 40],
        [99, 10, 0, 5],
    ]
    with pytest.raises(ValueError, match="hrnet, mmpose"):
        clean_box(boxes, size, "coco")


def test_matrices_are_those_of_the_released_codes(golden):
    z = golden("affine.npz")
    for i, size in enumerate(z["size"].tolist()):
        center, scale, rotation = z["center"][i], 200 * z["scale"][i], z["rot"][i]
        forward = affine(center, scale, size, rotation)
        for name in ("hrnet_fwd", "mm_fwd"):
            close(forward, z[name][i], 1e-3)
        for name in ("hrnet_inv", "mm_inv"):
            close(invert(forward), z[name][i], 1e-3)
        # the released UDP code turns in the other direction
        close(affine(center, scale, size, -rotation, udp=True), z["mm_udp"][i], 1e-3)
        back = transform(z["pts"][i], invert(affine(center, scale, (48, 64))))
        torch.testing.assert_close(back.double(), z["transform_preds_48x64"][i], atol=2e-3, rtol=0)


@pytest.mark.parametrize("udp", [False, True])
def test_a_batch_of_matrices_maps_the_box_onto_the_crop_and_back(udp):
    torch.manual_seed(0)
    size, last = (192, 256), torch.tensor([192.0, 256.0]).double() - int(udp)
    center = torch.rand(5, 2).double() * 400
    scale = (50 + torch.rand(5, 1).double() * 300) * torch.tensor([0.75, 1.0])
    matrix = affine(center, scale, size, udp=udp)
    corners = torch.stack([center - scale / 2, center, center + scale / 2], 1)
    expected = torch.stack([0 * last, last / 2, last]).expand(5, 3, 2)
    torch.testing.assert_close(transform(corners, matrix), expected)
    turned = affine(center, scale, size, torch.linspace(-80, 80, 5), udp)
    torch.testing.assert_close(transform(center[:, None], turned), (last / 2).expand(5, 1, 2))
    torch.testing.assert_close(transform(transform(corners, turned), invert(turned)), corners)


@pytest.mark.parametrize("udp", [False, True])
def test_a_positive_rotation_turns_the_picture_counter_clockwise(udp):
    scale = torch.tensor([100.0, 100.0])
    matrix = affine(torch.tensor([50.0, 50.0]), scale, (100, 100), 90.0, udp)
    right_of_centre = transform(torch.tensor([[60.0, 50.0]]), matrix)
    end = 99 if udp else 100
    torch.testing.assert_close(right_of_centre, torch.tensor([[end / 2, end / 2 - end / 10]]))


def test_joints_in_the_mirror_are_those_of_the_released_code(golden):
    z, coco = golden("affine.npz"), skeleton("coco17")
    points, width = z["flip_in"][:, :2], int(z["flip_width"])
    mirrored, visible = mirror_points(points, width, coco), z["flip_vis"][coco.flip]
    assert torch.equal(mirrored * visible[:, :2], z["flip_out"][:, :2])  # HRNet sets others to 0
    assert torch.equal(visible, z["flip_out_vis"])
    torch.testing.assert_close(mirror_points(mirrored, width, coco), points)


@pytest.mark.parametrize("major", [4, 5])
def test_crops_are_opencvs(golden, major):
    z, same = golden(f"warp_cv{major}.npz"), cv2.__version__.startswith(str(major))
    image = z["small"].numpy()
    for i in range(3):
        expected = z[f"warp{i}"].numpy()
        ours = warp(image, z[f"M{i}"], expected.shape[1::-1])
        difference = np.abs(ours.astype(int) - expected)
        assert difference.max() <= (0 if same else 4)
        assert difference.mean() <= (0 if same else 0.2)
        exact = warp(image.astype(np.float32), z[f"M{i}"], expected.shape[1::-1])
        assert np.abs(exact - z[f"warpf{i}"].numpy()).max() <= (0 if same else 4)


@pytest.mark.parametrize("major", [4, 5])
def test_a_person_is_cropped_as_published(golden, major):
    z, same = golden(f"warp_cv{major}.npz"), cv2.__version__.startswith(str(major))
    center, scale = box_to_center_scale(z["big_box"], 0.75)
    matrix = affine(center, scale, (192, 256))
    close(matrix, z["big_M"], 1e-3)
    image = z["small"].numpy().repeat(8, 0).repeat(8, 1)
    # the released matrix is of float32 points, so ours may be rounded differently
    for m, bound in ((z["big_M"], 0), (matrix, 1)):
        crop = torch.from_numpy(warp(image, m, (192, 256)))
        assert crop.shape == (256, 192, 3)
        difference = (crop[::8, ::8].int() - z["big_crop_8x"]).abs()
        assert difference.max() <= (bound if same else 4)
        difference = (crop.double().mean((0, 1)) - z["big_crop_mean"]).abs()
        assert difference.max() < (0.01 if same else 0.2)


def test_a_crop_is_bilinear_sampling_at_the_inverse_matrix():
    torch.manual_seed(0)
    image = torch.rand(60, 80, 3)
    center, scale = torch.tensor([40.0, 30.0]), torch.tensor([48.0, 64.0])
    matrix = affine(center, scale, (24, 32), 20.0, udp=True)
    y, x = torch.meshgrid(torch.arange(32.0), torch.arange(24.0), indexing="ij")
    source = transform(torch.stack([x, y], -1), invert(matrix)[None])
    grid = 2 * source / torch.tensor([79.0, 59.0]) - 1
    sampled = torch.nn.functional.grid_sample(
        image.permute(2, 0, 1)[None], grid[None], align_corners=True
    )[0].permute(1, 2, 0)
    crop = torch.from_numpy(warp(image.numpy(), matrix, (24, 32)))
    # OpenCV 4 samples on a grid of 1/32 pixel
    torch.testing.assert_close(crop, sampled, atol=0.05, rtol=0)
    assert (crop - sampled).abs().mean() < 0.01
