"""The D3DP head on the shared process against golden vectors of the released code."""

import numpy as np
import pytest
import torch

from posediff.diffusion import (
    DDIMSampler,
    DiffusionModel,
    FlipTest,
    Hypotheses,
    Noise,
    Process,
)
from posediff.diffusion.model import repeated
from posediff.diffusion.schedule import cosine
from posediff.pose.camera import denormalise
from posediff.tasks.lift3d import D3DP


@pytest.fixture(scope="module")
def golden(shared):
    with np.load(shared / "golden/lift3d/d3dp_tiny.npz", allow_pickle=False) as file:
        return {key: torch.from_numpy(file[key]) for key in file}


@pytest.fixture(scope="module")
def weights(lift3d_recipe):
    recipe = lift3d_recipe
    state = recipe.weights(recipe.keys_d3dp(5, 17, 32, 2), 11)
    return {k.removeprefix("pose_estimator."): torch.from_numpy(x) for k, x in state.items()}


def model_of(weights, flip=True, squared=False):
    head = D3DP("h36m17", window=5, width=32, depth=2, drop_path=0)
    head.denoiser.load_state_dict(weights)
    process = Process(cosine(1000), "x_0", bound=1.1)
    sampler = DDIMSampler(2, eta=1.0)
    return DiffusionModel(
        FlipTest(head) if flip else head, process, sampler, hypotheses=2, squared=squared
    )


def sample_of(golden, dtype):
    size = torch.tensor([1000.0, 1002.0], dtype=dtype).expand(2, 5, 2)
    return {
        "id": ["a", "b"],
        "keypoints_2d": denormalise(golden["uv"].to(dtype), size),
        "keypoints": golden["train_x0"].to(dtype),
        "image_size": size,
        "scores": torch.ones(2, 5, 17, dtype=dtype),
        "frames_valid": torch.ones(2, 5, dtype=dtype),
    }


class Recorded(Noise):
    """The draws of the released run, in their order."""

    def __init__(self, draws):
        self.draws = iter(draws)

    def normal(self, shape):
        return next(self.draws).view(shape)


def steps(golden, model, dtype):
    """Timesteps; x before each step and its x_0, both (B, steps, H, F, J, 3)."""
    context = repeated(model.head.encode(sample_of(golden, dtype)), 2)
    noise = Recorded(golden["noise"].to(dtype).flatten(1, 2))
    prior = model.head.prior(context, noise)
    x = prior.noise(noise)  # as released; our start is sigma[999] = 1 - 1.2e-9 of it
    with torch.no_grad():
        walk = model.sampler(
            model.process, lambda x, t: model.head.denoise(x, t, context), x, prior, noise
        )
        seen = list(walk)
    states, said = (
        torch.stack([getattr(step, name).unflatten(0, (2, 2)) for step in seen], 1)
        for name in ("x_t", "x_0")
    )
    return [step.t for step in seen], states, said


@pytest.mark.parametrize(
    ("dtype", "suffix", "bar"), [(torch.float64, "64", 1e-9), (torch.float32, "", 5e-5)]
)
def test_the_sampler_with_its_flip_walks_the_released_way(golden, weights, dtype, suffix, bar):
    model = model_of(weights).eval()
    model.head.to(dtype)  # the tables of the process are float64 and stay so
    t, states, said = steps(golden, model, dtype)
    assert [*t, -1] == golden["sample_t"].tolist()
    torch.testing.assert_close(states, golden[f"sample_x{suffix}"], rtol=0, atol=bar)
    torch.testing.assert_close(said, golden[f"sample_out{suffix}"], rtol=0, atol=bar)
    assert (said.abs() == 1.1).float().mean() > 0.05


def test_without_the_flip_it_is_the_released_network_alone(golden, weights):
    _, _, said = steps(golden, model_of(weights, flip=False).double().eval(), torch.float64)
    torch.testing.assert_close(said, golden["noflip_out64"], rtol=0, atol=1e-9)
    assert (said - golden["sample_out64"]).abs().max() > 0.1


def test_the_answer_is_the_mean_over_hypotheses_with_the_root_at_zero(golden, weights):
    model = model_of(weights).double().eval()
    _, _, said = steps(golden, model, torch.float64)
    answers, rows = model.head.single_frames(said[:, -1], sample_of(golden, torch.float64))
    drawn = Hypotheses(answers, lambda x: model.head.decode(x, rows), rows, model.head.skeleton)
    mean = model.aggregate(drawn).keypoints
    torch.testing.assert_close(mean, golden["p_agg64"].flatten(0, 1), rtol=0, atol=1e-9)


