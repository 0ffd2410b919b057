"""Evidence -> a file of mixtures -> the samples of a data set."""

from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from helpers.commands import run
from helpers.commands import script as load

from posediff.data.lifting.h36m_cameras import SIZES, cameras
from posediff.data.lifting.mixtures import add_mixtures
from posediff.data.lifting.views import Clip
from posediff.pose.affine import affine, transform
from posediff.pose.heatmap import Codec

PATH = Path(__file__).parents[2] / "scripts/fit_mixture.py"
CODEC = Codec("udp", (96, 128))


@pytest.fixture(scope="module")
def script():
    return load("fit_mixture")


def evidence(path, attributes=None, **arrays):
    with h5py.File(path, "w") as file:
        file.attrs.update({"skeleton": "h36m17", "image_size": (800, 600)} | (attributes or {}))
        for name, array in arrays.items():
            file[f"S1/Walking 1/cam0/{name}"] = array
    return path


def fitted(path, frames, names=("cam0",)):
    world = np.zeros((frames, 17, 3), np.float32)
    clip = Clip("Walking 1", "S1", "Walking", world, cameras("S1")[: len(names)], [*names])
    add_mixtures([clip], path, "h36m17")
    return np.stack(clip.mixtures)


def test_heatmaps_become_mixtures_in_pixels_of_the_image(script, monkeypatch, tmp_path, capsys):
    rng = np.random.default_rng(0)
    F = 6
    monkeypatch.setattr(script, "CHUNK", 4)
    joints = torch.from_numpy(rng.uniform((330, 220), (470, 380), (F, 17, 2))).float()
    crop = affine(
        torch.tensor([[400.0, 300.0]]), torch.tensor([[180.0, 240.0]]), CODEC.size, udp=True
    ).expand(F, 2, 3)
    maps, _ = CODEC.encode(transform(joints, crop), torch.ones(F, 17))
    maps[3, 5] = 0
    about = {"codec": "udp", "size": CODEC.size}
    path = evidence(tmp_path / "maps.h5", about, heatmaps=maps, affine=crop)
    run(script.main, path, tmp_path / "out.h5", "--components", 2)
    assert "1 views" in capsys.readouterr().out
    (found,) = fitted(tmp_path / "out.h5", F)
    known = np.delete(np.arange(F * 17), 3 * 17 + 5)
    mean = (found[..., :1] * found[..., 1:3]).sum(-2).reshape(-1, 2)[known]
    assert np.abs(mean - joints.reshape(-1, 2).numpy()[known]).max() < 0.2
    np.testing.assert_allclose(found[3, 5, 0], (1, 399.5, 299.5, 200, 200))
    with h5py.File(tmp_path / "out.h5") as file:
        assert file.attrs["source"] == "maps.h5"
        assert file.attrs["components"] == 2
        assert file["S1/Walking 1/cam0"].dtype == np.float32


def test_samples_of_two_groups_become_two_components(script, tmp_path):
    rng = np.random.default_rng(1)
    x = rng.normal(0, 3, (5, 40, 17, 2)) + 300
    x[:, :10, 4] += 80
    path = evidence(tmp_path / "samples.h5", samples=x)
    run(script.main, path, tmp_path / "out.h5", "--components", 2)
    (found,) = fitted(tmp_path / "out.h5", 5)
    np.testing.assert_allclose(found[:, 4, :2, 0], [[0.75, 0.25]] * 5, atol=1e-4)
    np.testing.assert_allclose(found[:, 4, 1, 1:3], x[:, :10, 4].mean(1), atol=1e-3)


@pytest.mark.filterwarnings("ignore:.*single Gaussian")
def test_calibrated_detections_have_the_rms_residual_as_their_scale(script, tmp_path):
    rng = np.random.default_rng(2)
    sigma = rng.uniform(2, 20, (17, 2))
    truth = rng.uniform(100, 500, (400, 17, 2))
    seen = truth + sigma * rng.normal(size=truth.shape)
    held_out = evidence(tmp_path / "validation.h5", keypoints=seen[:200], target=truth[:200])
    z = tmp_path / "residuals.npz"
    run(script.main, held_out, tmp_path / "plain.h5", "--residuals", z)
    assert (fitted(tmp_path / "plain.h5", 200)[..., 3:] == 4).all()  # 5 pixels at a width of 1000
    test = evidence(tmp_path / "test.h5", keypoints=seen[200:])
    run(script.main, test, tmp_path / "calibrated.h5", "--calibrate", z)
    found = fitted(tmp_path / "calibrated.h5", 200)[0, ..., 0, 3:]
    rms = np.sqrt(np.square(seen[:200] - truth[:200]).mean(0))
    np.testing.assert_allclose(found, np.broadcast_to(rms, found.shape), rtol=1e-5)
    again = evidence(tmp_path / "again.h5", keypoints=seen[:200], target=truth[:200])
    options = ("--calibrate", z, "--residuals", tmp_path / "unit.npz")
    run(script.main, again, tmp_path / "unit.h5", *options)
    unit = np.load(tmp_path / "unit.npz")["standardised"]
    np.testing.assert_allclose(np.square(unit).mean(0), 1, rtol=1e-9)


@pytest.mark.filterwarnings("ignore:.*single Gaussian")
def test_detections_of_videopose3d_are_read(script, tmp_path):
    rng = np.random.default_rng(3)
    points = [rng.uniform(0, 1000, (4, 17, 2)).astype(np.float32) for _ in SIZES]
    path = tmp_path / "data_2d_h36m_cpn.npz"
    np.savez(path, positions_2d=np.array({"S1": {"Walking 1": points}}, dtype=object))
    run(script.main, path, tmp_path / "out.h5")
    found = fitted(tmp_path / "out.h5", 4, SIZES)
    np.testing.assert_allclose(found[..., 0, 1:3], np.stack(points))


def line(script, *arguments):
    with pytest.raises(SystemExit) as stop:
        run(script.main, *arguments)
    message = str(stop.value)
    assert message.startswith("error: ")
    assert "\n" not in message
    return message


def test_errors_in_the_evidence_are_one_line(script, tmp_path):
    out, points = tmp_path / "out.h5", np.ones((3, 17, 2))
    path = tmp_path / "e.h5"

    def error(*options, **content):
        path.unlink(missing_ok=True)
        return line(script, evidence(path, **content), out, *options)

    assert "no target" in error("--residuals", tmp_path / "r.npz", keypoints=points)
    assert "of 16 joints" in error(keypoints=points[:, :16])
    broken = points.copy()
    broken[2, 5] = np.nan
    assert "S1/Walking 1/cam0: keypoints of frame 2 are not finite" in error(keypoints=broken)
    assert "codec" in error(heatmaps=np.ones((3, 17, 32, 24)), attributes={"size": (96, 128)})
    assert "affine" in error(
        heatmaps=np.ones((3, 17, 32, 24)), attributes={"size": (96, 128), "codec": "udp"}
    )
    assert "no group" in error()
    assert "none.h5" in line(script, tmp_path / "none.h5", out)
    np.savez(tmp_path / "r.npz", standardised=np.ones((4, 3, 2)))
    assert r"r.npz: `standardised`" in error("--calibrate", tmp_path / "r.npz", keypoints=points)
    assert not out.exists()
