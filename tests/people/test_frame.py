"""Frames as users hold them: iterated, drawn and written."""

import json
import re
from dataclasses import replace

import cv2
import numpy as np
import pytest
from helpers.people import person, video

import posediff
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


def test_one_frame_is_saved_and_viewed_as_a_list_of_it(tmp_path):
    made = frame()
    (path,) = posediff.save(made, tmp_path, "json")
    assert json.loads(path.read_text()) == json.loads(
        posediff.save([made], tmp_path / "list", "json")[0].read_text()
    )
    one, several = (posediff.view(x, tmp_path / "a.html").read_text() for x in (made, [made]))
    assert one == several


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"boxes": lambda image: None}, "boxes must be a list of x, y, width, height, not None"),
        ({"boxes": [[0.1, 0.1, 0.5, 0.5]]}, "is smaller than a pixel"),
        ({"detect": "image2d"}, "detect=image2d: a model of poses, no detector"),
        ({"detect": None}, "detect: must be the name of a detector, or whole, not None"),
        ({"hypotheses": "3"}, "hypotheses must be a whole number above 0, not '3'"),
    ],
)
def test_arguments_of_another_kind_are_said(options, words):
    picture = np.zeros((64, 48, 3), np.uint8)
    with pytest.raises(ValueError, match=re.escape(words)):
        list(posediff.estimate(picture, to="2d", **options))
