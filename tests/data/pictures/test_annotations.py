"""Annotation files in COCO's form: the columns that are read, and the error messages."""

import numpy as np
import pytest

from posediff.data.pictures import annotations
from posediff.pose.skeleton import skeleton

CROWD = skeleton("crowdpose14")


def read_file(path, folder, **options):
    return annotations.checked(path, annotations.load(path), CROWD, folder, **options)


def read(photos, **options):
    return read_file(photos.save(), photos.images, **options)


def test_the_columns_are_those_of_the_file(two):
    people = read(two)
    for n, entry in enumerate(two.data["annotations"]):
        rows = np.reshape(entry["keypoints"], (14, 3))
        assert (people.keypoints[n] == rows[:, :2]).all()
        assert (people.visible[n] == 2).all()
        assert people.boxes[n].tolist() == entry["bbox"]
        assert people.area[n] == entry["area"]
    assert people.ids.tolist() == [1, 2]
    assert people.picture.tolist() == [0, 0]
    assert people.labelled.tolist() == [14, 14]
    assert not people.crowd.any()
    assert people.pictures[0][:4] == (1, "1.png", 80, 60)


def test_joints_are_matched_by_name_in_any_order_and_spelling(two):
    expected = read(two)
    order = np.random.default_rng(0).permutation(14)
    names = two.data["categories"][0]["keypoints"]
    spelt = [names[j].replace("left_", "L").replace("right_", "r ").upper() for j in order]
    two.data["categories"][0]["keypoints"] = spelt
    for entry in two.data["annotations"]:
        entry["keypoints"] = np.reshape(entry["keypoints"], (14, 3))[order].flatten().tolist()
    assert (read(two).keypoints == expected.keypoints).all()


def test_a_joint_that_the_file_does_not_know_is_labelled_nowhere(two):
    two.data["categories"][0]["keypoints"] = two.data["categories"][0]["keypoints"][:13]
    for entry in two.data["annotations"]:
        entry["keypoints"] = entry["keypoints"][:39]
    people = read(two)
    assert (people.visible[:, :13] == 2).all()
    assert not people.visible[:, 13].any()
    assert not people.keypoints[:, 13].any()


def test_what_is_not_labelled_is_zero_whatever_stands_there(photos):
    image = photos.picture(np.zeros((60, 80, 3), np.uint8))
    photos.person(image, np.full((14, 2), 7.0), [0, 1] + [2] * 12)
    people = read(photos)
    assert people.visible[0, :3].tolist() == [0, 1, 2]
    assert people.keypoints[0, :2].tolist() == [[0, 0], [7, 7]]


def test_num_keypoints_counts_as_it_is_stored(two):
    two.data["annotations"][0]["num_keypoints"] = 3
    assert read(two).labelled.tolist() == [3, 14]


def test_an_entry_that_a_benchmark_needs_is_asked_for(two):
    two.data["annotations"][0]["num_keypoints"] = 3
    with pytest.raises(ValueError, match=r"annotations\[1\] \(id 2\): no num_keypoints: add it"):
        read(two, needs=["num_keypoints"])


def test_crowdpose_s_own_count_leaves_head_and_neck_out(shared):
    path = shared / "data/annotations_only/crowdpose_val.json"
    people = read_file(path, path.parent, area="0.53*w*h")
    assert len(people.pictures) == 2000
    assert len(people.ids) == 8527
    assert people.crowd.sum() == 106
    assert (people.labelled == (people.visible[:, :12] > 0).sum(1)).all()
    assert ((people.labelled == 0) & (people.visible > 0).any(1)).sum() == 954
    np.testing.assert_allclose(people.area, 0.53 * people.boxes[:, 2:].prod(1))
    index = np.array([picture.crowd_index for picture in people.pictures])
    assert [(index < 0.2).sum(), (index < 0.8).sum()] == [411, 411 + 1240]


def test_a_missing_box_is_the_extent_of_the_joints_and_a_margin(photos):
    image = photos.picture(np.zeros((60, 80, 3), np.uint8))
    points = np.linspace((10, 20), (35, 50), 14)
    photos.person(image, points)
    photos.person(image, points, [0] * 7 + [1] * 7)
    photos.person(image, points - 10)
    photos.person(image, points, 0)
    for entry in photos.data["annotations"]:
        del entry["bbox"]
    margin = 0.12 * 30
    left = 10 + 25 * 7 / 13, 20 + 30 * 7 / 13
    small = 0.12 * (50 - left[1])
    expected = [
        [10 - margin, 20 - margin, 25 + 2 * margin, 30 + 2 * margin],
        [left[0] - small, left[1] - small, 35 - left[0] + 2 * small, 50 - left[1] + 2 * small],
        [0, 10 - margin, 25 + margin, 30 + 2 * margin],
        [0, 0, 0, 0],
    ]
    people = read(photos)
    np.testing.assert_allclose(people.boxes, expected, atol=1e-9)


