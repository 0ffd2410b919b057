import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from posediff.data import random
from posediff.data.lifting.detector import TYPICAL, DetectorNoise, chosen, point_mixture
from posediff.pose.mixture import FLOOR
from posediff.pose.skeleton import skeleton

BODY = skeleton("mocap17")
J, B = 17, 6000  # 102,000 joints
PAIRED = sorted(j for pair in BODY.swaps for j in pair)
ALONE = [j for j in range(J) if j not in PAIRED]


def drawn(noise, spread=150.0, width=1000.0, rows=B):
    """Points of `rows` people, their detections and scores, and the widths of the images."""
    points = 500 + spread * torch.randn(rows, J, 2, generator=torch.Generator().manual_seed(0))
    widths = torch.full((rows,), width)
    return points, *noise.draw(points, widths, random.keys(5, np.arange(rows)), BODY), widths


def close_to(rate, n):
    """A rate measured on n draws, within 3 sigma."""
    return pytest.approx(rate, abs=3 * math.sqrt(rate * (1 - rate) / n))


def test_errors_have_the_deviations_and_rates_of_the_model():
    points, detections, scores, _ = drawn(DetectorNoise(swap=0))
    error, low = detections - points, scores < 0.5
    assert low.float().mean().item() == close_to(0.1, B * J)
    n = 2 * low.sum().item()
    assert error[low].std().item() == pytest.approx(12, abs=3 * 12 / math.sqrt(2 * n))

    far = error[~low].norm(dim=-1) > 20  # rarely of sigma 4; mostly of an outlier
    rate = 0.98 * math.exp(-(20**2) / (2 * 4**2)) + 0.02 * math.exp(-(20**2) / (2 * 40**2))
    assert far.float().mean().item() == close_to(rate, len(far))
    for sigma, noise in ((4, DetectorNoise(0, 12, 0)), (40, DetectorNoise(0, 12, 1))):
        error = torch.sub(*drawn(noise, spread=1e-3)[:2])
        assert error[:, ALONE].std().item() == pytest.approx(sigma, rel=3 / math.sqrt(4 * B * 5))


def test_pairs_exchange_detections_and_scores_together():
    points, detections, scores, _ = drawn(DetectorNoise(), spread=1e6)
    kept = drawn(DetectorNoise(swap=0), spread=1e6)
    swapped = (detections - points).norm(dim=-1) > 2000
    n = B * len(BODY.swaps)
    assert swapped.float().sum().item() / 2 / n == close_to(0.01, n)
    assert not swapped[:, ALONE].any()
    assert torch.equal(swapped, swapped[:, BODY.flip])
    for here, there in ((detections, kept[1]), (scores, kept[2])):
        assert torch.equal(here[swapped], there[:, BODY.flip][swapped])
        assert torch.equal(here[~swapped], there[~swapped])


def test_scores_fall_with_the_error_and_mark_the_occluded():
    points, detections, scores, _ = drawn(DetectorNoise(swap=0))
    error, low = (detections - points).norm(dim=-1), scores < 0.5
    assert scores[low].min() >= 0.05
    assert scores[low].max() <= 0.45
    assert scores[~low].min() >= 0.55
    assert scores.max() <= 1
    q = torch.exp(-error / 20)
    for part, base, gain, luck in ((low, 0.05, 0.4, 0.5), (~low, 0.55, 0.45, 0.8)):
        drawn_luck = ((scores - base) / gain / q)[part & (q > 0.1)]
        assert drawn_luck.min().item() == pytest.approx(luck, abs=1e-3)
        assert drawn_luck.max().item() == pytest.approx(1, abs=1e-3)
    rank = [x.ravel().argsort().argsort().double() for x in (error, scores)]
    assert torch.corrcoef(torch.stack(rank))[0, 1] < -0.8


def test_pixels_are_those_of_an_image_1000_wide():
    noise, keys = DetectorNoise(), random.keys(5, np.arange(B))
    points, detections, scores, widths = drawn(noise)
    twice, same = noise.draw(2 * points, 2 * widths, keys, BODY)
    torch.testing.assert_close(twice, 2 * detections)
    torch.testing.assert_close(same, scores)
    one = noise.posterior(detections, scores, widths, BODY)
    two = noise.posterior(2 * detections, scores, 2 * widths, BODY)
    assert torch.equal(two["weights"], one["weights"])
    for name in ("loc", "scale"):
        torch.testing.assert_close(two[name], 2 * one[name])


