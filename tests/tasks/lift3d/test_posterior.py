"""The posterior head: its mean is the lifter, draws have its deviations."""

import math
from dataclasses import replace

import pytest
import torch

from posediff.data.lifting.synthetic_people import synthetic
from posediff.diffusion import DiffusionModel, FlowSampler, Noise, Process
from posediff.diffusion.schedule import cosine
from posediff.sample import take
from posediff.tasks.lift3d import FrameTrunk, Posterior, WindowTrunk
from posediff.tasks.lift3d.posterior import DROPPED, MISSING_SCALE, SMALLEST, quantile_ratio

TRUNK = {"skeleton": "h36m17", "width": 16, "depth": 1}


def posterior(steps=5, K=4, stirred=False, trunk=None, **options):
    torch.manual_seed(0)
    head = Posterior(trunk or FrameTrunk(**TRUNK), cosine(50), width=16, depth=1, **options)
    if stirred:
        for p in head.denoiser.parameters():
            p.data += 0.1 * torch.randn(p.shape)
    model = DiffusionModel(
        head, Process(cosine(50)), FlowSampler(steps), hypotheses=K, opposite=True
    )
    return model.eval()


@pytest.fixture(scope="module")
def sample():
    data = synthetic("validation", "noisy", clips=3, length=20)
    return data.__getitems__([3, 40, 77, 150, 200])


def test_one_step_is_the_mean_whatever_was_drawn(sample):
    made = posterior(steps=1, stirred=True)
    mean = made.head.encode(sample)["mu"]
    every = made.sample(sample, 3).estimates[..., 2:]
    assert torch.allclose(every, mean[:, None].expand_as(every), atol=1e-3)  # alpha is not quite 0
    assert not torch.allclose(
        posterior(steps=5, stirred=True).sample(sample, 1).estimates[:, 0, :, 2:], mean, atol=1e-2
    )


def test_without_a_correction_pairs_are_opposite_and_draws_have_the_deviation(sample):
    made = posterior()  # a new denoiser returns 0
    context = made.head.encode(sample)
    last = cosine(50).alpha[9]  # of the last of 5 timesteps: the answer is x_0 there
    offset = made.sample(sample, 512).estimates[..., 2:] - context["mu"][:, None]
    assert torch.allclose(offset[:, ::2], -offset[:, 1::2], atol=1e-4)
    found = offset.square().mean((0, 1)).sqrt() / (last * context["s"].square().mean(0).sqrt())
    assert torch.allclose(found[1:], torch.ones(16, 3, dtype=found.dtype), atol=0.15)


def test_the_mean_of_opposite_draws_is_the_mean_if_the_correction_is_centred():
    data = synthetic("validation", "gt", clips=3, length=20)  # one component, so one start
    sample = data.__getitems__([3, 40, 77, 150, 200])
    made = posterior(stirred=True)
    mean, s = (made.head.encode(sample)[key] for key in ("mu", "s"))

    def error(K):
        offset = made.predict(sample, K).hypotheses.mean(1) - mean
        return float((offset / s)[:, 1:].detach().square().mean().sqrt())

    assert error(2) < 1e-4
    assert error(3) > 0.05
    made.head.set_inference(centred=False)
    assert error(2) > 1e-3
    made.head.set_inference(centred=True)
    made.opposite = False
    assert error(2) > 0.1


def test_training_learns_the_whole_correction(sample):
    made = posterior(stirred=True)
    w, t = torch.randn(5, 17, 5), torch.full((5,), 20)
    features = made.head.encode(sample)["features"]
    odd = made.head.correction(w, t, features)
    assert torch.allclose(made.head.correction(-w, t, features), -odd, atol=1e-6)
    made.head.training = True
    whole = made.head.correction(w, t, features)
    assert torch.allclose((whole - made.head.correction(-w, t, features)) / 2, odd, atol=1e-6)
    assert not torch.allclose(whole, odd, atol=1e-3)


def test_each_loss_trains_its_own_part(sample):
    made = posterior().train()
    head = made.head
    head.joint_dropout = 0.0
    head.trunk.eval()
    context, truth = head.encode(sample), head.target(sample)
    x_t, t = truth + 0.01, torch.full((5,), 20)
    total = head.loss(x_t, t, truth, context, sample)
    mu, s = torch.autograd.grad(total.sum(), [context["mu"], context["s"]], retain_graph=True)
    offset = context["mu"] - truth[..., 2:]
    direction = offset / offset.norm(dim=-1, keepdim=True).clamp(min=1e-12)
    assert torch.allclose(mu, direction / 17, atol=1e-6)
    # s* (1 / s - error^2 / s^3) = 1 - (error / s)^2
    assert torch.allclose(s, (1 - (offset / context["s"]).square()) / 17, rtol=1e-4, atol=1e-5)
    assert float(s.abs().sum()) > 0
    (change,) = torch.autograd.grad(total.sum(), [head.denoiser.output.weight])
    assert float(change.abs().sum()) > 0


def test_the_blocks_of_a_trunk_of_windows_learn_the_mean_alone():
    torch.manual_seed(0)
    trunk = WindowTrunk(**TRUNK, window=5).eval()
    x = torch.randn(2, 5, 17, 4)
    answer, features = trunk(x)
    mean, deviation = answer[..., :3].square().sum(), (answer[..., 3:] + 1).square().sum()
    assert torch.autograd.grad(mean, features, retain_graph=True)[0].any()
    assert not torch.autograd.grad(deviation, features, retain_graph=True)[0].any()
    deviation.backward()
    parts = trunk.network.named_parameters()
    assert {name.partition(".")[0] for name, p in parts if p.grad.any()} == {"head"}
    with torch.no_grad():
        assert torch.allclose(trunk(x)[0], answer, atol=1e-6)


