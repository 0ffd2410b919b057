"""Decoded pictures in memory: the same pixels, up to a limit."""

import cv2
import numpy as np
import pytest

from posediff.data.pictures import picture_files
from posediff.data.pictures.picture_memory import PictureMemory

BYTES = 16 * 12 * 3


@pytest.fixture
def files(tmp_path):
    numbers, paths = np.random.default_rng(0), [tmp_path / f"{i}.png" for i in range(3)]
    for path in paths:
        cv2.imwrite(str(path), numbers.integers(0, 256, (12, 16, 3), np.uint8))
    return paths


@pytest.mark.parametrize(("limit", "kept"), [(0, 0), (BYTES - 1, 0), (2 * BYTES, 2), (1e9, 3)])
def test_the_first_pictures_are_read_once_and_no_more_than_fit_are_held(
    files, monkeypatch, limit, kept
):
    memory, real, read = PictureMemory(limit), picture_files.read, []
    monkeypatch.setattr(picture_files, "read", lambda *x: read.append(x) or real(*x))
    for _ in range(2):
        for path in files:
            assert np.array_equal(memory.read(path), real(path))
    assert len(read) == 6 - kept
    assert memory.held == sum(x.nbytes for x in memory.pictures.values()) <= limit


def test_a_picture_that_is_turned_is_another_one_and_errors_stay(files, tmp_path):
    memory = PictureMemory(1e9)
    assert memory.read(files[0]) is not memory.read(files[0], True)
    assert memory.read(files[0]) is memory.read(files[0])
    for _ in range(2):
        with pytest.raises(FileNotFoundError):
            memory.read(tmp_path / "none.png")
