"""A training that is stopped at any moment, and what it goes on from."""

import errno
import json
import os
import random
import resource
import signal
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.small_training import (
    FAILED,
    KILLED,
    Points,
    at_file_call,
    error_of,
    in_child,
    left,
    train,
    without_time,
)

from posediff import __version__, checkpoint, files, run_folder, shipped, training_state
from posediff.interruption import Stopped
from posediff.train import compare

CALLS = 400  # more than a whole training has; asserted below


@pytest.fixture
def whole(tmp_path, monkeypatch):
    """What an unbroken training leaves."""
    without_time(monkeypatch)
    train(tmp_path / "whole")
    return left(tmp_path / "whole")


def killed():
    os._exit(KILLED)


def full():
    raise OSError(errno.ENOSPC, "No space left on device")


def broken(folder, number, act):
    """A training whose file call of that number is not made, and how its process ended."""

    def work():
        at_file_call(folder, number, act)
        train(folder)

    return in_child(work)


def resumed(folder):
    assert in_child(lambda: train(folder)) == 0
    return left(folder)


def file_calls(folder):
    """How many file calls a whole training makes."""

    def work():
        count = at_file_call(folder, CALLS, killed)
        train(folder)
        (folder / "count").write_text(str(count()))

    assert in_child(work) == 0
    return int((folder / "count").read_text())


def test_what_a_training_leaves(whole):
    assert {f"checkpoints/last/{x}" for x in ("trainer.pt", "sums.json")} <= whole.keys()
    lines = [json.loads(line) for line in whole["log.jsonl"].decode().splitlines()]
    assert [x.get("step") for x in lines] == [0, 1, 2, None, 3, 4, 5, None]


def test_every_file_call_may_fail(tmp_path, whole):
    calls = file_calls(tmp_path / "count")
    assert 50 < calls < CALLS
    for number in range(calls):
        folder = tmp_path / str(number)
        assert broken(folder, number, full) in (0, FAILED)
        assert resumed(folder) == whole, number


def points_of(tmp_path, count, seed=0):
    """Numbers of file calls to be killed at: all of them, or `count` random ones."""
    every = range(file_calls(tmp_path / "count"))
    return every if count is None else random.Random(seed).sample(every, count)


@pytest.mark.parametrize("count", [12, pytest.param(None, marks=pytest.mark.slow)])
def test_a_kill_at_any_file_call_changes_nothing(tmp_path, whole, count):
    for number in points_of(tmp_path, count):
        folder = tmp_path / str(number)
        assert broken(folder, number, killed) == KILLED
        assert resumed(folder) == whole, number


@pytest.mark.parametrize("second", [killed, full])
@pytest.mark.parametrize("first", [killed, full])
@pytest.mark.parametrize("count", [2, pytest.param(200, marks=pytest.mark.slow)])
def test_nor_do_two_kills_or_failures_or_one_of_each(tmp_path, whole, count, first, second):
    calls, draw = file_calls(tmp_path / "count"), random.Random(1)
    ends = {killed: (0, KILLED), full: (0, FAILED)}
    for i in range(count):
        folder, numbers = tmp_path / str(i), (draw.randrange(calls), draw.randrange(30))
        assert broken(folder, numbers[0], first) in ends[first]
        assert broken(folder, numbers[1], second) in ends[second]
        assert resumed(folder) == whole, numbers


@pytest.mark.parametrize("room", [0, 1, 100, 300, 1000, 2000])
def test_a_full_disk_is_an_error_of_the_system_and_leaves_the_state(tmp_path, whole, room):
    def work():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (room, resource.RLIM_INFINITY))
        train(tmp_path / "run")

    assert in_child(work) == FAILED
    assert not [*tmp_path.rglob("*.part")]
    assert resumed(tmp_path / "run") == whole


SIGNALS = (signal.SIGTERM, signal.SIGINT)


@pytest.mark.parametrize("number", SIGNALS)
@pytest.mark.parametrize("step", [0, 2, 4])
def test_a_signal_saves_the_step_and_leaves(tmp_path, whole, step, number):
    with pytest.raises(Stopped) as stopped:
        train(tmp_path / "run", Points({step: lambda: os.kill(os.getpid(), number)}))
    assert stopped.value.code == 128 + number
    assert training_state.newest(tmp_path / "run").trainer["steps"] == step + 1
    train(tmp_path / "run")
    assert left(tmp_path / "run") == whole


