"""Golden files, and the deterministic weights that they were made with."""

import json

import pytest
from helpers.commands import module
from helpers.golden import arrays


@pytest.fixture(scope="session")
def recipe(shared):
    """golden/recipe.py: `fill(module, gain)` and `inputs(name, shape)`."""
    return module(shared / "golden/recipe.py")


@pytest.fixture(scope="session")
def golden(shared):
    """The tensors or the JSON of a golden file, by its name."""

    def load(name):
        path = shared / "golden" / name
        return json.loads(path.read_text()) if path.suffix == ".json" else arrays(path)

    return load
