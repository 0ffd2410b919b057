"""The decoder of image2d: sizes, time, cost."""

import pytest
import torch
from helpers.image2d import LIGHT, J, image2d, people, untrained
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from posediff.pose.heatmap import Codec
from posediff.tasks.image2d import SGDD


@pytest.mark.parametrize(
    ("size", "stride", "shape", "bottom", "sigma"),
    [
        ((192, 256), 8, (32, 24), (4, 3), 1),
        ((192, 256), 4, (64, 48), (8, 6), 2),
        ((192, 256), 2, (128, 96), (16, 12), 4),
        ((192, 256), 1, (256, 192), (32, 24), 8),
        ((288, 384), 8, (48, 36), (6, 5), 1.5),
        ((288, 384), 4, (96, 72), (12, 9), 3),
    ],
)
def test_maps_have_the_size_of_their_stride_and_come_out_as_they_went_in(
    size, stride, shape, bottom, sigma
):
    codec, seen = Codec("udp", size, stride), []
    net = SGDD("crowdpose14", 8, channels=8, blocks=1)
    net.down[-1].register_forward_hook(lambda m, x, y: seen.append(y))
    x_fea = torch.randn(1, 8, *shape)
    maps = torch.randn(1, J, *shape)
    with torch.no_grad():
        out = net(maps, x_fea, net.stem_features(x_fea), torch.tensor([3]))
    assert (codec.shape, codec.sigma) == (shape, sigma)
    assert out.shape == maps.shape
    assert seen[0].shape == (1, 16, *bottom)


@pytest.mark.parametrize("stride", [8, 2, 1])
def test_features_come_at_the_stride_of_the_maps(stride):
    head = image2d(stride=stride)
    context = head.encode(people())
    assert context["coarse"].shape[-2:] == context["stem"].shape[-2:] == head.coarse.codec.shape


def test_the_time_is_seen_only_if_asked_for():
    maps, x_fea = torch.randn(2, J, 8, 8), torch.randn(2, 8, 8, 8)
    for time, equal in (("film", False), ("none", True)):
        torch.manual_seed(0)
        net = SGDD("crowdpose14", 8, time=time, **LIGHT)
        nn.init.normal_(net.out.weight)
        a, b = (net(maps, x_fea, net.stem_features(x_fea), torch.tensor([t, t])) for t in (3, 700))
        assert torch.allclose(a, b) == equal


def test_the_stem_of_the_features_is_a_part_of_one_convolution():
    maps, x_fea, other = torch.randn(1, J, 8, 8), torch.randn(1, 8, 8, 8), torch.randn(1, 8, 8, 8)
    net = SGDD("crowdpose14", 8, **LIGHT)
    weight = torch.cat([net.stem.weight, net.stem_features.weight], 1)
    whole = nn.functional.conv2d(torch.cat([maps, other, x_fea], 1), weight, net.stem.bias, 1, 1)
    parts = net.stem(torch.cat([maps, other], 1)) + net.stem_features(x_fea)
    assert torch.allclose(whole, parts, atol=1e-5)


def test_a_step_of_the_light_preset_costs_an_eighth_of_a_gmac():
    head = untrained("coco17", size=(192, 256), stride=8, channels=32).eval()
    sample = {"image": torch.zeros(1, 3, 256, 192)}
    with torch.no_grad():
        context = head.encode(sample)
        with FlopCounterMode(display=False) as counter:
            head.denoise(torch.zeros(1, 17, 2), torch.tensor([9]), context)
    assert 0.11 < counter.get_total_flops() / 2e9 < 0.13
