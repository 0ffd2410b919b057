import numpy as np

from posediff.data import random


def test_a_key_draws_the_published_outputs_of_splitmix64():
    published = np.array(
        [6457827717110365317, 3203168211198807973, 9817491932198370423, 4593380528125082431],
        np.uint64,
    )
    drawn = random.uniform(np.array([1234567], np.uint64), 4)[0]
    assert np.array_equal(drawn, (published >> np.uint64(11)) / 2.0**53)


def test_a_row_draws_the_same_alone_in_a_batch_and_shuffled():
    frames, order = np.arange(100), np.random.default_rng(0).permutation(100)
    for draw in (random.uniform, random.normal):
        batch = draw(random.keys(3, 7, frames), 9)
        assert np.array_equal(draw(random.keys(3, 7, frames[order]), 9), batch[order])
        assert np.array_equal(draw(random.keys(3, 7, 42), 9)[0], batch[42])
        assert np.array_equal(draw(random.keys(3, 7, frames), 4), batch[:, :4])


def test_every_part_of_a_key_and_their_order_count():
    parts = [(0, 1, 2), (0, 2, 1), (1, 1, 2), (0, 1), (0, 1, 0), (1, 1), (2, 2), (-1, -1)]
    made = [random.keys(*each)[0] for each in parts]
    assert len(set(made)) == len(made)
    grid = random.keys(0, np.repeat(np.arange(300), 300), np.tile(np.arange(300), 300))
    assert len(np.unique(grid)) == 90_000


def test_names_have_keys_that_do_not_change_between_runs():
    keys = random.name_keys(["S9/Directions 1/54138969", "S9/Directions/54138969", ""])
    assert len(set(keys.tolist())) == 3
    assert keys[2] == int.from_bytes(bytes.fromhex("e4a6a0577479b2b4"), "little")  # blake2b of ""


def test_uniform_numbers_fill_the_interval_evenly():
    u = random.uniform(random.keys(1, np.arange(1000)), 100)
    assert u.min() >= 0
    assert u.max() < 1
    counts = np.histogram(u, 50, (0, 1))[0]
    assert ((counts - 2000) ** 2 / 2000).sum() < 49 + 3 * np.sqrt(2 * 49)  # chi-square, 3 sigma


def test_normal_numbers_have_the_moments_of_a_gaussian():
    z = random.normal(random.keys(2, np.arange(1000)), 101).ravel()
    for power, moment, variance in ((1, 0, 1), (2, 1, 2), (3, 0, 15), (4, 3, 96)):
        assert abs((z**power).mean() - moment) < 3 * np.sqrt(variance / len(z))


def test_neighbouring_numbers_keys_and_kinds_are_uncorrelated():
    keys = random.keys(3, np.arange(100_000))
    u, z = random.uniform(keys, 2), random.normal(keys, 2)
    pairs = [
        (u[:, 0], u[:, 1]),
        (u[1:, 0], u[:-1, 0]),
        (z[:, 0], z[:, 1]),
        (z[:, 0] ** 2, z[:, 1] ** 2),
        (z[1:, 0], z[:-1, 0]),
        (u[:, 0], z[:, 0]),
        (u[:, 0], z[:, 0] ** 2),
    ]
    for a, b in pairs:
        assert abs(np.corrcoef(a, b)[0, 1]) < 3 / np.sqrt(len(a))
