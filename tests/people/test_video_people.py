"""posediff.estimate on drawn videos, with models that are hardly trained."""

import json

import cv2
import numpy as np
import pytest
import torch
from helpers.heads import case, model

import posediff
from posediff import config
from posediff.data.video.frames import VideoFile

SIZE = 96, 80  # width and height
TWO = [[10, 10, 30, 60], [50, 10, 30, 60]]
RATE = 20.0


def used(*names):
    """Models as they are loaded, which know their data."""
    found = []
    for name in names:
        made = model(name)
        made.trained_on = config.plain(case(name).config.dataset)
        found.append(made)
    return found


def film(path, count):
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"FFV1"), RATE, SIZE)
    for n in range(count):
        image = np.random.default_rng(n).integers(0, 256, (10, 12, 3), dtype=np.uint8)
        writer.write(cv2.resize(image, SIZE, interpolation=cv2.INTER_CUBIC))
    writer.release()
    return path


def swapped(count):
    """Both boxes in every frame, in an order that changes."""
    return {f"{n:06d}": TWO[:: 1 if n % 2 else -1] for n in range(count)}


def test_frames_have_names_times_pixels_and_tracks(tmp_path):
    path, models = film(tmp_path / "clip.avi", 4), used("coarse", "posterior")
    frames = list(posediff.estimate(path, models=models, boxes=swapped(4), hypotheses=2))
    assert [(frame.name, frame.index) for frame in frames] == [(f"{n:06d}", n) for n in range(4)]
    assert [frame.time for frame in frames] == pytest.approx([n / RATE for n in range(4)])
    assert [[p.track for p in frame.people] for frame in frames] == [[0, 1], [1, 0]] * 2
    for frame in frames:
        assert np.array_equal(frame.image, VideoFile(path).read(frame.index))
        assert [p.hypotheses_3d.shape for p in frame.people] == [(2, 17, 3)] * 2
    (alone,) = posediff.estimate(
        frames[1].image, models=models, boxes=swapped(4)["000001"], to="2d"
    )
    assert np.array_equal(alone.people[1].keypoints_2d, frames[1].people[1].keypoints_2d)


def test_windows_are_lifted_per_track_with_gaps_bridged(tmp_path):
    """As posediff.lift does with the keypoints of the same rows."""
    path, (eye, lifter) = film(tmp_path / "clip.avi", 40), used("coarse", "posterior_video")
    boxes = swapped(40) | {"000005": TWO[:1], "000006": []}
    options = {"models": [eye, lifter], "boxes": boxes, "hypotheses": 2, "carry": "point"}
    frames = list(posediff.estimate(path, **options))
    assert [frame.index for frame in frames] == list(range(40))
    assert [len(frame.people) for frame in frames[4:8]] == [2, 1, 0, 2]
    assert all(np.array_equal(f.image, VideoFile(path).read(f.index)) for f in frames[::13])
    for some in (frames[:36], frames[36:]):  # four windows of 9 frames, and the others
        rows = [(frame, n, person) for frame in some for n, person in enumerate(frame.people)]
        poses = posediff.lift(
            lifter,
            torch.stack([torch.tensor(person.keypoints_2d) for *_, person in rows]),
            scores=torch.stack([torch.tensor(person.scores) for *_, person in rows]),
            layout=eye.head.skeleton,
            tracks=torch.tensor([person.track for *_, person in rows]),
            frames=torch.tensor([frame.index for frame, *_ in rows]),
            ids=[f"clip/{frame.name}/{n}" for frame, n, _ in rows],
            hypotheses=2,
        )
        for (*_, person), pose in zip(rows, poses, strict=True):
            assert np.array_equal(person.hypotheses_3d, pose.hypotheses.numpy())


def test_a_centred_lifter_is_given_the_frames_on_both_sides(tmp_path, monkeypatch):
    """Half a window of 9 before and after the four windows that are answered for."""
    path, models, given = film(tmp_path / "clip.avi", 80), used("coarse", "paper_centre"), []

    def record(model, rows, draws):
        given.append((int(rows.frames[0]), int(rows.frames[-1])))
        return [None] * len(rows.frames)

    monkeypatch.setattr("posediff.people.video_people.poses_3d", record)
    frames = posediff.estimate(path, models=models, boxes=np.array(TWO[:1]))
    assert [frame.index for frame in frames] == list(range(80))
    assert given == [(0, 39), (32, 75), (68, 79)]


def test_a_video_model_sees_the_frames_around(tmp_path):
    path, models = film(tmp_path / "clip.avi", 4), used("plain", "coarse", "posterior")
    assert models[0].trained_on["offsets"] == [-1, 0, 1]
    options = {"boxes": np.array(TWO), "to": "2d"}
    frames = list(posediff.estimate(path, models=models, **options))
    assert [[p.track for p in frame.people] for frame in frames] == [[0, 1]] * 4
    assert frames[0].people[0].skeleton_2d == models[0].head.skeleton
    still = list(posediff.estimate(path, models=models[1:], **options))
    assert still[0].people[0].skeleton_2d == models[1].head.skeleton


def test_tracks_of_the_user_are_kept(tmp_path):
    path, models = film(tmp_path / "clip.avi", 3), used("coarse")
    boxes = {f"{n:06d}": [{"box": TWO[0], "track_id": 9}] for n in range(3)}
    frames = list(posediff.estimate(path, to="2d", models=models, boxes=boxes))
    assert [frame.people[0].track for frame in frames] == [9] * 3
    wrong = {"000000": [{"box": TWO[0], "track_id": 9}, TWO[1]]}
    with pytest.raises(ValueError, match=r"frame 000000 .*: give every box a track_id"):
        next(posediff.estimate(path, to="2d", models=models, boxes=wrong))


def test_frames_before_a_bad_one_are_not_lost(tmp_path):
    path, models = film(tmp_path / "clip.avi", 5), used("coarse", "posterior_video")
    boxes = iter([TWO, TWO, TWO, [[900, 0, 10, 10]], TWO])
    frames = posediff.estimate(path, models=models, boxes=lambda _: next(boxes), hypotheses=1)
    found = []
    with pytest.raises(ValueError, match=r"clip\.avi: 000003: box 0"):
        found.extend(frame.index for frame in frames)
    assert found == [0, 1, 2]


@pytest.mark.parametrize("box", [[900, 0, 10, 10], [0, 0, 0, 9]])
def test_boxes_of_a_film_are_checked_before_its_first_frame(tmp_path, box):
    path, models, boxes = film(tmp_path / "clip.avi", 5), used("coarse"), tmp_path / "boxes.json"
    boxes.write_text(json.dumps({"000000": TWO, "000003": [*TWO, box]}))
    with pytest.raises(ValueError, match=r"boxes\.json: frame 000003 .*: box 2, .* or delete it$"):
        next(posediff.estimate(path, to="2d", models=models, boxes=boxes))
