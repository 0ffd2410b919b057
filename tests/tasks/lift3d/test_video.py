"""Heads of lift3d over windows: padding, frames as rows, mirrors, batches."""

import pytest
import torch

from posediff.data.lifting.synthetic_people import synthetic
from posediff.diffusion import DDIMSampler, DiffusionModel, Noise, Process, Regression
from posediff.diffusion.schedule import cosine, linear
from posediff.metrics.pose_error import PoseError3D
from posediff.pose.mirror import mirror_pose
from posediff.sample import take
from posediff.tasks.lift3d import D3DP, Encoder, Lift3D, Official, VideoEncoder, units

F = 9


def encoder():
    made = VideoEncoder("h36m17", F, width=16, depth=2, heads=2)
    made.residual.copy_(torch.rand(17, 3, generator=torch.Generator().manual_seed(1)) * 0.1)
    return made


def alone():
    return Regression(encoder())


def paper():
    head = Lift3D(encoder(), width=16, depth=1)
    return DiffusionModel(head, Process(cosine(50)), DDIMSampler(3), hypotheses=2)


def temporal():
    head = Lift3D(encoder(), width=16, depth=1, temporal=True)
    return DiffusionModel(head, Process(cosine(50)), DDIMSampler(3), hypotheses=2)


def official():
    head = Official(encoder(), width=16, depth=1, uv_scale=0.5)
    sampler = DDIMSampler(1, start=6, spacing="leading")
    return DiffusionModel(head, Process(linear(51, 1e-4, 1e-3), "noise"), sampler)


def d3dp():
    head = D3DP("h36m17", F, width=16, depth=2, heads=2)
    sampler = DDIMSampler(3, eta=1.0)
    return DiffusionModel(head, Process(cosine(1000), bound=1.1), sampler, hypotheses=2)


DIFFUSION = {"paper": paper, "temporal": temporal, "official": official, "d3dp": d3dp}
MODELS = {"alone": alone} | DIFFUSION
every = pytest.mark.parametrize("make", MODELS.values(), ids=MODELS)
diffusion = pytest.mark.parametrize("make", DIFFUSION.values(), ids=DIFFUSION)


def made(make):
    """A seeded model with no weight at zero."""
    torch.manual_seed(0)
    model = make()
    with torch.no_grad():
        for p in model.parameters():
            p += 0.05 * torch.randn_like(p)
    return model.eval()


@pytest.fixture(scope="module")
def sample():
    """Windows of two clips of 20 frames: 9, 9 and 2 frames of every third window count."""
    data = synthetic("validation", "noisy", clips=2, length=20, window=F)
    return data.__getitems__([0, 1, 2, 12, 14])


@every
def test_every_frame_that_counts_is_a_row_in_order(make, sample):
    hypotheses = made(make).sample(sample)
    rows, valid = hypotheses.sample, sample["frames_valid"] > 0
    N, K = 9 + 9 + 2 + 9 + 2, made(make).hypotheses
    assert hypotheses.decoded.keypoints.shape == (N, K, 17, 3)
    assert torch.equal(rows["keypoints"], sample["keypoints"][valid])
    assert torch.equal(rows["mixture"]["loc"], sample["mixture"]["loc"][valid])
    assert torch.equal(rows["meta"]["frame"], sample["meta"]["frame"][valid])
    assert rows["meta"]["action"] == ["walking"] * 20 + ["running"] * 11
    assert rows["meta"]["sequence"][:20] == sample["meta"]["sequence"][:1] * 20
    assert len(set(rows["id"])) == N
    assert "frames_valid" not in rows
    assert rows["scores"].shape == (N, 17)


@every
def test_a_score_of_windows_has_every_frame_once_and_velocities_across_windows(make):
    data = synthetic("validation", "noisy", clips=1, length=20, window=F)
    metric, model = PoseError3D(data.truth()), made(make)
    for i in range(len(data)):
        hypotheses = model.sample(data.__getitems__([i]))
        metric.update("mean", model.aggregate(hypotheses), hypotheses.sample)
    figures = metric.compute()
    assert figures["frames/mean"] == 4 * 20
    assert figures["mpjve/mean"] > 0
    columns = metric.batches["mean"]
    frames = [(t, f) for b in columns for t, f in zip(b["track"], b["frame"], strict=True)]
    assert len(set(frames)) == len(frames) == 80


@every
@torch.no_grad()
def test_padding_counts_in_no_loss(make, sample):
    model, spoilt = made(make), dict(sample)
    for key in ("keypoints", "target_2d"):
        far = sample[key] + 500 * torch.randn(sample[key].shape)
        spoilt[key] = torch.where(sample["frames_valid"][..., None, None] > 0, sample[key], far)
    one, other = (model.head.loss(*given(model, x)).mean().item() for x in (sample, spoilt))
    assert one == pytest.approx(other, abs=1e-5)
    spoilt["frames_valid"] = torch.ones(5, F)
    assert model.head.loss(*given(model, spoilt)).mean().item() > 10 * one


