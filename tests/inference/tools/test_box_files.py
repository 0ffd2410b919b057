"""Boxes of people as other tools write them."""

import json

import pytest

from posediff.inference.photo_input import box_in, read_boxes


def saved(path, content):
    path.write_text(json.dumps(content))
    return read_boxes(path)


def pixels(path, entry, size=(400, 300)):
    return box_in(path, "box", entry, *size).tolist()


BOX = [115.0, 105.0, 90.0, 60.0]


def test_boxes_by_the_name_of_the_photo_with_and_without_folder(tmp_path):
    found = saved(tmp_path / "a.json", {"photos/a.jpg": [BOX], "b.jpg": [BOX, BOX]})
    assert [len(found.get(name, ())) for name in ("a.jpg", "b.jpg", "c.jpg")] == [1, 2, 0]


def test_a_name_of_two_folders_is_neither_of_them(tmp_path):
    found = saved(tmp_path / "a.json", {"train/1.jpg": [BOX], "val/1.jpg": [], "val/2.jpg": []})
    assert found["val/1.jpg"] == found["2.jpg"] == []
    with pytest.raises(ValueError, match=r"a\.json: both train/1.jpg and val/1.jpg may be 1.jpg"):
        found.get("1.jpg")


def test_coco_annotations_have_people_as_the_file_says(tmp_path):
    content = {
        "images": [{"id": 7, "file_name": "a.jpg"}],
        "categories": [{"id": 1, "name": "horse"}, {"id": 3, "name": "person"}],
        "annotations": [
            {"image_id": 7, "category_id": 3, "bbox": BOX},
            {"image_id": 7, "category_id": 1, "bbox": [0, 0, 9, 9]},
            {"image_id": 7, "category_id": 3, "bbox": [0, 0, 400, 300], "iscrowd": 1},
        ],
    }
    found = saved(tmp_path / "a.json", content)
    assert [pixels(tmp_path, entry) for entry in found["a.jpg"]] == [BOX]


def test_coco_results_go_by_the_number_in_the_name(tmp_path):
    rows = [{"image_id": 12, "category_id": c, "bbox": BOX, "score": 0.5} for c in (1, 18)]
    found = saved(tmp_path / "a.json", rows)
    assert [pixels(tmp_path, entry) for entry in found["000000000012.jpg"]] == [BOX]
    with pytest.raises(ValueError, match="no entry of category 1, people, but of 18"):
        saved(tmp_path / "a.json", rows[1:])


@pytest.mark.parametrize(("width", "height"), [(1, 1), (400, 300)])
def test_ultralytics_json_in_pixels_and_fractions(tmp_path, width, height):
    corners = {"x1": 115, "y1": 105, "x2": 205, "y2": 165}
    sides = {"x": 400 / width, "y": 300 / height}
    box = {key: value / sides[key[0]] for key, value in corners.items()}
    dog = {"name": "dog", "class": 16, "box": box}
    found = saved(tmp_path / "photo.json", [{"name": "person", "class": 0, "box": box}, dog])
    (entry,) = found["photo.jpg"]
    assert pixels(tmp_path, entry) == pytest.approx(BOX, abs=1e-4)


@pytest.mark.parametrize("fraction", [5, None, [None, 0, 1, 1], [0, 0, 1], [0, 0, 1, 3e38], "abcd"])
def test_a_box_of_fractions_is_four_numbers(tmp_path, fraction):
    with pytest.raises(ValueError, match="box must be 4 finite numbers x, y, w, h, not "):
        pixels(tmp_path, {"fraction": fraction})


def test_ultralytics_text_files_by_picture(tmp_path):
    middle = (115 + 45) / 400, (105 + 30) / 300, 90 / 400, 60 / 300
    line = " ".join(map(str, (0, *middle, 0.9, 3)))
    (tmp_path / "clip_1.txt").write_text(f"{line}\n16 0.5 0.5 0.1 0.1 0.9 4\n")
    (tmp_path / "clip_2.txt").write_text(line)
    found = read_boxes(tmp_path)
    (entry,) = found["clip_1.jpg"]
    assert pixels(tmp_path, entry) == pytest.approx(BOX, abs=1e-4)
    assert entry["track_id"] == 3
    assert [*found.of_film()] == ["000000", "000001"]  # they count frames from 1
    (tmp_path / "other_2.txt").write_text(line)
    with pytest.raises(ValueError, match=r": labels of several videos, clip_2, other_2; keep"):
        read_boxes(tmp_path).of_film()


def test_mot_counts_frames_from_one_and_ignores_what_is_no_pedestrian(tmp_path):
    lines = [
        "1,4,115,105,90,60,1,1,0.9",
        "2,4,115,105,90,60,1,1,1",
        "2,5,0,0,9,9,1,3,1",
        "2,6,0,0,9,9,0,1,1",
    ]
    (tmp_path / "gt.txt").write_text("\n".join(lines))
    found = read_boxes(tmp_path / "gt.txt")
    assert {name: [e["track_id"] for e in entries] for name, entries in found.items()} == {
        "1": [4],
        "2": [4],
    }
    assert pixels(tmp_path, found["000002.jpg"][0]) == BOX
    assert pixels(tmp_path, found.of_film().get("000000")[0]) == BOX


@pytest.mark.parametrize("tracks", [(-1, -1), (3, 3), (3, -1)])
def test_detections_without_tracks_have_none(tmp_path, tracks):
    lines = [f"1,{track},{10 * n},20,90,60,0.9,-1,-1,-1" for n, track in enumerate(tracks)]
    (tmp_path / "det.txt").write_text("\n".join(lines))
    assert all("track_id" not in entry for entry in read_boxes(tmp_path / "det.txt")["1"])


def test_lines_that_are_no_boxes_are_named(tmp_path):
    (tmp_path / "a.txt").write_text("1,2,3\n")
    with pytest.raises(ValueError, match=r"a\.txt: line 1: must be frame, track"):
        read_boxes(tmp_path / "a.txt")
    with pytest.raises(ValueError, match=r"b\.json: must be .*COCO, Ultralytics or MOT"):
        saved(tmp_path / "b.json", {"a.jpg": 3})
