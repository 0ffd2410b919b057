"""Loggers have every line of log.jsonl once, also after a resumed training."""

import json

import cv2
import pytest
import torch
from helpers.commands import command, error_of
from helpers.lifters import ENCODER

from posediff import loggers, run_folder

STEPS = [{"step": n, "loss": 1 / (n + 1), "lr": 0.1} for n in range(4)]
EPOCHS = [{"epoch": n, "loss": 1.0 / n, "mpjpe": 60.0 / n, "seconds": 1.0} for n in (1, 2)]
LINES = [*STEPS[:2], EPOCHS[0], *STEPS[2:], EPOCHS[1]]


class Kept:
    def __init__(self):
        self.steps, self.epochs, self.pictures, self.closed = [], [], [], False

    def step(self, step, figures):
        self.steps.append({"step": step, **figures})

    def epoch(self, epoch, step, figures):
        self.epochs.append({"epoch": epoch, **figures, "at": step})

    def picture(self, epoch, name, pixels):
        self.pictures.append((epoch, name, pixels.shape[2]))

    def close(self):
        self.closed = True


def write(folder, lines):
    with (folder / run_folder.LOG).open("a") as file:
        file.write("".join(json.dumps(line) + "\n" for line in lines))


def test_lines_are_passed_on_once_in_order_and_again_by_a_training_that_goes_on(tmp_path):
    for _ in range(2):
        kept = Kept()
        (tmp_path / run_folder.LOG).unlink(missing_ok=True)
        with loggers.following(tmp_path, "mpjpe", {"kept": lambda kept=kept: kept}) as follower:
            for part in (LINES[:3], LINES[3:]):
                write(tmp_path, part)
                follower()
        assert kept.steps == STEPS
        assert kept.epochs == [EPOCHS[0] | {"at": 1}, EPOCHS[1] | {"at": 3}]
        assert kept.pictures == [(1, "curves", 3), (2, "curves", 3)]
        assert kept.closed
    again = Kept()
    loggers.Follower(tmp_path, "mpjpe", {"again": again})()
    assert again.steps == STEPS


def test_the_curves_of_the_run_are_a_picture_of_finite_values(tmp_path):
    write(tmp_path, [*LINES, {"epoch": 3, "loss": 0.2, "mpjpe": float("nan"), "seconds": 1.0}])
    loggers.Follower(tmp_path, "mpjpe", {})()
    picture = cv2.imread(str(tmp_path / loggers.CURVES))
    assert picture.shape[1] > 2 * 400  # two panels
    assert picture.min() < 128


def test_loggers_are_closed_when_a_training_fails(tmp_path):
    kept = Kept()
    begin = {"kept": lambda: kept}
    with pytest.raises(ZeroDivisionError), loggers.following(tmp_path, "mpjpe", begin):
        raise ZeroDivisionError
    assert kept.closed


class Failing(Kept):
    """A logger whose method of a certain name fails, as without a network or on a full disk."""

    def __init__(self, name):
        super().__init__()
        setattr(self, name, self.fail)

    def fail(self, *arguments):
        raise RuntimeError("no network")


def never():
    raise OSError("full")


@pytest.mark.parametrize("name", ["step", "epoch", "picture", "close"])
def test_a_logger_that_fails_is_left_out_and_the_others_go_on(tmp_path, name):
    failing, kept = Failing(name), Kept()
    begin = {"other": never, "failing": lambda: failing, "kept": lambda: kept}

    def whole():
        with loggers.following(tmp_path, "mpjpe", begin) as follower:
            for part in (LINES[:3], LINES[3:]):
                write(tmp_path, part)
                follower()

    with pytest.warns(UserWarning, match="is left out, the training goes on") as said:
        whole()
    first, second = (str(warning.message) for warning in said)
    assert first == "the logger other is left out, the training goes on (OSError: full)"
    assert "the logger failing" in second
    assert kept.steps == STEPS
    assert [epoch for epoch, *_ in kept.pictures] == [1, 2]
    assert kept.closed
    assert len(failing.steps) == {"step": 0, "epoch": 2, "picture": 2, "close": 4}[name]


def test_pictures_that_cannot_be_written_end_no_training(tmp_path, monkeypatch):
    write(tmp_path, LINES)
    monkeypatch.setattr(loggers, "write_picture", lambda path, pixels: never())
    kept = Kept()
    with pytest.warns(UserWarning, match=r"curves\.png is left out.*full"):
        loggers.Follower(tmp_path, "mpjpe", {"kept": kept})()
    assert kept.steps == STEPS
    assert len(kept.pictures) == 1


def scalars(folder):
    accumulator = pytest.importorskip(
        "tensorboard.backend.event_processing.event_accumulator", reason="needs `tensorboard`"
    ).EventAccumulator(str(folder))
    accumulator.Reload()
    return {
        tag: [(event.step, event.value) for event in accumulator.Scalars(tag)]
        for tag in accumulator.Tags()["scalars"]
    }


def test_tensorboard_has_the_numbers_of_the_log_and_a_resumed_run_has_them_once(
    tmp_path, monkeypatch
):
    pytest.importorskip("tensorboard", reason="needs the extra `tensorboard`")
    monkeypatch.setenv("POSEDIFF_RUNS", str(tmp_path))
    options = (*ENCODER, "trainer.loggers=[tensorboard]", "name=one")
    command("train", *options)
    run = tmp_path / "lift3d/synthetic/one"
    command("train", *options, "trainer.recipe.epochs=3", "resume=true")
    log, found = run_folder.log(run), scalars(run / "tensorboard")
    steps = [line for line in log if "step" in line]
    assert len(steps) == 9
    assert [step for step, _ in found["train/loss"]] == [line["step"] for line in steps]
    assert torch.allclose(
        torch.tensor([x for _, x in found["train/loss"]]),
        torch.tensor([line["loss"] for line in steps]),
    )
    assert [epoch for epoch, _ in found["epoch/mpjpe/mean"]] == [1, 2, 3]
    assert (run / loggers.CURVES).is_file()


@pytest.mark.slow
def test_weights_and_biases_keeps_a_run_without_a_network(tmp_path):
    pytest.importorskip("wandb", reason="needs the extra `wandb`")
    write(tmp_path, LINES)
    begin = {"wandb": lambda: loggers.WeightsAndBiases(tmp_path, "posediff")}
    with loggers.following(tmp_path, "mpjpe", begin) as follower:
        follower()
        assert follower.loggers["wandb"].run.summary["epoch/mpjpe"] == 30.0
    assert [*tmp_path.glob("wandb/offline-run-*/*.wandb")]


def test_a_logger_that_is_unknown_or_not_installed_is_one_line(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("POSEDIFF_RUNS", str(tmp_path))
    error = error_of(capsys, "train", *ENCODER, "trainer.loggers=[tensorbord]")
    assert "trainer.loggers must be one of tensorboard, wandb" in error
    monkeypatch.setattr(loggers, "find_spec", lambda name: None)
    error = error_of(capsys, "train", *ENCODER, "trainer.loggers=[tensorboard]", "name=b")
    assert "posediff[tensorboard]" in error