def given(model, sample):
    """Arguments of the head's loss; the state does not depend on the truth."""
    if isinstance(model, Regression):
        return model.head(sample), sample
    context, goal = model.head.encode(sample), model.head.target(sample)
    return torch.zeros_like(goal), torch.full((len(goal),), 3), goal, context, sample


def test_the_loss_of_a_batch_is_the_mean_of_its_frames_that_count():
    frames = torch.tensor([[1.0, 2.0, 99.0], [3.0, 99.0, 99.0]])
    valid = {"frames_valid": torch.tensor([[1.0, 1.0, 0.0], [1.0, 0.0, 0.0]])}
    assert units.of_samples(frames, valid).mean() == pytest.approx((1 + 2 + 3) / 3)
    assert torch.equal(units.of_samples(frames[:, 0], {}), frames[:, 0])


def test_the_denoiser_of_the_paper_sees_each_frame_with_its_own_features(sample):
    """The same answers as single frames, with the poses and features of the window's encoder."""
    head = made(paper).head
    context, x = head.encode(sample), torch.randn(5, F, 17, 5)
    t = torch.tensor([0, 3, 9, 20, 49])
    whole = head.denoise(x, t, context).value
    for b, f in ((0, 0), (2, 8), (4, 3)):
        one = {k: v[[b], f] for k, v in context.items()}
        alone = head.denoise(x[[b], f], t[[b]], one).value
        torch.testing.assert_close(alone[0], whole[b, f], rtol=0, atol=1e-5)


def test_a_temporal_denoiser_looks_across_the_frames_of_a_window_and_no_further(sample):
    """16 windows are 144 frames, so the batch is denoised in chunks."""
    head = made(temporal).head
    big = take(sample, [0, 1, 2, 3] * 4)
    context, x, t = head.encode(big), torch.randn(16, F, 17, 5), torch.arange(16)
    before = head.denoise(x, t, context).value
    x[7, 2, 4] += 1  # one joint of one frame
    after = head.denoise(x, t, context).value
    moved = (after - before).abs().amax((2, 3))
    assert (moved[7] > 1e-4).all()
    assert (moved[[i for i in range(16) if i != 7]] < 1e-6).all()
    alone, backwards = ({k: v[[7]].flip(dims) for k, v in context.items()} for dims in ([], [1]))
    torch.testing.assert_close(head.denoise(x[[7]], t[[7]], alone).value, after[[7]])
    turned = head.denoise(x[[7]].flip(1), t[[7]], backwards).value.flip(1)
    assert (turned - after[[7]]).abs().max() > 1e-3  # the order of frames counts


def test_a_temporal_denoiser_wants_whole_windows():
    for encodes, answers in ((encoder(), "centre"), (Encoder("h36m17", width=16, depth=1), "all")):
        with pytest.raises(ValueError, match=r"set task\.head\.temporal=false"):
            Lift3D(encodes, width=16, depth=1, answers=answers, temporal=True)


def test_the_residual_is_measured_on_the_frames_that_count(sample):
    head = encoder().eval()
    head.calibrate([take(sample, [0, 1]), take(sample, [2, 3, 4])])
    valid = sample["frames_valid"] > 0
    truth = sample["keypoints"] - sample["keypoints"][..., :1, :]
    with torch.no_grad():
        expected = (head(sample) - truth)[valid].square().mean(0).sqrt()
    torch.testing.assert_close(head.residual, expected, rtol=0, atol=1e-6)


def test_the_released_video_model_has_its_own_scale_of_uv_and_a_start_that_is_not_rooted(sample):
    head = made(official).head
    prior = head.prior(head.encode(sample), Noise(0, sample["id"]))
    assert (prior.scale == torch.tensor([0.5, 0.5, 1, 1, 1])).all()
    assert (prior.init[..., 0, 2:].abs() > 1e-3).any()
    frame = Official(Encoder("h36m17", width=16, depth=1), width=16, depth=1)
    single = synthetic("validation", "noisy", clips=1, length=3).__getitems__([0, 1])
    prior = frame.prior(frame.encode(single), Noise(0, single["id"]))
    assert (prior.init[..., 0, 2:] == 0).all()
    assert (prior.scale[..., :2] < 0.1).all()


def test_the_mean_of_both_views_of_a_mirrored_clip_is_mirrored(sample):
    head = encoder().eval()
    uv = units.screen(sample)
    one, other = head.start(uv), head.start(mirror_pose(uv, head.bones))
    torch.testing.assert_close(mirror_pose(other, head.bones), one, rtol=0, atol=1e-5)
