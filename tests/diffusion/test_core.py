"""The core against closed forms: no training, no data."""

import itertools
import math
from dataclasses import replace

import pytest
import torch
from torch import nn

from posediff.diffusion import (
    DDIMSampler,
    Decoded,
    DiffusionModel,
    FlipTest,
    FlowSampler,
    Noise,
    Output,
    Prior,
    Process,
    RepeatSampler,
    TaskHead,
    anytime,
    draw_component,
)
from posediff.diffusion.aggregate import mean, median
from posediff.diffusion.noise import Numbered
from posediff.diffusion.schedule import cosine, linear

SCHEDULES = {"cosine": cosine(50), "linear": linear(50, 2e-3, 0.4)}
PRIOR = Prior(torch.tensor([[0.3, -2.0, 5.0]]), torch.tensor([[0.5, 1.0, 3.0]]))


def everything(process, truth, prior, x, sampler, noise):
    """The steps of a sampler whose network returns the truth."""

    def denoise(x_t, t):
        alpha, sigma = process.schedule.at(t, x_t)
        e = (x_t - prior.loc - alpha * (truth - prior.loc)) / sigma
        return Output(truth if process.predicts == "x_0" else e)

    return list(sampler(process, denoise, x, prior, noise))


# --- schedule


@pytest.mark.parametrize("schedule", SCHEDULES.values(), ids=SCHEDULES)
def test_signal_and_noise_add_up_and_the_last_index_is_clean(schedule):
    assert torch.allclose(schedule.alpha**2 + schedule.sigma**2, torch.ones(51).double())
    assert (schedule.alpha[-1], schedule.sigma[-1]) == (1, 0)
    assert (schedule.alpha[:-1].diff() < 0).all()


def test_tables_have_the_published_values():
    bar = cosine(1000).alpha ** 2
    for t, value in {99: 0.972093, 199: 0.898706, 499: 0.493844, 799: 0.094046}.items():
        assert float(bar[t]) == pytest.approx(value, abs=1e-6)
    bar = linear(51, 1e-4, 1e-3).alpha ** 2
    for t, value in {0: 0.9999, 6: 0.998922, 12: 0.997299, 24: 0.992129, 50: 0.972331}.items():
        assert float(bar[t]) == pytest.approx(value, abs=1e-6)


def test_tables_are_not_saved():
    assert not Process(cosine(10)).state_dict()


def test_timesteps_are_uniform_and_antithetic_ones_mirror_each_other():
    schedule, noise = cosine(50), Noise.plain(torch.Generator().manual_seed(0))
    t = schedule.draw(50_000, noise)
    counts = t.bincount(minlength=50)
    assert len(counts) == 50
    assert (counts - 1000).abs().max() < 4 * math.sqrt(1000)
    t = schedule.draw(7, noise, antithetic=True)
    assert (t[:3] + t[4:] == 49).all()


# --- noise


def test_a_sample_draws_the_same_alone_in_company_and_with_more_hypotheses():
    alone = Noise(3, ["b"], 2).normal((2, 4))
    company = Noise(3, ["a", "b", "c"], 2).normal((6, 4))
    more = Noise(3, ["b"], 5).normal((5, 4))
    assert torch.equal(alone, company[2:4])
    assert torch.equal(alone, more[:2])
    assert not torch.equal(alone[0], alone[1])
    assert not torch.equal(alone, Noise(4, ["b"], 2).normal((2, 4)))
    assert not torch.equal(alone, Noise(2**32 + 3, ["b"], 2).normal((2, 4)))


def test_opposite_hypotheses_have_normal_numbers_that_cancel_and_the_same_uniform_ones():
    noise = Noise(3, ["a", "b"], 4, opposite=True)
    uniform, normal = noise.uniform((8, 2)), noise.normal((8, 2))
    assert torch.equal(uniform[::2], uniform[1::2])
    assert torch.equal(normal[::2], -normal[1::2])
    assert not torch.equal(normal[0], normal[2])
    plain = Noise(3, ["a", "b"], 4)
    assert torch.equal(plain.uniform((8, 2))[::2], uniform[::2])
    odd = Noise(3, ["a", "b"], 3, opposite=True)
    assert torch.equal(odd.uniform((6, 2)), uniform[[0, 1, 2, 4, 5, 6]])
    assert torch.equal(odd.normal((6, 2)), normal[[0, 1, 2, 4, 5, 6]])


