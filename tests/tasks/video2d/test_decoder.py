"""video2d: the decoder, its masks and its cost."""

import pytest
import torch
from helpers.video2d import NAME, J, clips, diffusion, video2d
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from posediff.tasks.video2d.decoder import Interaction, PoseDecoder


def test_parts_of_a_convolution_are_the_convolution_of_the_concatenation():
    torch.manual_seed(0)
    scale = Interaction(32, 16, 16, "lookup", attends=False, refine=1, fuse=1)
    x, Z = torch.randn(2, 16, 8, 6), torch.randn(2, 32, 8, 6)
    weight = torch.cat([scale.fuse_x.weight, scale.fuse_z.weight], 1)
    L = scale.mask(x) * Z
    whole = nn.functional.conv2d(torch.cat([L, Z], 1), weight, scale.fuse_z.bias, padding=1)
    assert torch.allclose(scale(x, Z, scale.fuse_z(Z)), whole, atol=1e-5)


@pytest.mark.parametrize("mode", ["lookup", "direct", "none"])
def test_the_noisy_heatmap_is_seen_through_the_mask_alone(mode, monkeypatch):
    head, sample = video2d(mode=mode), clips()
    context, t = head.encode(sample), torch.full((3,), 700)
    x, y = torch.randn(2, 3, J, *head.codec.shape)

    def apart():
        return (head.denoise(x, t, context).value - head.denoise(y, t, context).value).abs().max()

    assert (apart() > 1e-3) == (mode != "none")
    monkeypatch.setattr(Interaction, "mask", lambda self, x: torch.full_like(x[:, :1], 0.5))
    assert (apart() > 1e-3) == (mode == "direct")


@pytest.mark.parametrize("t", [10, 500, 990])
def test_masks_are_not_saturated_at_the_beginning(t):
    torch.manual_seed(0)
    decoder = PoseDecoder(NAME)
    for x in (torch.randn(4, J, 64, 48), torch.full((1, J, 64, 48), -1.0)):
        for j, state in decoder.states(x, torch.full((len(x),), t)).items():
            A = decoder.interact[str(j)].mask(state)
            assert A.shape == (len(x), 1, 16 * 2 ** (j - 1), 12 * 2 ** (j - 1))
            assert 0.5 < A.mean() < 0.9
            assert A.max() < 0.99


@pytest.mark.parametrize("scales", [[1], [1, 2], [3], [3, 1]])
def test_any_scales_can_take_part(scales):
    head, sample = video2d(scales=scales), clips()
    poses = diffusion(head, 2).predict(sample)
    assert poses.keypoints.shape == (3, J, 2)
    assert {key: {*x} for key, x in head.encode(sample).items()} == {
        "fused": {*scales},
        "Z": {*scales},
    }
    assert {*map(int, head.decoder.interact)} == {*scales}


def test_time_scales_the_state_and_shifts_it_if_shift_is_set():
    for shift in (True, False):
        decoder = video2d(shift=shift).decoder
        zero = torch.zeros(1, J, 16, 12)
        nn.init.zeros_(decoder.enter.bias)  # so that e is 0
        moved = decoder.states(zero, torch.tensor([500]))[3].abs().max()
        assert (moved > 1e-3) == shift
        x, near, far = torch.randn_like(zero), torch.tensor([5]), torch.tensor([900])
        assert not torch.allclose(decoder.states(x, near)[3], decoder.states(x, far)[3])


def test_depths_of_refining_and_fusing_are_free():
    def count(**depths):
        return sum(p.numel() for p in video2d(**depths).decoder.parameters())

    assert count(refine=0) < count() < count(refine=2)
    assert count(fuse=1) < count() < count(fuse=3)


@pytest.mark.parametrize(("width", "bar"), [(64, 1.2), (128, 2.1)])
def test_a_step_costs_little_and_reads_the_clip_no_more(width, bar):
    decoder = PoseDecoder("posetrack15", width=width)
    Z = [torch.zeros(1, 256, 16 * n, 12 * n) for n in (1, 2, 4)]
    with torch.no_grad():
        context = decoder.prepare(Z)
        with FlopCounterMode(display=False) as counter:
            decoder(torch.zeros(1, 15, 64, 48), torch.tensor([999]), context)
    assert 0.8 * bar < counter.get_total_flops() / 2e9 <= bar
