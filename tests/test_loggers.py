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
        with loggers.following(tmp_path, "mpjpe", [kept]) as follower:
            for part in (LINES[:3], LINES[3:]):
                write(tmp_path, part)
                follower()
        assert kept.steps == STEPS
        assert kept.epochs == [EPOCHS[0] | {"at": 1}, EPOCHS[1] | {"at": 3}]
        assert kept.pictures == [(1, "curves", 3), (2, "curves", 3)]
        assert kept.closed
    again = Kept()
    loggers.Follower(tmp_path, "mpjpe", [again])()
    assert again.steps == STEPS


def test_the_curves_of_the_run_are_a_picture_of_finite_values(tmp_path):
    write(tmp_path, [*LINES, {"epoch": 3, "loss": 0.2, "mpjpe": float("nan"), "seconds": 1.0}])
    loggers.Follower(tmp_path, "mpjpe", [])()
    picture = cv2.imread(str(tmp_path / loggers.CURVES))
    assert picture.shape[1] > 2 * 400  # two panels
    assert picture.min() < 128


def test_loggers_are_closed_when_a_training_fails(tmp_path):
    kept = Kept()
    with pytest.raises(ZeroDivisionError), loggers.following(tmp_path, "mpjpe", [kept]):
        raise ZeroDivisionError
    assert kept.closed


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
    logger = loggers.WeightsAndBiases(tmp_path, "posediff")
    write(tmp_path, LINES)
    with loggers.following(tmp_path, "mpjpe", [logger]) as follower:
        follower()
        assert logger.run.summary["epoch/mpjpe"] == 30.0
    assert [*tmp_path.glob("wandb/offline-run-*/*.wandb")]


def test_a_logger_that_is_unknown_or_not_installed_is_one_line(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("POSEDIFF_RUNS", str(tmp_path))
    error = error_of(capsys, "train", *ENCODER, "trainer.loggers=[tensorbord]")
    assert "trainer.loggers must be one of tensorboard, wandb" in error
    monkeypatch.setattr(loggers, "find_spec", lambda name: None)
    error = error_of(capsys, "train", *ENCODER, "trainer.loggers=[tensorboard]", "name=b")
    assert "posediff[tensorboard]" in error
