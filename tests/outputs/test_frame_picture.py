"""A frame as a picture: 2D alone, or with 3D beside it."""

from dataclasses import replace

import cv2
import numpy as np
from helpers.people import person

import posediff
from posediff.outputs.frame_film import draw_frame
from posediff.outputs.frame_picture import GAP, TITLE, draw_people
from posediff.people.frame import Frame
from posediff.visual.pose3d import CAPTION, HEIGHT, WIDTH

ROW = TITLE + HEIGHT + CAPTION
GREY = np.full((240, 320, 3), 90, np.uint8)


def frame(*people, name="a.jpg"):
    return Frame(name, (320, 240), people, GREY)


def test_without_3d_it_is_the_frame():
    flat = frame(person(np.random.default_rng(0), layout_3d=None))
    assert (draw_people(flat) == draw_frame(flat)).all()
    assert (draw_people(frame()) == draw_frame(frame())).all()


def test_the_largest_people_have_a_row_each_and_a_number_on_the_photo():
    rng = np.random.default_rng(0)
    small, large = person(rng), replace(person(rng), box=np.array([0, 0, 300, 230], np.float32))
    one, both = draw_people(frame(small, large), 1), draw_people(frame(small, large))
    assert one.shape[0] == ROW + 2 * GAP
    assert both.shape[0] == 2 * ROW + 2 * GAP
    rows = both[GAP : GAP + 2 * ROW, -2 * WIDTH :].reshape(2, ROW, 2 * WIDTH, 3)
    assert (rows[0] == one[GAP : GAP + ROW, -2 * WIDTH :]).all()  # the larger one comes first
    lone = draw_people(frame(large))
    assert (lone[GAP + TITLE : GAP + ROW, -2 * WIDTH :] == rows[0][TITLE:]).all()
    assert (rows[0][:TITLE] != lone[GAP : GAP + TITLE, -2 * WIDTH :]).any()  # person 2, not 1


def test_two_frames_of_a_name_are_two_files(tmp_path):
    rng = np.random.default_rng(0)
    frames = [frame(person(rng), name="a.jpg"), frame(name="sub/a.png"), frame(name="b ü.jpg")]
    paths = posediff.save(frames, tmp_path, "pictures")
    assert [path.name for path in paths] == ["a_poses.jpg", "a_poses_2.jpg", "b ü_poses.jpg"]
    assert all(np.asarray(cv2.imread(str(path))).ndim == 3 for path in paths)