def test_a_signal_during_the_last_save_leaves_when_it_is_done(tmp_path, whole, monkeypatch):
    real, steps = training_state.save, []

    def save(run, weights, config, trainer):
        steps.append(trainer["epoch"])
        if trainer["epoch"] == 2:
            os.kill(os.getpid(), signal.SIGTERM)
        real(run, weights, config, trainer)

    monkeypatch.setattr(training_state, "save", save)
    with pytest.raises(Stopped):
        train(tmp_path / "run")
    train(tmp_path / "run")  # nothing is left to do
    assert steps[-1] == 2
    assert left(tmp_path / "run") == whole


def test_a_signal_ends_scoring_at_once_and_its_steps_are_kept(tmp_path, whole):
    def slow(model):
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(5)
        raise AssertionError("the signal was not heeded")

    with pytest.raises(Stopped):
        train(tmp_path / "run", score=slow)
    again = Points()
    train(tmp_path / "run", again)
    assert again.read == 3
    assert left(tmp_path / "run") == whole


def test_a_figure_that_does_not_exist_is_named_and_its_epoch_is_not_lost(tmp_path, whole):
    with pytest.raises(ValueError, match=r"eval\.monitor=error: no such figure, only mistake"):
        train(tmp_path / "run", score=lambda model: {"mistake": 1.0})
    again = Points()
    train(tmp_path / "run", again)
    assert again.read == 3
    assert left(tmp_path / "run") == whole


def test_an_epoch_without_a_figure_is_not_the_best(tmp_path):
    figures = iter([np.nan, 5.0, 7.0])
    best = train(tmp_path / "run", score=lambda model: {"error": next(figures)}, epochs=3)
    assert best["epoch"] == 2


def bit(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


DAMAGE = {
    "bit": bit,
    "half": lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]),
    "empty": lambda path: path.write_bytes(b""),
    "absent": lambda path: path.unlink(),
}


@pytest.mark.parametrize("damage", DAMAGE)
@pytest.mark.parametrize("name", ["model.safetensors", "config.json", "trainer.pt"])
def test_a_damaged_state_is_named_and_the_one_before_it_used(tmp_path, whole, capsys, name, damage):
    train(tmp_path, epochs=1)
    damaged = tmp_path / "checkpoints/last" / name
    DAMAGE[damage](damaged)
    capsys.readouterr()
    state = training_state.newest(tmp_path)
    assert str(damaged) in capsys.readouterr().out
    assert state.trainer["steps"] == 2
    train(tmp_path)
    assert {**left(tmp_path), "log.jsonl": b""}.keys() == whole.keys()
    DAMAGE[damage](tmp_path / "checkpoints/last" / name)
    DAMAGE[damage](tmp_path / "checkpoints/previous" / name)
    with pytest.raises(ValueError, match="no state is whole; delete"):
        training_state.newest(tmp_path)


@pytest.mark.parametrize("damage", DAMAGE)
def test_damaged_weights_of_the_best_model_are_named(tmp_path, damage):
    train(tmp_path)
    best = tmp_path / run_folder.BEST
    assert checkpoint.read_weights(best)
    DAMAGE[damage](best / "model.safetensors")
    with pytest.raises((ValueError, FileNotFoundError), match=r"best/model\.safetensors: "):
        checkpoint.read_weights(best)


@pytest.mark.parametrize("name", ["model.safetensors", "trainer.pt"])
def test_a_state_that_the_system_does_not_read_is_not_taken_for_damaged(
    tmp_path, monkeypatch, name
):
    train(tmp_path, epochs=1)

    def unread(*arguments, **options):
        raise OSError(errno.EIO, "Input/output error")

    place = (checkpoint, "load_file") if name == "model.safetensors" else (torch, "load")
    with monkeypatch.context() as patch:
        patch.setattr(*place, unread)
        with pytest.raises(OSError, match=f"{name}: cannot be read .*Input/output error"):
            training_state.newest(tmp_path)
    assert training_state.newest(tmp_path).trainer["steps"] == 3
    assert not (tmp_path / "checkpoints/damaged").exists()


