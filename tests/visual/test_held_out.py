"""Predictions of held-out samples on one sheet."""

import numpy as np
import pytest
import torch
from helpers.heads import case, model

from posediff import config, tree
from posediff.visual import held_out


@pytest.mark.parametrize("name", ["posterior", "posterior_video", "coarse", "plain"])
def test_the_same_samples_are_drawn_and_nothing_else_changes(name):
    cfg, made = case(name).config, model(name)
    data, state = config.dataset(cfg, "validation"), torch.get_rng_state()
    draws, settings = tree.imported(cfg.task.draws), config.plain(cfg.dataset)
    one, again = (held_out.sheet(made, data, 2, draws, settings) for _ in range(2))
    assert np.array_equal(one, again)
    assert one.std() > 0
    assert torch.equal(torch.get_rng_state(), state)


def test_a_perfect_answer_is_drawn_where_the_person_is():
    """The picture of the true pose is closer to itself than to that of a pose beside it."""
    cfg, made = case("coarse").config, model("coarse")
    settings, sample = config.plain(cfg.dataset), case("coarse").sample
    poses = made.predict(sample)
    truth = sample["keypoints_annotation"]
    poses.keypoints[:] = truth
    poses.hypotheses[:] = truth[:, None]
    poses.scores[:] = 1
    plain = held_out.cropped(poses, sample, settings)
    poses.keypoints[:] = torch.nan
    bare = held_out.cropped(poses, sample, settings)
    (W, H), inside = settings["size"], sample["keypoints"]
    for with_pose, without, points in zip(plain, bare, inside, strict=True):
        changed = np.abs(with_pose.astype(int) - without).sum(-1) > 0
        y, x = np.nonzero(changed)
        scale = with_pose.shape[1] / W
        low, high = points.amin(0) * scale, points.amax(0) * scale
        assert abs(x.mean() - float(low[0] + high[0]) / 2) < 0.25 * W * scale
        assert abs(y.mean() - float(low[1] + high[1]) / 2) < 0.25 * H * scale


def test_maps_in_place_of_pictures_are_not_drawn():
    sample = dict(case("coarse").sample, image={"map": torch.zeros(3, 1)})
    poses = model("coarse").predict(case("coarse").sample)
    assert held_out.cropped(poses, sample, {}) == []