def test_errors_of_unit_person_grow_with_the_person_and_not_with_the_image():
    noise, keys = DetectorNoise(swap=0, unit="person"), random.keys(5, np.arange(B))
    points, detections, scores, widths = drawn(DetectorNoise(swap=0))
    extent = (points.amax(1) - points.amin(1)).amax(1)
    seen, same = noise.draw(points, widths, keys, BODY)
    factor = extent / TYPICAL * 1000 / widths  # of errors at one pixel per unit
    torch.testing.assert_close(
        seen - points, (detections - points) * factor[:, None, None], rtol=0, atol=1e-3
    )
    torch.testing.assert_close(same, scores)
    wide, _ = noise.draw(points, 3 * widths, keys, BODY)
    torch.testing.assert_close(wide, seen)

    scores[:, 3] = 0  # in no box
    seen[:, 3] = 1e5
    scale = noise.posterior(seen, scores, widths, BODY)["scale"]
    others = [j for j in range(J) if j != 3]
    box = (seen[:, others].amax(1) - seen[:, others].amin(1)).amax(1)
    plain = DetectorNoise(swap=0).posterior(seen, scores, torch.full((B,), 1000.0), BODY)["scale"]
    torch.testing.assert_close(scale, plain * (box / TYPICAL)[:, None, None, None])
    nothing = noise.posterior(seen, torch.zeros(B, J), widths, BODY)["scale"]
    assert (nothing[..., 0, :] > 0).all()


def test_the_posterior_is_the_table_of_the_model():
    detections, scores = torch.arange(2.0 * J).view(1, J, 2), torch.full((1, J), 0.9)
    right, left, pelvis = (BODY.joints.index(n) for n in ("right_knee", "left_knee", "pelvis"))
    scores[0, [left, BODY.joints.index("head")]] = 0.3
    mixture = DetectorNoise().posterior(detections, scores, torch.tensor([1000.0]), BODY)
    expected = {
        right: [(0.9702, right, 4), (0.0198, right, 40), (0.01, left, 12)],
        left: [(0.99, left, 12), (0.01, right, 4)],
        BODY.joints.index("left_hip"): [
            (0.9702, BODY.joints.index("left_hip"), 4),
            (0.0198, BODY.joints.index("left_hip"), 40),
            (0.01, BODY.joints.index("right_hip"), 4),
        ],
        pelvis: [(0.98, pelvis, 4), (0.02, pelvis, 40)],
        BODY.joints.index("head"): [(1.0, BODY.joints.index("head"), 12)],
    }
    assert mixture["weights"].shape == (1, J, 5)
    assert mixture["loc"].shape == mixture["scale"].shape == (1, J, 5, 2)
    for joint, components in expected.items():
        weights = mixture["weights"][0, joint]
        assert (weights > 0).sum() == len(components)
        for m, (weight, source, scale) in enumerate(components):
            assert weights[m].item() == pytest.approx(weight)
            assert torch.equal(mixture["loc"][0, joint, m], detections[0, source])
            assert mixture["scale"][0, joint, m].tolist() == [scale, scale]


def test_weights_are_sorted_and_sum_to_one_for_any_noise():
    for noise in (DetectorNoise(), DetectorNoise(0.3, 9, 0.6, 30, 2, 0.3), DetectorNoise(swap=1)):
        _, detections, scores, widths = drawn(noise, rows=200)
        mixture = noise.posterior(detections, scores, widths, BODY)
        assert (mixture["weights"].diff(dim=-1) <= 0).all()
        torch.testing.assert_close(mixture["weights"].sum(-1), torch.ones(200, J))
        assert mixture["loc"].isfinite().all()
        assert (mixture["scale"] > 0).all()


@pytest.mark.parametrize(
    "noise", [DetectorNoise(), DetectorNoise(0.3, 9, 0.2, 30, 2, 0.05)], ids=["default", "worse"]
)
def test_the_true_point_is_a_draw_from_its_mixture(noise):
    points, detections, scores, widths = drawn(noise)
    mixture = noise.posterior(detections, scores, widths, BODY)
    z = (points[:, :, None] - mixture["loc"]) / mixture["scale"]
    cdf = (mixture["weights"][..., None] * torch.special.ndtr(z)).sum(2)
    for part in (scores < 0.5, scores >= 0.5, scores >= 0):
        tenths = torch.histc(cdf[part], 10, 0, 1) / cdf[part].numel()
        assert (tenths - 0.1).abs().max() < 0.015


