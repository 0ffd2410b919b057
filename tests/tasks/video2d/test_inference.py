"""video2d: schedule, steps and noise sets, against an oracle in the place of the decoder."""

import pytest
import torch
from helpers.video2d import clips, diffusion, video2d
from torch import nn

from posediff.diffusion import DDIMSampler
from posediff.diffusion.aggregate import mean
from posediff.diffusion.schedule import cosine, linear
from posediff.pose.affine import invert, transform


class Oracle(nn.Module):
    """A decoder that returns the heatmaps of the truth for every hypothesis."""

    def __init__(self, head, sample):
        super().__init__()
        self.maps, self.rows = head.codec.encode(sample["keypoints"], sample["visible"])[0], []
        self.prepare = head.decoder.prepare

    def forward(self, x_t, t, context):
        self.rows.append(len(x_t))
        return self.maps.repeat_interleave(len(x_t) // len(self.maps), 0)


def test_the_schedule_has_the_published_values():
    for schedule, values in (
        (cosine(1000), (0.9999587, 0.8470122, 0.4938436, 0.1442721, 2.43e-9)),
        (linear(1000), (0.9999, 0.5240854, 0.0785872, 0.0033505, 4.04e-5)),
    ):
        for t, alpha_bar in zip((0, 249, 499, 749, 999), values, strict=True):
            assert float(schedule.alpha[t] ** 2) == pytest.approx(alpha_bar, rel=2e-3, abs=5e-8)


@pytest.mark.parametrize(
    ("steps", "grid"),
    [
        (1, [999, -1]),
        (4, [999, 749, 499, 249, -1]),
        (8, [999, 874, 749, 624, 499, 374, 249, 124, -1]),
    ],
)
def test_steps_end_at_the_clean_end_and_begin_at_the_last(steps, grid):
    assert DDIMSampler(steps).grid(1000) == grid


@pytest.mark.parametrize("range", ["symmetric", "unit01"])
@pytest.mark.parametrize("steps", [1, 2, 4, 8])
def test_the_heatmaps_of_an_oracle_are_the_answer_at_any_number_of_steps(steps, range):
    head, sample = video2d(range=range, codec="udp"), clips()
    head.decoder = oracle = Oracle(head, sample)
    drawn = diffusion(head, steps, K=2).sample(sample)
    assert torch.equal(drawn.estimates, head.target(sample)[:, None].expand(3, 2, -1, -1, -1))
    poses = mean(drawn)
    exact = transform(sample["keypoints"], invert(sample["affine"]))
    assert (poses.keypoints - exact).abs().max() < 2 * 0.4  # a crop pixel is 2 of the picture
    assert torch.allclose(poses.scores, oracle.maps.flatten(2).amax(-1), atol=1e-5)
    assert oracle.rows == [6] * steps


def test_the_clip_is_read_once_for_all_steps_and_hypotheses():
    head, sample, strl = video2d(), clips(), []
    head.clip.strl.register_forward_hook(lambda *_: strl.append(1))
    diffusion(head, steps=4, K=3).predict(sample)
    assert head.clip.backbone.calls == [9]
    assert strl == [1]


def test_one_model_serves_every_number_of_steps_and_sets():
    model, sample = diffusion(video2d()), clips()
    for steps in (1, 2, 4, 8):
        four, again = (model.sample(sample, 4, steps).estimates for _ in range(2))
        assert four.isfinite().all()
        assert torch.equal(four, again)
        two = model.sample(sample, 2, steps).estimates
        assert torch.allclose(four[:, :2], two, atol=1e-5)
        assert (four[:, 0] - four[:, 1]).abs().max() > 1e-4  # sets do not share their noise
        alone = {k: x[1:2] for k, x in sample.items()}
        assert torch.allclose(model.sample(alone, 4, steps).estimates[0], four[1], atol=1e-5)


def test_an_answer_may_be_the_mean_of_all_steps():
    head, sample = video2d(), clips()
    last = [h.estimates for h in diffusion(head, 4).answers(sample, 2)]
    mean_of = [h.estimates for h in diffusion(head, 4, every_step=True).answers(sample, 2)]
    assert torch.allclose(mean_of[-1], torch.stack(last).mean(0), atol=1e-6)
    assert torch.equal(mean_of[0], last[0])
    assert not torch.allclose(mean_of[-1], last[-1], atol=1e-4)
