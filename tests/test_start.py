"""Where inference begins and ends, against a head whose best start is known in closed form."""

import pytest
import torch
from torch import nn

from posediff import start
from posediff.diffusion import DDIMSampler, Decoded, DiffusionModel, Output, Prior, Process
from posediff.diffusion.head import TaskHead
from posediff.diffusion.schedule import cosine

WIDE = 10.0


class Believes(TaskHead):
    """The exact denoiser of x_0 ~ N(0, WIDE^2), which is right if its state has the noise of t.

    Its start is the truth plus a Gaussian error, so the state at t has that of training where
    sigma / alpha is the deviation of the error. Without an error the start is drawn.
    """

    skeleton = "toy"

    def __init__(self):
        super().__init__()
        self.schedule, self.one = cosine(1000), nn.Parameter(torch.ones(()))

    def encode(self, sample):
        return {key: x for key, x in sample.items() if key != "id"}

    def prior(self, context, noise):
        return Prior(torch.zeros_like(context["x_0"]), torch.ones(()), context.get("init"), "x_0")

    def denoise(self, x_t, t, context):
        alpha, sigma = self.schedule.at(t, x_t)
        return Output(alpha * WIDE**2 / (alpha**2 * WIDE**2 + sigma**2) * x_t)

    def target(self, sample):
        return sample["x_0"]

    def decode(self, estimates, sample):
        return Decoded(estimates.unsqueeze(2), torch.ones(*estimates.shape[:2], 1))

    def mirror(self, x):
        return -x

    def mirror_sample(self, sample):
        return sample


class People:
    """One sample of many numbers."""

    def __init__(self, error):
        g = torch.Generator().manual_seed(0)
        x_0 = WIDE * torch.randn(1, 40_000, generator=g)
        self.sample = {"id": ["all"], "x_0": x_0}
        if error:
            self.sample["init"] = x_0 + error * torch.randn(x_0.shape, generator=g)

    def __len__(self):
        return 1

    def __getitems__(self, rows):
        return self.sample


def diffusion(**sampler):
    head = Believes()
    return DiffusionModel(head, Process(head.schedule), DDIMSampler(**sampler))


@pytest.mark.parametrize("i", [1, 3, 5])
def test_the_start_is_where_the_noise_of_training_equals_the_error(i):
    model, t = diffusion(steps=1), 1000 * i // 8 - 1
    people = People(float(model.process.schedule.sigma[t] / model.process.schedule.alpha[t]))

    def error(model):
        step = next(model.trajectory(people.sample, 1))
        return float((step.x_0 - people.sample["x_0"]).square().mean())

    found = start.fit(model, people, error, "lower")
    assert (found["start"], model.sampler.start) == (t + 1, t + 1)
    assert found["scores"][str(t)] == min(found["scores"].values())
    assert (found["steps"], found["K"], found["samples"]) == (1, 1, 1)
    found = start.fit(diffusion(steps=1), people, lambda model: -error(model), "higher")
    assert found["start"] == t + 1


def test_the_end_is_where_the_score_is_best_and_no_range_is_scored_twice():
    model, tried = diffusion(steps=2, start=250), []

    def score(model):
        tried.append(model.timesteps)
        return abs(model.timesteps[0] - 499) + abs(model.timesteps[-1] - 312)

    found = start.fit(model, People(1.0), score, "lower")
    assert (found["start"], found["end"]) == (500, 125)
    assert model.timesteps == (499, 311)
    assert len(tried) == len(set(tried)) == 11
    assert {" ".join(map(str, t)) for t in tried} == set(found["scores"])


def test_a_drawn_start_stays_and_equals_leave_what_is_configured():
    model = diffusion(steps=4)
    assert model.starts(People(0.0).sample) == [model.sampler]
    found = start.fit(model, People(0.0), lambda model: model.timesteps[-1], "higher")
    assert (found["start"], found["end"]) == (None, 750)
    found = start.fit(diffusion(steps=4, start=250), People(1.0), lambda model: 0.0, "lower")
    assert (found["start"], found["end"]) == (250, 0)
