"""video2d: states, the loss, options, and the learning of hidden joints."""

from dataclasses import replace

import pytest
import torch
from helpers.video2d import SIZE, THREE, J, clips, diffusion, plain_head, untrained, video2d

from posediff.diffusion import Regression
from posediff.diffusion.aggregate import mean


@pytest.mark.parametrize(
    ("range", "scale", "ends"),
    [("symmetric", 1.0, (-1, 1)), ("symmetric", 2.0, (-2, 2)), ("unit01", 1.0, (0, 1))],
)
def test_states_are_heatmaps_in_another_range(range, scale, ends):
    head, sample = video2d(range=range, signal_scale=scale), clips()
    x = head.target(sample)
    assert (float(x.min()), float(x.max())) == pytest.approx(ends, abs=1e-6)
    maps, _ = head.codec.encode(sample["keypoints"], sample["visible"])
    assert torch.allclose(head.heatmaps(x), maps, atol=1e-6)
    assert head.decode(x[:, None], sample).scores.max() == pytest.approx(1, abs=1e-6)


def test_the_loss_is_the_squared_error_of_heatmaps_whatever_the_range():
    sample, errors = clips(), []
    for options in ({"range": "unit01"}, {"signal_scale": 2.0}):
        head = video2d(**options)
        context, goal, t = head.encode(sample), head.target(sample), torch.tensor([3, 500, 990])
        x_t = torch.randn(goal.shape, generator=torch.Generator().manual_seed(0))
        value = head.denoise(x_t, t, context).value
        gap = head.heatmaps(value) - head.heatmaps(goal)
        loss = head.loss(x_t, t, goal, context, sample)
        assert torch.allclose(loss, gap.square().mean((-3, -2, -1)), rtol=1e-4)
        errors.append(loss)
    assert torch.allclose(*errors)


@pytest.mark.parametrize("make", ["full", "plain"])
def test_joints_without_a_label_get_no_gradient_unless_asked(make):
    for joint_weight, silent in (("linear", True), ("squared", True), ("none", False)):
        make_head = video2d if make == "full" else plain_head
        head = make_head(joint_weight=joint_weight)
        sample = clips()
        sample["visible"][:, 4] = 0
        model = diffusion(head) if make == "full" else Regression(head)
        model.loss(sample).backward()
        out = head.decoder.out if make == "full" else head.out
        assert bool((out.weight.grad[4] == 0).all()) is silent
        assert (out.weight.grad[[3, 5]] != 0).flatten(1).any(1).all()


def figures(n, frames, seed):
    """A bar of two joints that moves evenly; the second is hidden in the middle frame."""
    g = torch.Generator().manual_seed(seed)
    W, H = SIZE
    at = torch.rand(n, 1, 2, generator=g) * 16 + torch.tensor([8.0, 16.0])
    reach = torch.rand(n, 1, 2, generator=g) * 20 - 4 + torch.tensor([4.0, 4.0])
    step = torch.rand(n, 1, 2, generator=g) * 6 - 3
    y, x = torch.meshgrid(torch.arange(H), torch.arange(W), indexing="ij")
    pixels = torch.stack([x, y], -1).float()
    shown = []
    for f in frames:
        film = torch.zeros(n, 3, H, W)
        for c, point in enumerate((at, at + reach + f * step)):
            near = (pixels - point[:, :, None]).square().sum(-1)
            film[:, c] = torch.exp(-near / 8) * (c == 0 or f != 0)
        shown.append(film)
    keypoints = torch.zeros(n, J, 2)
    keypoints[:, :1], keypoints[:, 1:2] = at, at + reach
    visible = torch.zeros(n, J)
    visible[:, :2] = 1
    affine = torch.eye(3)[:2].repeat(n, 1, 1)
    ids = [str(i) for i in range(n)]
    return {
        "id": ids,
        "frames": torch.stack(shown, 1),
        "keypoints": keypoints,
        "visible": visible,
        "affine": affine,
    }


def learned(offsets, steps):
    model = diffusion(untrained(codec="udp", offsets=offsets)).train()
    optimizer = torch.optim.AdamW(model.parameters(), 3e-3)
    for i in range(steps):
        torch.manual_seed(i)
        loss = model.loss(figures(16, offsets, i))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if i == steps * 2 // 3:
            optimizer.param_groups[0]["lr"] = 5e-4
    return model.eval()


@pytest.mark.slow
def test_neighbours_help_to_find_a_hidden_joint():
    hidden = {}
    for offsets in ((0,), THREE):
        model, sample = learned(offsets, 500), figures(64, offsets, 10_000)
        for S in (1, 2, 4):
            for K in (1, 4):
                h = model.sample(sample, K, S)
                apart = (mean(h).keypoints - sample["keypoints"]).norm(dim=-1)
                hidden[len(offsets), S, K] = float(apart[:, 1].median())
    print(hidden)
    for S in (1, 2, 4):
        for K in (1, 4):
            assert hidden[3, S, K] < 0.6 * hidden[1, S, K]


def test_options_that_cannot_be_are_refused_in_one_line():
    for options, word in (
        ({"range": "zero"}, "head.range"),
        ({"joint_weight": "all"}, "task.joint_weight"),
        ({"merge": "sum"}, "clip_features.merge"),
        ({"up": "nearest"}, "clip_features.up"),
        ({"scales": [4]}, "decoder.scales"),
        ({"mode": "both"}, "decoder.mode"),
        ({"width": 12}, "decoder.width"),
        ({"fuse": 0}, "decoder.fuse"),
        ({"channels": 30}, "clip_features.channels"),
        ({"size": (52, 64)}, "multiples of"),
    ):
        with pytest.raises(ValueError, match=word):
            video2d(**options)
    model = diffusion(video2d())
    model.sampler = replace(model.sampler, start=300)
    with pytest.raises(ValueError, match=r"sampler\.start"):
        model.predict(clips())
