"""Inputs, starts, losses and mirror images of both heads of lift3d, and of the encoder."""

import math
from dataclasses import replace

import pytest
import torch

from posediff.data.lifting.detector import DetectorNoise
from posediff.data.lifting.synthetic_people import synthetic
from posediff.diffusion import (
    BothViews,
    DDIMSampler,
    DiffusionModel,
    Noise,
    Process,
    Regression,
)
from posediff.diffusion.schedule import cosine, linear
from posediff.pose.camera import normalise
from posediff.pose.mirror import mirror_pose, mirror_sample
from posediff.sample import take
from posediff.tasks.lift3d import Encoder, Lift3D, Official, VideoEncoder

LEADING = DDIMSampler(2, start=24, spacing="leading")


def encoder(skeleton="h36m17"):
    made = Encoder(skeleton, width=16, depth=2)
    made.residual.copy_(torch.rand(17, 3, generator=torch.Generator().manual_seed(1)) * 0.1)
    return made


def paper(K=5):
    torch.manual_seed(0)
    model = DiffusionModel(
        Lift3D(encoder(), width=16, depth=1), Process(cosine(50)), DDIMSampler(5), hypotheses=K
    )
    return stirred(model)


def official():
    torch.manual_seed(0)
    head = Official(encoder(), width=16, depth=1)
    process = Process(linear(51, 1e-4, 1e-3), "noise", antithetic=True)
    return stirred(DiffusionModel(head, process, LEADING))


def stirred(model):
    """A model whose zero-initialised layers are filled, so that every path has an effect."""
    g = torch.Generator().manual_seed(2)
    for name, p in model.named_parameters():
        if "encoder" not in name and not p.any():
            p.data.copy_(0.05 * torch.randn(p.shape, generator=g))
    return model.eval()


MODELS = {"paper": paper, "official": official}
both = pytest.mark.parametrize("make", MODELS.values(), ids=MODELS)


@pytest.fixture(scope="module")
def sample():
    data = synthetic("validation", "noisy", clips=3, length=20)
    return data.__getitems__([3, 40, 77, 150, 200])


@both
def test_poses_are_metres_from_the_root(make, sample):
    poses = make().predict(sample)
    assert (poses.keypoints[:, 0] == 0).all()
    assert poses.skeleton == "h36m17"
    assert poses.scores.shape == (5, 17)


@both
def test_the_encoder_is_frozen_and_everything_else_learns(make, sample):
    model = make().train()
    assert not any(module.training for module in model.head.encoder.modules())
    model.loss(sample, Noise.plain(torch.Generator().manual_seed(0))).backward()
    for name, p in model.named_parameters():
        assert (p.grad is None) if "encoder" in name else p.grad.any(), name


# --- paper


def test_the_paper_starts_at_the_mixture_of_the_detections_and_the_residual_of_the_encoder(sample):
    model = paper()
    head, n = model.head, 4000
    many = take(sample, [0] * n)
    context = head.encode(many)
    noise = Noise.plain(torch.Generator().manual_seed(5))
    prior = head.prior(context, noise)
    schedule = model.process.schedule
    x = prior.start(schedule.alpha[49], schedule.sigma[49], noise)
    mixture, size = take(sample, [0])["mixture"], sample["image_size"][0]
    w, loc, scale = (mixture[k][0] for k in ("weights", "loc", "scale"))
    mean = (w[..., None] * loc).sum(1)
    variance = (w[..., None] * (scale**2 + loc**2)).sum(1) - mean**2
    unit = float(size[0]) / 2
    assert (
        (x[..., :2].mean(0) - normalise(mean, size)).abs() < 5 * variance.sqrt() / unit / n**0.5
    ).all()
    ratio = x[..., :2].var(0) / (variance / unit**2)
    assert ratio.median() == pytest.approx(1, abs=0.05)
    assert torch.allclose(x[..., 2:].std(0), head.encoder.residual, rtol=5 / math.sqrt(2 * n))


def test_the_paper_refuses_to_start_where_signal_is_left(sample):
    model = paper()
    model.sampler = replace(model.sampler, start=24)
    with pytest.raises(ValueError, match=r"sampler\.start"):
        model.predict(sample)


def test_a_new_denoiser_says_the_detection_and_the_encoder_s_pose(sample):
    model = DiffusionModel(
        Lift3D(encoder(), width=16, depth=1), Process(cosine(50)), DDIMSampler(5)
    )
    alone = Regression(model.head.encoder).eval().predict(sample).keypoints
    assert torch.allclose(model.eval().predict(sample, hypotheses=2).keypoints, alone, atol=1e-5)


