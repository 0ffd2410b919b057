"""HRNet against the official code (golden/hrnet_forward.npz, hrnet_w32_keys.json)."""

import pytest
import torch

from posediff.nn.hrnet import HRNet


def parameters(network):
    return sum(p.numel() for p in network.parameters())


def shapes(network):
    return {name: list(x.shape) for name, x in network.state_dict().items()}


def test_entries_are_those_of_the_official_code_in_its_order(golden):
    with torch.device("meta"):
        ours, keys = shapes(HRNet(32, joints=17)), golden("hrnet_w32_keys.json")
    assert ours == keys
    assert [*ours] == [*keys]


@pytest.mark.parametrize(("width", "count"), [(32, 28_536_113), (48, 63_595_745)])
def test_sizes_are_the_published_ones(width, count):
    with torch.device("meta"):
        network = HRNet(width, joints=17)
    assert parameters(network) == count
    assert len(network.state_dict()) == 1754
    norms = [m for m in network.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    assert {(m.momentum, m.eps) for m in norms} == {(0.1, 1e-5)}


def test_heatmaps_are_those_of_the_official_code(golden, recipe):
    z, network = golden("hrnet_forward.npz"), recipe.fill(HRNet(32, joints=17), gain=0.6).eval()
    image = torch.from_numpy(recipe.inputs("input_w32_256x192", (1, 3, 256, 192)))
    outputs = []
    for name in ("layer1", "stage2", "stage3", "stage4"):
        network.get_submodule(name).register_forward_hook(lambda _, __, y: outputs.append(y))
    with torch.inference_mode():
        heatmap = network(image)
    torch.testing.assert_close(heatmap, z["heatmap_w32_256x192"], atol=1e-5, rtol=0)
    first = [x if isinstance(x, torch.Tensor) else x[0] for x in outputs]
    moments = torch.stack([torch.stack([x.mean(), x.std(correction=0)]) for x in first])
    torch.testing.assert_close(moments.double(), z["acts_w32_256x192"], atol=1e-5, rtol=0)


def test_features_are_the_finest_branch_and_sizes_need_not_halve():
    network = HRNet(width=8).eval()
    for height, width in ((64, 48), (60, 44)):
        with torch.inference_mode():
            features = network(torch.randn(2, 3, height, width))
        assert features.shape == (2, network.channels, height // network.stride, width // 4)


def test_every_parameter_learns():
    torch.manual_seed(0)
    network = HRNet(width=4, joints=3)
    network(torch.randn(2, 3, 64, 64)).square().mean().backward()
    assert all(p.grad is not None for p in network.parameters())