@pytest.mark.parametrize("opposite", [False, True])
def test_a_numbered_sample_has_the_noise_of_the_hypotheses_from_there_on(opposite):
    every = Noise(3, ["a", "b"], 4, opposite)
    some = Noise(3, [Numbered("b", 1), Numbered("a", 2)], 2, opposite)
    normal, uniform = every.normal((8, 2)), every.uniform((8, 2))
    assert torch.equal(some.normal((4, 2)), normal[[5, 6, 2, 3]])
    assert torch.equal(some.uniform((4, 2)), uniform[[5, 6, 2, 3]])


# --- prior


def test_a_draw_starts_only_where_nothing_but_noise_is_left():
    schedule = cosine(50)
    with pytest.raises(ValueError, match=r"sampler\.start"):
        PRIOR.start(schedule.alpha[23], schedule.sigma[23], Noise(0, ["a"]))
    x = PRIOR.start(schedule.alpha[49], schedule.sigma[49], Noise(0, ["a"]))
    eps = Noise(0, ["a"]).normal((1, 3))
    assert torch.allclose(x, PRIOR.loc + PRIOR.scale * eps, atol=1e-4)


def test_a_known_start_is_taken_in_three_ways():
    a, s = torch.tensor(0.8), torch.tensor(0.6)
    init = torch.tensor([[1.0, 2.0, 3.0]])
    given = {
        kind: replace(PRIOR, init=init, init_is=kind).start(a, s, Noise(0, ["a"]))
        for kind in ("x_t", "x_0", "x_0+noise")
    }
    assert torch.equal(given["x_t"], init)
    assert torch.allclose(given["x_0"], PRIOR.loc + 0.8 * (init - PRIOR.loc))
    eps = Noise(0, ["a"]).normal((1, 3))
    assert torch.allclose(given["x_0+noise"] - given["x_0"], 0.6 * PRIOR.scale * eps)


def test_the_start_is_the_mixture():
    weights = torch.tensor([0.5, 0.3, 0.0, 0.2])
    loc = torch.tensor([[0.0], [10.0], [99.0], [-20.0]])
    scale = torch.tensor([[1.0], [0.5], [1.0], [2.0]])
    n, noise = 40_000, Noise.plain(torch.Generator().manual_seed(1))
    schedule = cosine(50)
    prior = draw_component(*(x.expand(n, *x.shape) for x in (weights, loc, scale)), noise)
    x = prior.start(schedule.alpha[-2], schedule.sigma[-2], noise)
    for w, m, s in zip(weights, loc[:, 0], scale[:, 0], strict=True):
        mine = x[prior.loc == m]
        assert abs(len(mine) / n - w) < 3 * math.sqrt(0.25 / n)
        if w:
            assert abs(mine.mean() - m) < 3 * s / math.sqrt(len(mine))
            assert abs(mine.std() / s - 1) < 3 / math.sqrt(2 * len(mine))


# --- process


def test_diffusing_gives_the_mean_and_spread_of_the_one_equation():
    process, t, n = Process(cosine(50)), 20, 40_000
    prior = Prior(PRIOR.loc.expand(n, 3), PRIOR.scale.expand(n, 3))
    x_0 = torch.tensor([[1.0, 1.0, 1.0]]).expand(n, 3)
    e = prior.noise(Noise.plain(torch.Generator().manual_seed(2)))
    x = process.diffuse(x_0, e, torch.full((n,), t), prior)
    a, s = (float(table[t]) for table in (process.schedule.alpha, process.schedule.sigma))
    spread = s * PRIOR.scale[0]
    assert ((x.mean(0) - (PRIOR.loc + a * (x_0[0] - PRIOR.loc))).abs() < 4 * spread / n**0.5).all()
    assert ((x.std(0) / spread - 1).abs() < 4 / (2 * n) ** 0.5).all()


@pytest.mark.parametrize("predicts", ["x_0", "noise"])
def test_clean_and_noise_come_back_from_what_the_network_says(predicts):
    process = Process(cosine(50), predicts)
    x_0, e = torch.randn(4, 3), torch.randn(4, 3)
    t = torch.tensor([0, 7, 30, 45])
    x_t = process.diffuse(x_0, e, t, PRIOR)
    got = process.estimate(x_0 if predicts == "x_0" else e, x_t, t, PRIOR)
    for found, true in zip(got, (x_0, e), strict=True):
        assert torch.allclose(found, true, atol=1e-4)