def released_walk(golden, model, scale, draws):
    """The x_0 of every step of D3DP's own sampler, whose unit is `scale` metres."""
    tables, reach = golden["alphas_cumprod"], 1.1 * scale
    x, said = draws[0], []
    for n, (t, s) in enumerate(((999, 499), (499, -1))):
        context = {
            k: v[[0]] for k, v in model.head.encode(sample_of(golden, torch.float64)).items()
        }
        seen = torch.cat([context["uv"], x.clamp(-reach, reach) / scale], -1)
        x_0 = (scale * model.head.denoiser(seen, torch.tensor([t]))[0]).clamp(-reach, reach)
        said.append(x_0 / scale)
        if s < 0:
            return said
        a, b = tables[t], tables[s]
        e = (x / a.sqrt() - x_0) / (1 / a - 1).sqrt()
        sigma = ((1 - a / b) * (1 - b) / (1 - a)).sqrt()
        x = b.sqrt() * x_0 + (1 - b - sigma**2).sqrt() * e + sigma * draws[n + 1]


@pytest.mark.parametrize("scale", [1.0, 2.5])
@torch.no_grad()
def test_a_scale_walks_as_the_released_code_with_its_answers_in_metres(golden, weights, scale):
    model = model_of(weights, flip=False).double().eval()
    model.head.signal_scale = scale
    draws = torch.randn(2, 1, 5, 17, 3, generator=torch.Generator().manual_seed(0)).double()
    context = {k: v[[0]] for k, v in model.head.encode(sample_of(golden, torch.float64)).items()}
    noise = Recorded(draws)
    prior = model.head.prior(context, noise)
    walk = model.sampler(
        model.process,
        lambda x, t: model.head.denoise(x, t, context),
        prior.noise(noise),
        prior,
        noise,
    )
    for step, released in zip(walk, released_walk(golden, model, scale, draws), strict=True):
        torch.testing.assert_close(step.x_0, released, rtol=0, atol=1e-9)


def trained(golden, weights, squared):
    """State, answer, loss and norm of the gradient of the released training call, in float64."""
    model = model_of(weights, flip=False, squared=squared).double().train()
    seen = {}

    def keep(_, inputs, output):
        seen["x_t"], seen["y"] = inputs[0][..., 2:], output[0]

    model.head.denoiser.register_forward_hook(keep)

    class Given(Recorded):
        def uniform(self, shape):
            return (golden["train_t"].double() + 0.5) / 1000

    loss = model.loss(sample_of(golden, torch.float64), Given([golden["train_noise"].double()]))
    loss.backward()
    norm = torch.stack([p.grad.norm() for p in model.parameters() if p.grad is not None]).norm()
    return seen["x_t"], seen["y"], loss, norm


def test_training_is_the_released_one(golden, weights):
    x_t, y, loss, norm = trained(golden, weights, squared=False)
    torch.testing.assert_close(x_t, golden["train_xt64"], rtol=0, atol=1e-9)
    torch.testing.assert_close(y, golden["train_y64"], rtol=0, atol=1e-9)
    assert loss.item() == pytest.approx(golden["train_loss64"].item(), abs=1e-9)
    assert norm.item() == pytest.approx(golden["train_gradnorm_plain64"].item(), abs=1e-9)


def test_the_squared_loss_scales_the_gradient_by_the_loss_as_released(golden, weights):
    _, _, loss, norm = trained(golden, weights, squared=True)
    assert loss.item() == pytest.approx(golden["train_loss64"].item() ** 2 / 2, abs=1e-9)
    assert norm.item() == pytest.approx(golden["train_gradnorm64"].item(), abs=1e-9)


def test_the_schedule_and_the_grids_are_the_released_ones(golden):
    bar = cosine(1000).alpha[:1000] ** 2
    torch.testing.assert_close(bar, golden["alphas_cumprod"], rtol=1e-12, atol=0)
    grids = {1: [999], 2: [999, 499], 3: [999, 665, 332], 5: [999, 799, 599, 399, 199]}
    for n, grid in grids.items():
        assert DDIMSampler(n).grid(1000) == [*grid, -1]
    assert 61 in DDIMSampler(16).grid(1000)
