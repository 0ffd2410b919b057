"""Hypotheses and steps within a time, with models whose cost is known."""

from types import SimpleNamespace

import pytest

from posediff import progress
from posediff.people import budget
from posediff.people.budget import Cost, measured, within
from posediff.people.lifting import Draws

EYE, LIFTER = SimpleNamespace(sampler=None, steps=1), SimpleNamespace(sampler=1, steps=5)
MODELS = {"image2d": EYE, "lift3d": LIFTER}
COSTS = {"image2d": Cost(0.100, 0.0, 0.0), "lift3d": Cost(0.010, 0.001, 0.002)}


def seconds(draws):
    return 0.110 + draws.hypotheses * (0.001 + 0.002 * draws.steps)


@pytest.mark.parametrize("milliseconds", [115, 130, 170, 250, 400])
def test_it_is_the_most_that_fits(milliseconds):
    found = within(milliseconds, Draws(), MODELS, COSTS)
    assert 1000 * seconds(found) <= milliseconds
    if found.hypotheses < budget.MOST:
        more = found._replace(hypotheses=found.hypotheses + 1)
        assert 1000 * seconds(more) > milliseconds
    few = found._replace(hypotheses=budget.FEWEST, steps=5)
    assert found.steps == 5 or 1000 * seconds(few) > milliseconds


def test_what_is_given_stays():
    assert within(1000, Draws(hypotheses=3), MODELS, COSTS)[:2] == (3, 5)
    assert within(200, Draws(steps=2), MODELS, COSTS)[:2] == (18, 2)


@pytest.mark.parametrize(
    ("milliseconds", "words"),
    [(90, "a person takes 113 ms on this machine at the least"), (0, "above 0 milliseconds")],
)
def test_what_cannot_be_met_is_one_line(milliseconds, words):
    with pytest.raises(ValueError, match=words):
        within(milliseconds, Draws(), MODELS, COSTS)


def test_a_cost_is_measured_from_three_runs(monkeypatch):
    true = Cost(0.5, 0.03, 0.01)
    monkeypatch.setattr(budget, "second_of", lambda run: run())
    run = true.seconds
    assert measured(run, 20, 5) == pytest.approx(true)
    assert measured(run, 20, 1).seconds(20, 1) == pytest.approx(true.seconds(20, 1))
    assert measured(run, 1, 5).seconds(1, 5) == pytest.approx(true.seconds(1, 5))


def test_what_is_soon_done_is_run_once(monkeypatch):
    monkeypatch.setattr(progress, "seconds_of", lambda run: run())
    assert progress.seconds_of_many(iter([2.0, 1.0]).__next__, 4) == 8
    assert progress.seconds_of_many(iter([2.0, 1.0]).__next__, 6) == 6