def test_a_clipped_estimate_stays_near_loc_and_its_noise_follows():
    process, t = Process(cosine(50), bound=1.0), torch.tensor([20])
    x_t = torch.tensor([[4.0, 4.0, 4.0]])
    x_0, e = process.estimate(torch.full((1, 3), 9.0), x_t, t, PRIOR)
    assert torch.allclose(x_0, PRIOR.loc + 1)
    assert torch.allclose(process.diffuse(x_0, e, t, PRIOR), x_t, atol=1e-5)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: Process(cosine(50), predicts="v"),
            r"task\.predicts must be one of x_0, noise, got 'v'",
        ),
        (lambda: Process(cosine(50), train_t=50), r"train_t must be in 0 \.\. 49, got 50"),
        (lambda: DDIMSampler(spacing="trailling"), r"sampler\.spacing must be one of trailing, "),
        (lambda: RepeatSampler(spacing="even"), r"sampler\.spacing must be one of trailing, "),
        (lambda: DDIMSampler(end=-1), r"sampler\.end must be 0 or more, got -1"),
        (lambda: DDIMSampler(order=3), r"sampler\.order must be 1 or 2, got 3"),
        (
            lambda: Prior(PRIOR.loc, PRIOR.scale, PRIOR.loc, "x_1"),
            r"init_is must be one of x_t, x_0, x_0\+noise",
        ),
        (lambda: toy(start=1), r"task\.inference\.start is no option of Toy"),
    ],
)
def test_a_choice_that_does_not_exist_is_an_error(make, message):
    with pytest.raises(ValueError, match=message):
        make()


# --- sampler


def test_the_grids_have_the_stated_timesteps():
    assert DDIMSampler(5).grid(50) == [49, 39, 29, 19, 9, -1]
    assert DDIMSampler(2, start=24, spacing="leading").grid(51) == [12, 0, -1]
    assert DDIMSampler(2, start=12, spacing="leading").grid(51) == [6, 0, -1]
    assert DDIMSampler(3).grid(1000) == [999, 665, 332, -1]
    assert DDIMSampler(16).grid(1000)[-2] == 61
    for steps in range(1, 51):
        for spacing in ("trailing", "leading"):
            assert len(DDIMSampler(steps, spacing=spacing).grid(50)) == steps + 1
    assert DDIMSampler(4, start=500, end=100).grid(1000) == [499, 399, 299, 199, -1]
    assert DDIMSampler(4, start=500, end=100, spacing="leading").grid(1000)[:4] == [
        400, 300, 200, 100
    ]  # fmt: skip
    assert DDIMSampler(1, start=500, end=400).grid(1000) == [499, -1]
    for sampler in (DDIMSampler(60), DDIMSampler(4, start=20, end=17)):
        with pytest.raises(ValueError, match="timesteps"):
            sampler.grid(50)


def test_other_starts_and_ends_have_room_for_the_steps():
    sampler = DDIMSampler(4, start=30)
    assert [s.start for s in sampler.starts(40)] == [5, 10, 15, 20, 25, 30, 35, 40]
    assert [s.start for s in replace(sampler, end=10).starts(40)] == [15, 20, 25, 30, 35, 40]
    assert [s.end for s in sampler.ends(40)] == [0, 7, 15, 22]
    assert [s.end for s in DDIMSampler(8).ends(12)] == [0, 3]
    for steps in range(1, 9):
        every = [*DDIMSampler(steps).starts(40), *DDIMSampler(steps).ends(40)]
        assert all(len(sampler.grid(40)) == steps + 1 for sampler in every)


CASES = list(itertools.product(SCHEDULES, ["x_0", "noise"], [0.0, 0.5, 1.0], [1, 2], [1, 3, 7]))


@pytest.mark.parametrize(("name", "predicts", "eta", "order", "steps"), CASES)
def test_a_perfect_network_gives_the_truth_back(name, predicts, eta, order, steps):
    process = Process(SCHEDULES[name], predicts)
    truth = torch.tensor([[1.0, -1.0, 4.0]]).double()
    prior = Prior(PRIOR.loc.double(), PRIOR.scale.double())
    noise = Noise(0, ["a"])
    x = prior.start(process.schedule.alpha[-2], process.schedule.sigma[-2], noise)
    for sampler in (DDIMSampler(steps, eta=eta, order=order), FlowSampler(steps)):
        found = everything(process, truth, prior, x, sampler, noise)
        assert len(found) == steps
        assert torch.allclose(found[-1].estimate, truth, atol=1e-5)


