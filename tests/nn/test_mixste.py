"""MixSTE and the timed network of D3DP against golden outputs of the released ones."""

import pytest
import torch

from posediff.nn.mixste import MixSTE
from posediff.nn.transformer import TransformerBlock


@pytest.fixture(scope="module")
def tiny(golden):
    return golden("lift3d/mixste_tiny.npz")


@pytest.fixture(scope="module")
def d3dp(golden):
    return golden("lift3d/d3dp_tiny.npz")


@pytest.fixture
def lifter(lift3d_recipe):
    network = MixSTE(17, 9, width=64, depth=2)
    state = lift3d_recipe.weights(lift3d_recipe.keys(9, 17, 64, 2), 3)
    network.load_state_dict({name: torch.from_numpy(x) for name, x in state.items()})
    return network.eval()


@pytest.fixture
def denoiser(lift3d_recipe):
    network = MixSTE(17, 5, width=32, depth=2, channels_in=5, timed=True)
    state = lift3d_recipe.weights(lift3d_recipe.keys_d3dp(5, 17, 32, 2), 11)
    network.load_state_dict(
        {name.removeprefix("pose_estimator."): torch.from_numpy(x) for name, x in state.items()}
    )
    return network.eval()


def as_published(shared, name):
    lines = (shared / f"golden/lift3d/{name}.txt").read_text().splitlines()
    return [line for line in lines if line]


def listed(network, prefix=""):
    return [f"{prefix}{name} {tuple(x.shape)}" for name, x in network.state_dict().items()]


def test_keys_shapes_and_parameters_of_the_released_size(shared):
    with torch.device("meta"):
        lifter = MixSTE(17, 243)
        denoiser = MixSTE(17, 243, channels_in=5, timed=True)
    assert listed(lifter) == as_published(shared, "keys_mixste")
    assert listed(denoiser, "pose_estimator.") == as_published(shared, "keys_d3dp")[12:]
    sizes = [sum(p.numel() for p in network.parameters()) for network in (lifter, denoiser)]
    assert sizes == [33_783_811, 34_835_459]


@torch.no_grad()
def test_the_released_lifter(lifter, tiny):
    torch.testing.assert_close(lifter(tiny["x"])[0], tiny["y"], rtol=0, atol=1e-5)
    y = lifter.double()(tiny["x"].double())[0]
    torch.testing.assert_close(y, tiny["y64"], rtol=0, atol=1e-9)


@torch.no_grad()
def test_features_are_what_the_output_layer_reads(lifter, tiny):
    y, features = lifter(tiny["x"])
    assert features.shape == (1, 9, 17, 64)
    torch.testing.assert_close(lifter.head(features), y)


def folded(d3dp):
    """All hypotheses as one batch: tokens (B H, F, J, 5) and t (B H,)."""
    uv = d3dp["uv"][:, None].expand(-1, 2, -1, -1, -1)
    tokens = torch.cat([uv, d3dp["x"]], -1)
    return tokens.flatten(0, 1), d3dp["t"].repeat_interleave(2)


@torch.no_grad()
def test_the_released_denoiser(denoiser, d3dp):
    x, t = folded(d3dp)
    torch.testing.assert_close(denoiser(x, t)[0], d3dp["y"].flatten(0, 1), rtol=0, atol=5e-5)
    y = denoiser.double()(x.double(), t)[0]
    torch.testing.assert_close(y, d3dp["y64"].flatten(0, 1), rtol=0, atol=1e-9)


@torch.no_grad()
def test_its_time_is_added_once_before_the_first_block(denoiser, d3dp):
    network, (x, t) = denoiser.double(), folded(d3dp)
    read = []
    for block in (network.STEblocks[0], network.TTEblocks[0]):
        block.register_forward_pre_hook(lambda _, inputs: read.append(inputs[0]))
    network(x.double(), t)
    torch.testing.assert_close(network.embed(d3dp["t"]), d3dp["temb64"], rtol=0, atol=1e-9)
    torch.testing.assert_close(read[0], d3dp["tokens64"], rtol=0, atol=1e-9)
    torch.testing.assert_close(read[1], d3dp["temporal_in64"], rtol=0, atol=1e-9)


def test_another_number_of_frames_is_an_error_that_names_both(lifter):
    with pytest.raises(ValueError, match=r"9 frames .* windows of 27"):
        lifter(torch.zeros(1, 27, 17, 2))


def test_branches_are_dropped_at_their_rate_in_training_only():
    torch.manual_seed(0)
    block, x = TransformerBlock(8, 2, 2.0, drop_path=0.25), torch.ones(4000, 3, 8)
    kept = block.dropped(x)
    assert kept.unique().tolist() == pytest.approx([0, 4 / 3])
    assert (kept > 0).float().mean() == pytest.approx(0.75, abs=0.03)
    assert (kept.amin((1, 2)) == kept.amax((1, 2))).all()
    assert torch.equal(block.eval().dropped(x), x)
    drops = [b.drop_path for b in MixSTE(17, 9, width=16, depth=3, drop_path=0.1).TTEblocks]
    assert drops == pytest.approx([0, 0.05, 0.1])


def test_gradients_reach_every_parameter():
    network = MixSTE(17, 9, width=16, depth=2, channels_in=5, timed=True, drop_path=0)
    y, _ = network(torch.randn(2, 9, 17, 5), torch.tensor([3, 900]))
    y.square().sum().backward()
    for name, p in network.named_parameters():
        assert p.grad is not None, name
        assert p.grad.abs().sum() > 0, name
