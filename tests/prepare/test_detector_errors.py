"""Errors that were drawn from known numbers give these numbers back."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from posediff.data import random
from posediff.data.lifting.detector import TYPICAL, DetectorNoise, Moment
from posediff.pose.skeleton import skeleton
from posediff.prepare.detector_errors import (
    Answers,
    along,
    measure,
    middle_sigma,
    rank_correlation,
    sized,
    swaps,
    two_gaussians,
)

BODY = skeleton("crowdpose14")
J, N = 14, 3000
TRUE = DetectorNoise(
    swap=0.03,
    sigma_outlier=60.0,
    scores=[0.1, 0.3, 0.5, 0.7, 0.95],
    sigmas=[12.0, 8.0, 5.0, 3.0],
    outliers=[0.2, 0.1, 0.05, 0.01],
    limb=0.4,
)


def people(n=N, seed=0):
    """Joints anywhere in boxes whose longer side is that of a typical person."""
    points = torch.rand(n, J, 2, generator=torch.Generator().manual_seed(seed))
    low, high = points.amin(1, keepdim=True), points.amax(1, keepdim=True)
    return TYPICAL * (points - low) / (high - low).amax(2, keepdim=True)


def answers(noise, n=N, zoom=1.0):
    truth = people(n)
    detections, scores = noise.draw(
        truth, torch.full((n,), 1000.0), random.keys(1, np.arange(n)), BODY
    )
    labels, none = torch.full((n, J), 2), torch.full((n,), -1)
    return Answers(zoom * detections + 5, scores, zoom * truth + 5, labels, none, none)


def rate(value, n):
    """A share measured on n draws, within 4 sigma."""
    return pytest.approx(value, abs=4 * math.sqrt(value * (1 - value) / n))


def gaussian(n, sigma, seed=0):
    return sigma * torch.randn(n, 2, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("zoom", [1.0, 0.2])
def test_the_numbers_of_a_detector_are_found_from_its_answers_at_any_size_of_people(zoom):
    noise, about = measure(answers(TRUE, zoom=zoom), BODY, 4)
    each = N * J / 4
    assert noise.swap == rate(0.03, about["pairs_apart"])
    assert noise.sigma_outlier == pytest.approx(60, rel=4 / math.sqrt(4 * 0.09 * N * J))
    for b in range(4):
        assert noise.sigmas[b] == pytest.approx(TRUE.sigmas[b], rel=5 / math.sqrt(4 * each))
        assert noise.outliers[b] == pytest.approx(TRUE.outliers[b], abs=0.01)
    assert np.abs(np.subtract(noise.scores, TRUE.scores)).max() < 0.01
    assert noise.limb == pytest.approx(0.4, abs=0.03)  # short outliers pass for long errors
    assert (about["people"], about["left_out"], about["joints"]) == (N, 0, N * J)
    assert about["rank_correlation"] < -0.5
    assert "occluded" not in about


def test_a_measured_noise_draws_errors_that_measure_the_same():
    once, _ = measure(answers(TRUE), BODY, 4)
    twice, _ = measure(answers(once), BODY, 4)
    assert np.allclose(once.sigmas, twice.sigmas, rtol=0.05)
    assert np.allclose(once.outliers, twice.outliers, atol=0.01)
    assert np.allclose(once.scores, twice.scores, atol=0.01)


def test_correlation_along_limbs_is_that_of_the_draws():
    for limb in (0.0, 0.5):
        noise = DetectorNoise(swap=0, outlier=0, occluded=0, limb=limb)
        seen = answers(noise)
        z = (seen.detections - seen.truth) / 4
        found = along(z, BODY)
        assert found == pytest.approx(limb, abs=4 / math.sqrt(2 * N * len(BODY.limbs)))
        z[: N // 2, BODY.joints.index("left_knee")] = torch.nan  # a joint without a label
        assert along(z, BODY) == pytest.approx(limb, abs=4 / math.sqrt(1.5 * N * len(BODY.limbs)))


def test_errors_that_last_are_found_in_films_and_not_in_photos():
    shares, films, length = [[4, 0.3], [32, 0.5]], 100, 60
    n = films * length
    frame, film = np.tile(np.arange(length), films), np.arange(films).repeat(length)
    truth, keys = people(n), random.keys(1, np.arange(n))
    moment = Moment(random.keys(2, film), frame)
    noise = replace(TRUE, lasting=shares)
    drawn = noise.draw(truth, torch.ones(n), keys, BODY, moment)
    places = torch.from_numpy(film), torch.from_numpy(frame)
    seen = Answers(*drawn[:1], drawn[1], truth, torch.full((n, J), 2), *places)
    found, about = measure(seen, BODY, 4)
    # scores and exchanges last on their own: what is left of the errors within their steps
    assert [frames for frames, _ in found.lasting] == [4, 32]
    assert [share for _, share in found.lasting] == pytest.approx([0.3, 0.5], abs=0.06)
    assert about["frames_apart_1"] == pytest.approx(
        sum(share * random.correlation_over(1, frames) for frames, share in shares), abs=0.03
    )
    none = torch.full((n,), -1)
    assert measure(seen._replace(track=none), BODY, 4)[0].lasting == []


def test_swaps_are_counted_where_a_pair_is_apart_and_only_there():
    seen = answers(DetectorNoise(swap=0, outlier=0, occluded=0))
    share, count, exchanged = swaps(sized(seen), BODY)
    assert (share, int(exchanged.sum())) == (0.0, 0)
    assert count > N
    third = (torch.arange(N) < N // 3)[:, None, None]
    flipped = torch.where(third, seen.detections[:, BODY.flip], seen.detections)
    share, again, exchanged = swaps(sized(seen._replace(detections=flipped)), BODY)
    assert share == rate(1 / 3, again)
    assert not exchanged[N // 3 :].any()
    assert int(exchanged.sum()) == 2 * round(share * again)
    close = seen._replace(truth=torch.zeros_like(seen.truth))
    close.truth[:, BODY.joints.index("head_top")] = TYPICAL
    assert swaps(sized(close), BODY)[:2] == (0.0, 0)


def test_the_median_length_gives_the_deviation_and_does_not_feel_outliers():
    errors = gaussian(20_000, 7.0)
    assert middle_sigma(errors) == pytest.approx(7, rel=0.03)
    errors[:200] *= 100
    assert middle_sigma(errors) == pytest.approx(7, rel=0.03)


def test_two_gaussians_of_two_groups_are_told_apart():
    sizes, group = (8000, 2000, 4500, 500), torch.tensor([0] * 10_000 + [1] * 5000)
    sigmas = (3.0, 50.0, 9.0, 50.0)
    parts = enumerate(zip(sizes, sigmas, strict=True))
    errors = torch.cat([gaussian(n, s, i) for i, (n, s) in parts])
    found = two_gaussians(errors, group, 2)
    assert found.sigmas.tolist() == pytest.approx([3, 9], rel=0.03)
    assert found.outliers.tolist() == pytest.approx([0.2, 0.1], abs=0.02)
    assert found.sigma_outlier == pytest.approx(50, rel=0.05)
    assert found.wide[8500] > 0.9


def test_occluded_joints_have_a_share_and_a_deviation_of_their_own():
    seen = answers(DetectorNoise(swap=0, occluded=0.25, sigma_occluded=15, sigma=3, outlier=0))
    seen = seen._replace(labels=torch.where(seen.scores < 0.5, 1, 2))
    _, about = measure(seen, BODY, 5)
    assert about["occluded"] == rate(0.25, N * J)
    assert about["sigma"] == pytest.approx(3, rel=0.02)
    assert about["sigma_occluded"] == pytest.approx(15, rel=0.04)


def test_people_with_few_labels_are_left_out_and_lost_answers_are_absent():
    seen = answers(TRUE, n=100)
    seen.labels[:30, 5:] = 0
    seen.detections[40, 3] = torch.nan
    seen.truth[50, 0], seen.labels[50, 0] = torch.tensor([-9e9, 9e9]), 0
    kept = sized(seen)
    assert len(kept.scores) == 70
    assert kept.labels.sum() == 2 * (70 * J - 2)
    assert kept.detections.isfinite().all()
    extent = (kept.truth[:10].amax(1) - kept.truth[:10].amin(1)).amax(1)
    torch.testing.assert_close(extent, torch.full((10,), TYPICAL, dtype=torch.double))
    with pytest.raises(ValueError, match=r"978 labelled joints of 70 people .* too few for 50"):
        measure(seen, BODY, 50)


def test_scores_that_are_equal_are_not_made_into_steps_without_a_joint():
    seen = answers(TRUE)
    full = seen._replace(scores=torch.where(seen.scores > 0.45, 1.0, seen.scores))
    with pytest.raises(ValueError, match=r"^57% of the scores are 1, more than one of 4 steps"):
        measure(full, BODY, 4)
    noise, _ = measure(full, BODY, 1)
    assert noise.sigmas[0] > 1


def test_rank_correlation_is_one_of_any_rising_pair():
    x = torch.linspace(-2, 2, 50)
    assert rank_correlation(x, x.exp()) == pytest.approx(1)
    assert rank_correlation(x, -(x**3)) == pytest.approx(-1)
