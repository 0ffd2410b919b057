"""Keypoint files that list people in frames: tracks, and frames without people."""

import numpy as np
import pytest
from helpers.keypoints import FULL, KEPT, J, coco, save_json

from posediff.inference.keypoint_files import read_keypoints


def mmpose(frame, *people):
    """A frame in mmpose's form; people are (track, values)."""
    instances = [
        {"keypoints": x[:, :2].tolist(), "keypoint_scores": x[:, 2].tolist(), "track_id": t}
        for t, x in people
    ]
    return {"frame_id": frame, "instances": instances}


def tracked(path):
    """The rows of a file, and their names, tracks and frames."""
    rows = read_keypoints(path, J)
    return rows, list(zip(rows.names, rows.tracks.tolist(), rows.frames.tolist(), strict=True))


def test_posetrack_files_have_tracks_and_empty_frames(tmp_path):
    images = [{"id": n, "file_name": f"{n}.jpg"} for n in range(5)]
    images[3]["is_labeled"] = False
    places = [(0, 7), (0, 4), (1, 7), (2, 4), (4, 7)]
    people = [coco(n, FULL[i % 3]) | {"track_id": t} for i, (n, t) in enumerate(places)]
    people[2]["keypoints"] = [0] * 3 * J
    save_json(tmp_path / "a.json", {"images": images, "annotations": people})
    rows, found = tracked(tmp_path / "a.json")
    assert found == [
        ("0.jpg#7", 0, 0), ("4.jpg#7", 0, 4), ("0.jpg#4", 1, 0), ("2.jpg#4", 1, 2),
    ]  # fmt: skip
    assert rows.empty == ["1.jpg"]  # the fourth is not labelled, so it is unknown
    assert np.array_equal(rows.points[1], KEPT[1].astype(np.float32))


def test_a_list_of_scores_beside_the_keypoints_is_read(tmp_path):
    person = coco(3, FULL[0]) | {"scores": [0.25] * J}
    save_json(tmp_path / "a.json", {"images": [{"id": 3}], "annotations": [person]})
    rows = read_keypoints(tmp_path / "a.json", J)
    assert rows.scores[0] == pytest.approx(np.where(FULL[0][:, 2] > 0, 0.25, 0))
    person["scores"] = [0.5] * (J + 1)
    save_json(tmp_path / "a.json", {"images": [{"id": 3}], "annotations": [person]})
    with pytest.raises(ValueError, match=r"entry 0 \(image 3\): scores: the layout has"):
        read_keypoints(tmp_path / "a.json", J)


@pytest.mark.parametrize("wrapped", [True, False])
def test_mmpose_frames_are_read_alone_and_wrapped(tmp_path, wrapped):
    info = [mmpose(0, (1, FULL[0]), (2, FULL[1])), mmpose(1), mmpose(2, (2, FULL[2]))]
    save_json(tmp_path / "a.json", {"meta_info": {}, "instance_info": info} if wrapped else info)
    rows, found = tracked(tmp_path / "a.json")
    assert found == [("0#1", 0, 0), ("0#2", 1, 0), ("2#2", 1, 2)]
    assert rows.empty == ["1"]
    assert np.array_equal(rows.points, KEPT.astype(np.float32))


def test_mmpose_people_of_one_image(tmp_path):
    people = mmpose(0, (None, FULL[0]), (None, FULL[1]))["instances"]
    save_json(tmp_path / "a.json", {"instance_info": people})
    assert tracked(tmp_path / "a.json")[1] == [("a#0", 0, 0), ("a#1", 1, 0)]
    del people[1]["keypoint_scores"]
    save_json(tmp_path / "a.json", {"instance_info": people})
    with pytest.raises(ValueError, match=r"instance 1 of frame a needs `keypoints` and `key"):
        read_keypoints(tmp_path / "a.json", J)


def test_alphapose_has_tracks_in_idx_and_frames_in_numbers(tmp_path):
    places = [("5.jpg", 1.0), ("5.jpg", [2.0]), ("8.jpg", 1.0)]
    people = [coco(n, FULL[i]) | {"idx": t, "score": 2.9} for i, (n, t) in enumerate(places)]
    save_json(tmp_path / "a.json", people)
    rows, found = tracked(tmp_path / "a.json")
    assert found == [("5.jpg#1", 0, 5), ("8.jpg#1", 0, 8), ("5.jpg#2", 1, 5)]
    assert rows.empty == ["6", "7"]


def test_without_tracks_one_person_a_frame_is_one_track(tmp_path):
    save_json(tmp_path / "a.json", [coco(n, x) for n, x in zip("cab", FULL, strict=True)])
    rows, found = tracked(tmp_path / "a.json")
    assert found == [("c", 0, 0), ("a", 0, 1), ("b", 0, 2)]
    assert rows.empty == []
    save_json(tmp_path / "a.json", [coco(n, x) for n, x in zip("caa", FULL, strict=True)])
    assert tracked(tmp_path / "a.json")[1] == [("c", 0, 0), ("a#0", 1, 1), ("a#1", 2, 1)]


@pytest.mark.parametrize("track", [1, -1, [0.0], "-1", None])
def test_an_id_that_is_twice_in_a_frame_and_a_negative_one_are_no_tracks(tmp_path, track):
    people = [coco(n, x) | {"track_id": track} for n, x in zip([3, 3, 4], FULL, strict=True)]
    save_json(tmp_path / "a.json", [*people, coco(4, FULL[0]) | {"track_id": 7}])
    rows, found = tracked(tmp_path / "a.json")
    assert sorted(found, key=lambda row: row[0]) == [
        ("3#0", 0, 3), ("3#1", 1, 3), ("4#7", 3, 4), ("4#untracked0", 2, 4)
    ]  # fmt: skip
    assert bool(rows.notes) == (track in (1, [0.0]))


def test_frames_of_an_array_without_any_joint_are_empty(tmp_path):
    x = np.concatenate([FULL, FULL])
    x[[1, 4], :, 2] = 0
    np.save(tmp_path / "a.npy", x)
    rows = read_keypoints(tmp_path / "a.npy", J)
    assert rows.empty == ["000001", "000004"]
    assert rows.frames.tolist() == [0, 2, 3, 5]
    np.save(tmp_path / "a.npy", x[[1, 4]])
    with pytest.raises(
        ValueError, match=r"a\.npy: no person in any frame; give at least one joint"
    ):
        read_keypoints(tmp_path / "a.npy", J)


def test_an_empty_frame_keeps_its_whole_name(tmp_path):
    empty = FULL[0] * [1, 1, 0]
    save_json(tmp_path / "a.json", [coco("a#1.jpg", empty), coco("a#2.jpg", FULL[1])])
    assert read_keypoints(tmp_path / "a.json", J).empty == ["a#1.jpg"]


def test_a_real_video_has_four_tracks(shared):
    path = shared / "data/bonn_posetrack/annotations/test/060470979.json"
    rows = read_keypoints(path, 17)
    assert np.bincount(rows.tracks).tolist() == [41] * 4
    for track in range(4):
        assert rows.frames[rows.tracks == track].tolist() == list(range(41))
    assert rows.empty == []
