"""Small data sets of the synthetic body."""

import json
import runpy
import sys
from pathlib import Path

import pytest

from posediff.data.lifting.synthetic_people import KINDS, synthetic
from posediff.inference.keypoint_files import read_keypoints

SCRIPT = Path(__file__).parents[2] / "scripts/make_mini.py"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "argv", [str(SCRIPT), "keypoints", str(tmp_path / "new")])
    runpy.run_path(str(SCRIPT), run_name="__main__")
    return tmp_path / "new"


def test_keypoints_are_frames_of_the_test_people_seen_in_square_pictures(folder):
    points, scores, names, *_ = read_keypoints(folder / "keypoints.json", 17)
    assert len(names) == len(KINDS)
    assert not list(folder.glob("*.part"))
    first = synthetic("test", clips=1)
    rows = first.__getitems__(list(range(len(first))))
    here = (abs(rows["keypoints_2d"] - points[0]).amax((-2, -1)) < 1e-3).nonzero().flatten()
    assert len(here) == 1
    assert rows["image_size"][here[0]].tolist() == [1000, 1000]
    assert rows["scores"][here[0]].numpy() == pytest.approx(scores[0], abs=1e-6)
    assert len({json.dumps(p.tolist()) for p in points}) == len(KINDS)
