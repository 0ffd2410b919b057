"""Shares of sources among the samples of an epoch."""

from collections import Counter

import numpy as np
import pytest

from posediff.data.balance import Balance

SOURCES = ["a"] * 3 + ["b"] * 90 + ["a"] * 7  # 10 and 90


def epochs(balance, first, last):
    """All samples with their rounds, epoch after epoch."""
    for epoch in range(first, last):
        rows, rounds = balance.at(range(len(SOURCES)), epoch)
        yield from zip(rows, rounds.tolist(), strict=True)


@pytest.mark.parametrize(("a", "b", "places"), [(1, 1, 50), (0.1, 0.9, 10), (3, 1, 75)])
def test_every_epoch_has_the_shares(a, b, places):
    balance = Balance({"a": a, "b": b}, SOURCES)
    for epoch in (0, 1, 7):
        count = Counter(SOURCES[row] for row, _ in epochs(balance, epoch, epoch + 1))
        assert count == {"a": places, "b": 100 - places}


def test_the_samples_of_a_source_come_equally_often_and_never_twice_in_a_round():
    drawn = list(epochs(Balance({"b": 1, "a": 1}, SOURCES), 0, 9))
    assert max(Counter(drawn).values()) == 1
    times = Counter(row for row, _ in drawn)
    assert {times[row] for row in range(100) if SOURCES[row] == "a"} == {45}
    assert {times[row] for row in range(100) if SOURCES[row] == "b"} == {5}
    assert {r for row, r in drawn if SOURCES[row] == "b"} == {*range(5)}


def test_shares_as_they_are_leave_every_sample_at_its_place_and_epoch():
    balance = Balance({"a": 10, "b": 90}, ["a"] * 10 + ["b"] * 90)
    rows, rounds = balance.at(range(100), 4)
    assert rows == list(range(100))
    assert (rounds == 4).all()


def test_a_place_does_not_depend_on_the_others():
    balance = Balance({"a": 0.3, "b": 0.7}, SOURCES)
    rows, rounds = balance.at(range(100), 3)
    shuffled = np.random.default_rng(0).permutation(100).tolist()
    some, of = balance.at(shuffled, 3)
    assert some == [rows[i] for i in shuffled]
    assert np.array_equal(of, rounds[shuffled])


@pytest.mark.parametrize(
    ("shares", "message"),
    [
        ({"a": 1, "c": 1}, "dataset.balance: no training samples of c, only of a, b"),
        ({"a": 1}, "dataset.balance: no share of b: add it"),
        ({"a": 1, "b": 0}, "dataset.balance: b must be a number above 0, got 0"),
        ({"a": "x", "b": 1}, "dataset.balance: a must be a number above 0, got x"),
        ({"a": float("nan"), "b": 1}, "dataset.balance: a must be a number above 0, got nan"),
        ({"a": 1, "b": 0.001}, "dataset.balance: the share of b is less than one sample of an ep"),
    ],
)
def test_wrong_shares_are_one_line(shares, message):
    with pytest.raises(ValueError, match=message):
        Balance(shares, SOURCES)
