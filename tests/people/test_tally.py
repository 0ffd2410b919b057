"""What an estimation came to."""

from dataclasses import replace

import numpy as np
import pytest
from helpers.people import person

from posediff.people.frame import Frame
from posediff.people.tally import Tally


def frames():
    rng = np.random.default_rng(0)
    one = person(rng, layout_3d=None)
    wide = replace(person(rng), spread_3d=np.full(17, 0.25, np.float32))
    yield Frame("a", (4, 3), (one, wide), seconds={"boxes": 1.0, "2d": 0.5})
    yield Frame("b", (4, 3), (replace(wide, spread_3d=np.full(17, 0.05, np.float32)),))
    yield Frame("c", (4, 3), ())


def test_frames_go_through_and_are_counted():
    tally = Tally()
    assert [frame.name for frame in tally.over(frames())] == ["a", "b", "c"]
    assert (tally.frames, tally.people, tally.lifted) == (3, 3, 2)
    line = tally.line()
    assert line.startswith("3 pictures, 3 people; first answer after ")
    assert " s; 0.50 s a person (" in line
    assert line.endswith("(boxes 1.0, 2d 0.5 s in all); mean spread 150 mm")


@pytest.mark.parametrize("some", [[], [Frame("a", (4, 3), ())]])
def test_without_people_there_are_no_figures_of_people(some):
    tally = Tally()
    list(tally.over(some))
    assert "a person" not in tally.line()
    assert f"{len(some)} picture{'s' * (len(some) != 1)}, 0 people" in tally.line()
