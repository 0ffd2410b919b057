"""From heatmaps to the sample of a lifter, with mixtures as the only step between."""

import pytest
import torch

from posediff.inference.lifting_input import heatmap_sample, lifting_sample
from posediff.pose.affine import affine, transform
from posediff.pose.heatmap import Codec
from posediff.pose.layout import taken_over
from posediff.pose.skeleton import skeleton
from posediff.tasks.lift3d import Encoder, Lift3D

CODEC, SIZE = Codec("udp"), (800.0, 600.0)


def person(B=3):
    """COCO's joints of B people, and heatmaps of them in their crops."""
    g = torch.Generator().manual_seed(0)
    joints = torch.tensor([340.0, 250.0]) + 90 * torch.rand(B, 17, 2, generator=g)
    crop = affine(
        torch.tensor([[400.0, 300.0]]), torch.tensor([[180.0, 240.0]]), CODEC.size, udp=True
    ).expand(B, 2, 3)
    maps, _ = CODEC.encode(transform(joints, crop), torch.ones(B, 17))
    return joints, maps, crop


def test_the_mixture_of_rendered_heatmaps_is_where_the_joints_are():
    joints, maps, crop = person()
    sample = heatmap_sample(maps, CODEC, crop, SIZE, ids=["a", "b", "c"])
    points = lifting_sample(joints, SIZE)["keypoints_2d"]
    mixture = sample["mixture"]
    mean = (mixture["weights"][..., None] * mixture["loc"]).sum(-2)
    assert (mean - points).abs().max() < 0.2
    torch.testing.assert_close(mixture["weights"].sum(-1), torch.ones(3, 17))
    assert all(x.dtype == torch.float32 and x.isfinite().all() for x in mixture.values())
    assert sample["visible"].all()
    assert sample["id"] == ["a", "b", "c"]


def test_a_second_peak_is_a_component_and_an_empty_map_a_missing_joint():
    joints, maps, crop = person()
    knee, ankle = (skeleton("coco17").joints.index(f"left_{joint}") for joint in ("knee", "ankle"))
    other, _ = CODEC.encode(
        transform(joints + torch.tensor([50.0, -40.0]), crop), torch.ones(3, 17)
    )
    maps[:, knee] = torch.maximum(maps[:, knee], 0.5 * other[:, knee])
    maps[:, ankle] = 0
    sample = heatmap_sample(maps, CODEC, crop, SIZE)
    target = skeleton("h36m17").joints
    here = target.index("left_knee")
    second = sample["mixture"]["loc"][:, here] - joints[:, None, knee] - torch.tensor([50.0, -40.0])
    assert (second.norm(dim=-1).amin(-1) < 4).all()
    near = second.norm(dim=-1) < 25
    share = (sample["mixture"]["weights"][:, here] * near).sum(-1)
    assert ((share > 0.25) & (share < 0.4)).all()
    gone = target.index("left_ankle")
    assert (sample["visible"][:, gone] == 0).all()
    assert (sample["scores"][:, gone] == 0).all()
    assert (sample["mixture"]["weights"][:, gone, 0] == 1).all()


def test_a_lifter_reads_it():
    _, maps, crop = person()
    encoder = Encoder("h36m17", 16, 1)
    encoder.residual.fill_(0.05)
    head = Lift3D(encoder, 16, 1).eval()
    context = head.encode(heatmap_sample(maps, CODEC, crop, SIZE))
    assert context["scale"].shape == (3, 17, 5, 2)
    assert all(x.isfinite().all() and x.dtype == torch.float32 for x in context.values())


def test_which_joints_are_taken_over_as_they_are():
    coco, human36m = skeleton("coco17"), skeleton("h36m17")
    own = dict(zip(human36m.joints, taken_over(coco, human36m).tolist(), strict=True))
    assert own["left_knee"] == coco.joints.index("left_knee")
    assert own["neck"] == coco.joints.index("nose")
    assert {own[j] for j in ("pelvis", "spine", "thorax", "head")} == {-1}
    assert taken_over(human36m, human36m).tolist() == list(range(17))


def test_maps_that_do_not_fit_the_codec_are_refused():
    _, maps, crop = person()
    with pytest.raises(ValueError, match="codec"):
        heatmap_sample(maps[..., :-1], CODEC, crop, SIZE)
    maps[0, 0, 0, 0] = torch.nan
    with pytest.raises(ValueError, match="finite"):
        heatmap_sample(maps, CODEC, crop, SIZE)
