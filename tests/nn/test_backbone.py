"""What all backbones share: features are their joined maps, and what is frozen stays as it is."""

import pytest
import torch

from posediff.nn.efficientnet import EfficientNetLite0
from posediff.nn.hrnet import HRNet
from posediff.nn.movenet import Thunder
from posediff.nn.small import Small
from posediff.nn.vit import ViT

BACKBONES = {
    "small": lambda: Small(16),
    "lite0": lambda: EfficientNetLite0(16),
    "thunder": lambda: Thunder(16),
    "hrnet": lambda: HRNet(4, joints=3),
    "vit": lambda: ViT("small", (48, 64), 16),
}


@pytest.fixture(params=BACKBONES)
def network(request):
    torch.manual_seed(0)
    return BACKBONES[request.param]()


def test_the_layers_that_join_the_maps_are_the_optional_ones(network):
    with torch.no_grad():
        maps = network.eval().maps(torch.randn(2, 3, 64, 48))
    network.join(maps).sum().backward()
    for name, parameter in network.named_parameters():
        assert (parameter.grad is not None) == name.startswith(network.optional), name


def test_a_frozen_backbone_stays_as_it_is_and_its_join_learns(network):
    network.freeze()
    network.train()
    before = {name: x.clone() for name, x in network.state_dict().items()}
    network(torch.randn(2, 3, 64, 48)).square().mean().backward()
    learning = [p for p in network.parameters() if p.grad is not None]
    torch.optim.SGD(learning, lr=0.1).step()
    changed = {k for k, x in network.state_dict().items() if not torch.equal(x, before[k])}
    assert changed
    assert all(name.startswith(network.optional) for name in changed)


def test_freezing_is_an_option(network):
    network.train()
    assert all(p.requires_grad for p in network.parameters())
    assert all(module.training for module in network.modules())
