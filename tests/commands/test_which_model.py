"""Which model a command takes, and what it says of it before it begins."""

import os
import shutil
from datetime import date
from functools import partial

import numpy as np
import pytest
from helpers.commands import command, error_of, run
from helpers.lifters import ENCODER, LIFT, TINY

from posediff import __main__, checkpoint, run_folder, shipped, speed


@pytest.fixture(autouse=True)
def inside(lifters, monkeypatch):
    monkeypatch.chdir(lifters.parents[2])
    monkeypatch.setenv("POSEDIFF_RUNS", "runs")


def test_evaluation_says_its_model_encoder_and_device_first(capsys):
    command("eval", *TINY, "task=lift3d", "checkpoint=runs/lift3d/synthetic/paper")
    first, second, third, fourth = capsys.readouterr().out.splitlines()[:4]
    assert fourth.startswith("expects  about ")
    assert first == (
        "model    runs/lift3d/synthetic/paper/checkpoints/best (lift3d paper, trained on synthetic "
        f"with noisy 2D, {date.today()})"
    )
    assert second == "encoder  lift3d/synthetic/encoder, inside the model"
    assert third.startswith("device   cpu, ")


def test_models_are_compiled_before_the_expected_time_is_measured(capsys, monkeypatch, tmp_path):
    eager = partial(speed.compiled_answers, backend="eager")
    monkeypatch.setattr(speed, "compiled_answers", eager)
    folder = "runs/lift3d/synthetic/paper"
    command("eval", *TINY, "task=lift3d", f"checkpoint={folder}", "compile=true")
    points = np.random.default_rng(0).uniform(100, 400, (3, 17, 2))
    np.save(tmp_path / "a.npy", points)
    words = (tmp_path / "a.npy", "--to", tmp_path / "out", "--layout", "h36m17", "--compile")
    run(__main__.main, *words, "--model", folder, "--device", "cpu")
    starts = [line[:9] for line in capsys.readouterr().out.splitlines()]
    said = [start for start in starts if start in ("compile  ", "expects  ")]
    assert said == ["compile  ", "expects  "] * 2


def test_training_says_which_encoder_it_starts_with(capsys):
    command("train", *LIFT, "name=says")
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].startswith(
        "encoder  runs/lift3d/synthetic/encoder/checkpoints/best (lift3d enc"
    )
    assert lines[2].startswith("device   cpu, ")
    assert any(line.startswith("expects  about ") for line in lines[3:6])


def test_a_run_of_a_debug_preset_is_not_taken_as_the_newest(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("POSEDIFF_RUNS", str(tmp_path))
    command("train", *ENCODER, "debug=limit", "name=smoke")
    smoke = f"but {tmp_path}/lift3d/synthetic/smoke/checkpoints/best, of a debug preset"
    assert smoke in error_of(capsys, "eval", *TINY, "experiment=lift3d_encoder")
    assert smoke in error_of(capsys, "train", *LIFT, "name=refused")
    command("eval", *TINY, "experiment=lift3d_encoder", "debug=limit")  # a smoke test, too


def test_an_old_model_that_is_recalibrated_is_not_the_newest(lifters, tmp_path):
    def newest():
        return checkpoint.newest(tmp_path, "lift3d", "synthetic", "paper", {}).parts[-3]

    for n, name in enumerate(("old", "new")):
        best = tmp_path / f"lift3d/synthetic/{name}/checkpoints/best"
        shutil.copytree(lifters / "paper/checkpoints/best", best)
        for file in best.iterdir():
            os.utime(file, (n, n))
    assert newest() == "new"
    old = tmp_path / "lift3d/synthetic/old/checkpoints/best"
    checkpoint.write_config(old, checkpoint.read_config(old) | {"recalibration": {}})
    assert newest() == "new"


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ([], False),
        (["debug=limit"], True),
        (["+debug=mine"], True),
        (["debug=limit", "debug=null"], False),
        (["name=debug=limit"], False),
    ],
)
def test_debug_presets_are_recognised(given, expected):
    assert run_folder.is_debug(given) == expected


def test_a_run_folder_is_its_best_model(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    best = tmp_path / "run/checkpoints/best"
    best.mkdir(parents=True)
    assert shipped.find(tmp_path / "run") == best
    assert shipped.find("run").resolve() == best
    (tmp_path / "run/config.json").touch()  # a model folder itself
    assert shipped.find(tmp_path / "run") == tmp_path / "run"


def test_options_that_cannot_be_read_name_their_file(tmp_path):
    (tmp_path / ".hydra").mkdir()
    (tmp_path / ".hydra/overrides.yaml").write_text("- 'a")
    with pytest.raises(ValueError, match=r"overrides\.yaml: not valid YAML"):
        run_folder.overrides(tmp_path)
