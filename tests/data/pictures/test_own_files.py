"""Annotation files and photos as users have them: turned, incomplete, of other categories."""

import json

import cv2
import numpy as np
import pytest

from posediff.data.pictures import picture_files
from posediff.data.pictures.coco_format import coco, custom
from posediff.inference.photo_input import photo_files, photo_sample
from posediff.pose.skeleton import skeleton

JOINTS = skeleton("coco17").joints
PEOPLE = {"id": 1, "name": "person", "keypoints": list(JOINTS)}
BOX = [115, 105, 90, 225]


def picture(path, height=400, width=300):
    path.parent.mkdir(exist_ok=True)
    cv2.imwrite(str(path), np.full((height, width, 3), 90, np.uint8))
    return path


def person(n, image=0, **more):
    points = [number for j in range(17) for number in (120 + 4 * j, 110 + 10 * j, 2)]
    return {
        "id": n, "image_id": image, "category_id": 1, "bbox": BOX, "area": 9000,
        "keypoints": points, **more,
    }  # fmt: skip


def document(*people, images=(0,), category=PEOPLE):
    shown = [{"id": n, "file_name": f"{n}.jpg", "width": 300, "height": 400} for n in images]
    return {"images": shown, "categories": [category], "annotations": list(people)}


@pytest.fixture
def read(tmp_path):
    """A function that reads a document as the user's own data set."""
    for n in range(2):
        picture(tmp_path / f"images/{n}.jpg")

    def dataset(content, **options):
        (tmp_path / "a.json").write_text(json.dumps(content))
        return custom(tmp_path, {"test": "a.json"}, "coco17", "test", **options)

    return dataset


def test_people_with_a_box_alone_and_crowds_are_left_out(read):
    alone, crowd = person(3), person(4, iscrowd=1, segmentation={"counts": [1], "size": [1, 1]})
    del alone["keypoints"], crowd["keypoints"]
    flat = person(5, bbox=[10, 10, 0, 40])
    data = read(document(person(1), person(2), alone, crowd, flat))
    assert (len(data), data.left_out) == (2, 3)
    assert data.annotations.labelled.tolist() == [17, 17, 0, 0, 17]


@pytest.mark.parametrize("absent", [np.nan, None])
def test_an_absent_joint_may_have_no_coordinates(read, absent):
    some = person(1)
    some["keypoints"][:3] = [absent, absent, 0]
    data = read(document(some))
    assert data.annotations.keypoints[0, 0].tolist() == [0, 0]
    assert data.annotations.visible[0].tolist() == [0] + [2] * 16
    some["keypoints"][3] = absent
    with pytest.raises(ValueError, match=r"annotations\[0\] \(id 1\): keypoints must be 51 finite"):
        read(document(some))


@pytest.mark.parametrize("category", [0, 3])
def test_boxes_of_a_detector_have_the_category_of_the_annotations(read, tmp_path, category):
    content = document(person(1, category_id=category), category=PEOPLE | {"id": category})
    content["categories"].append({"id": 1, "name": "horse"})
    boxes = [
        {"image_id": 0, "category_id": c, "bbox": [x, 105, 90, 225], "score": 0.9}
        for c, x in ((category, 115), (1, 20))
    ]
    (tmp_path / "boxes.json").write_text(json.dumps(boxes))
    data = read(content, boxes="boxes.json")
    assert data.rows.box.tolist() == [[115, 105, 205, 330]]
    (tmp_path / "boxes.json").write_text(json.dumps(boxes[1:]))
    with pytest.raises(ValueError, match=rf"none of its 0 boxes of people .*category {category}"):
        read(content, boxes="boxes.json")


def test_a_test_without_labels_has_the_boxes_of_a_detector(tmp_path):
    picture(tmp_path / "images/0.jpg")
    (tmp_path / "boxes.json").write_text(
        json.dumps([{"image_id": 0, "category_id": 1, "bbox": BOX, "score": 0.9}] * 2)
    )
    content = document(category={"id": 1, "name": "person"})
    del content["annotations"]
    (tmp_path / "testdev.json").write_text(json.dumps(content))
    data = coco(tmp_path, "test", "testdev.json", "images", boxes="boxes.json", size=(48, 64))
    assert len(data) == 2
    assert data.truth().annotated_people("coco")["annotations"] == []
    with pytest.raises(ValueError, match="no person in it can be used"):
        coco(tmp_path, "test", "testdev.json", "images")


