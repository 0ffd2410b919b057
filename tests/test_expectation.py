"""What a command expects before it begins, and that to measure it leaves no trace."""

import copy
import re

import pytest
import torch
from helpers.heads import case, model

from posediff import config, engine, expectation, loading
from posediff.progress import expects

LINE = r"expects  about [\dhms]+ for {}, \d+\.\d GB of memory"


class Counted:
    """The held-out samples of a case, many times, which count how often they are read."""

    def __init__(self, name, length):
        self.data, self.length, self.rows = (
            config.dataset(case(name).config, "validation"),
            length,
            0,
        )

    def __len__(self):
        return self.length

    def __getitems__(self, rows):
        self.rows += len(rows)
        return self.data.__getitems__([row % len(self.data) for row in rows])

    def set_epoch(self, epoch):
        pass


@pytest.mark.parametrize("name", ["encoder", "posterior", "coarse"])
def test_a_training_is_measured_on_a_copy(name):
    made, data, held_out = model(name), Counted(name, 64), Counted(name, 100)
    before, state = copy.deepcopy(made.state_dict()), torch.get_rng_state()
    recipe = engine.Recipe(epochs=3, batch_size=4)
    line = expectation.training(made, data, held_out, recipe, 50)
    assert re.fullmatch(LINE.format("3 epochs of 16 steps"), line)
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(x, before[key]) for key, x in made.state_dict().items())
    assert all(p.grad is None for p in made.parameters())
    assert (data.rows, held_out.rows) == (8, 50)  # two batches, and a batch of scoring


def test_an_evaluation_is_measured_on_a_twentieth(monkeypatch):
    data = Counted("posterior", 200)
    monkeypatch.setattr(expectation, "second_of", lambda run: run() and 0.5)
    line = expectation.evaluation(model("posterior"), data, 1000)
    assert re.fullmatch(LINE.format("200 samples"), line)
    assert line.startswith("expects  about 10s")
    assert data.rows == 10


def test_the_line_has_the_time_and_the_memory():
    assert re.fullmatch(LINE.format("all"), expects(3700, "all"))
    assert expects(3700, "all").startswith("expects  about 1h01m for all")


class Damaged(Counted):
    """The same, of which rows 3 and 7 cannot be read."""

    def __getitems__(self, rows):
        if {3, 7} & {*rows}:
            raise ValueError("photo.jpg: the image is damaged")
        return super().__getitems__(rows)


def test_samples_that_cannot_be_read_are_no_obstacle():
    made, data, held_out = model("encoder"), Damaged("encoder", 64), Damaged("encoder", 100)
    line = expectation.training(made, data, held_out, engine.Recipe(epochs=3, batch_size=8), 50)
    assert re.fullmatch(LINE.format("3 epochs of 8 steps"), line)
    assert re.fullmatch(LINE.format("100 samples"), expectation.evaluation(made, held_out, 50))
    assert loading.left_out(data) == []
