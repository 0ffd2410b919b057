"""Real trainings of every task as processes that are killed at random, and go on."""

import json
import os
import random
import signal
import subprocess
import sys
import time

import pytest
from helpers.commands import LIMIT
from helpers.heads import SGDD
from helpers.lifters import ENCODER
from helpers.video2d import OVERRIDES
from safetensors.torch import load_file

CROPS = ("trainer=people_minutes", "trainer.recipe.batch_size=4", "trainer.recipe.epoch_samples=24")
OFTEN = ("trainer.save_every.steps=2", "device=cpu", "dataset.augment=null")
PICTURES = ("dataset=synthetic_pictures", "dataset.pictures=4", "dataset.size=[48,64]")
CLIPS = ("dataset=synthetic_video", "dataset.clips=2", "dataset.length=4", *OVERRIDES)
TASKS = {
    "lift3d": (*ENCODER, "trainer.save_every.steps=2", "trainer.recipe.epoch_samples=512"),
    "image2d": (*SGDD, *LIMIT, *CROPS, *OFTEN, *PICTURES),
    "video2d": ("experiment=video2d_plain", *LIMIT, *CROPS, *OFTEN, *CLIPS),
}
KILLS = 20


def process(options, runs):
    environment = os.environ | {"POSEDIFF_RUNS": str(runs), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "posediff.train", *options, "name=run", "resume=true"]
    return subprocess.Popen(
        command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )


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
    whole = process(TASKS[task], tmp_path / "whole")
    started = time.monotonic()
    assert whole.wait() == 0, whole.stderr.read()
    seconds, draw = time.monotonic() - started, random.Random(0)
    for number in range(KILLS):
        training = process(TASKS[task], tmp_path / "broken")
        time.sleep(draw.uniform(0.3, 1.0) * seconds)
        training.send_signal(signal.SIGTERM if number % 4 == 0 else signal.SIGKILL)
        said = training.communicate()[1]
        assert "Traceback" not in said
        assert training.returncode in (0, -signal.SIGKILL, -signal.SIGTERM, 128 + signal.SIGTERM)
    assert process(TASKS[task], tmp_path / "broken").wait() == 0
    (log, weights), (again, found) = left(tmp_path / "whole"), left(tmp_path / "broken")
    assert again == log
    assert found.keys() == weights.keys()
    assert all(x.equal(found[name]) for name, x in weights.items())