def test_a_joint_of_score_0_is_read_from_nowhere(sample):
    made = posterior(stirred=True)
    scores = sample["scores"].clone()
    scores[:, 5] = 0
    moved = {
        key: x.clone() for key, x in sample.items() if key in ("keypoints_2d", "keypoints_2d_scale")
    }
    moved["keypoints_2d"][:, 5] += 100
    moved["keypoints_2d_scale"][:, 5] *= 3
    one = made.sample({**sample, "scores": scores}, 2).estimates
    mixture = {k: x.clone() for k, x in sample["mixture"].items()}
    mixture["loc"][:, 5] -= 50
    other = made.sample({**sample, "scores": scores, "mixture": mixture, **moved}, 2).estimates
    assert torch.equal(one, other)
    context = made.head.encode({**sample, "scores": scores})
    assert torch.equal(context["uv"][:, 5], torch.zeros(5, 2))
    assert torch.equal(context["deviation"][:, 5], torch.full((5, 2), MISSING_SCALE))


def test_training_drops_joints_in_all_frames_of_a_window():
    made = posterior(joint_dropout=0.5, trunk=WindowTrunk(window=9, heads=2, **TRUNK))
    scores = torch.ones(400, 9, 17)
    assert torch.equal(made.head.seen(scores), scores)  # not at inference
    dropped = made.train().head.seen(scores) == 0
    assert torch.equal(dropped.all(1), dropped.any(1))
    some = dropped.any(1).any(1)
    assert abs(float(some.float().mean()) - 0.5 * (1 - (1 - DROPPED) ** 17)) < 0.07
    assert abs(float(dropped[some].float().mean()) - DROPPED) < 0.03


def test_calibration_finds_the_factor_of_every_axis_and_score(sample):
    made = posterior()
    g = torch.Generator().manual_seed(0)
    mean, s = torch.zeros(400, 17, 3), torch.tensor([0.02, 0.03, 0.05])
    factors = torch.tensor([[2.0, 1.0, 0.5], [1.5, 1.5, 3.0]])
    scores = torch.full((400, 17), 0.9)
    scores[:200] = 0.3
    k = (scores > 0.5).long()
    truth = mean + s * factors[k] * torch.randn(mean.shape, generator=g)
    truth[:, 0] = 0
    draws = mean[:, None] + s * torch.randn((400, 50, 17, 3), generator=g)
    draws[:, :, 0] = 0
    estimates = torch.cat([torch.zeros(400, 50, 17, 2), draws], -1)
    made.head.calibrate([(estimates, {"keypoints": truth + 1.0, "scores": scores})])
    found = made.head.factors.clone()
    assert torch.allclose(found[1], factors[0], rtol=0.08)
    assert torch.allclose(found[3], factors[1], rtol=0.08)
    assert torch.equal(found[0], found[2])  # bins without joints: the factor of all
    deviation = made.head.encode(sample)["s"]
    made.head.factors.fill_(1)
    ratio = deviation / made.head.encode(sample)["s"]
    low = (sample["scores"] < 0.5) & (sample["scores"] > 0)
    assert torch.allclose(ratio[low], found[1].expand_as(ratio[low]))


def test_a_model_is_calibrated_by_its_own_draws():
    data = synthetic("validation", "noisy", clips=6, length=30)
    batch = data.__getitems__(list(range(0, 360, 2)))
    made = posterior()
    made.calibrate([batch])
    drawn = made.sample(batch, 50).estimates[:, :, 1:, 2:]
    truth = made.head.target(batch)[:, 1:, 2:]
    nearer = (drawn - drawn.mean(1, keepdim=True)).abs() >= (truth - drawn.mean(1))[:, None].abs()
    assert abs(float(nearer.float().mean()) - 0.5) < 0.1


def test_draws_that_are_the_same_calibrate_nothing(sample):
    made = posterior()
    made.sampler = replace(made.sampler, steps=1)
    made.calibrate([sample])
    assert (made.head.factors == 1).all()


def test_a_truth_that_is_not_known_calibrates_nothing(sample):
    made = posterior()
    truth = sample["keypoints"].clone()
    truth[0] = torch.nan
    made.calibrate([{**sample, "keypoints": truth}])
    found = made.head.factors.clone()
    assert found.isfinite().all()
    made.head.factors.fill_(1)
    made.calibrate([take(sample, list(range(1, len(truth))))])
    assert torch.allclose(found, made.head.factors, atol=1e-5)


def test_the_ratio_of_quantiles_is_that_of_the_deviations():
    x = 3 * torch.randn(100_000, 2, generator=torch.Generator().manual_seed(0)).abs()
    assert torch.allclose(quantile_ratio(x), torch.tensor([3.0, 3.0]), rtol=0.01)


def test_deviations_are_bounded(sample):
    made = posterior()
    made.head.trunk.network.output.bias.data[3:] = -30
    assert float(made.head.encode(sample)["s"].detach().min()) == pytest.approx(SMALLEST)


@pytest.mark.parametrize("change", [{"temporal": True}, {"joint_dropout": 1.0}])
def test_impossible_options_are_errors(change):
    with pytest.raises(ValueError, match=r"task\.head\.(temporal|joint_dropout)"):
        posterior(**change)


def test_the_first_timestep_has_no_signal():
    schedule = cosine(50)
    assert float(schedule.alpha[49]) < 2e-3
    assert math.isclose(float(schedule.sigma[49]), 1, abs_tol=1e-5)
    assert Noise(0, ["a"], 2, opposite=True).normal((2, 3)).sum() == 0
