"""Images of all usual formats, and files that are no images."""

import base64
from pathlib import Path

import cv2
import numpy as np
import pytest

from posediff.data.pictures import picture_files

RED, BLUE = (230, 40, 20), (20, 60, 220)
# 16 x 16, RED beside BLUE, written as CMYK
CMYK = base64.b64decode(
    "/9j/7gAOQWRvYmUAZAAAAAAA/9sAQwANCQoLCggNCwoLDg4NDxMgFRMSEhMnHB4XIC4pMTAuKS0sMzpKPjM2Rjcs"
    "LUBXQUZMTlJTUjI+WmFaUGBKUVJP/8AAFAgAEAAQBEMRAE0RAFkRAEsRAP/EABgAAAMBAQAAAAAAAAAAAAAAAAAE"
    "BwgG/8QAFBABAAAAAAAAAAAAAAAAAAAAAP/aAA4EQwBNAFkASwAAPwDv3Ep6pzPxxew0CTQQM/HF7D//2Q=="
)


@pytest.fixture
def image():
    """RGB 24 wide, 16 high: RED beside BLUE."""
    pixels = np.empty((16, 24, 3), np.uint8)
    pixels[:, :12], pixels[:, 12:] = RED, BLUE
    return pixels


def save(path: Path, image) -> Path:
    assert cv2.imwrite(str(path), image[..., ::-1] if image.ndim == 3 else image)
    return path


@pytest.mark.parametrize("kind", ["png", "bmp", "webp", "jpg"])
def test_a_picture_is_read_as_rgb_and_its_size_is_width_and_height(tmp_path, image, kind):
    path = save(tmp_path / f"a.{kind}", image)
    read = picture_files.read(path)
    assert read.dtype == np.uint8
    assert read.shape == (16, 24, 3)
    assert abs(read[8, [4, 20]].astype(int) - (RED, BLUE)).max() < 12
    assert picture_files.size(path) == (24, 16)


@pytest.mark.parametrize("kind", ["png", "jpg"])
def test_grey_becomes_three_equal_channels(tmp_path, kind):
    path = save(tmp_path / f"grey.{kind}", np.full((9, 7), 77, np.uint8))
    assert (picture_files.read(path) == 77).all()
    assert picture_files.size(path) == (7, 9)
    assert picture_files.read(path).shape == (9, 7, 3)


def test_16_bits_become_8(tmp_path):
    path = save(tmp_path / "deep.png", np.full((5, 6, 3), 200 * 257, np.uint16))
    assert (picture_files.read(path) == 200).all()


def test_transparency_is_dropped(tmp_path, image):
    alpha = np.zeros((16, 24, 1), np.uint8)
    bgra = np.concatenate([image[..., ::-1], alpha], 2)
    cv2.imwrite(str(tmp_path / "a.png"), bgra)
    assert (picture_files.read(tmp_path / "a.png") == image).all()


def test_cmyk_becomes_rgb(tmp_path):
    path = tmp_path / "cmyk.jpg"
    path.write_bytes(CMYK)
    read = picture_files.read(path).astype(int)
    assert picture_files.size(path) == (16, 16)
    assert read.shape == (16, 16, 3)
    assert abs(read[8, [3, 12]] - (RED, BLUE)).max() < 40


def test_a_camera_s_note_of_orientation_is_not_followed(tmp_path, image):
    data = save(tmp_path / "flat.jpg", image).read_bytes()
    tiff = b"MM\0*\0\0\0\x08" + b"\0\x01" + b"\x01\x12\0\x03\0\0\0\x01\0\x06\0\0" + b"\0\0\0\0"
    exif = b"Exif\0\0" + tiff
    segment = b"\xff\xe1" + (len(exif) + 2).to_bytes(2) + exif
    path = tmp_path / "turned.jpg"
    path.write_bytes(data[:2] + segment + data[2:])
    assert cv2.imread(str(path)).shape == (24, 16, 3), "OpenCV rotates it by default"
    assert picture_files.size(path) == (24, 16)
    assert (picture_files.read(path) == picture_files.read(tmp_path / "flat.jpg")).all()


@pytest.mark.parametrize("kind", ["png", "jpg"])
@pytest.mark.parametrize("part", [0.9, 0.5, 0.02])
def test_a_picture_that_is_cut_short_is_an_error(tmp_path, kind, part):
    rng = np.random.default_rng(0)
    path = save(tmp_path / f"a.{kind}", rng.integers(0, 255, (64, 64, 3), np.uint8))
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * part)])
    with pytest.raises(ValueError, match=rf"a\.{kind}: the image is cut short: copy it again"):
        picture_files.read(path)


@pytest.mark.parametrize("progressive", [0, 1])
def test_a_video_behind_a_picture_is_ignored(tmp_path, progressive):
    """As phones write them (Motion Photo), with any bytes."""
    path, rng = tmp_path / "a.jpg", np.random.default_rng(0)
    noise = rng.integers(0, 255, (64, 64, 3), np.uint8)
    flags = [cv2.IMWRITE_JPEG_PROGRESSIVE, progressive, cv2.IMWRITE_JPEG_RST_INTERVAL, 3]
    data = cv2.imencode(".jpg", noise, flags)[1].tobytes()
    assert data.count(b"\xff\xda") == (10 if progressive else 1)  # scans
    path.write_bytes(data)
    alone = picture_files.read(path)
    path.write_bytes(data + b"\0\0\0\x18ftyp\xff\xd9 \xff\xda")
    assert (picture_files.read(path) == alone).all()
    cut = data[: data.rfind(b"\xff\xda")] if progressive else data[:-2]
    note = b"\xff\xe1\0\x08\xff\xd9\xff\xda\xff\xd9"  # a small picture in the camera's notes
    path.write_bytes(cut[:2] + note + cut[2:])
    with pytest.raises(ValueError, match="cut short"):
        picture_files.read(path)


def test_what_is_no_picture_is_an_error_that_names_the_file(tmp_path, image):
    with pytest.raises(FileNotFoundError, match=r"nowhere\.jpg: no such image file"):
        picture_files.read(tmp_path / "nowhere.jpg")
    with pytest.raises(FileNotFoundError, match="no such image file"):
        picture_files.size(tmp_path)
    (tmp_path / "empty.jpg").touch()
    with pytest.raises(ValueError, match=r"empty\.jpg: the image is empty"):
        picture_files.read(tmp_path / "empty.jpg")
    (tmp_path / "text.jpg").write_text("hello")
    for reader in (picture_files.read, picture_files.size):
        with pytest.raises(ValueError, match=r"text\.jpg: the image is damaged"):
            reader(tmp_path / "text.jpg")


def test_a_picture_of_one_pixel_is_an_error(tmp_path, image):
    path = save(tmp_path / "dot.png", image[:1, :1])
    with pytest.raises(ValueError, match=r"dot\.png: the image has 1x1 pixels: too small"):
        picture_files.read(path)


def test_sizes_of_real_photographs_are_those_of_their_pixels(shared):
    some = sorted((shared / "data/coco_mini/images").iterdir())[:6]
    for path in some:
        assert picture_files.size(path) == picture_files.read(path).shape[1::-1]
