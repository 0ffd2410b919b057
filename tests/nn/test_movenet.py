"""MoveNet against the released networks (golden/movenet_forward.npz)."""

import pytest
import torch

from posediff.nn import weights
from posediff.nn.movenet import MULTIPOSE, PEOPLE, POSE, THUNDER, MoveNet, Thunder

NETWORKS = {"thunder": (THUNDER, POSE), "multipose": (MULTIPOSE, PEOPLE)}


@pytest.fixture(scope="module")
def thunder_file(shared):
    return shared / "weights/movenet_thunder.safetensors"


@pytest.mark.parametrize("name", NETWORKS)
def test_all_maps_are_those_of_the_released_network(name, golden, shared):
    network = MoveNet(*NETWORKS[name]).eval()
    report = weights.load(network, shared / f"weights/movenet_{name}.safetensors")
    assert not report.missing
    assert not report.unused
    z = golden("movenet_forward.npz")
    with torch.inference_mode():
        found = {"features": network(z[f"{name}_input"]), **network.answers(z[f"{name}_input"])}
    assert {f"{name}_{key}" for key in found} == {
        key for key in z if key.startswith(name) and not key.endswith("input")
    }
    for key, x in found.items():
        expected = z[f"{name}_{key}"]
        assert (x - expected).abs().max() <= 1e-4 * expected.abs().max(), key


@pytest.mark.parametrize(("name", "count"), [("thunder", 6_226_046), ("multipose", 4_723_346)])
def test_sizes_are_those_of_the_files(name, count):
    with torch.device("meta"):
        network = MoveNet(*NETWORKS[name])
    assert sum(p.numel() for p in network.parameters()) == count


@pytest.fixture(scope="module")
def backbone(shared):
    torch.manual_seed(0)
    network = Thunder(features=16)
    report = weights.load(network, shared / "weights/movenet_thunder.safetensors")
    assert {name.split(".")[0] for name in report.missing} == {"pyramid"}
    assert {name.split(".")[0] for name in report.unused} == {"heads"}
    return network.eval()


def test_features_join_the_maps_of_all_strides(backbone):
    with torch.inference_mode():
        for height, width in ((128, 96), (96, 80)):  # 80: not halved exactly
            image = torch.randn(2, 3, height, width)
            maps = backbone.maps(image)
            assert [tuple(x.shape[-2:]) for x in maps] == [
                (-(-height // s), -(-width // s)) for s in (32, 16, 8, 4)
            ]
            features = backbone(image)
            assert features.shape == (2, 16, height // 4, width // 4)
            named = {str(i): x for i, x in enumerate(maps)}
            assert torch.equal(backbone(named), features)
            for i, x in enumerate(maps):
                other = [torch.zeros_like(x) if j == i else y for j, y in enumerate(maps)]
                assert not torch.allclose(backbone.join(other), features), i


def test_deeper_layers_have_more_layers_above(backbone):
    names = ("stem.weight", "blocks.0.project.bias", "blocks.16.project.bias", "last.weight")
    above = [backbone.layers_above(name) for name in names]
    assert above == [18, 17, 1, 0]
    assert backbone.layers_above("pyramid.smooth.0.weight") == 0


@pytest.mark.parametrize("learned", [1, 4, 7, 12, 16])
def test_the_features_are_the_same_however_many_blocks_learn(learned):
    torch.manual_seed(0)
    image = torch.randn(2, 3, 64, 96)
    whole, part = Thunder(8).eval(), Thunder(8, learned).eval()
    part.load_state_dict(whole.state_dict())
    assert torch.allclose(part(image), whole(image), atol=1e-6)
    part.freeze()
    part.train()(image).sum().backward()
    for name, p in part.named_parameters():
        block = int(name.split(".")[1]) if name.startswith("blocks.") else -1
        own = block >= 17 - learned or not name.startswith(("blocks.", "stem."))
        assert p.requires_grad is own, name
        assert (p.grad is not None) is own, name


def test_more_blocks_than_there_are_cannot_learn():
    with pytest.raises(ValueError, match=r"backbone\.network\.learned must be in 0\.\.16, got 17"):
        Thunder(8, 17)