def test_real_boxes_were_made_by_the_same_rule(shared):
    """The boxes of data/lspet_crops, which are rounded to one decimal."""
    path = shared / "data/lspet_crops/annotations_test.json"
    data = annotations.load(path)
    stored = np.array([person.pop("bbox") for person in data["annotations"]])
    people = annotations.checked(path, data, CROWD, path.parent)
    np.testing.assert_allclose(people.boxes, stored, atol=0.21)


def test_an_area_is_of_the_file_or_of_the_box(two):
    for entry in two.data["annotations"]:
        del entry["area"]
    with pytest.raises(ValueError, match=r"people\.json: annotations\[0\] \(id 1\): no area: add"):
        read(two)
    people = read(two, area="0.53*w*h")
    np.testing.assert_allclose(people.area, 0.53 * people.boxes[:, 2] * people.boxes[:, 3])
    with pytest.raises(
        ValueError, match=r"dataset\.area must be one of file, 0\.53\*w\*h, got 'box'"
    ):
        read(two, area="box")


def test_the_id_0_is_an_id_and_others_categories_are_passed_over(two):
    two.data["annotations"][0]["id"] = 0
    two.data["categories"].append({"id": 18, "name": "dog"})
    two.data["annotations"].append({"id": 9, "image_id": 1, "category_id": 18, "bbox": [0] * 4})
    assert read(two).ids.tolist() == [0, 2]


def test_the_truth_of_a_metric_is_whole_and_numbered_from_1(two):
    for person in two.data["annotations"]:
        person["id"] -= 1
    two.data["annotations"][0] |= {"num_keypoints": 3, "iscrowd": 1}
    two.data["images"][0]["crowdIndex"] = 0.3
    truth = read(two).truth()
    assert [image["id"] for image in truth["images"]] == [1]
    assert truth["images"][0]["crowdIndex"] == 0.3
    assert [person["id"] for person in truth["annotations"]] == [1, 2]
    assert [person["num_keypoints"] for person in truth["annotations"]] == [3, 14]
    assert [bool(person["iscrowd"]) for person in truth["annotations"]] == [True, False]
    for given, person in zip(two.data["annotations"], truth["annotations"], strict=True):
        assert person["keypoints"].tolist() == given["keypoints"]
        assert person["bbox"].tolist() == given["bbox"]
        assert person["area"] == given["area"]


def test_only_who_counts_must_have_an_area(two):
    for person in two.data["annotations"]:
        person["area"] = 0
    two.data["annotations"][0]["iscrowd"] = 1
    people = read(two)
    with pytest.raises(ValueError, match=r"annotation 2: its area, by file, is 0: correct it"):
        people.truth()
    two.data["annotations"][1]["num_keypoints"] = 0
    assert len(read(two).truth()["annotations"]) == 2


def test_a_picture_whose_size_is_not_stored_is_looked_at(two):
    for key in ("width", "height"):
        del two.data["images"][0][key]
    assert read(two).pictures[0][:4] == (1, "1.png", 80, 60)
    (two.images / "1.png").unlink()
    with pytest.raises(FileNotFoundError, match=r"1\.png: no such image file"):
        read(two)


def test_the_pictures_within_take_their_people_along(photos):
    for _ in range(3):
        photos.person(photos.picture(np.zeros((9, 9, 3), np.uint8)), np.ones((14, 2)))
    photos.person(3, np.ones((14, 2)))
    some = read(photos).subset(np.array([True, False, True]))
    assert [p.id for p in some.pictures] == [1, 3]
    assert some.ids.tolist() == [1, 3, 4]
    assert some.picture.tolist() == [0, 1, 1]


