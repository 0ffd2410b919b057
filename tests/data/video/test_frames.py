"""Frames by their numbers: folders, video files, and damaged files."""

import cv2
import numpy as np
import pytest

from posediff.data.video.frames import Memory, Stills, VideoFile, frames, split


@pytest.fixture
def film(tmp_path):
    """A video file of 8 frames, each brighter than the last."""
    path = tmp_path / "walk.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 25, (64, 48))
    for n in range(8):
        writer.write(np.full((48, 64, 3), 20 * n, np.uint8))
    writer.release()
    return path


def still(path, value=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.full((48, 64, 3), value, np.uint8))
    return path


def test_a_frame_s_number_is_at_the_end_of_its_name(tmp_path):
    assert split(tmp_path / "000012.jpg") == ("", 12)
    assert split(tmp_path / "clip7_0012.jpg") == ("clip7_", 12)
    with pytest.raises(ValueError, match=r"last\.jpg: the name of a frame must end in its number"):
        split(tmp_path / "last.jpg")


def test_frames_of_a_folder_are_those_of_one_name_and_kind(tmp_path):
    for n in (1, 2, 10):
        still(tmp_path / f"v/{n:05d}.png")
    still(tmp_path / "v/other_00004.png")
    still(tmp_path / "v/00005.bmp")
    (tmp_path / "v/notes.txt").write_text("3")
    found = frames(tmp_path, {2: "v/00002.png"})
    assert found.numbers == [1, 2, 10]
    assert found.size() == (64, 48)


def test_a_listed_frame_that_is_not_there_is_none(tmp_path):
    still(tmp_path / "v/3.png")
    assert frames(tmp_path, {2: "v/2.png", 3: "v/3.png"}).numbers == [3]
    assert frames(tmp_path, {2: "gone/2.png"}).numbers == []


def test_a_video_file_stands_in_for_a_folder_of_its_name(film):
    found = frames(film.parent, {1: "walk/00001.png"}, first=1)
    assert isinstance(found, VideoFile)
    assert found.numbers == list(range(1, 9))
    assert found.size() == (64, 48)
    assert found.rate == 25
    assert found.read(3)[0, 0, 0] == pytest.approx(40, abs=3)


def test_frames_of_a_video_come_in_any_order(film):
    video = VideoFile(film)
    for n in (5, 6, 2, 2, 7, 0):
        assert video.read(n)[10, 10, 1] == pytest.approx(20 * n, abs=3)


def test_a_video_without_end_is_named_with_its_frame(film):
    whole = film.read_bytes()
    film.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match=r"walk\.avi: .*(damaged|cannot be decoded)"):
        VideoFile(film).read(7)
    film.write_bytes(b"no video at all" * 50)
    with pytest.raises(ValueError, match=r"walk\.avi: no video, or a damaged one: copy it again"):
        VideoFile(film)
    with pytest.raises(FileNotFoundError, match=r"gone\.avi: no such video"):
        VideoFile(film.with_name("gone.avi"))


def test_a_video_survives_being_sent_to_a_worker(film):
    import pickle

    video = VideoFile(film)
    video.read(4)
    assert pickle.loads(pickle.dumps(video)).read(4)[0, 0, 0] == pytest.approx(80, abs=3)


def test_a_cut_picture_is_named(tmp_path):
    path = still(tmp_path / "v/000003.png")
    path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(ValueError, match=r"v/000003\.png: the image is cut short"):
        Stills({3: path}).read(3)


def test_what_was_read_last_is_remembered_up_to_a_size():
    picture = np.zeros((10, 10, 3), np.uint8)
    memory, read = Memory(3 * picture.nbytes), []

    def get(key):
        return memory.get(key, lambda: read.append(key) or picture.copy())

    for key in (1, 2, 1, 3, 1, 4, 1, 2):
        get(key)
    assert read == [1, 2, 3, 4, 2], "2 was used least recently"
    assert memory.held == 3 * picture.nbytes
    Memory(1).get("large", lambda: picture)


def test_times_are_those_of_the_file_where_its_rate_varies(film):
    def read(times):
        video = VideoFile(film)
        video.__dict__["times"] = times
        return video.stamps

    assert VideoFile(film).stamps is None
    assert read([n / 25 + 0.004 for n in range(8)]) is None, "rounded to milliseconds"
    slow_then_fast = [0.0, 0.1, 0.2, 0.3, 0.34, 0.38, 0.42, 0.46]
    assert read(slow_then_fast) == slow_then_fast
    assert read([0.0] * 8) is None, "a file without times"
