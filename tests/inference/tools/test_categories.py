"""People among entries of other categories, by the file's own names where it has them."""

import json

import pytest

from posediff.inference.keypoint_files import read_keypoints
from posediff.inference.photo_input import read_boxes
from posediff.inference.tools.joint_names import names_in

BOX = [10, 20, 30, 40]
DOG, PERSON = {"id": 1, "name": "dog", "keypoints": ["a", "b"]}, {"id": 5, "name": "Person"}


def entry(image, category, **more):
    about = {"image_id": image, "bbox": BOX, "keypoints": [image, 2, 1, 3, 4, 1]}
    return about | ({} if category is None else {"category_id": category}) | more


def read(path, content):
    """The pictures of the people, by keypoints and by boxes."""
    path.write_text(json.dumps(content))
    rows = read_keypoints(path, 2)
    return rows.points[:, 0, 0].tolist(), [*read_boxes(path)], rows.notes


@pytest.mark.parametrize(
    "entries",
    [
        [entry(7, 1), entry(8, 18), entry(9, None)],
        [entry(7, 3, category_name="person"), entry(8, 1, category_name="dog"), entry(9, 3)],
    ],
)
def test_results_have_people_by_name_or_as_category_1(tmp_path, entries):
    named = "category_name" in entries[0]
    points, boxes, notes = read(tmp_path / "a.json", entries)
    assert points == [7] if named else [7, 9]
    assert boxes == ["7"] if named else ["7", "9"]
    (note,) = notes
    assert f"{2 if named else 1} of 3 entries left out, of other categories" in note


def test_annotations_have_people_as_the_file_s_categories_say(tmp_path):
    people = {**PERSON, "keypoints": ["nose", "left_eye"]}
    images = [{"id": n, "file_name": f"{n}.jpg"} for n in (7, 8)]
    content = {"images": images, "annotations": [entry(7, 5), entry(8, 1)]}
    for categories in ([DOG, PERSON], [DOG, people], [people]):
        content["categories"] = categories
        points, boxes, notes = read(tmp_path / "a.json", content)
        assert (points, boxes, len(notes)) == ([7], ["7.jpg"], 1)
    assert names_in(tmp_path / "a.json") == ["nose", "left_eye"]
    content["categories"] = [DOG, people]
    (tmp_path / "a.json").write_text(json.dumps(content))
    assert names_in(tmp_path / "a.json") == ["nose", "left_eye"]


def test_keypoints_of_one_category_are_people_whatever_its_number(tmp_path):
    path = tmp_path / "a.json"
    path.write_text(json.dumps([entry(7, 0), entry(8, 0)]))
    assert read_keypoints(path, 2).points[:, 0, 0].tolist() == [7, 8]
    for entries in ([entry(7, 0), entry(8, 2)], [entry(7, 1, category_name="dog")]):
        path.write_text(json.dumps(entries))
        with pytest.raises(ValueError, match=r"a\.json: no entry of category 1, people, but of "):
            read_keypoints(path, 2)
