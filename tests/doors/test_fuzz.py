"""Damaged files end in one line that names them, within bounds of memory and time."""

import pytest
from helpers import fuzz
from helpers.readers import READERS

FEW, MANY = 10, 240  # mutations of each reader


@pytest.mark.parametrize("name", READERS)
def test_a_damaged_file_ends_in_one_line_that_names_it(tmp_path, name):
    tally = fuzz.fuzz(name, READERS[name], tmp_path, FEW)
    assert tally.faults == []


@pytest.mark.slow
@pytest.mark.parametrize("name", READERS)
def test_ten_thousand_damaged_files(tmp_path, name):
    assert MANY * len(READERS) > 10_000
    assert fuzz.fuzz(name, READERS[name], tmp_path, MANY, seed=1).faults == []
