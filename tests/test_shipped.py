"""Models by name, weights of half precision, and parts that models share."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.commands import command, error_of
from helpers.lifters import ENCODER, LIFT, TINY
from safetensors.torch import load_file, save_file

import posediff
from posediff import checkpoint, shipped
from posediff.files import replacing_folder

TASK = "task=lift3d"
PART = "head.encoder.network"


@pytest.fixture
def shelf(lifters, tmp_path, monkeypatch):
    """A folder of models in place of those of the package: `frame`."""
    shelf = tmp_path / "shelf"
    shutil.copytree(lifters / "paper/checkpoints/best", shelf / "frame")
    monkeypatch.setattr(shipped, "PACKAGED", shelf)
    monkeypatch.delenv("POSEDIFF_WEIGHTS", raising=False)
    monkeypatch.chdir(tmp_path)
    return shelf


def weights_of(model):
    return model.state_dict()


def same(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


# --- names


def test_a_name_finds_the_model_of_the_package_and_a_path_its_folder(shelf):
    stored = load_file(shelf / "frame/model.safetensors")
    for way in ("frame", shelf / "frame", str(shelf / "frame"), Path("shelf/frame")):
        assert same(weights_of(posediff.load(way)), stored)
    assert shipped.names() == ["frame"]


def test_the_folder_of_the_environment_is_searched_first(shelf, tmp_path, monkeypatch):
    own = tmp_path / "own"
    shutil.copytree(shelf / "frame", own / "frame")
    shutil.copytree(shelf / "frame", own / "other")
    monkeypatch.setenv("POSEDIFF_WEIGHTS", str(own))
    assert shipped.find("frame") == own / "frame"
    assert shipped.names() == ["frame", "other"]
    shutil.rmtree(own / "frame")
    assert shipped.find("frame") == shelf / "frame"
    monkeypatch.setenv("POSEDIFF_WEIGHTS", str(tmp_path / "nowhere"))
    with pytest.raises(FileNotFoundError, match=r"POSEDIFF_WEIGHTS=.*nowhere: no such folder"):
        posediff.load("frame")


def test_an_unknown_name_is_one_line_with_the_names_that_exist(shelf, capsys):
    shutil.copytree(shelf / "frame", shelf / "video")
    (shelf / "movenet").mkdir()  # weights without a model are no model
    with pytest.raises(FileNotFoundError) as error:
        posediff.load("lift2d")
    line = "lift2d: no such folder and no model of that name; models: frame, video"
    assert str(error.value) == line
    np.save("a.npy", np.random.default_rng(0).uniform(0, 300, (1, 17, 2)))
    for name in ("eval", "predict"):
        given = (*TINY, TASK, "checkpoint=lift2d", *["input=a.npy"] * (name == "predict"))
        assert error_of(capsys, name, *given) == f"error: {line}"


def test_a_folder_here_is_a_path_and_yields_to_a_name_unless_it_is_written_as_one(shelf):
    here = Path("frame").absolute()
    shutil.copytree(shelf / "frame", here)
    assert shipped.find("frame") == shelf / "frame"
    assert shipped.find("./frame").absolute() == here
    assert shipped.find(Path("frame")).absolute() == here
    here.rename("mine")
    assert shipped.find("mine") == Path("mine")


def test_eval_predict_and_training_take_a_name(shelf, capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("POSEDIFF_RUNS", str(tmp_path / "runs"))
    command("eval", *TINY, TASK, "checkpoint=frame")
    out = capsys.readouterr().out.splitlines()
    assert json.loads(Path(out[-1]).read_text())["checkpoint"] == str(shelf / "frame")
    points = [[100.0 + 20 * j, 300.0 + 31 * j % 170] for j in range(17)]
    Path("points.json").write_text(json.dumps({"keypoints": [points]}))
    given = ("input=points.json", "layout=h36m17", "output=poses", "checkpoint=frame")
    command("predict", *TINY, TASK, *given)
    assert (tmp_path / "poses/poses.npz").is_file()

    command("train", *ENCODER, "name=first")
    shutil.copytree(tmp_path / "runs/lift3d/synthetic/first/checkpoints/best", shelf / "encoder")
    command("train", *LIFT, "task.head.encoder=encoder", "name=second")
    end = load_file(tmp_path / "runs/lift3d/synthetic/second/checkpoints/best/model.safetensors")
    for name, x in load_file(shelf / "encoder/model.safetensors").items():
        assert torch.equal(end[name.replace("head.", "head.encoder.")], x)


# --- half precision


def test_weights_of_half_precision_are_loaded_as_float32(shelf):
    path = shelf / "frame/model.safetensors"
    stored = {name: x.half() if x.is_floating_point() else x for name, x in load_file(path).items()}
    checkpoint.save(path.parent, stored, checkpoint.read_config(path.parent))
    loaded = weights_of(posediff.load("frame"))
    for name, x in loaded.items():
        assert x.dtype == (
            torch.float32 if stored[name].is_floating_point() else stored[name].dtype
        )
        assert torch.equal(x, stored[name].to(x.dtype))


# --- shared parts


def share(shelf, at="", **changed):
    """Move the encoder's network of `frame` into a file of its own, which also has more."""
    folder, prefix = shelf / "frame", f"{PART}."
    state = load_file(folder / "model.safetensors")
    part = {k.removeprefix(prefix): x for k, x in state.items() if k.startswith(prefix)}
    inside = f"{at}." if at else ""
    file = shelf / "trunk/model.safetensors"
    file.parent.mkdir(exist_ok=True)
    more = {f"{inside}a.head.of.its.own": torch.ones(2)}
    save_file({f"{inside}{k}": x for k, x in part.items()} | more, file)
    own = {k: x for k, x in state.items() if not k.startswith(prefix)}
    place = {"file": "../trunk/model.safetensors", "at": at, "sha256": checkpoint.digest(file)}
    parts = {PART: {k: x for k, x in (place | changed).items() if x is not None}}
    checkpoint.save(folder, own, checkpoint.read_config(folder) | {"parts": parts})
    return state