def test_order_two_is_nearer_to_the_exact_flow_of_a_gaussian():
    """For data N(m, v) the flow of DDIM in the limit of many steps keeps standardised values."""
    process, m, v = Process(cosine(1000)), 2.0, 0.25
    prior = Prior(torch.zeros(1, 1).double(), torch.ones(1, 1).double())

    def denoise(x, t):
        a, s = process.schedule.at(t, x)
        return Output(m + v * a / (a**2 * v + s**2) * (x - a * m))

    x = torch.tensor([[1.3]]).double()
    a, s = (table[899] for table in (process.schedule.alpha, process.schedule.sigma))
    exact = m + math.sqrt(v) * (x - a * m) / (a**2 * v + s**2).sqrt()
    error = {}
    for order in (1, 2):
        sampler = DDIMSampler(40, start=900, order=order)
        *_, last = sampler(process, denoise, x, prior, Noise(0, ["a"]))
        error[order] = float((last.estimate - exact).abs())
    assert error[1] < 0.05
    assert error[2] < error[1] / 3


def test_the_flow_keeps_a_gaussian_that_ddim_shrinks():
    process, prior = (
        Process(cosine(50)),
        Prior(torch.ones(9, 1).double(), 2 * torch.ones(9, 1).double()),
    )
    alpha = process.schedule.alpha

    def denoise(x, t):
        return Output(1 + process.schedule.at(t, x)[0] * (x - 1))  # of x_0 distributed as the prior

    x = torch.linspace(-3, 5, 9)[:, None].double()
    for steps in (1, 2, 5, 10):
        flow = list(FlowSampler(steps)(process, denoise, x, prior, Noise(0, ["a"])))
        for step in flow:
            assert torch.allclose(step.x_t, x, atol=1e-10)
            assert torch.allclose(step.estimate, 1 + alpha[step.t] * (x - 1), atol=1e-10)
        *_, ddim = DDIMSampler(steps)(process, denoise, x, prior, Noise(0, ["a"]))
        shrunk = ((ddim.estimate - 1) / (x - 1))[[0, -1]]
        moves = [math.acos(alpha[t]) for t in [*flow_times(flow), -1]]
        factor = math.prod(math.cos(a - b) for a, b in itertools.pairwise(moves)) * alpha[49]
        assert torch.allclose(
            shrunk,
            torch.full_like(shrunk, factor / alpha[49] if steps > 1 else float(alpha[49])),
            rtol=2e-2,
        )


def flow_times(steps):
    return [step.t for step in steps]


def test_repeating_hands_the_evidence_back():
    seen = []

    def denoise(x, t):
        seen.append(x)
        return Output(x, evidence=x + 1)

    steps = list(
        RepeatSampler(3)(Process(cosine(9)), denoise, torch.zeros(1, 1), PRIOR, Noise(0, "a"))
    )
    assert [float(x) for x in seen] == [0, 1, 2]
    assert float(steps[-1].estimate) == 3


# --- model


class Toy(TaskHead):
    """x is (B, 2): the answer is the condition plus a part of x_t, so that draws differ."""

    skeleton = "toy"

    def __init__(self):
        super().__init__()
        self.gain, self.encoded = nn.Parameter(torch.tensor(0.3)), 0

    def encode(self, sample):
        self.encoded += 1
        return {"c": sample["c"]}

    def prior(self, context, noise):
        return Prior.standard(context["c"])

    def denoise(self, x_t, t, context):
        return Output(context["c"].abs() * context["c"] + self.gain * x_t + 0.1)

    def target(self, sample):
        return sample["c"]

    def decode(self, estimates, sample):
        return Decoded(estimates.unsqueeze(2), torch.ones(*estimates.shape[:2], 1))

    def mirror(self, x):
        return -x

    def mirror_sample(self, sample):
        return {**sample, "c": -sample["c"]}


def toy(wrap=lambda head: head, **inference):
    process, sampler = Process(cosine(50)), DDIMSampler(3)
    return DiffusionModel(wrap(Toy()), process, sampler, hypotheses=4, inference=inference)


