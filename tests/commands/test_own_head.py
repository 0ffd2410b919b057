"""A head from outside the package: a package of its own, one preset and one task file."""

import json
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from helpers.commands import LIMIT, command, error_of

TOY = Path(__file__).parents[1] / "toy"
CONFIG = ("--config-dir", TOY / "conf", "task=toy", "device=cpu")
TINY = ("dataset.pictures=6", "dataset.size=[48,64]", "trainer.optimizer.lr=1e-3", *LIMIT)


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    """The folder of a run of the toy head, in which commands can import its package."""
    folder = tmp_path_factory.mktemp("toy")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("POSEDIFF_RUNS", str(folder / "runs"))
        patch.syspath_prepend(TOY)
        command("train", *CONFIG, *TINY, "name=points")
        yield folder
    sys.modules.pop("toy2d", None)


def test_it_trains_to_a_model_folder_that_names_its_class(work):
    folder = work / "runs/toy/synthetic_pictures/points"
    steps = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    losses = [step["loss"] for step in steps if "step" in step]
    assert losses[-1] < losses[0]
    config = json.loads((folder / "checkpoints/best/config.json").read_text())
    assert config["model"]["head"]["_target_"] == "toy2d.Points"


def test_it_is_scored_with_its_flip_test(work):
    command("eval", *CONFIG, "dataset.pictures=4", "name=scored")
    metrics = json.loads((work / "runs/toy/synthetic_pictures/scored/metrics.json").read_text())
    assert metrics["method"] == "points"
    assert (metrics["steps"], metrics["K"], metrics["flip"]) == (2, 3, True)
    assert metrics["metrics"]["synthetic_pictures/spread/mean"] > 0


def test_it_predicts_on_a_photo(work):
    photo = np.random.default_rng(0).integers(0, 255, (90, 70, 3), np.uint8)
    cv2.imwrite(str(work / "photo.png"), photo)
    command("predict", *CONFIG, "input=photo.png", "output=found")
    (person,) = json.loads((work / "found/results.json").read_text())
    assert len(person["keypoints"]) == 3 * 17
    (spread,) = json.loads((work / "found/spread.json").read_text())["people"]
    assert min(spread["spread"]) > 0


def test_a_class_that_the_configuration_does_not_name_is_not_imported(work, capsys):
    line = error_of(capsys, "eval", *CONFIG, "classes=[]")
    assert "toy2d.Points is no class of posediff" in line