SECOND = r"people\.json: annotations\[1\] \(id 2\): "
NAN, INFINITE = float("nan"), float("inf")


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("id", 1, r"people\.json: annotations\[1\] \(id 1\): the same id as annotations\[0\]"),
        ("id", "b", "id must be an integer"),
        ("image_id", 5, SECOND + "image_id 5 is not in the file's lists"),
        ("image_id", [1], SECOND + r"image_id \[1\] is not in"),
        ("category_id", 3, SECOND + "category_id 3 is not in the file's lists"),
        ("bbox", [1, 2, NAN, 4], SECOND + "bbox must be 4 finite numbers"),
        ("bbox", [1, 2, INFINITE, 4], SECOND + "bbox must be 4 finite numbers"),
        ("bbox", [1, 2, 3], SECOND + "bbox must be 4 finite numbers, not a list of 3"),
        ("bbox", None, SECOND + "bbox must be 4 finite numbers, not None"),
        ("bbox", [1, 2, -3, 4], SECOND + "bbox is x, y, width, height; its size is negative"),
        ("area", "big", SECOND + "area must be a finite number, not 'big'"),
        ("area", NAN, SECOND + "area must be a finite number"),
        ("num_keypoints", None, SECOND + "num_keypoints must be a finite number"),
        ("keypoints", 7, SECOND + "keypoints must be 42 finite numbers, not 7"),
        ("keypoints", [1] * 41, SECOND + "keypoints must be 42 finite numbers, not a list of 41"),
        ("keypoints", [NAN] * 42, SECOND + "keypoints must be 42 finite numbers"),
        ("keypoints", [4, 5, 3] * 14, SECOND + r"v of keypoints \[x, y, v\] must be 0, 1 or 2 \(3"),
        (
            "keypoints",
            [4, 5, 0.5] * 14,
            SECOND + r"v of keypoints \[x, y, v\] must be 0, 1 or 2 \(1 of the 2 ann",
        ),
    ],
)
def test_an_annotation_that_cannot_be_used_is_named(two, key, value, message):
    two.data["annotations"][1][key] = value
    with pytest.raises(ValueError, match=message) as error:
        read(two)
    assert "\n" not in str(error.value)


def test_few_annotations_that_cannot_be_used_are_left_out_and_named(two):
    one = two.data["annotations"][0]
    two.data["annotations"] = [{**one, "id": n} for n in range(60)]
    two.data["annotations"][7]["bbox"] = [1, 2, 3]
    two.data["annotations"][31]["image_id"] = True
    with pytest.warns(UserWarning, match="left out: ") as said:
        found = read(two)
    assert found.ids.tolist() == [n for n in range(60) if n not in (7, 31)]
    assert len(said) == len(found.unusable) == 2
    assert "people.json: annotations[7] (id 7): bbox must be 4" in found.unusable[0]
    assert "annotations[31] (id 31): image_id True is not" in found.unusable[1]
    two.data["annotations"][8:10] = [{**one, "id": n, "area": "big"} for n in (8, 9)]
    with pytest.raises(ValueError, match=r"bbox .* \(4 of the 60 ann"):
        read(two)


def many(two, count=60):
    """The same picture and person again and again, with ids from 0."""
    one, image = two.data["annotations"][0], two.data["images"][0]
    two.data["images"] = [{**image, "id": n} for n in range(count)]
    two.data["annotations"] = [{**one, "id": n, "image_id": n} for n in range(count)]
    return two.data["images"], two.data["annotations"]


def test_few_images_that_cannot_be_used_are_left_out_with_their_people(two):
    images, _ = many(two)
    images[7]["width"] = "wide"
    images[31]["file_name"] = "../x.png"
    with pytest.warns(UserWarning, match="left out: ") as said:
        found = read(two)
    kept = [n for n in range(60) if n not in (7, 31)]
    assert [p.id for p in found.pictures] == found.ids.tolist() == kept
    assert len(said) == len(found.unusable) == 2
    assert "people.json: images[7]: width and height must be positive" in found.unusable[0]
    assert found.columns()["picture"].tolist() == list(range(58))
    for n in (1, 2):
        images[n]["height"] = 0
    with pytest.raises(ValueError, match=r"images\[1\]: width .* \(4 of the 60 images cannot"):
        read(two)


