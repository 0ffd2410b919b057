"""Results take nobody else's place."""

import os

import numpy as np
import pytest

from posediff.files import free_name
from posediff.inference.photos import Photos
from posediff.inference.request import Request
from posediff.inference.videos import VideoFrames
from posediff.outputs.places import refuse_inputs
from posediff.visual.pose3d import write_picture


def test_what_would_replace_an_input_is_refused_by_the_file_not_by_its_name(tmp_path):
    folder, given = tmp_path / "out", tmp_path / "mine.mp4"
    given.write_text("mine")
    names = ("poses.mp4", "*_people.jpg")
    refuse_inputs(folder, names, [given], "--to FOLDER")  # there is no such folder yet
    folder.mkdir()
    (folder / "poses.mp4").write_text("of the last time")
    (folder / "gone_people.jpg").symlink_to("nowhere")
    refuse_inputs(folder, names, [given, folder / "no.jpg"], "--to FOLDER")
    os.link(given, folder / "a_people.jpg")
    with pytest.raises(ValueError, match=r"a_people.jpg: was given, .* folder for them, --to F"):
        refuse_inputs(folder, names, [given], "--to FOLDER")


def test_a_name_that_is_taken_gets_a_number_that_is_not():
    taken = set()
    names = ("x", "X", "x_2", "x", "y")
    assert [free_name(name, taken) for name in names] == ["x", "X_2", "x_2_2", "x_3", "y"]


@pytest.mark.parametrize(
    ("reader", "given", "written"),
    [
        (Photos, "photos/a_pose.png", "a_pose.png"),
        (Photos, "boxes", "results.json"),
        (VideoFrames, "film/poses.png", "poses.png"),
        (VideoFrames, "boxes", "results.json"),
    ],
)
def test_readers_write_over_none_of_their_inputs(reader, given, written, tmp_path):
    """A photo, a frame, or the boxes that have the name of a result."""
    boxes = None
    if given == "boxes":
        source, folder = tmp_path / "pictures/a.png", tmp_path
        boxes = tmp_path / written
        boxes.write_text("{}")
    else:
        source = tmp_path / given
        folder = source.parent
    source.parent.mkdir()
    write_picture(source, np.zeros((8, 8, 3), np.uint8))
    request = Request(str(source.parent), str(folder), boxes=boxes and str(boxes))
    with pytest.raises(ValueError, match=rf"{written}: was given, .*output=FOLDER"):
        reader(request)