@pytest.mark.parametrize("at", ["", "head.network"])
def test_a_part_in_another_file_gives_the_same_model(shelf, at):
    state = share(shelf, at)
    assert same(weights_of(posediff.load("frame")), state)
    begun = posediff.load("frame")
    for x in begun.head.encoder.parameters():
        x.data.zero_()
    checkpoint.load_part(begun, "head.encoder", shelf / "frame", "head.encoder")
    assert same(weights_of(begun), state)


def test_the_model_s_own_entries_come_before_those_of_the_file(shelf):
    share(shelf)
    config, own = checkpoint.read_config(shelf / "frame"), checkpoint.read_weights(shelf / "frame")
    name = next(k for k in weights_of(posediff.load("frame")) if k.startswith(PART))
    other = torch.full_like(weights_of(posediff.load("frame"))[name], 7)
    checkpoint.save(shelf / "frame", own | {name: other}, config)
    assert torch.equal(weights_of(posediff.load("frame"))[name], other)


def test_a_shared_file_that_is_missing_or_another_is_one_line(shelf):
    share(shelf)
    file = shelf / "trunk/model.safetensors"
    save_file({k: x + 1 for k, x in load_file(file).items()}, file)
    with pytest.raises(ValueError, match=rf"{file}: not the file that .*parts: {PART}.*SHA-256"):
        posediff.load("frame")
    file.unlink()
    with pytest.raises(FileNotFoundError, match=rf"{file}: no such file, and .*{PART} needs it"):
        posediff.load("frame")


def test_a_shared_file_that_lacks_an_entry_is_named(shelf):
    share(shelf, at="head.network")
    config = checkpoint.read_config(shelf / "frame")
    config["parts"][PART]["at"] = "head"
    checkpoint.write_config(shelf / "frame", config)
    with pytest.raises(ValueError, match=rf"the weights have no entry {PART}"):
        posediff.load("frame")


@pytest.mark.parametrize("file", ["../../outside.safetensors", "/etc/hostname", "../link/x"])
def test_a_path_that_leaves_the_folder_of_the_weights_is_refused(shelf, file, tmp_path):
    (shelf / "link").symlink_to(tmp_path)
    for name in ("outside.safetensors", "x"):
        save_file({"w": torch.ones(1)}, tmp_path / name)
    share(shelf, file=file)
    with pytest.raises(ValueError, match=rf"{PART}: {file} is outside .*shelf"):
        posediff.load("frame")


@pytest.mark.parametrize("changed", [{"sha256": None}, {"file": 3}, {"at": None}])
def test_a_shared_part_without_file_place_or_digest_is_refused(shelf, changed):
    share(shelf, **changed)
    with pytest.raises(ValueError, match=rf"{PART}: must have the texts at, file, sha256"):
        posediff.load("frame")
    config = checkpoint.read_config(shelf / "frame")
    checkpoint.write_config(shelf / "frame", config | {"parts": [1]})
    with pytest.raises(ValueError, match="parts must be an object"):
        posediff.load("frame")


def test_a_folder_half_written_is_no_name(shelf):
    def stopped():
        with replacing_folder(shelf / "frame") as beside:
            shutil.copy(shelf / "frame/config.json", beside)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        stopped()
    assert shipped.names() == ["frame"]
    assert [path.name for path in shelf.iterdir()] == ["frame"]
