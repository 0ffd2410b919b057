"""The commands and scripts as people call them, in this process."""

import importlib
import importlib.util
import sys
from pathlib import Path

import pytest

from posediff.__main__ import COMMANDS

# a training of a few steps, which is not of a debug preset
LIMIT = (
    "trainer.validation_samples=64",
    "trainer.drawn=1",
    "trainer.recipe.epochs=2",
    "trainer.recipe.batch_size=32",
    "trainer.recipe.epoch_samples=96",
)
SCRIPTS = Path(__file__).parents[2] / "scripts"


def run(main, *arguments):
    """What a command's `main` does with these behind its name."""
    before, sys.argv = sys.argv, ["command", *map(str, arguments)]
    try:
        main()
    finally:
        sys.argv = before


def command(name, *arguments):
    """python -m posediff.<name> arguments."""
    run(importlib.import_module(COMMANDS[name]).main, *arguments)


def script(name):
    """scripts/<name>.py as a module."""
    return module(SCRIPTS / f"{name}.py")


def module(path):
    """A file of Python that is in no package."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    found = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = found  # where dataclasses look for it
    spec.loader.exec_module(found)
    return found


def error_of(capsys, name, *arguments):
    """The one line that a command ends with."""
    capsys.readouterr()
    with pytest.raises(SystemExit) as stop:
        command(name, *arguments)
    assert stop.value.code == 1
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1, lines
    assert lines[0].startswith("error: ")
    return lines[0]
