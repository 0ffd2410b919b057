"""Frames as users hold them: iterated, drawn and written."""

import json
from dataclasses import replace

import cv2
import numpy as np
import pytest
from helpers.people import person, video

from posediff.outputs.frame_json import from_dict


def frame(people=2, **options):
    rng = np.random.default_rng(0)
    (made,) = video([[person(rng, track=n, **options) for n in range(people)]])
    return made


def test_an_iteration_goes_over_its_people_and_a_frame_without_any_is_true():
    made = frame()
    assert list(made) == list(made.people)
    assert len(made) == 2
    empty = frame(0)
    assert len(empty) == 0
    assert empty


def test_a_dict_and_its_json_are_read_again(tmp_path):
    made = frame()
    again = from_dict(json.loads(made.to_json(tmp_path / "a.json")))
    assert json.loads((tmp_path / "a.json").read_text()) == made.to_dict()
    np.testing.assert_allclose(
        again.people[1].hypotheses_3d, made.people[1].hypotheses_3d, atol=1e-6
    )


def test_a_drawing_has_the_3d_beside_the_photo_and_is_rgb(tmp_path):
    made = frame()
    flat, both = made.draw(space=False), made.draw(tmp_path / "a.png")
    assert both.shape[1] > 2 * flat.shape[1] * both.shape[0] / flat.shape[0]
    written = cv2.imread(str(tmp_path / "a.png"))[..., ::-1]
    assert np.array_equal(written, both)
    nobody = replace(made, people=tuple(replace(p, keypoints_3d=None) for p in made))
    assert np.array_equal(nobody.draw(), flat)


def test_people_in_3d_are_drawn_in_the_order_of_their_tracks():
    made = frame()
    turned = replace(made, people=made.people[::-1])
    beside = made.draw().shape[1] - made.draw(space=False).shape[1] * 560 // 240
    assert np.array_equal(made.draw()[:, -beside:], turned.draw()[:, -beside:])


@pytest.mark.parametrize("people", [0, 1, 7])
def test_the_size_of_a_drawing_does_not_depend_on_the_people(people):
    assert frame(people).draw(space=False).shape == frame().draw(space=False).shape
    if people:
        assert frame(people).draw().shape == frame().draw().shape