def test_of_images_of_one_id_none_is_used_and_of_people_the_first(two):
    images, people = many(two)
    images[9] |= {"id": 8, "width": 79}
    people[31] |= {"id": 30, "area": 7.0}
    with pytest.warns(UserWarning, match="left out: ") as said:
        found = read(two)
    assert [p.id for p in found.pictures] == [n for n in range(60) if n not in (8, 9)]
    assert found.ids.tolist() == [n for n in range(60) if n not in (8, 9, 31)]
    assert len(said) == len(found.unusable) == 3
    assert "images[9]: id 8 is also that of images[8]" in found.unusable[0]
    assert "annotations[9] (id 9): image_id 9 is not in the file's lists" in found.unusable[1]
    assert "annotations[31] (id 30): the same id as annotations[30] (id 30)" in found.unusable[2]


@pytest.mark.parametrize(
    ("key", "message"),
    [
        ("annotations", r"annotations\[\d\] \(id None\): id must be"),
        ("images", r"images\[\d\]: id must be an integer or a string, got None"),
    ],
)
def test_entries_without_an_id_are_named(two, key, message):
    if key == "images":
        two.data["images"].append({**two.data["images"][0], "file_name": "2.png"})
    for entry in two.data[key]:
        del entry["id"]
    with pytest.raises(ValueError, match=message):
        read(two)


def test_an_entry_that_is_no_object_is_left_out(two):
    images, people = many(two)
    images[3], people[20] = None, [1]
    with pytest.warns(UserWarning, match="left out: "):
        found = read(two)
    assert found.ids.tolist() == [n for n in range(60) if n not in (3, 20)]
    assert len(found.unusable) == 3, "an image, its person, and a person"


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("id", None, r"images\[0\]: id must be an integer or a string, got None"),
        ("file_name", 7, r"images\[0\]: file_name must name the image file, got 7"),
        ("width", 0, r"images\[0\]: width and height must be positive .* got 0 and 60"),
        ("crowdIndex", "big", r"images\[0\]: crowdIndex must be a number, got 'big'"),
        ("height", "9", r"images\[0\]: width and height must be positive integers"),
    ],
)
def test_a_picture_s_entry_that_cannot_be_used_is_named(two, key, value, message):
    two.data["images"][0][key] = value
    with pytest.raises(ValueError, match=message):
        read(two)


def test_keypoints_may_be_nested_in_some_entries(two):
    flat = read(two).keypoints
    keypoints = two.data["annotations"][1]["keypoints"]
    two.data["annotations"][1]["keypoints"] = np.reshape(keypoints, (-1, 3)).tolist()
    assert np.array_equal(read(two).keypoints, flat)


def test_two_pictures_of_one_id_are_an_error(two):
    two.data["images"].append(two.data["images"][0] | {"width": 7})
    with pytest.raises(ValueError, match=r"images\[1\]: id 1 is also that of images\[0\]"):
        read(two)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (
            ["tail"],
            r"people\.json: keypoints of categories: joint 'tail' is not in skeleton crowd",
        ),
        (["neck"], r"people\.json: keypoints of categories: two joints have the same name"),
        ([], r"people\.json: 0 of the 1 categories have `keypoints`"),
    ],
)
def test_names_of_joints_are_never_guessed(two, names, message):
    about = two.data["categories"][0]
    about["keypoints"] = [*about["keypoints"][:13], *names] * bool(names)
    if names == ["neck"]:
        about["keypoints"][0] = "neck"
    with pytest.raises(ValueError, match=message):
        read(two)


def test_a_file_that_cannot_be_read_is_named(two):
    with pytest.raises(FileNotFoundError, match=r"nowhere\.json: no such annotation file"):
        annotations.load(two.root / "nowhere.json")
    whole = two.file.read_bytes()
    for data, reason in (
        (b"", "empty"),
        (whole[:99], "cut short or no JSON"),
        (b"\xff", "no JSON"),
    ):
        two.file.write_bytes(data)
        with pytest.raises(ValueError, match=rf"people\.json: .*{reason}.*: copy it again"):
            annotations.load(two.file)
    for text in ("[]", "{}", '{"images": [], "categories": [], "annotations": [1]}'):
        two.file.write_text(text)
        with pytest.raises(ValueError, match=r"people\.json: no list of `(images|annotations)`"):
            read_file(two.file, two.images)


@pytest.mark.parametrize("number", [None, 1.5, True, [1]])
def test_the_category_with_keypoints_has_an_id_though_nobody_is_of_it(two, number):
    other = {"id": 18, "name": "dog"}
    two.data["categories"] = [{**two.data["categories"][0], "id": number}, other]
    for entry in two.data["annotations"]:
        entry["category_id"] = 18
    with pytest.raises(ValueError, match=r"people\.json: id of the category with `keypoints`"):
        read(two)
