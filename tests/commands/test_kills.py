"""Real trainings of every task as processes that are killed at random, and go on; signals before
and after the steps of one."""

import json
import os
import random
import signal
import subprocess
import sys
import time

import pytest
from helpers.commands import LIMIT, command
from helpers.heads import SGDD
from helpers.lifters import ENCODER, LIFT
from helpers.video2d import OVERRIDES
from safetensors.torch import load_file

from posediff import train

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
    assert f"stopped by SIGTERM, {state}; this goes on: posediff train" in capsys.readouterr().out
    command("train", *options, "resume=true")
    assert lines(tmp_path) == 8
