"""The lift3d networks against the released ones: golden numbers, and a plain implementation."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from posediff.nn.graph import ChebConv, normalised_graph
from posediff.pose.skeleton import skeleton
from posediff.prepare.released import DENOISER, LIFTER, Network, convert, translate
from posediff.tasks.lift3d.network import ContextBlock, ContextDenoiser, GraphLifter, GraphRefiner

ADJACENCY = skeleton("h36m17").adjacency()


@pytest.fixture(autouse=True)
def _seeded():
    torch.manual_seed(0)


def count(network: nn.Module) -> int:
    return sum(p.numel() for p in network.parameters())


def part(state: dict[str, torch.Tensor], network: Network) -> dict[str, torch.Tensor]:
    named = {k: x for k, x in state.items() if k.startswith(network.prefix)}
    return {k.removeprefix(network.prefix): x for k, x in named.items()}


@pytest.fixture(scope="module")
def reference():
    path = Path(__file__).parents[3] / "benchmarks/reference_lift3d.py"
    spec = importlib.util.spec_from_file_location("reference_lift3d", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def golden(shared):
    with np.load(shared / "golden/lift3d/forward.npz", allow_pickle=False) as arrays:
        return {name: torch.from_numpy(arrays[name]) for name in arrays.files}


@pytest.fixture(scope="module")
def released_state(shared):
    folder = shared / "golden/lift3d"
    files = [folder / "diff_ckpt_official.pth", folder / "pose_ckpt_official.pth"]
    return {weights: convert(files, weights)[0] for weights in ("model", "ema")}


@pytest.fixture
def networks(released_state):
    refiner, lifter = GraphRefiner(ADJACENCY).eval(), GraphLifter(ADJACENCY).eval()
    refiner.load_state_dict(part(released_state["model"], DENOISER))
    lifter.load_state_dict(part(released_state["model"], LIFTER))
    return refiner, lifter


def test_parameters_are_as_many_as_released_but_for_the_dead_embedding():
    assert count(GraphRefiner(ADJACENCY)) == 1_025_674
    assert count(GraphLifter(ADJACENCY)) == 839_432 - 185_088


@pytest.mark.parametrize("name", ["GCNdiff", "GCNpose"])
@pytest.mark.parametrize("gradients", [True, False])
def test_the_plain_reference_with_the_same_weights_says_the_same(reference, name, gradients):
    if name == "GCNdiff":
        plain, ours, network = reference.denoiser(ADJACENCY), GraphRefiner(ADJACENCY), DENOISER
        inputs = (torch.randn(150, 17, 5), torch.arange(150) % 51)
    else:
        plain, ours, network = reference.lifter(ADJACENCY), GraphLifter(ADJACENCY), LIFTER
        inputs = (torch.randn(150, 17, 2),)
    with torch.no_grad():
        for p in plain.parameters():
            p += 0.02 * torch.randn_like(p)
    ours.load_state_dict(part(translate(plain.state_dict(), network), network))
    with torch.set_grad_enabled(gradients):
        y, expected = ours.eval()(*inputs), plain.eval()(*inputs)
    y = y if name == "GCNdiff" else y[0]
    torch.testing.assert_close(y, expected, rtol=1e-5, atol=1e-5)


def test_the_released_networks_in_float32(golden, networks):
    refiner, lifter = networks
    with torch.no_grad():
        y, (z, features) = refiner(golden["x"], golden["t"]), lifter(golden["u"])
    torch.testing.assert_close(y, golden["y"], rtol=0, atol=1e-5)
    torch.testing.assert_close(z, golden["z"], rtol=0, atol=1e-5)
    torch.testing.assert_close(features, golden["pose_gconv4"], rtol=0, atol=1e-5)


def test_the_released_networks_in_float64(golden, networks):
    refiner, lifter = (network.double() for network in networks)
    with torch.no_grad():
        y, (z, _) = refiner(golden["x"].double(), golden["t"]), lifter(golden["u"].double())
    torch.testing.assert_close(y, golden["y64"], rtol=0, atol=1e-9)
    torch.testing.assert_close(z, golden["z64"], rtol=0, atol=1e-9)


def test_the_averaged_weights_are_others_and_say_what_they_should(golden, released_state):
    refiner = GraphRefiner(ADJACENCY).eval()
    refiner.load_state_dict(part(released_state["ema"], DENOISER))
    with torch.no_grad():
        y = refiner(golden["x"], golden["t"])
    torch.testing.assert_close(y, golden["y_ema"], rtol=0, atol=1e-5)
    assert (y - golden["y"]).abs().max() > 1


def test_every_intermediate_is_the_released_one(golden, networks):
    refiner, lifter = networks
    seen: dict[str, torch.Tensor] = {}

    def keep(name: str, layer: nn.Module, of_input: bool = False) -> None:
        def hook(_, inputs, output):
            seen[name] = inputs[0] if of_input else output

        layer.register_forward_hook(hook)

    for name, body in (("diff", refiner.body), ("pose", lifter.body)):
        keep(f"{name}_gconv_input", body.input)
        for i, block in enumerate(body.blocks):
            keep(f"{name}_atten{i}", block.conv1, of_input=True)
            keep(f"{name}_gconv{i}", block)
    keep("diff_temb", refiner.time)
    keep("diff_atten0_norm", refiner.body.blocks[0].norm1)
    keep("diff_atten0_self_attn", refiner.body.blocks[0].attention)
    with torch.no_grad():
        refiner(golden["x"], golden["t"])
        lifter(golden["u"])
    seen["diff_temb_sin"] = refiner.time.sinusoid(golden["t"]).float()
    seen["diff_atten0_graph_laplacian"] = normalised_graph(refiner.body.graphs)[0]
    seen["cheb"] = refiner.body.basis.view(17, 3, 17).transpose(0, 1).float()
    assert seen.keys() == {k for k in golden if k.startswith(("diff_", "pose_"))} | {"cheb"}
    for name, x in seen.items():
        assert (x - golden[name]).abs().max() < 1e-5, name


def test_an_answer_depends_neither_on_its_batch_nor_on_its_place_in_it():
    denoiser = moved(ContextDenoiser(ADJACENCY, width=16, context_width=12)).eval()
    x, t = torch.randn(131, 17, 5), torch.arange(131) % 50
    context = denoiser.project(torch.randn(131, 17, 12))
    with torch.no_grad():
        whole = denoiser(x, t, context)
        alone = torch.cat([denoiser(x[[i]], t[[i]], context[[i]]) for i in (130, 64, 0)])
    torch.testing.assert_close(whole[[130, 64, 0]], alone, rtol=0, atol=1e-5)


def moved(network: nn.Module) -> nn.Module:
    """The network with other weights than the zeros and ones that it begins with."""
    with torch.no_grad():
        for p in network.parameters():
            p += 0.1 * torch.randn_like(p)
    return network


def test_a_new_denoiser_corrects_nothing():
    denoiser = ContextDenoiser(ADJACENCY, width=16, context_width=12)
    context = denoiser.project(torch.randn(4, 17, 12))
    y = denoiser(torch.randn(4, 17, 5), torch.arange(4), context)
    assert torch.equal(y, torch.zeros(4, 17, 5))


def test_the_fusion_is_one_graph_convolution_over_state_features_and_time():
    denoiser = moved(ContextDenoiser(ADJACENCY, width=16, context_width=12)).double().eval()
    x, t, features = torch.randn(3, 17, 5), torch.arange(3), torch.randn(3, 17, 12)
    basis, seen = denoiser.basis.expand(3, -1, -1), []
    denoiser.blocks[0].register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    denoiser(x.double(), t, denoiser.project(features.double()))

    # any weights W_k with W_0 - W_2 = 1 let the convolution copy what all joints share
    embedded = denoiser.time(t)[:, None].expand(-1, 17, -1)
    copy = torch.cat([2 * torch.eye(16), torch.randn(16, 16), torch.eye(16)], 1).view(16, 3, 16)
    kernels = [denoiser.fuse.weight.view(16, 3, 16), denoiser.context.weight.view(16, 3, 12), copy]
    whole = ChebConv(16 + 12 + 16, 16).double()
    whole.weight.data = torch.cat([k.double() for k in kernels], -1).flatten(1)
    whole.bias.data = denoiser.fuse.bias + denoiser.context.bias
    h = denoiser.input(x.double(), basis)
    stacked = torch.cat([h, features.double(), embedded], -1)
    torch.testing.assert_close(seen[0], whole(stacked, basis), rtol=0, atol=1e-12)


def test_a_block_has_a_residual_around_its_convolutions_and_one_around_its_attention():
    block = moved(ContextBlock(16, 4, 0.1)).eval()
    h, basis = torch.randn(3, 17, 16), ContextDenoiser(ADJACENCY).basis.float().expand(3, -1, -1)
    convolved = h + block.conv2(block.conv1(h, basis).relu(), basis).relu()
    attended = convolved + block.attention(block.norm(convolved))
    torch.testing.assert_close(block(h, basis), attended, rtol=0, atol=1e-5)
    assert (attended - convolved).abs().max() > 0.1


def test_gradients_reach_every_parameter():
    lifter = GraphLifter(ADJACENCY, width=16, depth=2)
    refiner = GraphRefiner(ADJACENCY, width=16, depth=2)
    denoiser = moved(ContextDenoiser(ADJACENCY, width=16, context_width=16))
    xyz, features = lifter(torch.randn(4, 17, 2))
    x, t = torch.cat([xyz, xyz[..., :2]], -1), torch.arange(4)
    y = refiner(x, t) + denoiser(x, t, denoiser.project(features))
    y.square().sum().backward()
    for network in (lifter, refiner, denoiser):
        for name, p in network.named_parameters():
            assert p.grad is not None, name
            assert p.grad.abs().sum() > 0, name


def test_a_denoiser_learns_a_batch_by_heart():
    denoiser = ContextDenoiser(ADJACENCY, width=16, depth=1, context_width=8, dropout=0)
    x, t, features = torch.randn(4, 17, 5), torch.arange(4), torch.randn(4, 17, 8)
    goal = torch.randn(4, 17, 5)
    optimizer = torch.optim.Adam(denoiser.parameters(), 1e-2)
    for _ in range(80):
        loss = (denoiser(x, t, denoiser.project(features)) - goal).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss < 0.1


def test_a_state_dict_holds_parameters_alone():
    for network in (GraphLifter(ADJACENCY), GraphRefiner(ADJACENCY), ContextDenoiser(ADJACENCY)):
        assert set(network.state_dict()) == {name for name, _ in network.named_parameters()}
