"""The process of image2d and its reverse, against closed forms and oracles."""

import math
from dataclasses import replace

import pytest
import torch
from helpers.image2d import (
    BONES,
    WARM,
    J,
    diffusion,
    image2d,
    oracle,
    people,
    truth,
)

from posediff.diffusion import (
    DDIMSampler,
    DiffusionModel,
    FlipTest,
    Noise,
    Process,
    RepeatSampler,
)
from posediff.diffusion.aggregate import median
from posediff.diffusion.schedule import cosine
from posediff.pose.affine import invert, transform
from posediff.tasks.image2d.structure import Disagreement


def test_coordinates_are_diffused_with_the_mean_and_spread_of_the_schedule():
    n, head, process = 4000, image2d(), Process(cosine(1000))
    x_0 = head.target(people(1)).expand(n, J, 2)
    context = {"coarse": torch.zeros(n, J, 32, 24)}
    noise = Noise.plain(torch.Generator().manual_seed(0))
    prior = head.prior(context, noise)
    for t in (100, 499, 999):
        x = process.diffuse(x_0, prior.noise(noise), torch.full((n,), t), prior)
        a, s = float(process.schedule.alpha[t]), float(process.schedule.sigma[t])
        assert ((x.mean(0) - a * x_0[0]).abs() < 5 * s / math.sqrt(n)).all()
        assert ((x.std(0) / s - 1).abs() < 5 / math.sqrt(2 * n)).all()


def test_training_sees_every_timestep_alike():
    head, seen = image2d(), []
    head.encode = lambda sample: {"coarse": torch.zeros(len(sample["id"]), J, 32, 24)}
    head.loss = lambda x_t, t, *rest: seen.append(t) or torch.zeros(len(t))
    torch.manual_seed(0)
    model, sample = diffusion(head), people(500)
    for _ in range(80):
        model.loss(sample)
    counts = torch.histc(torch.cat(seen).float(), 10, 0, 1000)
    assert torch.cat(seen).min() < 5
    assert torch.cat(seen).max() > 994
    assert (counts - 4000).abs().max() < 5 * math.sqrt(4000)


# --- inference


@pytest.mark.parametrize("init", ["coarse", "coarse+noise", "noise"])
@pytest.mark.parametrize("steps", [1, 3, 4])
def test_an_oracle_is_believed_from_every_start(init, steps):
    sample = people()
    head = oracle(image2d(init=init), sample)
    sampler = DDIMSampler(steps, start=None if init == "noise" else 250)
    encoded, encode = [], head.encode
    head.encode = lambda sample: encoded.append(1) or encode(sample)
    poses = diffusion(head, sampler).predict(sample)
    assert (len(encoded), len(head.sgdd.calls)) == (1, steps)
    exact = transform(sample["keypoints"], invert(sample["affine"]))
    assert (poses.keypoints - exact).abs().max() < 2 * 0.2  # a crop pixel is 2 of the picture
    assert torch.allclose(poses.scores, truth(head, sample).flatten(2).amax(-1))


def test_one_step_is_one_forward_pass():
    head, sample = image2d(), people()
    model = diffusion(head, DDIMSampler(1, start=250))
    with torch.no_grad():
        context = head.encode(sample)
        x = model.process.schedule.alpha[249] * head.start(context)
        once = head.denoise(x.float(), torch.full((3,), 249), context)
    assert torch.allclose(model.sample(sample).estimates[:, 0], once.evidence, atol=1e-6)


def test_where_inference_begins():
    assert WARM.grid(1000) == [249, 186, 124, 61, -1]
    sample, schedule = people(), cosine(1000)
    a, s = schedule.alpha[249], schedule.sigma[249]
    begin = {}
    for init in ("coarse", "coarse+noise"):
        head = image2d(init=init)
        begin[init] = next(diffusion(head).trajectory(sample, 1)).x_t
    coarse = head.space.read(head.coarse(sample)).detach()
    assert torch.allclose(begin["coarse"], a.float() * coarse, atol=1e-5)
    eps = Noise(0, sample["id"]).normal((3, J, 2))
    assert torch.allclose(begin["coarse+noise"] - begin["coarse"], s.float() * eps, atol=1e-5)
    with pytest.raises(ValueError, match=r"sampler\.start"):
        diffusion(image2d(init="noise")).predict(sample)


def test_a_perfect_start_and_an_oracle_stay_perfect():
    sample = people()
    head = oracle(image2d(), sample, coarse=True)
    for step in diffusion(head).trajectory(sample, 1):
        assert (step.x_0 - head.target(sample)).abs().max() < 0.03


def test_equal_hypotheses_are_refused_and_drawn_ones_differ():
    sample = people()
    with pytest.raises(ValueError, match=r"task\.inference\.init=coarse\+noise"):
        diffusion(image2d(), K=3).predict(sample)
    with pytest.raises(ValueError, match="all the same"):
        diffusion(image2d(), RepeatSampler(2, start=250), K=2).predict(sample)
    for head, sampler in (
        (image2d(), replace(WARM, eta=1.0)),
        (image2d(init="coarse+noise"), WARM),
        (image2d(init="noise"), DDIMSampler(2)),
    ):
        drawn = diffusion(head, sampler, K=3).sample(sample)
        assert (drawn.estimates[:, 0] - drawn.estimates[:, 1]).abs().max() > 1e-4
        assert median(drawn).keypoints.shape == (3, J, 2)


