"""scripts/train_weights.sh, which trains all models that ship."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from helpers.shipping import faults

import posediff
from posediff import shipped
from posediff.prepare.model_card import WRITTEN

ROOT = Path(__file__).parents[2]
TINY = (
    "debug=limit trainer.train_samples=64 trainer.validation_samples=64 trainer.recipe.epochs=1 "
    "trainer.recipe.epoch_samples=64 trainer.recipe.batch_size=32 device=cpu"
)


def trained(shared, folder, python=sys.executable):
    places = {"POSEDIFF_DATA": shared / "data", "POSEDIFF_RUNS": folder / "runs"}
    more = {**places, "PY": python, "WEIGHTS": folder / "weights", "PYTHONPATH": ROOT}
    run = subprocess.run(
        ["sh", "scripts/train_weights.sh", *TINY.split()],
        cwd=ROOT,
        env={**os.environ, **{key: str(x) for key, x in more.items()}, "HYDRA_FULL_ERROR": "0"},
        capture_output=True,
        text=True,
    )
    return run.returncode, run.stdout, run.stderr


@pytest.mark.slow
def test_all_models_are_trained_and_published_and_a_second_time_goes_on(
    shared, tmp_path, monkeypatch
):
    code, _, err = trained(shared, tmp_path)
    assert code == 0, err
    monkeypatch.setattr(shipped, "PACKAGED", tmp_path / "weights")
    ours = {"image2d", "lift3d", "lift3d_video", "video2d"}
    assert {*shipped.names()} == ours
    assert (tmp_path / "weights/movenet_thunder").is_dir()
    for name in ours:
        posediff.load(name)
        unwritten = [f"the card lacks {title}" for title in WRITTEN]
        assert faults(tmp_path / "weights" / name) == unwritten
    first = (tmp_path / "weights/lift3d/model.safetensors").read_bytes()
    code, _, err = trained(shared, tmp_path)
    assert code == 0, err
    assert (tmp_path / "weights/lift3d/model.safetensors").read_bytes() == first


def test_the_first_training_that_fails_ends_the_script(tmp_path):
    code, out, err = trained(tmp_path / "nowhere", tmp_path)
    assert code == 1
    assert err.startswith("error: ")
    assert out.count("$ ") == 1
    assert not (tmp_path / "weights").exists()


@pytest.mark.parametrize("left", ["", "checkpoints/last", "checkpoints/previous"])
def test_a_training_goes_on_from_whatever_state_there_is(tmp_path, left):
    (tmp_path / "runs/image2d/lspet_crops/coarse" / left).mkdir(parents=True)
    code, out, _ = trained(tmp_path, tmp_path, "false")  # a Python that trains nothing
    assert code == 1
    assert "name=coarse resume=true debug=limit" in out


def test_make_weights_runs_the_list():
    run = subprocess.run(
        ["make", "--no-print-directory", "-n", "weights", "MORE=seed=3"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert run.stdout.splitlines()[-1] == "PY=.venv/bin/python sh scripts/train_weights.sh seed=3"
