"""Where golden files and real data are found, and how many cores a test may use."""

import os
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest
from helpers.commands import command, module
from helpers.lifters import ENCODER, LIFT

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder with golden/ and data/: POSEDIFF_SHARED, or ../shared beside the checkout."""
    path = Path(os.environ.get("POSEDIFF_SHARED") or ROOT.parent / "shared")
    if not (path / "golden").is_dir():
        pytest.skip("golden files and real data are absent: set POSEDIFF_SHARED to their folder")
    return path


@pytest.fixture(scope="session")
def lift3d_recipe(shared):
    """golden/lift3d/recipe.py: the weights of the golden files, by the released keys."""
    return module(shared / "golden/lift3d/recipe.py")


@pytest.fixture(scope="session")
def lifters(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of runs with an encoder, a paper and a released-style model, all hardly trained."""
    folder = tmp_path_factory.mktemp("work")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("POSEDIFF_RUNS", str(folder / "runs"))
        command("train", *ENCODER, "name=encoder")
        command("train", *LIFT, "name=paper")
        command("train", *LIFT, "preset=official_frame", "name=official")
    return folder / "runs/lift3d/synthetic"
