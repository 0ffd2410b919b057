"""A user's own video and boxes as samples of video2d."""

import json

import cv2
import numpy as np
import pytest
import torch

from posediff.inference.video_input import open_video, people_in, samples

MADE_FOR = {"offsets": [-1, 0, 2], "size": [32, 48], "codec": "udp"}
MADE_FOR |= {"mean": [100.0, 100.0, 100.0], "std": [50.0, 50.0, 50.0]}


def frame(i):
    """Brighter from frame to frame."""
    return np.full((60, 80, 3), 20 * (i + 1), np.uint8)


@pytest.fixture
def folder(tmp_path):
    here = tmp_path / "walk"
    here.mkdir()
    for i in range(5):
        cv2.imwrite(str(here / f"f{i}.png"), frame(i))
    return here


@pytest.fixture
def film(tmp_path):
    path = tmp_path / "walk.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 12.5, (80, 60))
    for i in range(5):
        writer.write(frame(i))
    writer.release()
    return path


def levels(sample):
    """The grey level in the middle of every frame of every person."""
    return sample["frames"][:, :, 0, 24, 16] * 50 + 100


def test_a_film_and_a_folder_of_its_frames_have_the_same_samples(folder, film):
    seen = []
    for source, names in ((folder, [f"f{i}.png" for i in range(5)]), (film, None)):
        video = open_video(source)
        assert video.names == (names or [f"{i:06d}" for i in range(5)])
        people = people_in(video, None)
        (sample,) = samples(video, people, **MADE_FOR)
        assert sample["id"] == [f"walk/{name}/0" for name in video.names]
        expected = torch.tensor([[1, 1, 3], [1, 2, 4], [2, 3, 5], [3, 4, 5], [4, 5, 5]]) * 20.0
        assert (levels(sample) - expected).abs().max() < 3
        assert sample["frames_valid"].tolist() == [
            [0, 1, 1], [1, 1, 1], [1, 1, 1], [1, 1, 0], [1, 1, 0]
        ]  # fmt: skip
        seen.append(sample)
    assert torch.equal(seen[0]["affine"], seen[1]["affine"])
    assert (open_video(folder).rate, open_video(film).rate) == (25.0, 12.5)


def test_batches_have_people_in_the_order_of_frames_and_tracks(folder, tmp_path):
    boxes = tmp_path / "boxes.json"
    entries = {
        "f3.png": [{"track_id": 7, "box": [0, 0, 40, 60]}, {"track_id": 2, "box": [40, 0, 40, 60]}],
        "f1.png": [[10, 0, 40, 60]],
    }
    boxes.write_text(json.dumps(entries))
    video = open_video(folder)
    people = people_in(video, str(boxes))
    assert [(p.frame, p.track) for p in people] == [(1, 0), (3, 2), (3, 7)]
    two, one = samples(video, people, **MADE_FOR, count=2)
    assert two["track_id"].tolist() == [0, 2]
    assert one["box"].tolist() == [[0, 0, 40, 60]]
    assert (levels(one) - torch.tensor([[60, 80, 100.0]])).abs().max() < 1


def test_frames_of_a_film_are_named_by_their_numbers(film, tmp_path):
    boxes = tmp_path / "boxes.json"
    boxes.write_text(json.dumps({"4": [[0, 0, 40, 60]], "000001": [[0, 0, 40, 60]]}))
    assert [p.frame for p in people_in(open_video(film), str(boxes))] == [1, 4]


def test_input_that_cannot_be_used_is_named(folder, film, tmp_path):
    boxes, video = tmp_path / "boxes.json", open_video(folder)
    for content, words in (
        ({"f9.png": [[0, 0, 9, 9]]}, "no frame f9.png"),
        ({"f1.png": [[0, 0, 0, 9]]}, "frame f1.png, box 0"),
        ({"f1.png": [{"box": [1, 2, 3]}]}, "4 finite numbers"),
        ({"f1.png": [{"track_id": 1}]}, "track_id"),
        ({"f1.png": [{"track_id": True, "box": [0, 0, 9, 9]}]}, "box 0: track_id must be an"),
        ({"f1.png": [{"track_id": 2**63, "box": [0, 0, 9, 9]}]}, "track_id must be an"),
        ({"f1.png": [{"track_id": 1, "box": [0, 0, 9, 9]}] * 2}, "two boxes of track 1"),
        ({}, "no box"),
        ([1], "boxes.json"),
    ):
        boxes.write_text(json.dumps(content))
        with pytest.raises(ValueError, match=words):
            people_in(video, str(boxes))
    with pytest.raises(ValueError, match="no extent"):
        people_in(video, [200, 0, 9, 9])
    with pytest.raises(FileNotFoundError, match="nowhere"):
        open_video(tmp_path / "nowhere")
    (tmp_path / "notes.txt").write_text("x")
    with pytest.raises(ValueError, match="no video file"):
        open_video(tmp_path / "notes.txt")
    (tmp_path / "bad.mp4").write_bytes(film.read_bytes()[:100])
    with pytest.raises(ValueError, match=r"bad\.mp4"):
        open_video(tmp_path / "bad.mp4")


def test_a_frame_that_cannot_be_used_is_left_out_and_named(folder):
    cv2.imwrite(str(folder / "f3.png"), np.zeros((30, 40, 3), np.uint8))
    (folder / "f1.png").write_bytes(b"no picture")
    video = open_video(folder)
    assert video.names == ["f0.png", "f2.png", "f4.png"]
    assert [*video.left_out] == ["f1.png", "f3.png"]
    assert "f3.png: 40 x 30 pixels, but the first frame has 80 x 60" in video.left_out["f3.png"]


def test_frames_have_the_numbers_of_their_names_and_gaps_stay(tmp_path):
    for n in (10, 2, 1, 4):
        cv2.imwrite(str(tmp_path / f"{n}.png"), frame(n))
    (tmp_path / "._1.png").write_bytes(b"\0\5\x16\7")  # as macOS leaves on other disks
    video = open_video(tmp_path)
    assert video.names == ["1.png", "2.png", "4.png", "10.png"]
    assert video.numbers == [1, 2, 4, 10]
    (sample,) = samples(video, people_in(video, None), **MADE_FOR)
    assert sample["frames_valid"].tolist() == [[0, 1, 0], [1, 1, 1], [0, 1, 0], [0, 1, 0]]


@pytest.mark.parametrize("word", ["000010", "10", "000010.png", "shots/000010.jpg"])
def test_a_frame_of_a_folder_has_the_number_of_its_file_whatever_the_step(tmp_path, word):
    folder, boxes = tmp_path / "walk", tmp_path / "boxes.json"
    folder.mkdir()
    for i in range(4):
        cv2.imwrite(str(folder / f"{5 * i:06d}.png"), frame(i))
    boxes.write_text(json.dumps({word: [[0, 0, 40, 60]], "0": [[0, 0, 40, 60]]}))
    assert [p.frame for p in people_in(open_video(folder), str(boxes))] == [0, 2]
    (folder / "000010.png").write_bytes(b"no picture")
    assert [p.frame for p in people_in(open_video(folder), str(boxes))] == [0]
    cv2.imwrite(str(folder / "b_0.png"), frame(0))
    with pytest.raises(ValueError, match=r"boxes\.json: frame 0 may be 000000\.png or b_0\.png;"):
        people_in(open_video(folder), str(boxes))
