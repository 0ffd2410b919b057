"""UDP's combined maps against mmpose's (golden/heatmap_encode, flip), and their round trip."""

import pytest
import torch

from posediff.pose.affine import mirror_points
from posediff.pose.combined import Combined
from posediff.pose.skeleton import Skeleton, skeleton

COCO = skeleton("coco17")


def test_targets_are_those_of_mmpose(golden):
    z = golden("heatmap_encode.npz")
    joints, visible = z["256x192_s2_joints"][5:7, :2], z["256x192_s2_vis"][5:7]
    maps, weights = Combined().encode(joints, visible)
    expected = z["256x192_s2_udpcomb_hm_j5_j6"].double()
    torch.testing.assert_close(maps, expected, atol=1e-6, rtol=0)
    assert weights.tolist() == [1, 1]


def test_mirrored_maps_are_those_of_mmpose(golden):
    z = golden("flip.npz")
    pair = Skeleton("pair", ("left_eye", "right_eye"), ((0, 1),), ((0, 1),), None)
    assert torch.equal(Combined((48, 64)).flip(z["udpcomb_in"], pair), z["udpcomb_out"])


@pytest.mark.parametrize(("size", "stride"), [((192, 256), 4), ((288, 384), 4), ((96, 128), 8)])
def test_points_come_back_and_so_do_mirrored_ones(size, stride):
    torch.manual_seed(0)
    codec = Combined(size, stride)
    points = torch.rand(5, 17, 2) * (torch.tensor(size) - 1)
    visible = torch.ones(5, 17)
    visible[0, 3] = 0
    maps, weights = codec.encode(points, visible)
    assert maps.shape == (5, 51, *codec.shape)
    assert not maps[0, 9:12].any()
    assert torch.equal(weights, visible)
    labelled = visible > 0
    back, peak = codec.decode(maps)
    torch.testing.assert_close(back[labelled], points[labelled], atol=1e-3, rtol=0)
    assert ((peak > 0) == labelled).all()
    mirrored = codec.decode(codec.flip(maps, COCO))[0]
    expected, labelled = mirror_points(points, size[0], COCO), labelled[:, COCO.flip]
    torch.testing.assert_close(mirrored[labelled], expected[labelled], atol=1e-3, rtol=0)
    assert torch.equal(codec.flip(codec.flip(maps, COCO), COCO), maps)


def test_offset_errors_count_only_near_the_joint():
    codec = Combined((48, 64))
    target, _ = codec.encode(torch.tensor([[20.0, 30.0]]), torch.ones(1))
    outside = target.clone()
    outside[1:, target[0] == 0] += 5.0
    assert codec.error(outside, target).item() == 0
    inside = target.clone()
    inside[2, target[0] == 1] += 5.0
    share = target[0].mean().item()
    assert codec.error(inside, target).item() == pytest.approx(25 * share)
    inside[0] += 1.0
    assert codec.error(inside, target).item() == pytest.approx(1 + 25 * share)
    assert codec.second_moment(target).item() > 0
