"""States of image2d, the heatmaps they are drawn as, and the masks of joints and bones."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from helpers.image2d import (
    BONES,
    SIZE,
    J,
    image2d,
    people,
    truth,
)

from posediff.pose.heatmap import Codec
from posediff.tasks.image2d.structure import Masks, Space


@pytest.mark.parametrize("stride", [8, 4, 2, 1])
@pytest.mark.parametrize(("codec", "tolerance"), [("udp", 0.05), ("dark", 0.05), ("quarter", 0.5)])
def test_a_state_is_read_back_from_the_heatmap_it_is_drawn_as(codec, tolerance, stride):
    space = Space(Codec(codec, (192, 256), stride))
    points = people(size=(192, 256))["keypoints"]
    x = space.state(points)
    target, weight = space.codec.encode(points, torch.ones(3, J))
    assert (weight == 1).all()
    for maps in (space.render(space.drawn(x)), target):
        assert (space.on_map(space.read(maps)) - space.on_map(x)).abs().max() <= tolerance


def test_corners_and_edges_of_the_map_are_the_ends_of_a_state():
    codec = Codec("udp", SIZE)
    ends = torch.tensor([[[0.0, 0.0], [95.0, 127.0]]])
    state = Space(codec, signal_scale=2.0).state(ends)
    assert torch.allclose(state, torch.tensor([[[-2.0, -2.0], [2.0, 2.0]]]))
    state = Space(codec, signal_scale=2.0, normalise="edges").state(ends)
    assert torch.allclose(state[0, 1], 2 * (1 - 1 / torch.tensor([24.0, 32.0])))


def test_drawing_clamps_and_may_round_but_the_state_stays():
    space = Space(Codec("udp", SIZE), signal_scale=2.0)
    x = torch.tensor([[[-9.0, 0.1], [1.0, 9.0]]])
    kept = x.clone()
    drawn = space.drawn(x)
    assert torch.equal(x, kept)
    assert drawn[0, 0, 0] == 0
    assert drawn[0, 1, 1] == 31
    assert space.render(drawn).flatten(2).amax(-1).min() > 0.8
    rounded = replace(space, draw="rounded").drawn(x)
    assert torch.equal(rounded, (drawn + 0.5).floor())


def test_a_second_mode_drags_the_global_readout_and_not_the_local_one():
    space = Space(Codec("udp", SIZE))
    at = torch.tensor([[[2.0, 3.0]]]), torch.tensor([[[15.0, 20.0]]])
    maps = space.render(at[0]) + 0.8 * space.render(at[1])
    near = space.on_map(space.read(maps))
    far = space.on_map(replace(space, readout="global").read(maps))
    assert (near - at[0]).norm() < 0.1
    assert 5 < (far - at[0]).norm() < 15


@pytest.mark.parametrize("codec", ["udp", "quarter"])
def test_mirroring_twice_changes_nothing_but_the_classic_border(codec):
    head, sample = image2d(codec=codec), people()
    x = head.target(sample)
    assert torch.allclose(head.mirror(head.mirror(x)), x, atol=1e-5)
    maps = truth(head, sample)
    twice = head.mirror(head.mirror(maps))
    inner = slice(None) if codec == "udp" else slice(1, -1)
    assert torch.equal(twice[..., inner], maps[..., inner])
    seen = head.mirror_sample(head.mirror_sample(sample))
    assert torch.allclose(seen["keypoints"], sample["keypoints"], atol=1e-5)
    assert torch.equal(seen["image"], sample["image"])
    mirrored = head.target(head.mirror_sample(sample))
    assert torch.allclose(mirrored, head.mirror(x), atol=1e-5)
    if codec == "udp":
        swapped = x[:, BONES.flip] * torch.tensor([-1.0, 1.0])
        assert torch.allclose(head.mirror(x), swapped, atol=1e-5)


# --- masks


def test_masks_are_disks_and_capsules():
    masks = Masks(Codec("udp", (26, 24), 1, sigma=2.0), kps=2.0, ske=1.0)
    kps, ske = masks(torch.tensor([[[6.0, 5.0], [14.0, 11.0], [20.0, 20.0]]]), [(0, 1)])
    for y in range(24):
        for x in range(26):
            q = np.array([x, y], float)
            joints = np.array([[6, 5], [14, 11], [20, 20]], float)
            d = np.linalg.norm(joints - q, axis=1).min()
            a, b = joints[:2]
            s = np.clip((q - a) @ (b - a) / ((b - a) @ (b - a)), 0, 1)
            e = np.linalg.norm(a + s * (b - a) - q)
            if abs(d - 4) > 1e-4:
                assert kps[0, 0, y, x] == (d < 4)
            if abs(e - 2) > 1e-4:
                assert ske[0, 0, y, x] == (e < 2)


def test_soft_masks_are_maxima_of_gaussians():
    masks = Masks(Codec("udp", (12, 8), 1, sigma=1.0), form="soft", kps=2.0, ske=1.5)
    points = torch.tensor([[[3.0, 3.0], [9.0, 3.0]]])
    kps, ske = masks(points, [(0, 1)])
    assert kps[0, 0, 3, 3] == 1
    assert ske[0, 0, 3, 6] == 1
    assert float(kps[0, 0, 3, 6]) == pytest.approx(math.exp(-9 / 8))
    assert float(ske[0, 0, 5, 6]) == pytest.approx(math.exp(-4 / 4.5))


def test_joints_that_are_not_present_are_in_no_mask_nor_are_their_bones():
    masks, bones = Masks(Codec("udp", (12, 12), 1, sigma=1.0), kps=1.5), [(0, 1), (1, 2)]
    points = torch.tensor([[[2.0, 2.0], [8.0, 2.0], [8.0, 9.0]]])
    kps, ske = masks(points, bones, torch.tensor([[False, True, True]]))
    assert kps[0, 0, 2, 2] == ske[0, 0, 2, 2] == ske[0, 0, 2, 5] == 0
    assert kps[0, 0, 2, 8] == ske[0, 0, 6, 8] == 1
    kps, ske = masks(points, bones, torch.zeros(1, 3, dtype=torch.bool))
    assert not kps.any()
    assert not ske.any()


def test_masks_of_a_mirrored_state_are_mirrored_without_a_swap():
    head = image2d()
    x = head.target(people())
    seen = head.masks(head.space.drawn(x), BONES.edges)
    mirrored = head.masks(head.space.drawn(head.mirror(x)), BONES.edges)
    for a, b in zip(seen, mirrored, strict=True):
        assert (a.flip(-1) != b).float().mean() < 0.01  # pixels right on a border
        assert 0.05 < a.mean() < 0.95


def test_masks_that_are_not_refreshed_are_those_of_the_coarse_pose():
    sample = people()
    head = image2d(refresh=False)
    with torch.no_grad():
        context = head.encode(sample)
        points = head.space.drawn(head.start(context))
        projected = head.guide.project(head.coarse.features(sample))
        once = head.guide(projected, head.masks(points, BONES.edges))
        assert torch.allclose(context["guide"], once)
        assert "features" not in context
        assert "guide" not in head.train().encode(sample)
        head.masks = None  # not used again
        head.denoise(torch.randn(3, J, 2), torch.tensor([9, 9, 9]), context)


@pytest.mark.parametrize("condition", [[], ["kps"], ["ske"], ["ske", "kps"]])
def test_the_condition_is_what_was_asked_for(condition):
    head, sample = image2d(condition=condition), people()
    assert bool(head.guide.attention) == (len(condition) == 2)
    assert head.sgdd.stem.in_channels == J + (32 if condition else 0)
    context = head.encode(sample)
    x, t, seen = torch.randn(3, J, 2), torch.tensor([9, 9, 9]), []
    head.sgdd.register_forward_pre_hook(lambda decoder, inputs: seen.extend(inputs))
    assert head.denoise(x, t, context).evidence.shape == (3, J, 32, 24)
    _, guide, stem, _ = seen
    assert stem is context["stem"]
    assert (guide is None) == (not condition)
    if len(condition) == 1:
        mask = getattr(head.masks(head.space.drawn(x), BONES.edges), condition[0])
        assert torch.equal(guide, context["features"] * mask)
