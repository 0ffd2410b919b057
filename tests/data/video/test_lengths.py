"""Videos are read to their end, whatever their header says, and upright; hidden files are no
annotations."""

import struct
from fractions import Fraction

import cv2
import numpy as np
import pytest

from posediff.data.video.footage import documents
from posediff.data.video.frames import VideoFile, frames
from posediff.inference.video_input import open_video

COUNT = 24


def film(path, times):
    """A video whose frame n is shown at times[n] milliseconds, brighter from frame to frame."""
    av = pytest.importorskip("av")
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.codec_context.time_base = Fraction(1, 1000)
        for n, time in enumerate(times):
            image = np.full((48, 64, 3), 10 * n, np.uint8)
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            frame.pts, frame.time_base = time, Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


TIMES = {
    "slow then fast": [400 * n if n < 6 else 2000 + 40 * (n - 5) for n in range(COUNT)],
    "fast then slow": [40 * n if n < 18 else 720 + 500 * (n - 18) for n in range(COUNT)],
    "late": [6000 + 40 * n for n in range(COUNT)],
}


@pytest.mark.parametrize("name", TIMES)
@pytest.mark.parametrize("suffix", [".mkv", ".mp4"])
def test_a_video_of_variable_rate_or_a_late_start_has_all_its_frames(tmp_path, name, suffix):
    video = open_video(film(tmp_path / f"a{suffix}", TIMES[name]))
    assert len(video.names) == COUNT
    levels = [int(video.read(i)[20, 30, 1]) for i in range(COUNT)]
    assert levels == pytest.approx([10 * n for n in range(COUNT)], abs=6)
    assert video.note == ""
    assert 0 < video.rate < 100


def test_some_header_states_another_number(tmp_path):
    stated = [VideoFile(film(tmp_path / "a.mkv", times)).stated for times in TIMES.values()]
    assert any(count != COUNT for count in stated), "else the test above proves nothing"


def test_a_film_that_was_cut_short_keeps_what_can_be_read(tmp_path):
    path = tmp_path / "a.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 25, (64, 48))
    for n in range(COUNT):
        writer.write(np.full((48, 64, 3), 10 * n, np.uint8))
    writer.release()
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) * 2 // 3])
    video = open_video(path)
    assert 4 < len(video.names) < COUNT
    last = len(video.names) - 1
    assert video.read(last).shape == (48, 64, 3)
    whole_one = int(video.read(last - 1)[20, 30, 1])  # the last one may be cut itself
    assert whole_one == pytest.approx(10 * (last - 1), abs=6)
    assert f"{len(video.names)} of {COUNT} frames can be decoded; cut short?" in video.note


def test_annotations_that_an_operating_system_hides_are_none(tmp_path):
    for name in ("000342.json", "._000342.json"):
        (tmp_path / name).write_text("{}")
    assert [path.name for path in documents(tmp_path)] == ["000342.json"]
    assert documents(tmp_path / "000342.json") == [tmp_path / "000342.json"]


def turned(path, quarters):
    """A video whose display matrix turns it clockwise, in the track header of an mp4 file. Its
    frames are wider than high, bright at the top."""
    av = pytest.importorskip("av")
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        image = np.zeros((48, 64, 3), np.uint8)
        image[:24] = 200
        for _ in range(3):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode(None))
    data = bytearray(path.read_bytes())
    start = data.index(b"tkhd") + 44  # version, flags, times, duration, layer, volume
    assert struct.unpack_from(">9i", data, start)[::4] == (1 << 16, 1 << 16, 1 << 30)
    cos, sin = [(1, 0), (0, 1), (-1, 0), (0, -1)][quarters]
    matrix = (cos << 16, sin << 16, 0, -sin << 16, cos << 16, 0, 0, 0, 1 << 30)
    struct.pack_into(">9i", data, start, *matrix)
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("quarters", range(4))
def test_a_telephone_s_video_is_upright_and_a_benchmark_s_as_stored(tmp_path, quarters):
    path = turned(tmp_path / "clip.mp4", quarters)
    video = open_video(path)
    image = video.read(1)
    stored = np.repeat([200, 0], 24)[:, None].repeat(64, 1)
    np.testing.assert_allclose(image[..., 1], np.rot90(stored, -quarters), atol=8)
    assert VideoFile(path).size() == image.shape[1::-1]
    listed = {0: "clip/000000.jpg"}
    for upright, shape in ((True, image.shape), (False, (48, 64, 3))):
        found = frames(tmp_path, listed, upright=upright)
        assert found.size() == shape[1::-1]
        assert found.read(2).shape == found.read(0).shape == shape
