"""Paths are taken as they are."""

import shutil

import cv2
import numpy as np
import pytest
from helpers.commands import command, error_of

from posediff import config
from posediff.verbatim import quoted

NAMES = [
    "a b",
    "it's",
    'say "x"',
    "back\\slash'",
    "end\\",
    "[1, 2]",
    "a=b",
    "#1 & 2",
    "Größe 日本",
    "a,b",
    "{a: 1}",
    "${seed}",
    "null",
    "2024",
    "1e3",
    "%20;(1)!?*",
    "~home",
    " edge ",
    "'q'",
    "a:b",
]


@pytest.mark.parametrize("name", NAMES)
def test_any_name_of_a_file_that_exists_arrives(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    (tmp_path / name).touch()
    keys = ("input", "checkpoint", "output", "paths.runs", "boxes", "task.begin")
    cfg = config.compose("predict", quoted(["task=image2d", *(f"{key}={name}" for key in keys)]))
    found = [cfg[key] for key in ("input", "checkpoint", "output", "boxes")]
    assert [*found, cfg.paths.runs, cfg.task.begin] == [name] * 6


@pytest.mark.parametrize(
    "name", [x for x in NAMES if x not in ("null", "'q'", "${seed}", "[1, 2]")]
)
def test_and_of_one_that_does_not(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    words = quoted(["task=image2d", f"output={name}"])
    assert config.compose("predict", words).output == name
    words = quoted(["task=image2d", "dataset=coco", f"dataset.root={name}"])
    assert config.compose("train", words).dataset.root == name


@pytest.mark.parametrize(
    "word",
    [
        "checkpoint=null",
        "boxes=[10,20,30,40]",
        "boxes=[1.5, -2, 3e1, 4]",
        "input='a b.jpg'",
        'input="a b.jpg"',
        "checkpoint=runs/lift3d/x-1/checkpoints/best",
        "sampler.steps=4",
        "trainer.recipe={epochs: 1}",
        "--config-dir",
        "name=a b",
    ],
)
def test_other_words_stay(tmp_path, monkeypatch, word):
    monkeypatch.chdir(tmp_path)
    assert quoted([word]) == [word]


def test_a_sweep_over_models_stays_a_sweep(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert quoted(["-m", "checkpoint=a 1,b"]) == ["-m", "checkpoint=a 1,b"]
    assert quoted(["checkpoint=a 1,b"]) == ["checkpoint='a 1,b'"]


def test_a_reference_to_another_key_stays_one(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words = quoted(["task=image2d", "output=${paths.data_dir}/my files"])
    assert config.compose("predict", words).output == "data/my files"


def test_a_lifter_reads_and_writes_files_of_strange_names(lifters, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    model, out = tmp_path / "m [1] = 'é'", tmp_path / "out, #2 {x}"
    shutil.copytree(lifters / "paper/checkpoints/best", model)
    np.save("my [keys]=1, 'ä'.npy", np.random.default_rng(0).uniform(100, 400, (1, 17, 2)))
    where = ("task=lift3d", f"checkpoint={model}", f"paths.runs={tmp_path}/r & [x]", "device=cpu")
    command("predict", *where, "input=my [keys]=1, 'ä'.npy", f"output={out}")
    assert (out / "poses.npz").is_file()
    assert (tmp_path / "r & [x]/lift3d/synthetic").is_dir()


def test_a_photo_that_does_not_exist_is_named_as_it_was_written(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    cv2.imwrite("other.png", np.zeros((8, 8, 3), np.uint8))
    line = error_of(capsys, "predict", "task=image2d", "input=no [such], 'photo' = 1.jpg")
    assert "no [such], 'photo' = 1.jpg" in line
