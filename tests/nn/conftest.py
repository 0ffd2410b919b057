"""The deterministic weights of the golden files."""

import json

import numpy as np
import pytest
import torch
from helpers.commands import module


@pytest.fixture(scope="session")
def recipe(shared):
    """golden/recipe.py: `fill(module, gain)` and `inputs(name, shape)`."""
    return module(shared / "golden/recipe.py")


@pytest.fixture(scope="session")
def golden(shared):
    def load(name):
        path = shared / "golden" / name
        if path.suffix == ".json":
            return json.loads(path.read_text())
        with np.load(path, allow_pickle=False) as file:
            return {key: torch.from_numpy(file[key]) for key in file if file[key].dtype.kind != "U"}

    return load
