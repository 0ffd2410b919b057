"""Coverage, energy score and recalibration of Gaussians, which have closed forms."""

import numpy as np
import pytest
import torch

from posediff.diffusion.aggregate import spread
from posediff.metrics import calibration
from posediff.metrics.calibration import (
    LEVELS,
    columns,
    energy_score,
    factors,
    figures,
    ratios,
    recalibrate,
)

C = [1.3, 1.2, 1.1, 1.0, 1.1, 1.2, 1.3, 1.4, 1.5]  # factors of the levels


def gaussians(scale=1.0, D=3, n=1250, J=16, K=50, seed=0):
    """Truth and K hypotheses about one centre, with `scale` times the deviation of every axis."""
    g = torch.Generator().manual_seed(seed)

    def normal(*shape):
        return torch.randn(*shape, generator=g, dtype=torch.float64)

    centre, deviation = normal(n, 1, J, D), 0.5 + torch.rand(n, 1, J, D, generator=g).double()
    truth = centre[:, 0] + deviation[:, 0] * normal(n, J, D)
    return centre + scale * deviation * normal(n, K, J, D), truth


def measured(hypotheses, truth, c=None):
    return figures({k: x.numpy() for k, x in columns(hypotheses, truth, c).items()})


def curve(found, name=""):
    return np.array([found[f"coverage@{p}{name}"] for p in LEVELS])


def own_spread(hypotheses):
    return spread(hypotheses, hypotheses.mean(1))


