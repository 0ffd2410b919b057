"""Values of any kind on a command line: one line that names the option."""

import pytest
import torch
from helpers.commands import error_of
from helpers.lifters import ENCODER, TINY

from posediff import config


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("train", "seed=[1]"),
        ("train", "device=[1]"),
        ("train", "device=gpu"),
        ("train", "eval.monitor=null"),
        ("train", "trainer.optimizer.lr=[1]"),
        ("train", "trainer.recipe.batch_size=abc"),
        ("train", "trainer.recipe.batch_size=null"),
        ("train", "model.head.width=wide"),
        ("train", "limits.depth=0"),
        ("eval", "checkpoint=3"),
        ("eval", "eval.aggregates=5"),
    ],
)
def test_a_value_of_another_kind_is_named(lifters, capsys, name, value):
    key, _, given = value.partition("=")
    line = error_of(capsys, name, *ENCODER, value, *["name=bad"] * (name == "train"))
    assert key.rpartition(".")[2] in line or given in line, line


@pytest.mark.parametrize(
    "option",
    [
        *("resume=no", "trainer.compile=off", "backbone.frozen=no", "task.flip=0"),
        "model.process.antithetic='false'",
    ],
)
def test_only_true_and_false_are_true_or_false(capsys, tmp_path, option):
    line = error_of(capsys, "train", "task=lift3d", *TINY, option, f"paths.runs={tmp_path}")
    assert f"{option.partition('=')[0]} must be true or false, as False, its default" in line


def test_defaults_are_those_of_your_own_configuration(capsys, tmp_path):
    (tmp_path / "task").mkdir()
    own = "defaults: [lift3d, _self_]\ntask: {own: false}\n"
    (tmp_path / "task/mine.yaml").write_text(f"# @package _global_\n{own}")
    given = ("task=mine", *TINY, f"hydra.searchpath=['file://{tmp_path}']", "task.own=on")
    assert "task.own must be true or false" in error_of(capsys, "train", *given)


@pytest.mark.parametrize(
    ("option", "words"),
    [
        ("trainer.threads=0", "trainer.threads must be 1 or more, or null, got 0"),
        ("trainer.threads=all", "trainer.threads=all: must be an integer or null"),
        ("trainer.machine=atuo", "must be one of as_set, auto, got 'atuo'; did you mean auto?"),
        ("trainer.train_samples=0", "trainer.train_samples must be 1 or more, or null for all"),
        ("trainer.validation_samples=0", "trainer.validation_samples must be 1 or more, or null"),
        ("trainer.optimizer.etas=1", "trainer.optimizer.etas: no such option"),
        ("+trainer.optimizer.etas=1", "torch.optim.AdamW: lr=0.001, weight_decay=0.0001, etas=1"),
        ("trainer.loggers=tensorboard", "trainer.loggers=tensorboard: must be a list"),
        ("classes=mine.Head", "classes=mine.Head: must be a list"),
    ],
)
def test_a_value_that_cannot_be_used_is_named(capsys, tmp_path, option, words):
    given = ("trainer.recipe.epoch_samples=null", option, f"paths.runs={tmp_path}")
    assert words in error_of(capsys, "train", *ENCODER, *given)


@pytest.mark.parametrize("value", ["image_size=5", "image_size=[a,b]", "camera=7", "layout=[1]"])
def test_so_is_one_of_predict(lifters, capsys, tmp_path, value):
    given = ("task=lift3d", *TINY, "input=nothing.npy", f"output={tmp_path}")
    assert value.partition("=")[0] in error_of(capsys, "predict", *given, value)


@pytest.mark.parametrize(
    "name", ["[1].npy", "a(b).npy", "a, b.npy", "it's.npy", "é ü.npy", "x=1.npy", "{}.npy"]
)
def test_an_input_of_any_name_is_looked_for_as_it_is(capsys, tmp_path, name):
    given = ("task=lift3d", *TINY, f"output={tmp_path}", f"input={tmp_path / name}")
    assert f"{tmp_path / name}: no such file" in error_of(capsys, "predict", *given)


@pytest.mark.parametrize(
    "data",
    [
        *("coco", "crowdpose", "aic", "lsp", "lspet", "lspet_crops", "jhmdb", "jhmdb_video"),
        *("posetrack17", "posetrack18", "posetrack21", "bonn_posetrack"),
        *("h36m", "mpi_inf_3dhp", "mocap"),
    ],
)
def test_a_data_set_that_is_not_there_says_what_it_is_made_of(capsys, tmp_path, monkeypatch, data):
    from posediff import config
    from posediff.corrections import kind_of

    monkeypatch.setenv("POSEDIFF_DATA", str(tmp_path))
    task = {"people": "image2d", "clips": "video2d", "lifting": "lift3d"}[kind_of(data)]
    cfg = config.compose("train", [f"task={task}", f"dataset={data}"])
    with pytest.raises(FileNotFoundError) as error:
        config.dataset(cfg, "train")
    line = str(error.value)
    for word in (str(tmp_path), "dataset.root", "POSEDIFF_DATA", "python scripts/"):
        assert word in line


@pytest.mark.parametrize(("count", "found"), [(0, "no GPU on"), (1, "1 GPU on"), (2, "2 GPUs on")])
def test_a_gpu_that_is_not_there_is_said(monkeypatch, count, found):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: count)
    with pytest.raises(ValueError, match=f"device=cuda:2: torch finds {found} this machine; take"):
        config.device("cuda:2")


@pytest.mark.parametrize("seed", [-1, 2**43])
def test_a_seed_that_cannot_be_multiplied_is_refused(capsys, tmp_path, seed):
    line = error_of(capsys, "train", *ENCODER, f"seed={seed}", f"paths.runs={tmp_path}")
    assert line == f"error: seed={seed}: must be in 0 .. {2**43 - 1}"


@pytest.mark.parametrize("data", ["dataset=custom", "dataset=joined"])
def test_a_data_set_without_a_skeleton_says_which_there_are(capsys, data):
    line = error_of(capsys, "train", "task=image2d", data, "name=bad")
    assert f"{data} needs dataset.skeleton, the layout of its joints: one of h36m17, " in line


@pytest.mark.parametrize("name", ["train", "eval"])
def test_a_command_that_is_refused_leaves_no_run_folder(tmp_path, capsys, name):
    given = ("task=lift3d", "dataset=coco", "name=litter", f"paths.runs={tmp_path}")
    assert "does not read dataset=coco" in error_of(capsys, name, *given)
    assert not [*tmp_path.glob("lift3d/coco/*")]


def test_a_value_that_is_wrong_late_leaves_no_run_folder(tmp_path, capsys):
    given = ("experiment=lift3d_encoder", "dataset=synthetic", "backbone.frozen=true")
    assert "has no backbone" in error_of(capsys, "train", *given, f"paths.runs={tmp_path}")
    assert not list(tmp_path.glob("lift3d/synthetic/*"))
