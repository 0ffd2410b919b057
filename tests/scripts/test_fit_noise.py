"""scripts/fit_noise.py on a coarse head that is hardly trained; a lifter reads its file."""

import json

import pytest
import yaml
from helpers.commands import LIMIT, command, error_of, run, script
from helpers.lifters import ENCODER

from posediff import checkpoint, tree

PICTURES = ("dataset=synthetic_pictures", "dataset.size=[48,64]", "device=cpu")
TINY = ("dataset.pictures=4", "trainer=people_minutes", *LIMIT)
SIZES = ("trainer.recipe.batch_size=8", "trainer.recipe.epoch_samples=16")
COARSE = ("experiment=image2d_coarse", *PICTURES, *TINY, *SIZES)


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    """A folder with a coarse head, and the noise that was measured of it."""
    folder = tmp_path_factory.mktemp("work")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("POSEDIFF_RUNS", str(folder / "runs"))
        command("train", *COARSE, "name=coarse")
        fit("own/dataset/noise/mine.yaml")
    return folder


@pytest.fixture(autouse=True)
def inside(work, monkeypatch):
    monkeypatch.chdir(work)
    monkeypatch.setenv("POSEDIFF_RUNS", str(work / "runs"))


def fit(out, *arguments, steps=3):
    given = ("experiment=image2d_coarse", *PICTURES, "dataset.pictures=12")
    run(script("fit_noise").main, out, f"--steps={steps}", *given, *arguments)


def test_the_file_has_the_options_of_the_noise_and_says_what_was_measured(work):
    text = (work / "own/dataset/noise/mine.yaml").read_text()
    noise = tree.build(yaml.safe_load(text))
    assert len(noise.scores) == 4
    assert all(sigma > 0 for sigma in noise.sigmas)
    for fact in ("command: python scripts/fit_noise.py mine.yaml", "people: ", "pairs_apart: "):
        assert f"#   {fact}" in text
    assert "#   data: synthetic_pictures, test" in text
    assert "#   model: image2d coarse, 1 steps, K 1" in text


def test_a_lifter_is_trained_on_the_measured_noise_and_keeps_it(work):
    own = ("--config-dir", str(work / "own"), "dataset/noise=mine")
    command("train", *own, *ENCODER, "name=lifter")
    folder = work / "runs/lift3d/synthetic/lifter"
    kept = checkpoint.read_config(folder / "checkpoints/best")["dataset"]["noise"]
    assert kept == yaml.safe_load((work / "own/dataset/noise/mine.yaml").read_text())
    log = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    assert log[-1]["mpjpe/mean"] > 0


def test_what_cannot_be_measured_ends_in_one_line(work, capsys):
    with pytest.raises(SystemExit, match=r"noise.json must end with .yaml"):
        fit("noise.json")
    capsys.readouterr()
    with pytest.raises(SystemExit):
        fit("noise.yaml", steps=100_000)
    assert "are too few for 100000 steps of the score" in capsys.readouterr().err
    command("train", *ENCODER, "name=encoder")
    with pytest.raises(SystemExit):
        run(script("fit_noise").main, "noise.yaml", *ENCODER[:1], *ENCODER[3:])
    assert "no labelled people in pictures" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        fit("noise.yaml", "checkpoint=/elsewhere/best")
    assert not (work / "noise.yaml").exists()
    assert "no such dataset/noise" in error_of(capsys, "train", *ENCODER, "dataset/noise=none")