def test_an_image_that_is_there_twice_counts_once(read):
    content = document(person(1), person(2, image=1), images=(0, 1, 0))
    assert len(read(content).annotations.pictures) == 2
    content["images"][2]["width"] = 301
    with pytest.raises(ValueError, match=r"images\[2\]: id 0 is also that of images\[0\]"):
        read(content)


def test_missing_images_are_listed_when_the_data_set_is_made(read):
    people = [person(n, image=n) for n in range(9)]
    with pytest.raises(
        FileNotFoundError, match=r"images/2\.jpg: no such image file; so are 3\.jpg.* 7 of the 9"
    ):
        read(document(*people, images=range(9)))


def turned(path, orientation):
    """The JPEG with a note of the camera that programs turn it by (6: a quarter to the right)."""
    note = b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0" + bytes([orientation, 0, 0, 0])
    note += b"\0\0\0\0"
    data = path.read_bytes()
    segment = b"\xff\xe1" + (len(note) + 2).to_bytes(2) + note
    path.write_bytes(data[:2] + segment + data[2:])
    return path


@pytest.fixture(params=[3, 6])
def phone(request, tmp_path):
    """A photo 150 x 200 if it is upright, stored otherwise, with a green spot at (50, 30)."""
    upright = np.zeros((200, 150, 3), np.uint8)
    cv2.circle(upright, (50, 30), 8, (0, 255, 0), -1)
    stored = np.rot90(upright, 2 if request.param == 3 else 1)
    (tmp_path / "images").mkdir()
    cv2.imwrite(str(tmp_path / "images/0.jpg"), np.ascontiguousarray(stored))
    return turned(tmp_path / "images/0.jpg", request.param)


def test_own_photos_are_read_upright_and_benchmarks_as_stored(phone):
    image = picture_files.read(phone, upright=True)
    assert image.shape == (200, 150, 3)
    assert image[30, 50].tolist() == pytest.approx([0, 255, 0], abs=12)
    assert picture_files.size(phone, upright=True) == (150, 200)
    assert picture_files.read(phone)[30, 50].max() < 12
    assert picture_files.read(phone).shape[1::-1] == picture_files.size(phone)
    photo, _ = photo_sample(phone, [[45, 25, 20, 20]], (96, 128), "udp", (0,) * 3, (1,) * 3)
    assert photo[30, 50].tolist() == image[30, 50].tolist()


def test_labels_of_own_data_sets_refer_to_upright_photos(phone, tmp_path):
    some = person(1, bbox=[20, 10, 80, 150])
    some["keypoints"][:2] = [50, 30]
    content = document(some)
    content["images"][0] |= {"width": 150, "height": 200}
    (tmp_path / "a.json").write_text(json.dumps(content))
    data = custom(tmp_path, {"test": "a.json"}, "coco17", "test", size=(96, 128))
    sample = data[0]
    x, y = sample["keypoints"][0].round().int().tolist()
    colour = sample["image"][:, y, x].numpy() * data.std + np.array(data.mean)
    assert colour.tolist() == pytest.approx([0, 255, 0], abs=25)
    assert data.summary()["images"] == "upright, by EXIF"
    raw = custom(tmp_path, {"test": "a.json"}, "coco17", "test", size=(96, 128), upright=False)
    assert raw.summary()["images"] == "as stored"


def test_an_error_names_exif_if_labels_refer_to_the_stored_photo(phone, tmp_path):
    width, height = picture_files.size(phone)
    content = document(person(1, bbox=[20, 10, 80, 150]))
    content["images"][0] |= {"width": width, "height": height}
    (tmp_path / "a.json").write_text(json.dumps(content))
    if (width, height) == (150, 200):  # half a turn keeps the size, so labels of both fit
        assert len(custom(tmp_path, {"test": "a.json"}, "coco17", "test", size=(96, 128))) == 1
        return
    with pytest.raises(ValueError, match=r"its EXIF turns it: dataset\.upright=false"):
        custom(tmp_path, {"test": "a.json"}, "coco17", "test", size=(96, 128))[0]


def test_photos_are_in_natural_order_without_hidden_files(tmp_path):
    for n in (1, 2, 10, 11):
        picture(tmp_path / f"{n}.jpg")
    for name in ("._1.jpg", ".DS_Store", "._000342.json"):
        (tmp_path / name).write_bytes(b"\0\5\x16\7")
    assert [path.name for path in photo_files(tmp_path)] == ["1.jpg", "2.jpg", "10.jpg", "11.jpg"]