SAMPLE = {"id": ["a", "b", "c"], "c": torch.tensor([[1.0, 2.0], [-3.0, 0.5], [0.2, 0.3]])}


def test_encoding_runs_once_and_steps_and_k_are_free():
    model = toy()
    assert model.predict(SAMPLE).hypotheses.shape == (3, 4, 1, 2)
    assert model.head.encoded == 1
    assert model.predict(SAMPLE, hypotheses=2, steps=7).hypotheses.shape == (3, 2, 1, 2)
    assert len(list(model.trajectory(SAMPLE, 1, steps=7))) == 7


def test_an_answer_depends_on_neither_batch_nor_number_of_hypotheses():
    model = toy()
    whole = model.predict(SAMPLE, hypotheses=5).hypotheses
    one = {"id": ["b"], "c": SAMPLE["c"][1:2]}
    assert torch.allclose(model.predict(one, hypotheses=3).hypotheses[0], whole[1, :3])
    assert not torch.allclose(whole[1, 0], whole[1, 1])
    assert not torch.allclose(model.predict(SAMPLE, seed=1).hypotheses, whole[:, :4])


def test_under_the_flip_test_a_mirrored_input_gives_the_mirrored_answer():
    def chain(model, sample):
        """The sampler's moves from a given start: a draw would not be mirrored."""
        head = model.head
        context, x = head.encode(sample), sample["start"]
        prior = head.prior(context, Noise(0, "abc"))
        steps = model.sampler(
            model.process, lambda x, t: head.denoise(x, t, context), x, prior, None
        )
        return list(steps)[-1].estimate

    start = torch.randn(3, 2, generator=torch.Generator().manual_seed(0))
    seen, mirrored = {**SAMPLE, "start": start}, {**SAMPLE, "c": -SAMPLE["c"], "start": -start}
    for wrap, equal in ((FlipTest, True), (lambda head: head, False)):
        model = toy(wrap)
        answers = chain(model, seen), -chain(model, mirrored)
        assert torch.allclose(*answers, atol=1e-6) == equal


def test_the_loss_of_a_perfect_head_is_zero_and_reaches_every_weight():
    class Perfect(Toy):
        def denoise(self, x_t, t, context):
            return Output(context["c"] + 0 * self.gain * x_t)

    model = DiffusionModel(Perfect(), Process(cosine(50)), DDIMSampler(2))
    assert model.steps == 2
    assert model.loss(SAMPLE).item() == 0
    loss = toy().loss(SAMPLE)
    loss.backward()
    assert loss > 0


def test_rules_aggregate_element_by_element():
    head = Toy()
    model = DiffusionModel(head, Process(cosine(50)), DDIMSampler(1), hypotheses=4)
    h = model.sample(SAMPLE)
    every = h.decoded.keypoints[:, :, 0]
    assert torch.allclose(mean(h).keypoints[:, 0], every.mean(1))
    assert torch.allclose(median(h).keypoints[:, 0], every.sort(1).values[:, 1:3].mean(1))
    spread = (every - every.mean(1, keepdim=True)).square().sum(-1).mean(1).sqrt()
    assert torch.allclose(mean(h).spread[:, 0], spread)


def test_the_anytime_loop_stops_when_settled_or_out_of_time():
    model = toy()
    every = [mean(h).keypoints for h in model.answers(SAMPLE, 4, steps=20)]
    moves = [float((b - a).norm(dim=-1).mean()) for a, b in itertools.pairwise(every)]
    tolerance = sorted(moves)[3] * 1.0001
    settled = next(i for i, move in enumerate(moves) if move < tolerance) + 2
    poses, taken = anytime(model.answers(SAMPLE, 4, steps=20), tolerance=tolerance)
    assert 2 <= taken == settled < 20
    assert torch.equal(poses.keypoints, every[settled - 1])
    assert anytime(model.answers(SAMPLE, 4, steps=20))[1] == 20
    assert anytime(model.answers(SAMPLE, 4, steps=20), seconds=0.0)[1] == 1


def test_a_head_that_predicts_something_else_is_refused():
    process = Process(cosine(50), "noise")
    with pytest.raises(ValueError, match=r"task.predicts=noise: Toy predicts x_0; leave"):
        DiffusionModel(Toy(), process, DDIMSampler(2))
