"""The reverse process of a lifter as a film."""

from itertools import pairwise

import cv2
import numpy as np
import pytest
from helpers.heads import model
from helpers.people import person

from posediff.people import denoising
from posediff.people.denoising import Joints2D, denoised, film_denoising
from posediff.visual import film


@pytest.fixture
def somebody():
    return Joints2D.of(person(np.random.default_rng(0)))


@pytest.mark.parametrize("name", ["posterior", "posterior_video", "paper"])
def test_states_lead_to_the_answer(somebody, name):
    found = list(denoised(model(name), somebody, steps=3, hypotheses=2))
    assert [t for t, _ in found] == sorted((t for t, _ in found), reverse=True)
    assert len(found) == 4
    assert found[-1][0] == -1
    assert found[0][1].hypotheses.shape == (2, 17, 3)


def test_the_film_is_a_gif_with_a_picture_for_each_state(somebody, tmp_path, monkeypatch):
    monkeypatch.setattr(denoising, "STEPS", 3)
    path = film_denoising(model("posterior"), somebody, tmp_path / "a.gif")
    found = cv2.Animation()
    done, found = cv2.imreadanimation(str(path))
    assert done
    assert len(found.frames) == denoising.STEPS + 1 + denoising.HELD
    assert max(found.frames[0].shape) <= film.GIF_SIDE
    changes = [np.abs(a.astype(int) - b).mean() for a, b in pairwise(found.frames)]
    assert changes[0] > 0.05
    assert changes[-1] == 0


def test_a_lifter_without_steps_is_one_line(somebody, tmp_path):
    with pytest.raises(ValueError, match="the lifter has no steps of 3D states"):
        film_denoising(model("encoder"), somebody, tmp_path / "a.gif")
    assert not list(tmp_path.iterdir())
