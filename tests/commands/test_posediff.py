"""`posediff` and `python -m posediff`: help without a task, and files by their kind."""

import json
import re
import shlex
import subprocess
import sys
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
import pytest
from helpers.commands import command, run
from helpers.heads import case, model
from helpers.shelf import film
from omegaconf import OmegaConf

from posediff import __main__, checkpoint, config, use
from posediff.command import CONF
from posediff.outputs.frame_json import read
from posediff.usage import GENERAL, USAGES, help_of


def error_line(capsys, *words):
    capsys.readouterr()
    with pytest.raises(SystemExit) as stop:
        run(__main__.main, *words)
    assert stop.value.code == 1
    (line,) = capsys.readouterr().err.strip().splitlines()
    return line


def test_the_module_runs_from_any_folder(tmp_path):
    words = [sys.executable, "-m", "posediff", "train", "--help"]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, help_of("train"), "")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("words", [(), ("--help",), ("-h",)])
def test_without_a_command_the_help_of_all_is_shown(capsys, words):
    run(__main__.main, *words)
    assert capsys.readouterr().out == GENERAL


@pytest.mark.parametrize("name", list(USAGES))
@pytest.mark.parametrize("words", [("--help",), ("task=lift3d", "-h")])
def test_the_help_of_a_command_needs_no_task(capsys, name, words):
    command(name, *words)
    text = capsys.readouterr().out
    run(__main__.main, name, *words)
    assert capsys.readouterr().out == text == help_of(name)
    assert max(map(len, text.splitlines())) <= 110


@pytest.mark.parametrize("name", list(USAGES))
def test_every_option_of_the_help_exists_with_the_default_that_it_says(name):
    cfg = config.compose(name, ["task=lift3d"])
    for option in USAGES[name].options:
        value = OmegaConf.select(cfg, option.key, throw_on_missing=False)
        if option.default.startswith(("of the ", "required", "the ")):
            groups = {p.name for p in Path(CONF).iterdir() if p.is_dir()}
            assert value is not None or option.key in {*groups, "input", "checkpoint"}, option
        else:
            assert option.default == {"None": "null"}.get(str(value), str(value).lower()), option


@pytest.mark.parametrize(
    ("name", "line"), [(name, line) for name in USAGES for line in USAGES[name].examples]
)
def test_every_example_of_the_help_composes(name, line):
    posediff, first, *words = shlex.split(line, comments=True)
    assert (posediff, first) == ("posediff", name)
    cfg = config.compose(name, words)
    assert cfg.task.method


def test_there_are_five_examples_of_every_command():
    assert {name: len(usage.examples) for name, usage in USAGES.items()} == dict.fromkeys(USAGES, 5)


def test_the_help_says_every_option_of_files_with_its_default():
    said = dict(re.findall(r"^  --([\w-]+) .*?(?:\(default: (.+?)\))?$", GENERAL, re.MULTILINE))
    defaults = vars(use.parser().parse_args(["a.json"]))
    defaults["2d"] = defaults.pop("flat")
    said = {key.replace("-", "_"): default for key, default in said.items()}
    assert {*said} == {*defaults} - {"files"}
    for key in ("to", "layout", "seed", "device"):
        assert said[key].split(":")[0] == str(defaults[key])


def test_a_word_that_is_nothing_says_what_was_meant(capsys):
    assert "did you mean train?" in error_line(capsys, "trian", "task=lift3d")
    assert "no such file" in error_line(capsys, "nowhere.jpg")
    said = error_line(capsys, "a.json", "--layuot", "coco17")
    assert "--layuot" in said
    assert "did you mean --layout?" in said


@pytest.mark.parametrize(
    ("words", "mine"),
    [
        (("poses.mp4",), "poses.mp4"),
        (("poses.mp4", "--formats", "csv,video"), "poses.mp4"),
        (("poses.json",), "poses.json"),
        (("frames.json", "a.jpg"), "frames.json"),
        (("a.jpg", "--boxes", "frames.json"), "frames.json"),
        (("a.jpg", "a_people.jpg"), "a_people.jpg"),
        ((".",), "a_people.jpg"),
        (("c/clip.mp4", "clip/poses.mp4"), "clip/poses.mp4"),
        (("a.jpg", "--to", "page"), "page/view.html"),
    ],
)
def test_nothing_of_the_user_is_written_over(capsys, tmp_path, monkeypatch, words, mine):
    monkeypatch.chdir(tmp_path)
    for name in ("poses.mp4", "a.jpg", "a_people.jpg", "c/clip.mp4", "clip/poses.mp4"):
        Path(name).parent.mkdir(exist_ok=True)
        Path(name).write_text("mine")
    Path("page").mkdir()
    for name in ("poses.json", "frames.json", "page/view.html"):
        Path(name).write_text("mine")
    said = error_line(capsys, "--to", ".", *words)
    assert said.startswith(f"error: {mine}: ")
    assert "over it; name another folder" in said
    assert said.endswith(", --to FOLDER")
    assert {path.read_text() for path in tmp_path.rglob("*") if path.is_file()} == {"mine"}


IN_2D = ("a__1__people.jpg", "b_people.jpg", "frames.json", "joints.csv", "people.npz")
IN_3D = ("angles.csv", "view.html")


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """Folders of an untrained image2d and an untrained lifter, as options."""
    folder, options = tmp_path_factory.mktemp("models"), list[str]()
    for name in ("coarse", "posterior"):
        cfg, tree, _ = case(name)
        about = {"task": cfg.task.name, "method": cfg.task.method, "model": tree}
        data = {k: x for k, x in config.plain(cfg.dataset).items() if k in config.DATA_KEYS}
        about |= {"skeleton": cfg.dataset.skeleton, "dataset": data}
        checkpoint.save(folder / name, model(name).state_dict(), about)
        options += ["--model", folder / name]
    return options