def test_the_posterior_depends_on_the_detections_alone():
    """The same detections and scores on the same side of .5 have the same mixture."""
    noise = DetectorNoise()
    _, detections, scores, widths = drawn(noise, rows=50)
    before = {k: v.clone() for k, v in noise.posterior(detections, scores, widths, BODY).items()}
    better = torch.where(scores < 0.5, scores, scores * 0.1 + 0.9)  # only "below .5" is read
    after = noise.posterior(detections, better, widths, BODY)
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_an_exact_point_is_one_component_with_the_least_scale():
    points = torch.randn(3, J, 2)
    mixture = point_mixture(points, FLOOR)
    assert torch.equal(mixture["weights"].sum(0)[0], torch.tensor([3.0, 0, 0, 0, 0]))
    assert torch.equal(mixture["loc"], points[:, :, None].expand(3, J, 5, 2))
    assert (mixture["scale"] == 0.5).all()
    scale = point_mixture(points, torch.tensor([[1.0], [2], [3]]))["scale"]
    assert scale[:, 4, 2, 1].tolist() == [1, 2, 3]


# --- a measured detector

TABLE = DetectorNoise(
    swap=0.0,
    sigma_outlier=60.0,
    scores=[0.1, 0.3, 0.5, 0.7, 0.9],
    sigmas=[12.0, 8.0, 5.0, 3.0],
    outliers=[0.2, 0.1, 0.05, 0.0],
)


def test_scores_of_a_table_are_its_quantiles_and_errors_have_the_numbers_of_their_step():
    points, detections, scores, _ = drawn(TABLE)
    square = (detections - points).square()
    step = ((scores - 0.1) / 0.2).long().clamp(max=3)
    assert 0.1 <= scores.min() <= scores.max() <= 0.9
    for b, (sigma, outlier) in enumerate(zip(TABLE.sigmas, TABLE.outliers, strict=True)):
        n = int((step == b).sum())
        assert n / (B * J) == close_to(0.25, B * J)
        variance = (1 - outlier) * sigma**2 + outlier * 60**2
        fourth = 3 * ((1 - outlier) * sigma**4 + outlier * 60**4)
        tolerance = 3 * math.sqrt((fourth - variance**2) / (2 * n))
        assert square[step == b].mean().item() == pytest.approx(variance, abs=tolerance)


def test_the_true_point_is_a_draw_from_the_mixture_of_a_table():
    noise = replace(TABLE, swap=0.05)
    points, detections, scores, widths = drawn(noise)
    mixture = noise.posterior(detections, scores, widths, BODY)
    assert (mixture["weights"].diff(dim=-1) <= 0).all()
    torch.testing.assert_close(mixture["weights"].sum(-1), torch.ones(B, J))
    z = (points[:, :, None] - mixture["loc"]) / mixture["scale"]
    cdf = (mixture["weights"][..., None] * torch.special.ndtr(z)).sum(2)
    for low in (0.1, 0.3, 0.5, 0.7):
        part = (scores >= low) & (scores < low + 0.2)
        tenths = torch.histc(cdf[part], 10, 0, 1) / cdf[part].numel()
        assert (tenths - 0.1).abs().max() < 0.015


def test_the_mixture_of_a_table_has_the_numbers_of_the_score_s_step():
    detections, scores = torch.arange(2.0 * J).view(1, J, 2), torch.full((1, J), 0.05)
    pelvis, head, thorax = (BODY.joints.index(n) for n in ("pelvis", "head", "thorax"))
    scores[0, head], scores[0, thorax] = 0.6, 1.0
    mixture = TABLE.posterior(detections, scores, torch.tensor([500.0]), BODY)
    expected = {
        pelvis: [(0.8, 6), (0.2, 30)],
        head: [(0.95, 2.5), (0.05, 30)],
        thorax: [(1.0, 1.5)],
    }
    for joint, components in expected.items():
        weights = mixture["weights"][0, joint]
        assert (weights > 0).sum() == len(components)
        for m, (weight, scale) in enumerate(components):
            assert weights[m].item() == pytest.approx(weight)
            assert mixture["scale"][0, joint, m].tolist() == [scale, scale]


