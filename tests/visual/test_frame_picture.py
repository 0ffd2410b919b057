"""Cells of the people in 3D beside a photo."""

import numpy as np
from helpers.people import person, video

from posediff.visual.frame_picture import PEOPLE, Cells, draw_frame


def owners(*frames):
    cells = Cells()
    for names in frames:
        cells.take({str(name): size for name, size in names.items()})
    return cells.owners


def test_of_a_photo_the_largest_have_cells_in_the_order_of_their_numbers():
    assert owners({12: 1, 3: 2, 1: 5}) == ["1", "3", "12"]
    sizes = {n: n for n in range(1, PEOPLE + 3)}
    assert owners(sizes) == [str(n) for n in range(3, PEOPLE + 3)]


def test_in_a_film_everybody_keeps_a_cell_and_newcomers_take_those_of_people_who_left():
    start = {1: 1, 2: 9, 3: 1}
    assert owners(start, {3: 1}) == ["1", "2", "3"]
    assert owners(start, {3: 1}, start) == ["1", "2", "3"]
    assert owners(start, {3: 1, 7: 8, 5: 8}) == ["5", "7", "3"]
    assert owners(start, {**start, 4: 99}) == ["1", "2", "3", "4"]
    few, many = dict.fromkeys(range(PEOPLE), 1), {n: n for n in range(PEOPLE + 1)}
    assert owners(few, many) == owners(few)


def test_somebody_who_leaves_a_film_moves_nobody_else():
    rng = np.random.default_rng(0)
    both = [person(rng, track=0), person(rng, track=1)]
    first, second = video([both, both[1:]])
    cells = Cells()
    before, after = draw_frame(first, True, cells), draw_frame(second, True, cells)
    assert not np.array_equal(draw_frame(second, True), after)
    lower = before.shape[0] // 2 + 30, before.shape[1] - 800  # of the second person
    assert (before[lower[0] :, lower[1] :] < 250).any()
    assert np.array_equal(before[lower[0] :, lower[1] :], after[lower[0] :, lower[1] :])
    assert (after[30 : lower[0] - 30, lower[1] :] > 250).all()
