"""Several runs of one command, here and as jobs of SLURM."""

import importlib
import pickle
import subprocess
import sys

import hydra
import pytest
from helpers.commands import command
from helpers.lifters import ENCODER
from omegaconf import OmegaConf

from posediff import run_folder
from posediff.__main__ import COMMANDS
from posediff.command import CONF


def test_a_sweep_is_a_run_of_its_own_for_every_value(tmp_path):
    runs = f"paths.runs={tmp_path}"
    command("train", "-m", *ENCODER, runs, "name=swept", "seed=1,2")
    folders = sorted((tmp_path / "lift3d/synthetic").glob("swept-*"))
    assert [folder.name for folder in folders] == ["swept-0", "swept-1"]
    assert [run_folder.config(folder)["seed"] for folder in folders] == [1, 2]
    one, other = (run_folder.log(folder)[0]["loss"] for folder in folders)
    assert one != other


def test_a_run_that_fails_does_not_end_the_others(tmp_path, capsys):
    options = (*ENCODER, f"paths.runs={tmp_path}", "name=swept", "trainer.recipe.batch_size=0,32")
    with pytest.raises(SystemExit) as stopped:
        command("train", "-m", *options)
    assert stopped.value.code == 1
    failed, *_, last = capsys.readouterr().err.strip().splitlines()
    assert failed.startswith("failed: experiment=lift3d_encoder")
    assert failed.endswith(last.removeprefix("error: "))
    assert "batch_size must be 1 or more, got 0" in last
    assert len(run_folder.log(tmp_path / "lift3d/synthetic/swept-1")) == 8


@pytest.mark.parametrize("name", ["train", "eval", "predict"])
def test_a_command_can_be_sent_to_another_machine(name):
    main = importlib.import_module(COMMANDS[name]).main
    assert pickle.loads(pickle.dumps(main.guarded)) is main.guarded


@pytest.mark.slow
def test_a_sweep_in_processes_of_submitit(tmp_path):
    options = (*ENCODER, f"paths.runs={tmp_path}", "name=sent", "resume=true", "seed=1,2")
    words = [sys.executable, "-m", "posediff", "train", "-m", *options]
    subprocess.run([*words, "hydra/launcher=submitit_local"], check=True)
    for run in ("sent-0", "sent-1"):
        assert len(run_folder.log(tmp_path / "lift3d/synthetic" / run)) == 8


def test_the_command_for_slurm_composes():
    given = [
        *("hydra/launcher=submitit_slurm", "hydra.launcher.partition=gpu"),
        *("hydra.launcher.gpus_per_node=1", "hydra.launcher.timeout_min=2880"),
        *("task=lift3d", "dataset=mocap", "preset=posterior", "seed=1"),
    ]
    with hydra.initialize_config_dir(CONF, version_base="1.3"):
        cfg = hydra.compose("train", given, return_hydra_config=True)
    launcher = OmegaConf.to_container(cfg.hydra.launcher, resolve=False)
    assert launcher["_target_"].endswith("SlurmLauncher")
    asked = {key: launcher[key] for key in ("partition", "gpus_per_node", "timeout_min")}
    assert asked == {"partition": "gpu", "gpus_per_node": 1, "timeout_min": 2880}