def opposite(drawn):
    """The same with opposite noise in hypotheses 2k and 2k + 1, about the centre of `gaussians`."""
    n, K, J, D = drawn.shape
    centre = gaussians(scale=0, D=D, n=n, J=J, K=K)[0][:, :1]
    drawn[:, 1::2] = (2 * centre - drawn[:, ::2])[:, : K // 2]
    return drawn


@pytest.mark.parametrize("D", [2, 3])
def test_a_perfect_model_is_calibrated_up_to_its_own_share_of_the_mean(D):
    found = measured(*gaussians(D=D))
    expected = [0.10, 0.19, 0.29, 0.385, 0.485, 0.585, 0.685, 0.785, 0.89]
    np.testing.assert_allclose(curve(found), expected, atol=0.012)
    assert found["calibration_error"] == pytest.approx(0.012, abs=0.006)


@pytest.mark.parametrize(
    ("K", "paired", "error"),
    [
        (50, True, 0.002),
        (20, True, 0.002),
        (10, True, 0.008),
        (50, False, 0.012),
        (20, False, 0.032),
        (10, False, 0.061),
    ],
)
def test_few_draws_of_a_perfect_model(K, paired, error):
    """The mean of opposite draws is exact, so that no coverage is lost to it."""
    drawn, truth = gaussians(K=K)
    found = measured(opposite(drawn) if paired else drawn, truth)
    assert found["calibration_error"] == pytest.approx(error, abs=0.006)


def test_few_distances_do_not_tell_the_outer_levels():
    """Opposite draws have one distance: those of 10 are in sixths, of 18 in tenths."""
    drawn, truth = gaussians(n=50, K=18)
    told = {K: set(measured(drawn[:, :K], truth)) for K in (10, 18)}
    assert {f"coverage@{p}" for p in LEVELS} < told[18]
    assert told[18] - told[10] == {"coverage@0.1", "coverage@0.9"}
    found = measured(drawn[:, :10], truth)
    assert list(calibration.reliability(found)["as drawn"]) == list(LEVELS[1:-1])


@pytest.mark.parametrize("K", [3, 4, 10, 20])
def test_opposite_draws_do_not_lower_the_energy_score(K):
    """Independent draws are sqrt 2 from each other, opposite ones 2, in standard deviations."""
    drawn, truth = gaussians(K=K, n=2500)
    scores = [energy_score(x, truth).mean().item() for x in (drawn.clone(), opposite(drawn))]
    perfect = energy_score(*gaussians(K=50, n=2500)).mean().item()
    assert scores == pytest.approx([perfect, perfect], rel=0.012)


def test_recalibrated_opposite_draws_stay_opposite():
    drawn = opposite(gaussians(n=20, K=20)[0])
    moved = recalibrate(drawn, C)
    centre = drawn.mean(1, keepdim=True)
    torch.testing.assert_close(moved[:, 1::2] - centre, centre - moved[:, ::2])


@pytest.mark.parametrize(("D", "half"), [(2, 0.89), (3, 0.94)])
def test_hypotheses_of_twice_the_deviation_are_recalibrated(D, half):
    wide, truth = gaussians(2.0, D)
    found = measured(wide, truth)
    assert found["coverage@0.5"] == pytest.approx(half, abs=0.01)
    assert found["calibration_error"] > 0.2
    c = factors(ratios(wide, truth))
    assert c[4] == pytest.approx(0.525 if D == 2 else 0.52, abs=0.01)
    other, unseen = gaussians(2.0, D, seed=1)
    after = measured(other, unseen, c)
    np.testing.assert_allclose(curve(after, "/recalibrated"), LEVELS, atol=0.015)
    assert after["calibration_error/recalibrated"] < 0.01
    assert after["spread/recalibrated"] == pytest.approx(
        own_spread(recalibrate(other, c)).mean().item(), rel=1e-9
    )
    assert after["energy_score/recalibrated"] < after["energy_score"]


def test_hypotheses_of_half_the_deviation_cover_as_much_as_a_gaussian():
    """About the true mean |y| is Rayleigh: the level p of half the deviation covers
    1 - (1 - p)^(1/4), up to the error of 50 draws."""
    g = torch.Generator().manual_seed(0)
    narrow = 0.5 * torch.randn(1250, 50, 16, 2, generator=g).double()
    truth = torch.randn(1250, 16, 2, generator=g).double()
    expected = 1 - (1 - np.array(LEVELS)) ** 0.25
    np.testing.assert_allclose(curve(measured(narrow, truth)), expected, atol=0.03)
    error = np.abs(expected - LEVELS).mean()
    assert measured(narrow, truth)["calibration_error"] == pytest.approx(error, abs=0.01)


def test_the_energy_score_has_its_closed_form_and_is_least_for_the_truth():
    scores = {}
    for scale in (1.0, 2.0, 0.5):
        g = torch.Generator().manual_seed(0)
        truth = torch.randn(20000, 1, 2, generator=g).double()
        hypotheses = scale * torch.randn(20000, 50, 1, 2, generator=g).double()
        scores[scale] = energy_score(hypotheses, truth).mean().item()
    # of a Gaussian in the plane: sqrt(pi) (sqrt((1 + s^2) / 2) - s / 2)
    for scale, score in scores.items():
        exact = np.pi**0.5 * (((1 + scale**2) / 2) ** 0.5 - scale / 2)
        assert score == pytest.approx(exact, abs=0.012)
    assert scores[1.0] < scores[0.5]
    assert scores[1.0] < scores[2.0]


def test_a_point_mass_scores_its_distance_and_covers_nothing():
    _, truth = gaussians(n=10)
    same = torch.zeros(10, 20, 16, 3, dtype=torch.float64)
    distance = truth.flatten(1).norm(dim=-1)
    torch.testing.assert_close(energy_score(same, truth), distance)
    torch.testing.assert_close(energy_score(same[:, :1], truth), distance)
    found = columns(same, truth)
    assert (found["coverage"] == 0).all()
    with pytest.raises(ValueError, match="not all the same"):
        factors(ratios(same, truth))
    with pytest.raises(ValueError, match="not all the same"):
        factors(torch.empty(0, 9))


def test_the_energy_score_of_four_hypotheses_by_hand():
    """Of two pairs, at 0 and 6 and at 0 and 10; the truth is 8 to the side of 0."""
    hypotheses = torch.tensor([[[[0.0, 0]], [[6, 0]], [[0, 0]], [[10, 0]]]])
    truth = torch.tensor([[[0.0, 8]]])
    error = (8 + 10 + 8 + 164**0.5) / 4
    between = (0 + 10 + 6 + 4) / 4
    assert energy_score(hypotheses, truth).item() == pytest.approx(error - between / 2)
    assert energy_score(hypotheses[:, :2], truth).isnan().all()


def test_more_than_fifty_are_not_used_and_few_have_no_coverage():
    hypotheses, truth = gaussians(n=20, K=60)
    assert measured(hypotheses, truth, C) == measured(hypotheses[:, :50], truth, C)
    few = measured(hypotheses[:, :9], truth, C)
    assert set(few) == {"energy_score", "energy_score/recalibrated", "spread/recalibrated"}
    assert set(measured(hypotheses[:, :1], truth, C)) == {"energy_score"}


def test_recalibrating_keeps_the_mean_and_scales_the_rest():
    hypotheses, _ = gaussians(n=5)
    moved = recalibrate(hypotheses, [1.7] * 9)
    torch.testing.assert_close(moved.mean(1), hypotheses.mean(1))
    torch.testing.assert_close(own_spread(moved), 1.7 * own_spread(hypotheses))


def test_every_quantile_of_the_distances_has_a_factor():
    """The k-th pair of n has the k / (n + 1)-quantile; the mean stays."""
    away = torch.tensor([s * x for x in range(1, 10) for s in (1.0, -1.0)])  # .1 to .9
    moved = recalibrate(7 + away[None, :, None, None], [0.5] * 5 + [2.0] * 4)[0, :, 0, 0] - 7
    torch.testing.assert_close(moved, away * torch.where(away.abs() > 5, 2, 0.5))
    few = torch.tensor([-4.0, 1, 3])  # 2/3, 1/3 and 1/3
    moved = recalibrate(few[None, :, None, None], range(1, 10))[0, :, 0, 0]
    expected = torch.tensor([-4 * 20 / 3, 10 / 3, 3 * 10 / 3])
    torch.testing.assert_close(moved, expected - expected.mean())


def test_tails_that_a_factor_cannot_mend():
    """Errors of Student's t with 3 degrees of freedom against draws of a Gaussian."""
    g = np.random.default_rng(0)

    def sample(n):
        truth = g.standard_t(3, (n, 16, 3))
        return torch.from_numpy(g.standard_normal((n, 50, 16, 3))), torch.from_numpy(truth)

    c = factors(ratios(*sample(1250)))
    assert c[8] > 1.4 * c[0]
    drawn, truth = sample(1250)
    one = measured(drawn, truth, [c[4]] * 9)
    each = measured(drawn, truth, c)
    assert one["calibration_error/recalibrated"] > 0.03
    assert each["calibration_error/recalibrated"] < 0.01
    assert each["energy_score/recalibrated"] < one["energy_score/recalibrated"]


def test_spreads_are_ranked_against_errors_and_cover_some():
    spread = torch.tensor([1.0, 2.0, 3.0, 4.0, torch.nan, 1.0])
    error = torch.tensor([0.5, 2.0, 5.0, 9.0, 1.0, torch.inf])
    found = calibration.against_error(spread, error)
    assert found == {"spread": 2.5, "spread_rank": pytest.approx(1.0), "spread_covers": 0.5}
    assert calibration.against_error(-spread, error)["spread_rank"] == pytest.approx(-1.0)
    equal = calibration.against_error(torch.ones(4), torch.arange(4.0))
    assert np.isnan(equal["spread_rank"])
    assert equal["spread_covers"] == 0.5
    assert calibration.against_error(spread[4:], error[4:]) == {}


def test_the_spread_of_a_calibrated_gaussian_ranks_and_covers_as_it_should():
    g = torch.Generator().manual_seed(0)
    deviation = torch.rand(20_000, generator=g) + 0.1
    error = deviation * torch.randn((3, 20_000), generator=g).norm(dim=0)
    found = calibration.against_error(deviation * 3**0.5, error)
    assert found["spread_covers"] == pytest.approx(0.608, abs=0.01)  # chi of 3 below sqrt 3
    assert 0.5 < found["spread_rank"] < 0.9


def test_only_labelled_joints_count():
    drawn, truth = gaussians(D=2, n=60, J=5)
    labelled = torch.rand(60, 5, generator=torch.Generator().manual_seed(1)) < 0.6
    labelled[0] = False
    found = columns(drawn, truth.where(labelled[..., None], 1e6), labelled=labelled)
    for i in range(1, 60):
        if labelled[i].any():
            own = columns(drawn[[i]][:, :, labelled[i]], truth[[i]][:, labelled[i]])
            for key in ("energy_score", "coverage"):
                torch.testing.assert_close(found[key][[i]], own[key])
    assert found["coverage_of"][0] == 0
    assert found["energy_score"][0].isnan()
    nothing = columns(drawn, truth, labelled=torch.zeros_like(labelled))
    assert figures({k: x.numpy() for k, x in nothing.items()}) == {}
    whole = figures({k: x.numpy() for k, x in found.items()})
    some = columns(drawn, truth, labelled=torch.ones_like(labelled))
    assert 0 < whole["calibration_error"] < 0.1
    torch.testing.assert_close(some["coverage"], columns(drawn, truth)["coverage"])


def test_coverage_is_the_share_of_all_labelled_joints():
    """One person has a joint, covered; another ten, of which none is."""
    drawn, truth = gaussians(D=2, n=2, J=10)
    truth[0], truth[1] = drawn[0].mean(0), 1e6
    labelled = torch.ones(2, 10, dtype=torch.bool)
    labelled[0, 1:] = False
    found = {k: x.numpy() for k, x in columns(drawn, truth, labelled=labelled).items()}
    assert figures(found)["coverage@0.9"] == pytest.approx(1 / 11)


def test_the_verdict_names_the_direction_of_the_error():
    for scale, word in ((0.5, "over-confident"), (2.0, "under-confident"), (1.0, "calibrated")):
        line = calibration.verdict(measured(*gaussians(scale, n=300)))
        assert line.startswith(word)
    assert calibration.verdict({}) == ""
