"""EM against scikit-learn, closed forms and known maps; its results are always finite."""

import numpy as np
import pytest
import torch

from posediff.pose.affine import affine, transform
from posediff.pose.heatmap import Codec, render
from posediff.pose.mixture import fit, from_heatmaps, from_samples, moments, peaks

CODEC = Codec("udp")
START = torch.tensor([0, 350, 580])  # one point of each cluster


def clusters(n=600, seed=0):
    """Points (n, 2) in pixels: a half, a third and a sixth from each of three Gaussians."""
    g = torch.Generator().manual_seed(seed)
    counts = (n // 2, n // 3, n // 6)
    centres = ((100.0, 200.0), (160.0, 210.0), (120.0, 300.0))
    scales = ((8.0, 4.0), (3.0, 9.0), (12.0, 5.0))
    parts = [
        torch.tensor(c) + torch.tensor(s) * torch.randn(k, 2, generator=g)
        for k, c, s in zip(counts, centres, scales, strict=True)
    ]
    return torch.cat(parts).double()


def test_one_component_is_the_weighted_mean_and_deviation():
    x, v = clusters(), torch.rand(600, generator=torch.Generator().manual_seed(1)).double()
    found = fit(x, v, components=1).mixture
    mean = (v[:, None] * x).sum(0) / v.sum()
    variance = (v[:, None] * (x - mean).square()).sum(0) / v.sum()
    torch.testing.assert_close(found["loc"][0], mean)
    torch.testing.assert_close(found["scale"][0], variance.sqrt())
    assert found["weights"].tolist() == [1]


@pytest.mark.filterwarnings("ignore:.*converge")
@pytest.mark.parametrize("weighted", [False, True])
def test_every_iteration_is_that_of_scikit_learn(weighted):
    """From the same start. scikit-learn has no weights: there a point of weight 3 is repeated."""
    mixture = pytest.importorskip("sklearn.mixture")
    x = clusters()
    count = torch.randint(1, 4, (600,), generator=torch.Generator().manual_seed(2))
    count = count if weighted else torch.ones_like(count)
    one = fit(x, count, components=3, iterations=0, start=START).mixture
    for iterations in (1, 3, 10, 40):
        ours = fit(x, count, 3, iterations=iterations, start=START, tolerance=-1)
        other = mixture.GaussianMixture(
            3,
            covariance_type="diag",
            reg_covar=0,
            tol=0,
            max_iter=iterations,
            weights_init=one["weights"],
            means_init=one["loc"],
            precisions_init=1 / one["scale"].square(),
        )
        other.fit(x.repeat_interleave(count, 0).numpy())
        order = np.argsort(-other.weights_)
        m = ours.mixture
        np.testing.assert_allclose(m["weights"], other.weights_[order], atol=1e-9)
        np.testing.assert_allclose(m["loc"], other.means_[order], rtol=1e-9)
        np.testing.assert_allclose(m["scale"] ** 2, other.covariances_[order], rtol=1e-7)
    assert ours.likelihood.item() == pytest.approx(
        other.score(x.repeat_interleave(count, 0).numpy()), abs=1e-6
    )


def test_a_repeated_point_and_its_weight_are_the_same():
    x, v = clusters(), torch.randint(1, 4, (600,), generator=torch.Generator().manual_seed(3))
    a = fit(x, v, 3, seed=4, start=START).mixture
    repeated = x.repeat_interleave(v, 0)
    start = [int((repeated == x[i]).all(-1).nonzero()[0]) for i in START]
    b = fit(repeated, None, 3, seed=4, start=torch.tensor(start)).mixture
    for key in a:
        torch.testing.assert_close(a[key], b[key])


def test_the_likelihood_never_falls_and_the_floor_holds():
    x = torch.cat([clusters(), torch.full((40, 2), 250.0).double()])  # a point-like cluster
    values = [fit(x, components=5, iterations=n, tolerance=-1).likelihood for n in range(1, 40)]
    gains = torch.stack(values).diff()
    assert (gains > -1e-9).all()
    assert gains[:5].max() > 1e-3
    found = fit(x, components=5).mixture
    assert found["scale"].min() == 0.5
    spot = (found["loc"] - 250).norm(dim=-1).argmin()
    assert found["weights"][spot] == pytest.approx(1 / 16, abs=1e-3)


def test_fits_of_a_batch_are_independent_and_depend_on_the_seed():
    x = torch.stack([clusters(seed=s) for s in range(4)])
    together = fit(x).mixture
    for i in range(4):
        alone = fit(x[i]).mixture
        for key in alone:
            torch.testing.assert_close(alone[key], together[key][i])
    assert not torch.equal(fit(x, seed=1).mixture["loc"], together["loc"])


def known_map(codec=CODEC):
    """A map of three Gaussians (1, 1, h, w), and their weights and centres in map pixels."""
    loc = torch.tensor([[12.3, 20.6], [34.0, 22.5], [20.2, 50.1]]).double()
    maps = torch.stack(
        [render(c[None], codec.shape, s)[0] for c, s in zip(loc, (2.0, 2.5, 3.0), strict=True)]
    )
    weights = torch.tensor([0.55, 0.30, 0.15]).double()
    area = torch.tensor([2.0, 2.5, 3.0]).double().square()
    return (maps * (weights / area)[:, None, None]).sum(0)[None, None], weights, loc


@pytest.mark.parametrize("samples", [None, 20000])
def test_a_known_map_gives_its_three_components_back(samples):
    maps, weights, loc = known_map()
    found, score = from_heatmaps(maps, CODEC, samples=samples)
    live = found["weights"][0, 0] > 0.02
    assert live.sum() >= 3
    merged = []  # EM may split a blob in two: all components within it are counted
    for i in range(3):
        near = (CODEC.to_map(found["loc"][0, 0]) - loc[i]).norm(dim=-1) < 5
        merged.append(found["weights"][0, 0][near].sum())
    tolerance = 0.01 if samples is None else 0.02
    torch.testing.assert_close(torch.stack(merged), weights, atol=tolerance, rtol=0)
    assert score[0, 0] == maps.max()
    three, _ = from_heatmaps(maps, CODEC, components=3, samples=samples)
    torch.testing.assert_close(three["weights"][0, 0], weights, atol=tolerance, rtol=0)
    torch.testing.assert_close(CODEC.to_map(three["loc"][0, 0]), loc, atol=0.1, rtol=0)
    deviation = CODEC.to_map(three["scale"][0, 0])
    expected = torch.tensor([2.0, 2.5, 3.0]).double()[:, None].expand(3, 2)
    torch.testing.assert_close(deviation, expected, atol=0.12, rtol=0)


def test_mixtures_of_empty_one_hot_flat_and_negative_maps():
    h, w = CODEC.shape
    maps = torch.zeros(1, 5, h, w)
    maps[0, 1, 30, 20] = 1  # one-hot
    maps[0, 2] = 0.3  # flat
    maps[0, 3] = -1
    maps[0, 4, :, 3] = 1e-30  # almost empty
    size = torch.tensor([[640.0, 480.0]])
    found, score = from_heatmaps(maps, CODEC, image_size=size)
    for part in found.values():
        assert part.isfinite().all()
    torch.testing.assert_close(found["weights"].sum(-1), torch.ones(1, 5).double())
    assert (found["scale"] > 0).all()
    for joint in (0, 3):
        assert found["weights"][0, joint].tolist() == [1, 0, 0, 0, 0]
        assert found["loc"][0, joint, 0].tolist() == [319.5, 239.5]
        assert found["scale"][0, joint, 0].tolist() == [160, 160]
        assert score[0, joint] == 0
    torch.testing.assert_close(
        CODEC.to_map(found["loc"][0, 1, 0]), torch.tensor([20.0, 30]).double()
    )
    cell = CODEC.to_map(found["scale"][0, 1, 0])
    torch.testing.assert_close(cell, torch.full((2,), 12**-0.5).double())
    mean, deviation = moments({k: x[0, 2] for k, x in found.items()})
    centre, pitch = (torch.tensor(CODEC.size) - 1) / 2, CODEC.from_map(torch.ones(2))
    torch.testing.assert_close(mean, centre.double(), atol=1e-6, rtol=0)
    uniform = pitch * ((torch.tensor([w, h]) ** 2 - 1) / 12).sqrt()
    torch.testing.assert_close(deviation, uniform.double(), rtol=1e-2, atol=0)
    with pytest.raises(ValueError, match="finite"):
        from_heatmaps(maps.fill_(torch.nan), CODEC)


@pytest.mark.parametrize("name", ["udp", "dark"])
def test_mixtures_of_a_crop_are_in_image_pixels(name):
    codec = Codec(name)
    centre, scale = torch.tensor([[400.0, 300.0]]), torch.tensor([[150.0, 200.0]])
    crop = affine(centre, scale, codec.size, udp=codec.udp)
    joints = torch.tensor([[[380.0, 250.0], [420.0, 330.0]]])
    maps, _ = codec.encode(transform(joints, crop), torch.ones(1, 2))
    found, _ = from_heatmaps(maps, codec, crop, torch.tensor([[800.0, 600.0]]), components=1)
    torch.testing.assert_close(found["loc"][:, :, 0], joints.double(), atol=0.02, rtol=0)
    pixel = codec.from_map(torch.ones(2)) / torch.tensor([crop[0, 0, 0], crop[0, 1, 1]])
    sigma = (codec.sigma * pixel).double().expand(1, 2, 2)  # the map is cut at 3 sigma
    torch.testing.assert_close(found["scale"][:, :, 0], sigma, rtol=0.02, atol=0)


def test_a_rotated_crop_keeps_the_variance_along_each_axis():
    codec = Codec("dark")
    center, scale = torch.tensor([[96.0, 128.0]]), torch.tensor([[192.0, 256.0]])
    maps = torch.zeros(1, 1, *codec.shape)
    maps[0, 0, 30, 10:30] = 1  # wide in the crop, so tall in the image
    found, _ = from_heatmaps(maps, codec, affine(center, scale, codec.size, 90.0), components=1)
    assert found["scale"][0, 0, 0, 1] > 10 * found["scale"][0, 0, 0, 0]


def test_one_cell_of_a_plateau_is_a_peak_and_the_strongest_is_first():
    maps = torch.zeros(2, 8, 9).double()
    maps[0, 2, 2], maps[0, 2, 3], maps[0, 6, 7] = 1, 1, 2
    assert peaks(maps, 3).tolist() == [[6 * 9 + 7, 2 * 9 + 2, -1], [-1, -1, -1]]


def test_mixtures_of_samples_and_of_identical_samples():
    x = clusters()[torch.randperm(600, generator=torch.Generator().manual_seed(5))]
    both = torch.stack([x, torch.full_like(x, 7.0)], 1)[None]  # (1, K, J, 2)
    found = from_samples(both, components=3)
    torch.testing.assert_close(
        found["weights"][0, 0], torch.tensor([3, 2, 1]) / 6.0, atol=0.01, rtol=0, check_dtype=False
    )
    torch.testing.assert_close(
        found["loc"][0, 0, 0], torch.tensor([100.0, 200]).double(), atol=1, rtol=0
    )
    assert found["weights"][0, 1].tolist() == [1, 0, 0]
    assert (found["loc"][0, 1] == 7).all()
    assert (found["scale"][0, 1] == 0.5).all()
    mean, deviation = moments(found)
    torch.testing.assert_close(mean[0, 0], x.mean(0))
    torch.testing.assert_close(deviation[0, 0], x.std(0, correction=0))