def test_a_state_that_could_not_be_read_again_is_not_kept(tmp_path):
    train(tmp_path, epochs=1)
    state = training_state.newest(tmp_path)
    with pytest.raises(ValueError, match=r"trainer\.pt: .*holds more than tensors and numbers"):
        training_state.save(tmp_path, *state[:2], {**state.trainer, "steps": np.float64(4)})
    assert training_state.newest(tmp_path).trainer["steps"] == 3
    assert not [*tmp_path.rglob("*.part")]


@pytest.mark.parametrize("number", [np.float64, np.float32, torch.tensor])
def test_a_training_goes_on_whatever_numbers_its_metric_has(tmp_path, whole, number):
    def score(model):
        return {name: number(x) for name, x in error_of(model).items()}

    train(tmp_path / "run", score=score, epochs=1)
    train(tmp_path / "run", score=score)
    if number is np.float64:
        assert left(tmp_path / "run") == whole


def test_a_state_of_an_older_version_goes_on(tmp_path, whole):
    """It is of the end of an epoch, and has neither digests nor counters of steps."""
    train(tmp_path / "run", epochs=1)
    last = tmp_path / "run/checkpoints/last"
    state = training_state.read_trainer(last)
    kept = ("epoch", "best", "base", "optimizer", "average")
    torch.save({key: state[key] for key in kept}, last / "trainer.pt")
    (last / "sums.json").unlink()
    (tmp_path / "run/log.jsonl").unlink()
    train(tmp_path / "run")
    found = left(tmp_path / "run")
    steps = [json.loads(line).get("step") for line in found["log.jsonl"].decode().splitlines()]
    assert steps == [3, 4, 5, None]
    best = "checkpoints/best/model.safetensors"
    assert found[best] == whole[best]


def test_an_option_that_only_one_of_two_trainings_has_is_a_difference():
    def goes_on(now, was, version=__version__):
        config, trainer = {"versions": {"posediff": version}}, {"best": {}, "settings": was}
        compare(training_state.TrainingState({}, config, trainer), now, Path("run"))

    walk, run = ({"dataset": {"balance": {name: 0.5}}} for name in ("walk", "run"))
    message = r"balance.run=0.5 \(it was None\), dataset.balance.walk=None \(it was 0.5\); give"
    with pytest.raises(ValueError, match=message):
        goes_on(run, walk)
    goes_on(run, walk, "0.0.1")  # whose options had other names


def test_a_run_folder_is_of_one_process_and_free_after_its_death(tmp_path):
    read, write = os.pipe()
    child = os.fork()
    if not child:
        with run_folder.locked(tmp_path):
            os.write(write, b"1")
            signal.pause()
    os.read(read, 1)
    with (
        pytest.raises(ValueError, match="another process trains here"),
        run_folder.locked(tmp_path),
    ):
        pass
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    with run_folder.locked(tmp_path):
        (tmp_path / run_folder.LOG).touch()


def test_a_run_folder_in_which_nothing_was_written_is_removed(tmp_path):
    run = tmp_path / "run"
    run.mkdir()
    with pytest.raises(ValueError, match="wrong"), run_folder.locked(run):
        raise ValueError("wrong")
    assert not run.exists()


def test_the_best_model_is_found_between_the_two_renames_of_its_exchange(tmp_path):
    run = tmp_path / "lift3d/synthetic/run"
    config = {"task": "lift3d", "method": "paper", "dataset": {"name": "synthetic"}}
    checkpoint.save(run / run_folder.BEST, {"w": torch.zeros(1)}, config)
    (run / run_folder.BEST).rename(run / f"{run_folder.BEST}.old")
    found = checkpoint.newest(tmp_path, "lift3d", "synthetic", "paper", {})
    assert found == shipped.best_of(run) == run / run_folder.BEST
    with pytest.raises(OSError, match="full"), files.replacing_folder(found):
        raise OSError("full")
    assert checkpoint.read_config(found)["method"] == "paper"
