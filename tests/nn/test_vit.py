"""ViTPose against the official code (golden/vitpose_forward.npz, vitpose_b_keys.json)."""

import pytest
import torch
from torch.nn import functional

from posediff.nn import vit
from posediff.nn.transformer import Attention
from posediff.nn.vit import ViT

HEAD = ("deconv_layers.", "final_layer.")


@pytest.fixture
def tiny(monkeypatch):
    monkeypatch.setitem(vit.VARIANTS, "tiny", (32, 2, 4))
    torch.manual_seed(0)
    return lambda **options: ViT("tiny", **options)


def test_entries_are_those_of_the_official_code(golden):
    with torch.device("meta"):
        network = ViT("base", joints=17)
    ours = {name: list(x.shape) for name, x in network.state_dict().items()}
    backbone = {name: shape for name, shape in ours.items() if not name.startswith(HEAD)}
    assert backbone == golden("vitpose_b_keys.json")
    head = {name.rsplit(".", 1)[0] for name in ours if name.startswith(HEAD)}
    assert head == {*(f"deconv_layers.{i}" for i in (0, 1, 3, 4)), "final_layer"}


@pytest.mark.parametrize(
    ("variant", "count"),
    [("small", 24_290_577), ("base", 89_994_513), ("large", 308_544_785), ("huge", 637_208_849)],
)
def test_sizes_are_the_published_ones(variant, count):
    with torch.device("meta"):
        network = ViT(variant, joints=17)
    assert sum(p.numel() for p in network.parameters()) == count
    trunk = [p for name, p in network.named_parameters() if not name.startswith(HEAD)]
    if variant == "base":
        assert sum(p.numel() for p in trunk) == 85_794_816


def test_features_and_heatmaps_are_those_of_the_official_code(golden, recipe):
    z, network = golden("vitpose_forward.npz"), recipe.fill(ViT("base", joints=17)).eval()
    image = torch.from_numpy(recipe.inputs("input_vitb_256x192", (1, 3, 256, 192)))
    with torch.inference_mode():
        (tokens,) = network.maps(image)
        heatmap = network.final_layer(network.deconv_layers(tokens))
    torch.testing.assert_close(tokens[:, ::8], z["official_vitb_backbone"], atol=1e-5, rtol=0)
    torch.testing.assert_close(heatmap, z["official_vitb_classic_heatmap"], atol=1e-5, rtol=0)


def test_features_are_projected_to_a_quarter_of_the_crop(tiny):
    network = tiny(size=(96, 128), features=24).eval()
    with torch.inference_mode():
        features = network(torch.randn(2, 3, 128, 96))
    assert features.shape == (2, network.channels, 32, 24)
    assert network.channels == 24


def test_attention_is_softmax_of_queries_and_keys_times_values():
    torch.manual_seed(0)
    layer, x = Attention(8, heads=2), torch.randn(3, 5, 8)
    q, k, v = (part.unflatten(-1, (2, 4)).transpose(1, 2) for part in layer.qkv(x).chunk(3, -1))
    mixed = functional.softmax(q @ k.mT / 2, dim=-1) @ v
    expected = layer.proj(mixed.transpose(1, 2).flatten(2))
    torch.testing.assert_close(layer(x), expected)
    with torch.no_grad():  # the fused kernel
        torch.testing.assert_close(layer(x), expected)


def test_training_does_not_take_the_fused_attention(monkeypatch):
    def fused(*given, **options):
        raise AssertionError("its gradient is slow on a CPU")

    monkeypatch.setattr(functional, "scaled_dot_product_attention", fused)
    Attention(8, heads=2)(torch.randn(3, 5, 8)).sum().backward()


def test_crops_of_another_size_are_refused(tiny):
    with pytest.raises(ValueError, match="crops of 96 x 128, got 128 x 96"):
        tiny(size=(96, 128))(torch.zeros(1, 3, 96, 128))
    with pytest.raises(ValueError, match="multiples of 16"):
        tiny(size=(100, 128))
    with pytest.raises(ValueError, match="small, base, large, huge"):
        ViT("tinier")