def test_a_joint_without_2d_counts_by_its_3d_alone(sample):
    head = paper().head
    context, x = head.encode(sample), torch.zeros(5, 17, 5)
    t, goal = torch.full((5,), 3), head.target(sample)
    hidden = {**sample, "visible": torch.zeros(5, 17)}
    moved = goal.clone()
    moved[..., :2] += 9
    loss = head.loss(x, t, goal, context, hidden)
    assert torch.equal(head.loss(x, t, moved, context, hidden), loss)
    assert (head.loss(x, t, moved, context, sample) > loss + 1).all()


def test_the_loss_of_the_paper_is_a_distance_in_2d_and_one_in_3d(sample):
    head = paper().head.eval()
    context, x, t = head.encode(sample), torch.zeros(5, 17, 5), torch.full((5,), 3)
    seen = {**sample, "visible": torch.ones(5, 17)}
    far = head.denoise(x, t, context).value + torch.tensor([0.3, 0.4, 2.0, 3.0, 6.0])
    assert torch.allclose(head.loss(x, t, far, context, seen), torch.tensor(0.5 + 7.0), atol=1e-5)


def test_an_encoder_without_a_residual_is_refused(sample):
    head = Lift3D(Encoder("h36m17", width=16, depth=1), width=16, depth=1)
    with pytest.raises(ValueError, match="experiment=lift3d_encoder"):
        head.encode(sample)


# --- official


def test_the_released_start_is_what_the_lifter_reads_and_says_without_noise_or_scaling(sample):
    model = official()
    first = next(iter(model.trajectory(sample, 1)))
    uv = normalise(sample["keypoints_2d"], sample["image_size"])
    xyz = model.head.encoder.eval().lift(uv)[0]
    assert first.t == 12
    assert torch.allclose(first.x_t, torch.cat([uv, xyz], -1), atol=1e-6)
    every = model.predict(sample, hypotheses=3).hypotheses
    assert torch.allclose(every[:, 0], every[:, 2], atol=1e-6)


def test_target_encoder_and_prior_of_the_released_model_read_the_same_drawn_2d():
    noise = DetectorNoise(swap=0.4, outlier=0.3)
    data = synthetic("train", "noisy", clips=2, length=10, noise=noise, component="sample")
    sample = data.__getitems__(list(range(40)))
    heaviest = sample["mixture"]["loc"][:, :, 0]
    assert (sample["keypoints_2d"] != heaviest).any()
    head = official().head
    context, target = head.encode(sample), head.target(sample)
    prior = head.prior(context, Noise(0, sample["id"]))
    assert torch.equal(target[..., :2], prior.init[..., :2])
    unit = sample["image_size"][0, 0] / 2
    assert torch.allclose(prior.scale[..., :2], sample["keypoints_2d_scale"] / unit)
    assert (prior.scale[..., 2:] == 1).all()
    assert (prior.loc == 0).all()


# --- encoder


def test_the_residual_is_the_rms_error_on_held_out_samples(sample):
    made = Encoder("h36m17", width=16, depth=1).eval()
    made.calibrate([take(sample, [0, 1]), take(sample, [2, 3, 4])])
    truth = sample["keypoints"] - sample["keypoints"][:, :1]
    expected = (made(sample) - truth).square().mean(0).sqrt()
    assert torch.allclose(made.residual, expected, atol=1e-6)
    unknown = sample["keypoints"].clone()
    unknown[0, 3] = torch.nan
    made.calibrate([{**sample, "keypoints": unknown}])
    expected = (made(sample) - truth)[1:].square().mean(0).sqrt()
    assert torch.allclose(made.residual, expected, atol=1e-6)


def test_the_loss_of_the_encoder_is_its_mpjpe(sample):
    made = Encoder("h36m17", width=16, depth=1).eval()
    truth = sample["keypoints"] - sample["keypoints"][:, :1]
    offset = torch.zeros(5, 17, 3)
    offset[..., 2] = 0.05
    assert torch.allclose(made.loss(truth + offset, sample), torch.full((5,), 0.05), atol=1e-6)


@pytest.mark.parametrize("window", [1, 5])
def test_a_lifter_over_both_views_is_their_mean(window):
    head = encoder() if window == 1 else VideoEncoder("h36m17", 5, width=16, depth=1, heads=2)
    head.eval()
    data = synthetic("validation", "noisy", clips=1, length=20, window=window)
    sample = data.__getitems__([0, 1])
    mirrored = head(mirror_sample(sample, head.bones))
    both = (head(sample) + mirror_pose(mirrored, head.bones)) / 2
    torch.testing.assert_close(BothViews(head)(sample), both)
    again = BothViews(head)(mirror_sample(sample, head.bones))
    torch.testing.assert_close(mirror_pose(again, head.bones), both)
