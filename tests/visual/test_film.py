"""Sequences of images."""

import cv2
import numpy as np
import pytest

from posediff.visual import film
from posediff.visual.film import contact_sheet, write_film


def images(count=5):
    return [np.full((61, 83, 3), 40 * (i + 1), np.uint8) for i in range(count)]


def check(path):
    video = cv2.VideoCapture(str(path))
    assert video.get(cv2.CAP_PROP_FPS) == 12
    for picture in images():
        _, image = video.read()
        assert image.shape == (60, 82, 3)
        assert abs(image.mean() - picture.mean()) < 4
    assert not video.read()[0]
    assert [found.name for found in path.parent.iterdir()] == [path.name]


def test_a_film_without_pyav_has_all_images_at_its_rate_and_says_what_is_missing(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(film, "find_spec", lambda name: None)
    assert "pip install 'posediff[video]'" in film.film_note()
    write_film(tmp_path / "a.mp4", images(), 12.0)
    check(tmp_path / "a.mp4")
    assert b"mp4v" in (tmp_path / "a.mp4").read_bytes()


def test_a_film_with_pyav_is_h264_in_420_that_begins_to_play_at_once(tmp_path):
    av = pytest.importorskip("av", reason="needs the extra `video`")
    assert film.film_note() is None
    write_film(tmp_path / "a.mp4", images(), 12.0)
    check(tmp_path / "a.mp4")
    with av.open(str(tmp_path / "a.mp4")) as container:
        (stream,) = container.streams
        assert stream.codec_context.name == "h264"
        assert stream.codec_context.pix_fmt == "yuv420p"
        assert stream.frames == 5
    content = (tmp_path / "a.mp4").read_bytes()
    assert content.index(b"moov") < content.index(b"mdat")


def test_images_of_several_sizes_are_an_error_and_no_film(tmp_path):
    mixed = [*images(1), np.zeros((90, 83, 3), np.uint8)]
    with pytest.raises(ValueError, match=r"several sizes, \(60, 82\) and \(90, 82\)"):
        write_film(tmp_path / "a.mp4", mixed, 12.0)
    assert not (tmp_path / "a.mp4").exists()


def test_a_sheet_has_four_tiles_a_row_with_their_names():
    red = np.zeros((200, 100, 3), np.uint8)
    red[..., 2] = 255
    sheet = contact_sheet([(f"{i:06d}", red) for i in range(5)])
    assert sheet.shape == (2 * 320, 4 * 150, 3)
    assert (sheet[:300, :, 2] == 255).all()
    assert (sheet[300:320, :150] < 100).any()
    assert (sheet[320:, 150:] == 255).all()


def test_a_gif_has_all_images_at_its_rate_in_their_colours(tmp_path):
    write_film(tmp_path / "a.gif", images(), 10.0)
    done, found = cv2.imreadanimation(str(tmp_path / "a.gif"))
    assert done
    assert len(found.frames) == 5
    assert set(np.ravel(found.durations)) == {100}
    for picture, image in zip(images(), found.frames, strict=True):
        assert np.abs(image[..., :3].astype(int) - picture[0, 0]).max() < 6  # grey stays grey


def test_a_long_gif_is_thinned_and_a_large_one_reduced(tmp_path, monkeypatch):
    monkeypatch.setattr(film, "GIF_FRAMES", 4)
    monkeypatch.setattr(film, "GIF_SIDE", 40)
    write_film(tmp_path / "a.gif", images(6), 10.0)
    found = cv2.imreadanimation(str(tmp_path / "a.gif"))[1]
    assert len(found.frames) == 3
    assert found.frames[0].shape[1] == 40
    assert set(np.ravel(found.durations)) == {200}
