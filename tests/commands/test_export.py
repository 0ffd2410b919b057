"""posediff export: the graphs of a trained model, with the options of its command."""

import json
from pathlib import Path

import pytest
from helpers.commands import run, script
from helpers.heads import case, model

from posediff import __main__, config
from posediff.exporting import examples

SETTINGS = ("size", "codec", "mean", "std", "offsets", "keypoints", "noise")


@pytest.fixture(autouse=True)
def inside(lifters, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("POSEDIFF_RUNS", str(lifters.parents[1]))


def test_a_trained_lifter_is_exported_with_the_steps_and_k_of_the_command(lifters, capsys):
    options = ("formats=[torch]", "sampler.steps=1", "task.hypotheses=2", "output=graphs")
    words = ("export", "task=lift3d", "dataset=synthetic", f"checkpoint={lifters / 'paper'}")
    run(__main__.main, *words, *options)
    out = capsys.readouterr().out
    assert "torch: largest differences to the model" in out
    assert "answer_keypoints" in out
    about = json.loads(Path("graphs/export.json").read_text())
    assert (about["task"], about["method"], about["aggregate"]) == ("lift3d", "paper", "mean")
    assert about["sampler"]["steps"] == 1
    hypotheses = about["graphs"][1]["outputs"]["answer_hypotheses"]["shape"]
    assert hypotheses == ["batch", 2, 17, 3]
    assert about["preprocessing"]["trained_on"]["keypoints"] == "noisy"


def test_the_script_is_the_same_command(capsys):
    with pytest.raises(SystemExit) as stop:
        run(script("export").main, "task=lift3d", "checkpoint=nowhere")
    assert stop.value.code == 1
    assert "nowhere: no such folder" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["paper_centre", "posterior_video", "sgdd", "plain"])
def test_drawn_examples_have_the_entries_and_shapes_of_a_sample(name):
    made, batch, cfg = model(name), case(name).sample, case(name).config
    made.trained_on = {k: x for k, x in config.plain(cfg.dataset).items() if k in SETTINGS}
    of = {"lift3d": examples.keypoints, "image2d": examples.picture, "video2d": examples.clip}
    drawn = of[cfg.task.name](made, 3)
    assert cfg.task.example == f"posediff.exporting.examples.{of[cfg.task.name].__name__}"
    for key, x in drawn.items():
        if key in batch and hasattr(x, "shape"):
            assert x.shape == batch[key].shape, key
    assert made.predict(drawn).keypoints.isfinite().all()
