import pytest
import torch

from posediff.nn.backbone import Pyramid, upsample
from posediff.nn.small import Small


@pytest.fixture(autouse=True)
def _seeded():
    torch.manual_seed(0)


def test_features_have_a_quarter_of_the_crop_size():
    network = Small(features=24)
    assert network(torch.randn(2, 3, 60, 44)).shape == (2, 24, 15, 11)
    assert (network.channels, network.stride) == (24, 4)


def test_the_size_is_that_of_the_docstring():
    with torch.device("meta"):
        count = sum(p.numel() for p in Small().parameters())
    assert count == pytest.approx(0.76e6, abs=5e3)


def test_features_do_not_depend_on_the_batch():
    network, images = Small(features=8), torch.randn(3, 3, 64, 48)
    torch.testing.assert_close(network(images)[1:2], network(images[1:2]), atol=1e-5, rtol=1e-5)


def test_every_parameter_learns_and_blocks_start_as_the_identity():
    network = Small(features=8)
    network(torch.randn(2, 3, 64, 48)).square().mean().backward()
    assert all(p.grad is not None for p in network.parameters())
    x = torch.randn(1, 32, 8, 6)
    assert torch.equal(network.stages[0][1](x), x)


def test_a_pyramid_adds_coarser_maps():
    pyramid = Pyramid((2, 3), 4)
    fine, coarse = torch.randn(1, 2, 5, 7), torch.randn(1, 3, 3, 4)
    low, high = pyramid.lateral[1](coarse), pyramid.lateral[0](fine)
    expected = pyramid.smooth(high + upsample(low, high))
    torch.testing.assert_close(pyramid([fine, coarse]), expected)
    larger = upsample(torch.tensor([[[[1.0, 2.0]]]]), torch.zeros(1, 1, 2, 4))
    assert larger[0, 0, 1].tolist() == [1, 1, 2, 2]
