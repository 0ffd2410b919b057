"""Annotation files at the door of a metric."""

import copy
import json

import numpy as np
import pytest

from posediff.metrics.truth import ground_truth, read
from posediff.pose.skeleton import skeleton

LAYOUT = skeleton("crowdpose14")


@pytest.fixture
def data():
    rng = np.random.default_rng(0)
    points = np.concatenate([rng.uniform(50, 150, (3, 14, 2)), np.full((3, 14, 1), 2)], -1)
    return {
        "images": [{"id": 1, "width": 200, "height": 160}, {"id": 2}],
        "categories": [{"id": 1, "name": "person", "keypoints": list(LAYOUT.joints)}],
        "annotations": [
            {
                "id": 10 + i,
                "image_id": 1 + i // 2,
                "category_id": 1,
                "keypoints": x.ravel().tolist(),
                "bbox": [40, 40, 120, 110],
                "area": 8000.5,
                "num_keypoints": 14,
                "iscrowd": 0,
            }
            for i, x in enumerate(points)
        ],
    }


def test_people_come_out_numbered_from_1_and_whole(data):
    truth = ground_truth(data, "f.json", LAYOUT)
    assert [person["id"] for person in truth["annotations"]] == [1, 2, 3]
    for given, person in zip(data["annotations"], truth["annotations"], strict=True):
        np.testing.assert_array_equal(person["keypoints"], given["keypoints"])
        assert (person["area"], person["num_keypoints"], person["iscrowd"]) == (8000.5, 14, 0)
    assert data["annotations"][0]["id"] == 10  # what was given is left alone


def test_area_may_be_a_part_of_the_box(data):
    del data["annotations"][0]["area"]
    truth = ground_truth(data, "f.json", LAYOUT, "0.53*w*h")
    assert truth["annotations"][0]["area"] == pytest.approx(0.53 * 120 * 110)


def test_joints_are_matched_by_name_and_unknown_ones_are_not_labelled(data):
    order = np.random.default_rng(2).permutation(14)[:9]
    shuffled = copy.deepcopy(data)
    names = [LAYOUT.joints[j].replace("_", " ").replace("upper neck", "Neck") for j in order]
    shuffled["categories"][0]["keypoints"] = names
    for person in shuffled["annotations"]:
        person["keypoints"] = np.reshape(person["keypoints"], (14, 3))[order].ravel().tolist()
    for given, person in zip(
        data["annotations"],
        ground_truth(shuffled, "f.json", LAYOUT)["annotations"],
        strict=True,
    ):
        expected = np.zeros((14, 3))
        expected[order] = np.reshape(given["keypoints"], (14, 3))[order]
        np.testing.assert_array_equal(person["keypoints"], expected.ravel())


def test_stored_counts_of_joints_are_believed_and_missing_ones_made(data):
    data["annotations"][0]["num_keypoints"] = 0
    for key in ("num_keypoints", "iscrowd"):
        del data["annotations"][1][key]
    data["annotations"][1]["keypoints"][2] = 0
    truth = ground_truth(data, "f.json", LAYOUT)
    assert [person["num_keypoints"] for person in truth["annotations"]] == [0, 13, 14]
    assert truth["annotations"][1]["iscrowd"] == 0


def test_a_missing_box_is_the_extent_of_the_joints_and_a_margin(shared):
    """data/lspet_crops was made by this rule (to its one decimal)."""
    path = shared / "data/lspet_crops/annotations_test.json"
    data = json.loads(path.read_text())
    stored = np.array([person.pop("bbox") for person in data["annotations"]])
    made = [person["bbox"] for person in ground_truth(data, "f", LAYOUT)["annotations"]]
    np.testing.assert_allclose(made, stored, atol=0.21)


def test_people_of_other_categories_and_without_a_size_that_matters_are_no_errors(data):
    data["categories"].append({"id": 2, "name": "dog"})
    data["annotations"].append({"id": 99, "image_id": 1, "category_id": 2, "bbox": [0, 0, 5, 5]})
    data["annotations"][0] |= {"area": 0, "iscrowd": 1}
    data["annotations"][1] |= {"area": 0, "num_keypoints": 0}
    assert len(ground_truth(data, "f.json", LAYOUT)["annotations"]) == 3


def change(part, **entries):
    def apply(data):
        data[part][1 if part == "annotations" else 0].update(entries)

    return apply


def drop(part, key):
    def apply(data):
        del data[part][1 if part == "annotations" else 0][key]

    return apply


@pytest.mark.parametrize(
    ("breaking", "named"),
    [
        (change("annotations", id=10), "annotation 10 stands there twice"),
        (change("images", id=2), "image 2 stands there twice"),
        (drop("annotations", "id"), "annotation number 1 in the list has no `id`"),
        (change("annotations", category_id=5), "annotation 11: category 5 is not in the file"),
        (change("annotations", image_id=5), "annotation 11: image 5 is not in the file"),
        (drop("annotations", "area"), "annotation 11: has no `area`.*0.53"),
        (change("annotations", area=0), "annotation 11: its area is 0"),
        (change("annotations", area="big"), "annotation 11: its area is big"),
        (drop("annotations", "keypoints"), "annotation 11: keypoints must be 42"),
        (change("annotations", keypoints=[1, 2, 3]), "annotation 11: keypoints .* are 3 entries"),
        (change("annotations", keypoints=[1, 2, 3] * 14), "annotation 11: v of joint .* is 3"),
        (change("annotations", keypoints=[float("nan"), 2, 1] * 14), "annotation 11: keypoints"),
        (change("annotations", keypoints=[[1], 2, 1] * 14), "annotation 11: keypoints"),
        (change("annotations", bbox=[1, 2]), "annotation 11: bbox must be 4"),
        (drop("annotations", "image_id"), "annotation 11: has no `image_id`"),
        (change("categories", keypoints=["tail"] * 14), "category 1: joint 'tail'"),
        (change("categories", keypoints=[]), "0 categories have a list `keypoints`"),
        (lambda data: data.pop("images"), "has no list `images`"),
        (lambda data: data["annotations"].append(3), "annotation number 3 in the list"),
    ],
)
def test_every_error_names_the_file_and_the_entry(data, breaking, named):
    breaking(data)
    with pytest.raises(ValueError, match=f"^f.json: .*{named}") as error:
        ground_truth(data, "f.json", LAYOUT)
    assert "\n" not in str(error.value)


def test_files_that_are_absent_or_damaged_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"absent\.json"):
        read(tmp_path / "absent.json")
    (tmp_path / "cut.json").write_text('{"images": [')
    with pytest.raises(ValueError, match=r"cut\.json: no JSON"):
        read(tmp_path / "cut.json")
    with pytest.raises(ValueError, match="has no list `images`"):
        ground_truth([1, 2], "f.json", LAYOUT)
