"""Locations of the benchmarks' files, and their splits."""

import json

import numpy as np
import pytest
import torch

from posediff.data.pictures.annotations import checked
from posediff.data.pictures.coco_format import aic, coco, crowdpose, custom, from_raw, held_out
from posediff.pose.skeleton import skeleton

AIC = skeleton("aic14")


def test_real_coco_photographs_are_read(shared):
    root = shared / "data/coco_mini"
    people = coco(root, annotations="person_keypoints_train2017.json", images="images")
    assert len(people) == 86
    assert people.skeleton.name == "coco17"
    assert people.augment is not None
    batch = people.__getitems__([0, 40, 85])
    assert batch["image"].shape == (3, 3, 256, 192)
    assert batch["visible"].sum() > 10


def test_the_converted_sample_of_ai_challenger_is_read(shared):
    where = {"annotations": "test_aic.json", "images": "."}
    people = aic(shared / "data/samples/aic", "test", form="coco", **where)
    sample = people.__getitems__(list(range(9)))
    assert len(people) == 9
    assert people.skeleton.name == "aic14"
    assert people.augment is None
    boxes = torch.from_numpy(people.annotations.boxes).float()
    torch.testing.assert_close(
        sample["area"].sort().values, (0.53 * boxes[:, 2] * boxes[:, 3]).sort().values
    )
    with pytest.raises(
        ValueError, match=r"test_aic\.json: is of the form coco: set dataset\.form=c"
    ):
        aic(shared / "data/samples/aic", "test", form="raw", **where)


def test_both_forms_of_ai_challenger_are_the_same_people(shared, tmp_path):
    """The people of the converted sample, written in the data set's own form."""
    path = shared / "data/samples/aic/test_aic.json"
    data = json.loads(path.read_text())
    raw = []
    for image in data["images"]:
        of = [a for a in data["annotations"] if a["image_id"] == image["id"]]
        joints, boxes = {}, {}
        for n, entry in enumerate(of):
            x, y, w, h = entry["bbox"]
            rows = np.reshape(entry["keypoints"], (14, 3))
            rows[:, 2] = np.array([3, 2, 1])[rows[:, 2].astype(int)]
            joints[f"human{n}"], boxes[f"human{n}"] = rows.flatten().tolist(), [x, y, x + w, y + h]
        name = image["file_name"].removesuffix(".jpg")
        raw.append({"image_id": name, "human_annotations": boxes, "keypoint_annotations": joints})
    converted = checked(path, data, AIC, path.parent, "0.53*w*h")
    people = checked(path, from_raw(path, raw, AIC.joints), AIC, path.parent, "0.53*w*h")
    order = np.argsort(converted.picture, kind="stable")
    for column in ("picture", "keypoints", "visible", "boxes", "area"):
        assert np.array_equal(getattr(people, column), getattr(converted, column)[order]), column
    assert [p[1:4] for p in people.pictures] == [p[1:4] for p in converted.pictures]


@pytest.mark.parametrize(
    "entry",
    [
        {},
        {"image_id": "a", "human_annotations": {"human1": [1, 2, 3, 4]}},
        {"image_id": "a", "human_annotations": {"human1": [1, 2, 3]}, "keypoint_annotations": {}},
        {
            "image_id": "a",
            "human_annotations": {"human1": [1, 2, 3, 4]},
            "keypoint_annotations": {"human1": [1, 2, 0] * 14},
        },
        7,
    ],
)
def test_an_entry_of_ai_challenger_that_is_none_is_named(tmp_path, entry):
    good = {"image_id": "b", "human_annotations": {}, "keypoint_annotations": {}}
    with pytest.raises(ValueError, match=r"a\.json: \[1\]: needs image_id, human_annotations"):
        from_raw(tmp_path / "a.json", [good, entry], AIC.joints)


