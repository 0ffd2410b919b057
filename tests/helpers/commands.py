"""The commands as people call them, in this process."""

import importlib
import sys

import pytest


def command(name, *arguments):
    """python -m posediff.<name> arguments, in this process."""
    before, sys.argv = sys.argv, [f"posediff.{name}", *arguments]
    try:
        importlib.import_module(f"posediff.{name}").main()
    finally:
        sys.argv = before


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