def test_errors_of_a_limb_s_joints_are_correlated_and_all_others_are_not():
    points, detections, _, _ = drawn(DetectorNoise(swap=0, outlier=0, occluded=0, limb=0.6))
    error = (detections - points) / 4
    correlation = torch.einsum("bjd,bkd->jk", error, error) / (2 * B)
    expected = torch.eye(J)
    for a, b, c in ((1, 2, 3), (4, 5, 6), (11, 12, 13), (14, 15, 16)):
        for i, j, value in ((a, b, 0.6), (b, c, 0.6), (a, c, 0.36)):
            expected[i, j] = expected[j, i] = value
    assert (correlation - expected).abs().max() < 4.5 * math.sqrt(2 / (2 * B))


def test_impossible_noise_is_refused_by_name():
    with pytest.raises(ValueError, match=r"noise.swap must be in 0..1, got 1.5"):
        DetectorNoise(swap=1.5)
    with pytest.raises(
        ValueError, match=r"noise.sigma_outlier must be finite and not negative, got -1"
    ):
        DetectorNoise(sigma_outlier=-1)
    with pytest.raises(ValueError, match=r"noise.outliers\[1\] must be in 0..1, got 2"):
        DetectorNoise(scores=[0.1, 0.2, 0.3], sigmas=[1, 1], outliers=[0, 2])
    with pytest.raises(
        ValueError, match=r"noise.sigmas\[0\] must be finite and not negative, got -2"
    ):
        DetectorNoise(scores=[0.1, 0.2], sigmas=[-2], outliers=[0])
    with pytest.raises(ValueError, match=r"a number for each step .* got 2 and 1 for 3 scores"):
        DetectorNoise(scores=[0.1, 0.2, 0.3], sigmas=[1, 1], outliers=[0])
    with pytest.raises(ValueError, match=r"noise.scores must rise"):
        DetectorNoise(scores=[0.3, 0.2], sigmas=[1], outliers=[0])
    with pytest.raises(ValueError, match=r"shares of noise.lasting must be 0..1, also their sum"):
        DetectorNoise(lasting=[(4, 0.6), (32, 0.5)])
    with pytest.raises(ValueError, match=r"noise.lasting must be pairs \[frames, share\]"):
        DetectorNoise(lasting=[(0.5, 0.6)])
    with pytest.raises(ValueError, match=r"noise.lasting must be pairs .* got \[4, 0.3\]"):
        DetectorNoise(lasting=[4, 0.3])
    with pytest.raises(ValueError, match=r"noise.limb must be between -1 and 1, got 1"):
        DetectorNoise(limb=1)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_noise_that_is_not_finite_is_refused_by_name(bad):
    for name in ("sigma", "sigma_outlier", "sigma_occluded", "swap", "limb"):
        with pytest.raises(ValueError, match=f"noise.{name} must be .*, got {bad}"):
            DetectorNoise(**{name: bad})
    table = {"scores": [0.1, 0.2], "sigmas": [1], "outliers": [0]}
    for name, values in (("scores", [bad, 0.2]), ("sigmas", [bad]), ("outliers", [bad])):
        with pytest.raises(ValueError, match=f"noise.{name}.* must .*got .*{bad}"):
            DetectorNoise(**table | {name: values})
    for pair in ([bad, 0.3], [4, bad]):
        with pytest.raises(ValueError, match=r"noise.lasting must be .* got"):
            DetectorNoise(lasting=[pair])


def test_a_component_is_drawn_by_weight_or_is_the_heaviest():
    mixture = {
        "weights": torch.tensor([0.5, 0.3, 0.2, 0.0, 0.0]).expand(1, 10_000, 5),
        "loc": torch.arange(5.0)[:, None].expand(1, 10_000, 5, 2),
        "scale": 10 * torch.arange(5.0)[:, None].expand(1, 10_000, 5, 2),
    }
    assert (chosen(mixture)["keypoints_2d"] == 0).all()
    drawn = chosen(mixture, torch.rand(1, 10_000, generator=torch.Generator().manual_seed(0)))
    assert torch.equal(drawn["keypoints_2d_scale"], 10 * drawn["keypoints_2d"])
    shares = drawn["keypoints_2d"][0, :, 0].long().bincount(minlength=5) / 10_000
    assert torch.allclose(shares, torch.tensor([0.5, 0.3, 0.2, 0.0, 0.0]), atol=0.015)