def test_repeating_hands_the_heatmaps_back():
    head, sample, seen = image2d(), people(), []
    sgdd = head.sgdd.forward
    head.sgdd.forward = lambda maps, *rest: seen.append(maps) or sgdd(maps, *rest)
    steps = list(diffusion(head, RepeatSampler(3, start=250)).trajectory(sample, 1))
    assert len(seen) == 3
    assert torch.equal(seen[1], steps[0].estimate)
    assert torch.equal(seen[2], steps[1].estimate)
    assert steps[0].x_t.shape == (3, J, 2)
    assert steps[1].x_t.shape == (3, J, 32, 24)


@pytest.mark.parametrize("wrap", [lambda head: head, FlipTest])
def test_the_mean_of_all_steps_is_that_of_their_heatmaps(wrap):
    head, sample = image2d(init="coarse+noise"), people()
    steps = [h.estimates for h in diffusion(wrap(head), K=2).answers(sample, 2)]
    averaging = DiffusionModel(
        wrap(head), Process(cosine(1000), bound=2.0), WARM, hypotheses=2, every_step=True
    )
    every = [h.estimates for h in averaging.answers(sample, 2)]
    assert every[0].shape == (3, 2, J, 32, 24)
    for n in range(4):
        assert torch.allclose(every[n], torch.stack(steps[: n + 1]).mean(0), atol=1e-6)


def test_a_peak_of_the_mean_over_steps_is_a_peak_that_a_step_saw():
    """Two steps see a joint in two places: it is not put between them, as coordinates would be."""
    head, sample = image2d(), people()
    here, there = sample["keypoints"], sample["keypoints"].flip(1)
    shown = iter((truth(head, {**sample, "keypoints": there}), 2 * truth(head, sample)))
    head.sgdd.forward = lambda *_: next(shown)
    sampler = replace(WARM, steps=2)
    model = DiffusionModel(head, Process(cosine(1000), bound=2.0), sampler, every_step=True)
    poses, apart = model.predict(sample), (here - there).norm(dim=-1) > 40
    off = (poses.keypoints - transform(here, invert(sample["affine"]))).norm(dim=-1)
    assert apart.sum() > 20
    assert off[apart].max() < 0.2
    peaks = truth(head, sample).flatten(2).amax(-1)  # half of the double height
    assert torch.allclose(poses.scores[apart], peaks[apart], atol=0.02)


@pytest.mark.parametrize("sampler", [WARM, RepeatSampler(3, start=250)])
def test_under_the_flip_test_a_mirrored_picture_gives_the_mirrored_answer(sampler):
    head, sample = image2d(), people()
    answer, mirrored = (
        diffusion(FlipTest(head), sampler).sample(s).estimates[:, 0]
        for s in (sample, head.mirror_sample(sample))
    )
    assert torch.allclose(head.mirror(mirrored), answer, atol=1e-5)
    alone = diffusion(head, sampler).sample(sample).estimates[:, 0]
    assert not torch.allclose(alone, answer, atol=1e-3)


def test_views_that_see_a_joint_in_two_places_are_counted():
    """Of three people one is seen with the sides swapped, and no joint has its other side near."""
    head, sample = image2d(), people()
    x = head.target(sample)
    swapped = x[:, BONES.flip]
    apart = (x - swapped).norm(dim=-1) > 3 * head.coarse.codec.sigma * 4 / 23  # zeta 2, 24 x 32
    seen = Disagreement(head.space)
    seen(x, x + 0.01)
    assert seen.share() == 0
    seen(x, torch.cat([swapped[:1], x[1:]]))
    assert 0.1 < seen.share() <= float(apart[0].sum()) / (2 * 3 * J)
    watched = Disagreement(head.space)
    model = diffusion(FlipTest(head, watched))
    model.predict(sample)
    assert watched.seen == 4 * 3 * J
    assert watched.share() > 0  # fresh weights see no person at all
    model.head.forget()
    assert (watched.seen, watched.share()) == (0, 0)


def test_every_estimate_lies_within_the_clip():
    head, sample = image2d(init="noise", normalise="edges", signal_scale=2.0), people()
    head.space = replace(head.space, signal_scale=3.0)  # so that the network oversteps
    for step in diffusion(FlipTest(head), DDIMSampler(3)).trajectory(sample, 2):
        assert step.x_0.abs().max() <= 2.0


def test_the_spread_of_one_hypothesis_is_that_of_its_heatmap():
    sample = people()
    head = oracle(image2d(), sample)
    spread = diffusion(head).predict(sample).spread
    wide = 2 * math.sqrt(2) * head.coarse.codec.sigma * 127 / 31  # crop pixels are 2 of the picture
    assert ((spread / wide - 1).abs() < 0.15).float().mean() > 0.8
