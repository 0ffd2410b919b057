"""All formats of a stream of frames at once, complete or absent."""

import os
from dataclasses import replace

import cv2
import numpy as np
import pytest
from helpers.people import person, video

import posediff
from posediff.outputs.frame_json import read
from posediff.outputs.save import FORMATS
from posediff.people.frame import Frame
from posediff.prepare.motion import read_bvh

DATA = ("json", "coco", "csv", "npz", "angles", "bvh", "trc")


@pytest.fixture
def frames():
    """Two tracks, one of them away in the third frame, and a frame without people."""
    rng = np.random.default_rng(0)
    pairs = [[person(rng, track=1), person(rng, track=2)] for _ in range(4)]
    return video([*pairs[:2], pairs[2][:1], pairs[3], []], rate=20.0, first=8)


def test_a_stream_is_written_in_every_format(tmp_path, frames):
    other = tmp_path / "out/notes.txt"
    other.parent.mkdir()
    other.write_text("mine")
    paths = posediff.save(iter(frames), tmp_path / "out", DATA)
    assert [path.name for path in paths] == [
        *("angles.csv", "coco_results.json", "frames.json", "joints.csv"),
        *("markers_001.trc", "markers_002.trc", "motion_001.bvh", "motion_002.bvh", "people.npz"),
    ]
    assert sorted([*paths, other]) == sorted((tmp_path / "out").iterdir())
    assert len(read(tmp_path / "out/frames.json")) == len(frames)
    motion = read_bvh(tmp_path / "out/motion_002.bvh")
    assert len(motion.points["head"]) == 4
    assert motion.fps == pytest.approx(20)
    rows = (tmp_path / "out/markers_002.trc").read_text().splitlines()[6:]
    assert [row.split("\t")[1] for row in rows] == ["0.400000", "0.450000", "0.500000", "0.550000"]
    assert ["nan" in row for row in rows] == [False, False, True, False]


def test_one_person_without_a_track_is_a_track_and_two_are_an_error(tmp_path, frames):
    rng = np.random.default_rng(1)
    alone = video([[person(rng)], [person(rng)]])
    (path,) = posediff.save(alone, tmp_path / "a", "bvh")
    assert path == tmp_path / "a/motion.bvh"
    pair = video([[person(rng), person(rng)]] * 2)
    with pytest.raises(ValueError, match="frame 000000: two people have track None"):
        posediff.save(pair, tmp_path / "b", ["json", "trc"])
    assert not list((tmp_path / "b").iterdir())


def test_a_stream_that_breaks_leaves_what_was_there(tmp_path, frames):
    posediff.save(frames[:1], tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    def broken():
        yield frames[0]
        raise RuntimeError("the camera is gone")

    with pytest.raises(RuntimeError, match="camera"):
        posediff.save(broken(), tmp_path, set(FORMATS) - {"video"})
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


@pytest.mark.filterwarnings("ignore:films are MPEG-4")
def _photo(picture):
    return picture[:, :700]


def _beside(picture):
    """The part of a film's picture in 3D; the photo is 560 pixels high, and the part wider."""
    assert picture.shape[:2] == (560, 747 + 839)
    return picture[:, 760:]


def test_a_film_has_every_frame_with_its_people(tmp_path):
    rng = np.random.default_rng(2)
    people = [[person(rng, K=3, track=1), person(rng, K=0)], [], [person(rng, K=1)]]
    image = np.full((240, 320, 3), 40, np.uint8)
    frames = [replace(frame, image=image) for frame in video(people, rate=10.0)]
    (path,) = posediff.save(frames, tmp_path, "video")
    film = cv2.VideoCapture(str(path))
    assert film.get(cv2.CAP_PROP_FPS) == pytest.approx(10)
    shown = [film.read()[1] for _ in range(3)]
    assert not film.read()[0]
    photos, beside = ([part(picture) for picture in shown] for part in (_photo, _beside))
    assert [int(picture.max()) > 150 for picture in photos] == [True, False, True]
    assert [bool((np.ptp(x.astype(int), -1) > 60).any()) for x in beside] == [True, False, True]
    for bad in (frames[:1], [replace(frame, time=None) for frame in frames]):
        with pytest.raises(ValueError, match=r"poses.mp4: a film needs"):
            posediff.save(bad, tmp_path / "bad", "video")


def test_pictures_of_any_names_are_written_each_under_its_own(tmp_path):
    image = np.zeros((40, 60, 3), np.uint8)
    names = ("x.jpg", "x.png", "x_2.jpg", "X.jpg", os.fsdecode(b"bad\xff.jpg"))
    frames = [Frame(name, (60, 40), (), image) for name in names]
    posediff.save(frames, tmp_path, ["pictures", "json", "csv", "npz", "coco"])
    assert {path.name for path in tmp_path.glob("*.jpg")} == {
        *("x_people.jpg", "x_2_people.jpg", "x_2_2_people.jpg", "X_3_people.jpg"),
        "bad_udcff_people.jpg",
    }
    assert [frame.name for frame in read(tmp_path / "frames.json")] == [
        *names[:4],
        "bad\\udcff.jpg",
    ]


def test_what_does_not_fit_is_one_clear_line(tmp_path, frames):
    with pytest.raises(ValueError, match=r"formats must be one of json, .*, got 'xml'"):
        posediff.save(frames, tmp_path, ["xml"])
    with pytest.raises(ValueError, match="need the times of two frames"):
        posediff.save(frames[:1], tmp_path, ["bvh"])
    assert not list(tmp_path.iterdir())