def many(photos, count):
    for _ in range(count):
        image = photos.picture(np.zeros((9, 12, 3), np.uint8))
        photos.person(image, np.random.default_rng(0).uniform(1, 8, (14, 2)))
    photos.save()
    return {
        "annotations": {"train": "people.json", "test": "people.json"},
        "skeleton": "crowdpose14",
    }


def pictures(people):
    return {p.id for p in people.annotations.pictures}


def test_pictures_are_held_back_for_validation_by_their_ids_alone(photos):
    about = many(photos, 60)
    train, kept, test = (
        custom(photos.root, split=split, validation=0.2, **about)
        for split in ("train", "validation", "test")
    )
    assert pictures(train) | pictures(kept) == pictures(test) == set(range(1, 61))
    assert not pictures(train) & pictures(kept)
    assert 5 <= len(pictures(kept)) <= 20
    every = custom(photos.root, validation=0.0, **about).annotations
    some = held_out(every.subset(np.arange(60) < 20), "train", 0.2)
    first = {picture.id for picture in some.pictures}
    assert first == pictures(train) & set(range(1, 21)), "it does not depend on the other images"
    rest = train.annotations  # nobody of it is below the share: one picture is held out
    one = held_out(rest, "validation", 0.2)
    assert len(one.pictures) == 1
    assert len(held_out(rest, "train", 0.2).pictures) == len(rest.pictures) - 1
    assert len(custom(photos.root, validation=0.0, **about)) == 60
    assert train.augment is not None
    assert kept.augment is None
    assert test.augment is None


def test_a_file_for_validation_leaves_the_training_pictures_whole(photos):
    about = many(photos, 10)
    about["annotations"]["validation"] = "people.json"
    sizes = [len(custom(photos.root, split=s, **about)) for s in ("train", "validation")]
    assert sizes == [10, 10]


def test_boxes_of_a_detector_hold_outside_training_only(photos):
    about = many(photos, 3)
    box = {"image_id": 2, "category_id": 1, "bbox": [1, 1, 5, 5], "score": 1}
    (photos.root / "boxes.json").write_text(json.dumps([box]))
    sizes = [
        len(custom(photos.root, split=s, boxes="boxes.json", validation=0, **about))
        for s in ("train", "test")
    ]
    assert sizes == [3, 1]


@pytest.mark.parametrize("make", [coco, crowdpose, aic])
def test_a_folder_without_the_data_set_is_an_error_that_names_the_key(tmp_path, make):
    with pytest.raises(FileNotFoundError, match=r"look at dataset\.root"):
        make(tmp_path / "nowhere")
    with pytest.raises(ValueError, match="split must be one of train, validation, test, got 'val'"):
        make(tmp_path, "val")


def test_a_custom_set_without_what_is_needed_says_which_key(photos):
    about = many(photos, 3)
    with pytest.raises(ValueError, match="split must be one of"):
        custom(photos.root, split="val", **about)
    with pytest.raises(ValueError, match=r"dataset\.validation is a part of the training images"):
        custom(photos.root, validation=1.0, **about)
    with pytest.raises(ValueError, match=r"no person is left for validation: change dataset\.val"):
        custom(photos.root, split="validation", validation=0.0, **about)
    with pytest.raises(ValueError, match="skeleton must be one of"):
        custom(photos.root, **{**about, "skeleton": "dog"})
    with pytest.raises(ValueError, match=r"dataset\.annotations names no file for test"):
        custom(photos.root, {"train": "people.json"}, "crowdpose14", "test")
    with pytest.raises(ValueError, match="form must be one of raw, coco, got 'mmpose'"):
        aic(photos.root, form="mmpose")


def test_the_crops_of_lspet_are_a_custom_set(shared):
    root = shared / "data/lspet_crops"
    files = {"train": "annotations_train.json", "test": "annotations_test.json"}
    sizes = [
        len(custom(root, files, "crowdpose14", split)) for split in ("train", "validation", "test")
    ]
    assert sizes[0] + sizes[1] == 5017
    assert 200 < sizes[1] < 300
    assert sizes[2] == 279
