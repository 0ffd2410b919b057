"""Training on states made of the model's own answers, with a head whose answer is known."""

import math

import pytest
import torch
from torch import nn

from posediff.diffusion import DDIMSampler, Decoded, DiffusionModel, Noise, Output, Prior, Process
from posediff.diffusion.head import TaskHead
from posediff.diffusion.schedule import cosine

ANSWER = 7.0
LOC, SCALE = torch.tensor([0.5, -2.0]), torch.tensor([2.0, 0.3])


class Says(TaskHead):
    """x is (B, 2). Whatever it is shown, its x_0 is ANSWER, times a weight of 1."""

    skeleton = "toy"

    def __init__(self, predicts="x_0", init=None):
        super().__init__()
        self.predicts, self.init, self.one = predicts, init, nn.Parameter(torch.ones(()))
        self.schedule, self.calls, self.given = cosine(50), [], None

    def encode(self, sample):
        return {"x_0": sample["x_0"]}

    def prior(self, context, noise):
        loc, scale = (x.expand_as(context["x_0"]) for x in (LOC, SCALE))
        return Prior(loc, scale, self.init and torch.full_like(loc, self.init), "x_0")

    def denoise(self, x_t, t, context):
        self.calls.append((x_t, t, self.training, torch.is_grad_enabled()))
        x_0 = torch.full_like(x_t, ANSWER) * self.one
        if self.predicts == "x_0":
            return Output(x_0)
        alpha, sigma = self.schedule.at(t, x_t)
        return Output((x_t - LOC - alpha * (x_0 - LOC)) / sigma)

    def target(self, sample):
        return sample["x_0"]

    def loss(self, x_t, t, goal, context, sample):
        self.given = x_t, t, goal
        return super().loss(x_t, t, goal, context, sample)

    def decode(self, estimates, sample):
        return Decoded(estimates.unsqueeze(2), torch.ones(*estimates.shape[:2], 1))

    def mirror(self, x):
        return -x

    def mirror_sample(self, sample):
        return sample


def trained(aligned, n=400, seed=0, sampler=None, **options):
    """The loss, what the head was given for it, its calls, and the noise that was drawn."""
    head = Says(**options).train()
    process = Process(head.schedule, head.predicts)
    model = DiffusionModel(head, process, sampler or DDIMSampler(3))
    x_0 = torch.linspace(-1, 1, 2 * n).view(n, 2)
    stream = Noise.plain(torch.Generator().manual_seed(seed))
    loss = model.loss({"id": range(n), "x_0": x_0}, stream, aligned=aligned)
    again = Noise.plain(torch.Generator().manual_seed(seed))
    assert torch.equal(process.draw(n, again), head.given[1])
    return loss, head, process, x_0, SCALE * again.normal((n, 2))


@pytest.mark.parametrize("predicts", ["x_0", "noise"])
@pytest.mark.parametrize("share", [0.25, 1.0])
def test_states_are_diffused_from_the_own_answer_in_that_share_of_the_rows(share, predicts):
    _, head, process, x_0, e = trained(share, predicts=predicts)
    x_t, t, goal = head.given
    alpha, sigma = process.schedule.at(t, x_0)
    of_answer = LOC + alpha * (ANSWER - LOC) + sigma * e
    of_truth = LOC + alpha * (x_0 - LOC) + sigma * e
    own = ((x_t - of_answer).abs() <= 1e-3).all(1)
    assert torch.allclose(x_t[~own], of_truth[~own], atol=1e-5)
    n = len(x_0)
    assert abs(own.sum() - share * n) <= 3 * math.sqrt(share * (1 - share) * n)
    if share == 1:
        assert own.all()
    else:
        assert not (own[:-1] == own[0]).all()
    truth = process.estimate(goal, x_t, t, Prior(LOC, SCALE))[0]
    assert torch.allclose(truth, x_0, atol=1e-2)


@pytest.mark.parametrize("predicts", ["x_0", "noise"])
def test_without_a_share_states_and_goals_are_of_the_truth(predicts):
    _, head, process, x_0, e = trained(0.0, predicts=predicts)
    x_t, t, goal = head.given
    assert torch.equal(x_t, process.diffuse(x_0, e, t, Prior(LOC, SCALE)))
    assert torch.equal(goal, x_0 if predicts == "x_0" else e)
    assert len(head.calls) == 1


@pytest.mark.parametrize("sampler", [DDIMSampler(3), DDIMSampler(2, start=24, spacing="leading")])
def test_the_answer_is_that_of_the_first_step_of_inference_without_gradient(sampler):
    _, head, process, x_0, _ = trained(1.0, sampler=sampler, init=3.0)
    (x, t, training, gradient), (_, _, then, learning) = head.calls
    first = sampler.grid(50)[0]
    assert (t == first).all()
    alpha = process.schedule.alpha[first].float()
    assert torch.allclose(x, LOC + alpha * (3.0 - LOC).expand_as(x_0), atol=1e-6)
    assert (training, gradient, then, learning) == (False, False, True, True)


def test_the_rows_are_those_of_the_seed():
    first, again, other = (trained(0.5, seed=seed)[1].given[0] for seed in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
