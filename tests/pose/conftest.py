import pytest
from helpers.golden import arrays


@pytest.fixture(scope="session")
def golden(shared):
    """The tensors of a golden file, by its name."""
    return lambda name: arrays(shared / "golden" / name)
