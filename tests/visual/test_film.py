"""Sequences of images."""

import cv2
import numpy as np

from posediff.visual.film import contact_sheet, write_film


def test_a_film_has_all_images_at_its_rate(tmp_path):
    pictures = [np.full((61, 83, 3), 40 * (i + 1), np.uint8) for i in range(5)]
    write_film(tmp_path / "a.mp4", pictures, 12.0)
    film = cv2.VideoCapture(str(tmp_path / "a.mp4"))
    assert film.get(cv2.CAP_PROP_FPS) == 12
    for picture in pictures:
        _, image = film.read()
        assert image.shape == (60, 82, 3)
        assert abs(image.mean() - picture.mean()) < 4
    assert not film.read()[0]
    assert [path.name for path in tmp_path.iterdir()] == ["a.mp4"]


def test_a_sheet_has_four_tiles_a_row_with_their_names():
    red = np.zeros((200, 100, 3), np.uint8)
    red[..., 2] = 255
    sheet = contact_sheet([(f"{i:06d}", red) for i in range(5)])
    assert sheet.shape == (2 * 320, 4 * 150, 3)
    assert (sheet[:300, :, 2] == 255).all()
    assert (sheet[300:320, :150] < 100).any()
    assert (sheet[320:, 150:] == 255).all()
