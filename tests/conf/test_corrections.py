"""Wrong options are one line with what was meant, and with what fits."""

from pathlib import Path

import pytest
from helpers.commands import error_of

from posediff import config
from posediff.command import CONF
from posediff.corrections import is_whole, kind_of, names, similar, task_of

TOY = Path(__file__).parents[1] / "toy"


@pytest.fixture(autouse=True)
def empty(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            "task=lift3d trainer.epochs=3",
            "trainer.epochs: no such option; did you mean trainer.rec",
        ),
        ("task=lift3d foo.bar=1 trainer.epochs=3", "foo.bar: no such option; none is like it"),
        ("task=lift3d trainer.epochs=3 foo.bar=1", "did you mean trainer.recipe.epochs?"),
        ("task=lift3d lr=1", "did you mean trainer.optimizer.lr?"),
        ("task=lift3d steps=5", "did you mean sampler.steps or schedule.steps or"),
        ("task=lift3d tsk=1", "did you mean task?"),
        ("task=lift2d", "did you mean task=lift3d? There are image2d, lift3d, video2d"),
        ("task=lift3d dataset=xyz", "dataset=xyz: no such dataset; there are aic, "),
        ("dataset=synthetic", "task= is missing: choose one of image2d, lift3d, video2d"),
        ("", "task= is missing"),
        ("task=lift3d foo", "foo: not of the form key=value"),
        ("task=image2d dataset=synthetic", "does not read dataset=synthetic; those that fit: aic,"),
        ("task=lift3d dataset=coco", "fit: h36m, joined_lifting, mocap, mpi_inf_3dhp, synthetic"),
        ("task=video2d dataset=coco", "posetrack18, posetrack21, synthetic_video"),
        ("task=image2d preset=paper", "preset=paper is of task lift3d, not of image2d; those that"),
        ("task=lift3d checkpoint=lift3d", "checkpoint: an option of eval, predict, export, not of"),
        ("task=lift3d input=a.jpg", "error: input: an option of predict, not of train"),
        ("task=lift3d preset=decoder_light", "is of task video2d, not of lift3d"),
        ("task=image2d experiment=lift3d_encoder", "experiment=lift3d_encoder is of task lift3d"),
    ],
)
def test_what_was_meant_or_fits_is_said(capsys, words, message):
    assert message in error_of(capsys, "train", *words.split())
    assert not list(Path().rglob("*.safetensors"))


def test_an_input_that_is_missing_is_said(capsys):
    assert "input= is missing" in error_of(capsys, "predict", "task=lift3d")


@pytest.mark.parametrize(
    ("task", "option"),
    [("lift3d", "heatmaps=true"), ("video2d", "units=pixels"), ("image2d", "layout=coco17")],
)
def test_options_of_another_input_are_refused(capsys, tmp_path, task, option):
    given = (f"task={task}", f"input={tmp_path}/x", f"output={tmp_path}", option)
    key = option.partition("=")[0]
    line = f"error: {key}= is not read by task={task}: leave it out"
    assert error_of(capsys, "predict", *given) == line


def test_options_of_your_own_configuration_are_known(capsys, monkeypatch):
    monkeypatch.syspath_prepend(TOY)
    words = ("--config-dir", TOY / "conf", "task=toy", "task.head.widht=3")
    assert "did you mean task.head.width" in error_of(capsys, "train", *words)


def test_every_data_set_and_preset_is_of_one_task():
    reads = {t: config.compose("train", [f"task={t}"]).task.reads for t in names("task")}
    kinds = {kind_of(x) for x in names("dataset") if is_whole(x)}
    assert kinds == {*reads.values()} == {"lifting", "people", "clips"}
    assert len(names("preset")) == len(list((Path(CONF) / "preset").iterdir()))
    for group in ("preset", "experiment"):
        for name in names(group):
            assert task_of(group, name) in reads, name
    for name in names("preset"):
        cfg = config.compose("train", [f"task={task_of('preset', name)}", f"preset={name}"])
        assert cfg.model.head._target_.startswith(f"posediff.tasks.{cfg.task.name}.")


def test_likeness_counts_the_last_word_most():
    known = ["trainer", "trainer.recipe.epochs", "trainer.recipe.ema", "eval.split"]
    assert similar("epochs", known) == ["trainer.recipe.epochs"]
    assert similar("zzz", known) == similar("a", []) == []