@pytest.mark.parametrize(
    ("more", "files"),
    [
        ((), {*IN_2D, *IN_3D}),
        (("--2d",), {*IN_2D}),
        (("--2d", "--formats", "csv,coco"), {"frames.json", "joints.csv", "coco_results.json"}),
        (("--denoising", "--budget-ms", "100000"), {*IN_2D, *IN_3D, "denoising.gif"}),
    ],
)
def test_people_of_photos_are_written_and_the_models_said(models, capsys, tmp_path, more, files):
    photos = [tmp_path / "a [1].png", tmp_path / "b.png"]
    for n, path in enumerate(photos):
        image = np.random.default_rng(n).integers(0, 256, (120, 160, 3), np.uint8)
        cv2.imwrite(str(path), image)
    boxes = tmp_path / "boxes.json"
    boxes.write_text(json.dumps({path.name: [[10, 10, 40, 90]] for path in photos}))
    flat = "--2d" in more
    words = (*photos, "--to", tmp_path / "out", "--boxes", boxes, "--device", "cpu", *more)
    run(__main__.main, *words, *(models[:2] if flat else models))
    said = capsys.readouterr().out.splitlines()
    assert said[0].startswith(f"model    {models[1]} (image2d coarse, trained on ")
    assert said[1 if flat else len(models) // 2].startswith("device   cpu, ")
    assert {path.name for path in (tmp_path / "out").iterdir()} == files
    assert any(line.startswith("expects  about ") for line in said)
    assert said[-1].startswith("2 pictures, 2 people; first answer after ")
    assert ("mean spread" in said[-1]) == (not flat)
    budget = [line for line in said if line.startswith("budget ")]
    assert budget == ["budget   100000 ms a person: 50 hypotheses, 5 steps"] * (
        "--denoising" in more
    )
    assert [f.name for f in read(tmp_path / "out/frames.json")] == [path.name for path in photos]


@pytest.mark.filterwarnings("ignore:films are MPEG-4")
def test_what_a_film_had_before_an_error_is_written(models, capsys, tmp_path, monkeypatch):
    real = use.frames_of

    def broken(*given):
        yield from islice(real(*given), 2)
        raise ValueError("a.mp4: frame 2 is damaged")

    monkeypatch.setattr(use, "frames_of", broken)
    film(tmp_path / "a.mp4")
    boxes = tmp_path / "boxes.json"
    boxes.write_text(json.dumps({f"{n:06d}": [[10, 10, 40, 90]] for n in range(3)}))
    words = ("--to", tmp_path / "out", "--boxes", boxes, "--device", "cpu", *models)
    said = error_line(capsys, tmp_path / "a.mp4", *words)
    assert said == "error: a.mp4: frame 2 is damaged; the 2 frames before it are written"
    assert len(read(tmp_path / "out/frames.json")) == 2
    names = ("angles.csv", "frames.json", "joints.csv", "people.npz", "poses.mp4", "view.html")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [*names]


def test_files_of_keypoints_are_lifted(lifters, capsys, tmp_path):
    points = np.random.default_rng(0).uniform(100, 400, (3, 17, 2))
    for name in ("a", "b"):
        np.save(tmp_path / f"{name}.npy", points)
    model = lifters / "paper/checkpoints/best"
    options = ("--model", model, "--layout", "h36m17", "--hypotheses", 4, "--device", "cpu")
    for files in ([tmp_path / "a.npy"], [tmp_path / "a.npy", tmp_path / "b.npy"]):
        run(__main__.main, *files, "--to", tmp_path / "out", *options)
    for folder in ("out", "out/a", "out/b"):
        assert np.load(tmp_path / folder / "poses.npz")["hypotheses"].shape[:2] == (3, 4)


def test_keypoints_in_shares_of_the_picture_are_those_in_pixels(lifters, capsys, tmp_path):
    points = np.random.default_rng(0).uniform(100, 400, (3, 17, 2))
    np.save(tmp_path / "pixels.npy", points)
    np.save(tmp_path / "shares.npy", points / [960, 540])
    options = ("--model", lifters / "paper/checkpoints/best", "--layout", "h36m17", "--device=cpu")
    shares = (tmp_path / "shares.npy", "--to", tmp_path / "b", *options)
    assert "posediff FILE: --units fraction, --image-size" in error_line(capsys, *shares)
    assert "posediff FILE: --image-size W,H" in error_line(capsys, *shares, "--units", "fraction")
    run(__main__.main, tmp_path / "pixels.npy", "--to", tmp_path / "a", *options)
    run(__main__.main, *shares, "--units", "fraction", "--image-size", "960,540")
    pixels, found = (np.load(tmp_path / folder / "poses.npz")["keypoints"] for folder in "ab")
    np.testing.assert_allclose(found, pixels, atol=1e-4)
    assert "--formats curves: only for videos" in error_line(
        capsys, CONF + "/../posediff/examples/tennis.jpg", "--formats", "curves"
    )
    assert "--units: only for files of keypoints" in error_line(
        capsys, CONF + "/../posediff/examples/tennis.jpg", "--units", "fraction"
    )
