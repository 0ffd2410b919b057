"""Training on several data sets and scoring on one of them, as people call it."""

import json
from pathlib import Path

import pytest
from helpers.commands import LIMIT, command, error_of, run, script

from posediff import checkpoint

COARSE = "experiment=image2d_coarse"
PARTS = ("dataset=joined", "dataset.parts=[crowdpose,synthetic_pictures]")
JOINED = (*PARTS, "dataset.skeleton=crowdpose14", "dataset.size=[48,64]")
DRAWN = "dataset.options={synthetic_pictures:{pictures:4}}"
TINY = (
    *LIMIT,
    "trainer=people_minutes",
    "trainer.recipe.batch_size=8",
    "trainer.recipe.epoch_samples=16",
    "device=cpu",
)


@pytest.fixture(scope="module", autouse=True)
def home(tmp_path_factory):
    """Pictures in CrowdPose's form under POSEDIFF_DATA, and a model of them and of drawn ones."""
    folder = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("POSEDIFF_DATA", str(folder / "data"))
        patch.setenv("POSEDIFF_RUNS", str(folder / "runs"))
        run(script("make_mini").main, "crowdpose", folder / "data/crowdpose")
        shares = "dataset.balance={crowdpose:3,synthetic_pictures:1}"
        command("train", COARSE, *JOINED, DRAWN, shares, *TINY, "name=both")
        yield folder


def test_a_model_of_joined_data_is_scored_on_one_of_them(home, capsys):
    folder = home / "runs/image2d/joined/both/checkpoints/best"
    trained_on = checkpoint.read_config(folder)["dataset"]
    assert trained_on["parts"] == ["crowdpose", "synthetic_pictures"]
    assert trained_on["balance"] == {"crowdpose": 3, "synthetic_pictures": 1}
    log = [json.loads(line) for line in (home / "runs/image2d/joined/both/log.jsonl").open()]
    assert any("joined/pck@0.2/mean" in entry for entry in log)
    capsys.readouterr()
    command("eval", COARSE, "dataset=crowdpose", f"checkpoint={folder}", "device=cpu")
    report = json.loads(Path(capsys.readouterr().out.strip().splitlines()[-1]).read_text())
    assert (report["dataset"], report["split"]) == ("crowdpose", "test")
    assert report["trained_on"] == trained_on
    assert report["size"] == [48, 64]


def test_what_joined_data_cannot_do_is_one_line(capsys):
    line = error_of(capsys, "eval", COARSE, *JOINED, DRAWN, "device=cpu")
    assert "set dataset=crowdpose or dataset=synthetic_pictures, and checkpoint" in line
    line = error_of(capsys, "train", COARSE, *JOINED, "dataset.parts=[crowd]", *TINY)
    assert "dataset.parts: there is no data set 'crowd'" in line
    line = error_of(capsys, "train", COARSE, *JOINED, "dataset.options={crowdpose:{rot:3}}", *TINY)
    assert "Key 'rot' is not in struct" in line
