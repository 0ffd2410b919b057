"""Real trainings of every task as processes that are killed at random, and go on; signals before
and after the steps of one."""

import json
import os
import random
import shlex
import signal
import subprocess
import sys
import time

import pytest
from helpers.commands import LIMIT, command
from helpers.heads import SGDD
from helpers.lifters import ENCODER, LIFT
from helpers.small_training import in_child
from helpers.video2d import OVERRIDES
from safetensors.torch import load_file

from posediff import engine, train

LONG = ("trainer.recipe.epochs=12", "trainer.save_every.steps=2", "device=cpu")  # 12 x 16 steps
CROPS = ("trainer=people_minutes", *LIMIT, *LONG, "trainer.recipe.batch_size=4")
CROPS += ("trainer.recipe.epoch_samples=64", "dataset.augment=null")
PICTURES = ("dataset=synthetic_pictures", "dataset.pictures=4", "dataset.size=[48,64]")
CLIPS = ("dataset=synthetic_video", "dataset.clips=2", "dataset.length=4", *OVERRIDES)
TASKS = {
    "lift3d": (*LIFT, "preset=posterior", *LONG, "trainer.recipe.epoch_samples=512"),
    "image2d": (*SGDD, *CROPS, *PICTURES),
    "video2d": ("task=video2d", *CROPS, *CLIPS),
}
KILLS = 20


def process(options, runs):
    environment = os.environ | {"POSEDIFF_RUNS": str(runs), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "posediff.train", *options, "name=run", "resume=true"]
    return subprocess.Popen(
        command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )


def lines(runs):
    return sum(path.read_text().count("\n") for path in runs.glob("*/*/run/log.jsonl"))


def killed(options, runs, number, draw):
    """Begin a training or go on with it, and kill it while it starts, at any moment, or shortly
    after its log has some lines more."""
    training, begun, more = process(options, runs), lines(runs), draw.randint(0, 3)
    while lines(runs) < begun + more and training.poll() is None:
        time.sleep(0.002)
    time.sleep(draw.uniform(0, 0.05) if more else draw.uniform(0, 5))
    training.send_signal(signal.SIGTERM if number % 4 == 0 else signal.SIGKILL)
    said = training.communicate()[1]
    assert "Traceback" not in said
    ends = (-signal.SIGKILL, -signal.SIGTERM, 128 + signal.SIGTERM)
    assert training.returncode in ends, "it is to be killed on its way"


def left(runs):
    """The log without times, and the weights of the last and the best model."""
    (run,) = runs.glob("*/*/run")
    lines = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    log = [{k: x for k, x in line.items() if k != "seconds"} for line in lines]
    kinds = ("last", "best")
    weights = {k: load_file(run / "checkpoints" / k / "model.safetensors") for k in kinds}
    return log, {f"{k} {name}": x for k in kinds for name, x in weights[k].items()}


@pytest.mark.slow
@pytest.mark.parametrize("task", TASKS)
def test_random_kills_change_nothing(task, tmp_path):
    whole, draw = process(TASKS[task], tmp_path / "whole"), random.Random(0)
    said = whole.communicate()[1]
    assert whole.returncode == 0, said
    for number in range(KILLS):
        killed(TASKS[task], tmp_path / "broken", number, draw)
    assert process(TASKS[task], tmp_path / "broken").wait() == 0
    (log, weights), (again, found) = left(tmp_path / "whole"), left(tmp_path / "broken")
    assert again == log
    assert found.keys() == weights.keys()
    assert all(x.equal(found[name]) for name, x in weights.items())


@pytest.mark.parametrize(
    ("place", "state"),
    [("recipe_of", "before its first state"), ("calibrate", "the state is saved")],
)
def test_a_signal_before_and_after_the_steps_says_how_to_go_on(
    tmp_path, monkeypatch, capsys, place, state
):
    def stop(*arguments):
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(5)
        raise AssertionError("the signal was not heeded")

    options = (*ENCODER, f"paths.runs={tmp_path}", "name=run")
    with monkeypatch.context() as patch:
        patch.setattr(train, place, stop)
        with pytest.raises(SystemExit) as stopped:
            command("train", *options)
    assert stopped.value.code == 128 + signal.SIGTERM
    said = capsys.readouterr().out.strip().splitlines()[-1]
    assert f"stopped by SIGTERM, {state}; this goes on: posediff train" in said
    command("train", *options, "resume=true")
    assert lines(tmp_path) == 8


@pytest.mark.parametrize(
    ("place", "folder"),
    [
        (["name=ablation/wide"], "lift3d/synthetic/ablation/wide"),
        (["-m", "name=swept", "seed=3,4"], "lift3d/synthetic/swept-0"),
        (["name=run", "hydra.run.dir='{0}/my own=run'"], "my own=run"),
        (["--config-dir", "{0}/conf", "name=run", "trainer=own"], "lift3d/synthetic/run"),
        (["hydra.searchpath=['{0}/conf']", "name=run", "trainer=own"], "lift3d/synthetic/run"),
    ],
)
def test_the_command_that_goes_on_is_that_of_the_same_folder(
    tmp_path, monkeypatch, capsys, place, folder
):
    def stop(*arguments):
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(5)

    (tmp_path / "conf/trainer").mkdir(parents=True)
    own = "defaults: [default, _self_]\nrecipe: {ema: 0.5}\n"
    (tmp_path / "conf/trainer/own.yaml").write_text(own)
    options = [word.format(tmp_path) for word in place]
    options = [*options, *ENCODER, f"paths.runs={tmp_path}"]  # behind --config-dir
    with monkeypatch.context() as patch:
        patch.setattr(train, "calibrate", stop)
        with pytest.raises(SystemExit):
            command("train", *options)
    words = shlex.split(capsys.readouterr().out.strip().rpartition("goes on: ")[2])
    assert words[:2] == ["posediff", "train"]
    command("train", *words[2:])
    assert capsys.readouterr().out.strip().endswith(str(tmp_path / folder))
    assert [*tmp_path.rglob("log.jsonl")] == [tmp_path / folder / "log.jsonl"]


def test_a_signal_to_all_processes_of_a_group_ends_no_worker_before_the_state_is_saved(
    tmp_path, monkeypatch
):
    real = engine.train_one_step

    def step(training, sample, done):
        if training.step == 1:
            os.killpg(0, signal.SIGTERM)
            time.sleep(0.5)  # for workers to die in
        return real(training, sample, done)

    def work():
        os.setsid()
        with pytest.raises(SystemExit) as stopped:
            command("train", *options, "trainer.recipe.workers=2")
        assert stopped.value.code == 128 + signal.SIGTERM

    options = (*ENCODER, f"paths.runs={tmp_path}", "name=run")
    with monkeypatch.context() as patch:
        patch.setattr(engine, "train_one_step", step)
        assert in_child(work) == 0
    assert lines(tmp_path) == 2
    command("train", *options, "resume=true")
    assert lines(tmp_path) == 8
