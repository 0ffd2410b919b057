"""The deterministic weights of the golden files."""

import importlib.util
import json

import numpy as np
import pytest
import torch


@pytest.fixture(scope="session")
def recipe(shared):
    """golden/recipe.py: `fill(module, gain)` and `inputs(name, shape)`."""
    spec = importlib.util.spec_from_file_location("recipe", shared / "golden/recipe.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def golden(shared):
    def load(name):
        path = shared / "golden" / name
        if path.suffix == ".json":
            return json.loads(path.read_text())
        with np.load(path, allow_pickle=False) as file:
            return {key: torch.from_numpy(file[key]) for key in file if file[key].dtype.kind != "U"}

    return load
