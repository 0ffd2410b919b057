"""Samples of people in images: pixels and joints move together under all options."""

import json

import cv2
import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from posediff.data.pictures import annotations
from posediff.data.pictures.augment import MMPOSE, Augmentation
from posediff.data.pictures.coco_format import coco, crowdpose
from posediff.data.pictures.top_down import TopDownDataset
from posediff.pose.affine import affine, box_to_center_scale, invert, transform
from posediff.pose.skeleton import skeleton

CROWD = skeleton("crowdpose14")
SIZE = (96, 128)
SHAPES = {
    "image": (3, 128, 96), "affine": (2, 3), "center": (2,), "scale": (2,), "area": (),
    "keypoints": (14, 2), "visible": (14,), "keypoints_annotation": (14, 2),
    "visible_annotation": (14,), "box": (4,), "box_score": (),
}  # fmt: skip


def data(photos, **options):
    path = photos.save()
    people = annotations.checked(path, annotations.load(path), CROWD, photos.images)
    return TopDownDataset(people, photos.images, **{"size": SIZE, **options})


def dotted(photos, height=90, width=120):
    """A person whose left wrist is a red dot and right ankle a green one, on black."""
    points = np.random.default_rng(1).uniform((25, 15), (95, 75), (14, 2)).round()
    points[4], points[11] = (40, 30), (80, 60)
    pixels = np.zeros((height, width, 3), np.float32)
    y, x = np.mgrid[:height, :width]
    for joint, channel in ((4, 0), (11, 1)):
        square = (x - points[joint, 0]) ** 2 + (y - points[joint, 1]) ** 2
        pixels[..., channel] = 255 * np.exp(-square / (2 * 2.5**2))
    photos.person(photos.picture(pixels.round().astype(np.uint8)), points)


def test_a_batch_has_its_shapes_and_types(two):
    batch = data(two, training=True).__getitems__([1, 0, 1])
    for key, shape in SHAPES.items():
        assert (batch[key].shape, batch[key].dtype) == ((3, *shape), torch.float32), key
        assert batch[key].isfinite().all()
    assert batch["id"] == ["1/2", "1/1", "1/2"]
    assert batch.keys() == {"id", "meta", *SHAPES}
    assert batch["meta"]["image_id"] == [1, 1, 1]
    assert batch["meta"]["annotation_id"] == [2, 1, 2]
    assert batch["meta"]["path"] == [str(two.images / "1.png")] * 3


def test_a_row_is_a_batch_of_one_without_its_first_dimension(two):
    people = data(two, training=True)
    row, batch = people[1], people.__getitems__([0, 1])
    for key, shape in SHAPES.items():
        assert row[key].shape == shape
        assert torch.equal(row[key], batch[key][1])
    assert row["id"] == "1/2"
    assert row["meta"]["annotation_id"] == 2


def test_the_crop_is_that_of_the_cleaned_and_padded_box(two):
    people = data(two, codec="dark")
    sample = people.__getitems__([0, 1])
    entry = torch.tensor([a["bbox"] for a in two.data["annotations"]])
    entry[:, 2:] -= 1  # HRNet's rule
    center, scale = box_to_center_scale(entry, 0.75)
    torch.testing.assert_close(sample["center"], center)
    torch.testing.assert_close(sample["scale"], scale)
    torch.testing.assert_close(sample["affine"], affine(center, scale, SIZE))
    torch.testing.assert_close(sample["box"][:, 2:], entry[:, :2] + entry[:, 2:])
    udp = data(two, codec="udp")[0]["affine"]
    torch.testing.assert_close(udp, affine(center[0], scale[0], SIZE, udp=True))
    whole = data(two, box_rule="mmpose")[0]["box"]
    torch.testing.assert_close(whole[2:], entry[0, :2] + entry[0, 2:] + 1)


def test_a_crop_is_normalised_with_the_backbone_s_figures(photos):
    pixels = np.empty((60, 60, 3), np.uint8)
    pixels[:] = (200, 100, 50)
    photos.person(photos.picture(pixels), np.random.default_rng(0).uniform(20, 40, (14, 2)))
    image = data(photos, mean=(10, 20, 30), std=(2, 4, 8))[0]["image"]
    assert image[:, 64, 48].tolist() == [95, 20, 2.5]


@pytest.mark.parametrize("codec", ["udp", "quarter"])
@pytest.mark.parametrize("augment", ["hrnet", MMPOSE])
def test_joints_move_with_their_pixels_and_change_sides_in_a_mirror(photos, codec, augment):
    dotted(photos)
    people = data(photos, training=True, augment=augment, codec=codec, mean=[0] * 3, std=[1] * 3)
    y, x = torch.meshgrid(torch.arange(128.0), torch.arange(96.0), indexing="ij")
    found = {True: 0, False: 0}
    for epoch in range(60):
        people.set_epoch(epoch)
        sample = people[0]
        flipped = bool(torch.linalg.det(sample["affine"][:, :2]) < 0)
        for channel, joint in ((0, 4), (1, 11)):
            joint = CROWD.flip[joint] if flipped else joint
            spot, point = sample["image"][channel], sample["keypoints"][joint]
            wide = 2.5 * 3.5 * 96 / float(sample["scale"][0])
            if (point < wide).any() or (point > torch.tensor(SIZE) - wide).any():
                continue
            mean = torch.stack([(spot * x).sum(), (spot * y).sum()]) / spot.sum()
            assert (mean - point).abs().max() < 0.15
            found[flipped] += 1
    assert min(found.values()) > 15


def test_the_affine_leads_back_from_the_crop_to_the_annotation(two):
    people = data(two, training=True)
    for epoch in range(8):
        people.set_epoch(epoch)
        sample = people.__getitems__([0, 1])
        back = transform(sample["keypoints"], invert(sample["affine"]))
        flipped = torch.linalg.det(sample["affine"][..., :2]) < 0
        own = torch.where(flipped[:, None, None], back[:, CROWD.flip], back)
        torch.testing.assert_close(own, sample["keypoints_annotation"], atol=1e-3, rtol=0)


@pytest.mark.parametrize("flip", [0.0, 1.0])
def test_the_middle_of_the_view_is_that_of_the_crop_in_a_mirror_too(two, flip):
    people = data(two, training=True, augment=Augmentation(flip=flip), codec="udp")
    sample = people.__getitems__([0, 1])
    middle = transform(sample["center"][:, None], sample["affine"])[:, 0]
    torch.testing.assert_close(middle, torch.tensor([[47.5, 63.5]] * 2), atol=1e-3, rtol=0)


def test_a_label_changes_sides_in_a_mirror_too(photos):
    flags = [2, 0, 1, *[2] * 11]
    points = np.random.default_rng(0).uniform(10, 50, (14, 2))
    photos.person(photos.picture(np.zeros((60, 60, 3), np.uint8)), points, flags)
    sample = data(photos, training=True, augment=Augmentation(flip=1.0))[0]
    assert sample["visible"][:3].tolist() == [0, 1, 1]
    assert sample["visible_annotation"][:3].tolist() == [2, 0, 1]
    assert not sample["keypoints"][0].any()


def test_augmentation_depends_on_seed_sample_and_epoch_alone(two):
    def shown(seed=0, epoch=0, rows=(0, 1)):
        people = data(two, training=True, seed=seed)
        people.set_epoch(epoch)
        return people.__getitems__(list(rows))

    first, turned = shown(), shown(rows=(1, 0, 1))
    for key in ("image", "affine", "keypoints"):
        assert torch.equal(first[key][0], turned[key][1])
        assert torch.equal(first[key][1], turned[key][2])
    for other in (shown(seed=1), shown(epoch=1)):
        assert not torch.equal(first["affine"], other["affine"])
    still = data(two, training=False)
    before = still[0]["affine"]
    still.set_epoch(5)
    assert torch.equal(before, still[0]["affine"]), "augmentation is for training only"


def test_a_loader_s_workers_give_the_same_batches(two):
    def batches(workers):
        people = data(two, training=True)
        return list(DataLoader(people, 1, num_workers=workers, collate_fn=lambda batch: batch))

    for one, other in zip(batches(0), batches(1), strict=True):
        assert one["id"] == other["id"]
        assert torch.equal(one["image"], other["image"])


@pytest.mark.parametrize(
    "more",
    [
        {"iscrowd": 1},
        {"num_keypoints": 0},
        {"area": 0},
        {"bbox": [200, 10, 20, 20]},
        {"bbox": [10, 10, 0, 0]},
        {"bbox": [10, 10, 1, 1]},
    ],
    ids=str,
)
def test_who_cannot_be_used_is_left_out_and_counted(two, more):
    two.data["annotations"][0] |= more
    people = data(two)
    assert [people[i]["id"] for i in range(len(people))] == ["1/2"]
    assert people.left_out == 1
    assert people.summary()["people"] == 1
    assert people.summary()["left_out"] == 1
    two.data["annotations"][1] |= more
    with pytest.raises(ValueError, match=r"people\.json: no person in it can be used"):
        data(two)


def test_a_box_that_leaves_the_picture_is_cut(two):
    two.data["annotations"][0]["bbox"] = [-10, -10, 500, 500]
    assert data(two)[0]["box"].tolist() == [0, 0, 79, 59]


def test_a_box_left_of_the_picture_is_pushed_into_it_by_hrnet_s_rule_alone(two):
    two.data["annotations"][0]["bbox"] = [-30, 10, 20, 20]
    assert data(two)[0]["box"].tolist() == [0, 10, 19, 29]
    assert data(two, box_rule="mmpose")[0]["id"] == "1/2"


@pytest.mark.parametrize("size", [(0, 5), (96, 1), (96,)])
def test_a_crop_of_no_size_is_an_error(two, size):
    with pytest.raises(ValueError, match=r"dataset\.size is width and height of the crop, got \["):
        data(two, size=size)


def test_rows_are_in_the_pictures_order_and_a_picture_is_read_once_a_batch(two, monkeypatch):
    image = two.picture(np.zeros((60, 80, 3), np.uint8))
    points = np.random.default_rng(0).uniform(5, 50, (14, 2))
    two.person(image, points)
    two.person(1, points)
    people, read = data(two), []
    monkeypatch.setattr(
        people, "_picture", lambda n: read.append(n) or np.zeros((60, 80, 3), np.uint8)
    )
    batch = people.__getitems__([0, 3, 1, 2])
    assert batch["meta"]["annotation_id"] == [1, 3, 2, 4]
    assert read == [0, 1]


def test_a_picture_that_is_not_as_annotated_is_named(two):
    cv2.imwrite(str(two.images / "1.png"), np.zeros((80, 60, 3), np.uint8))
    with pytest.raises(ValueError, match=r"1\.png: the image is 60x80, but .*people\.json was .*"):
        data(two)[0]
    (two.images / "1.png").write_bytes(b"")
    with pytest.raises(ValueError, match=r"1\.png: the image is empty"):
        data(two)[0]
    (two.images / "1.png").unlink()
    with pytest.raises(FileNotFoundError, match=r"1\.png: no such image file"):
        data(two)[0]
    (two.images).rmdir()
    with pytest.raises(FileNotFoundError, match=r"images: no such folder of images"):
        data(two)


def detected(photos, entries, **options):
    (photos.root / "boxes.json").write_text(json.dumps(entries))
    return data(photos, root=photos.root, boxes="boxes.json", **options)


BOX = {"image_id": 1, "category_id": 1, "bbox": [10, 10, 30, 40], "score": 0.75}


def test_boxes_of_a_detector_are_taken_as_they_are(two):
    outside = BOX | {"bbox": [300, 10, 30, 40], "score": 0.25}
    others = [BOX | {"category_id": 2}, BOX | {"image_id": 7}, BOX | {"bbox": [1, 1, 0, 9]}]
    people = detected(two, [BOX, *others, outside])
    sample = people.__getitems__([0, 1])
    assert sample["id"] == ["1/box0", "1/box1"]
    assert people.left_out == 2
    assert sample["box"].tolist() == [[10, 10, 40, 50], [300, 10, 330, 50]]
    assert sample["box_score"].tolist() == [0.75, 0.25]
    assert sample["area"].tolist() == [1200] * 2
    assert not sample["visible"].any()
    assert not sample["keypoints"].any()
    assert people.summary()["boxes"] == "boxes.json"
    assert data(two).summary()["boxes"] == "gt"


def test_of_a_detector_s_boxes_that_overlap_the_better_stays_where_asked(two):
    two.picture(np.zeros((60, 80, 3), np.uint8))
    two.save()
    copy = BOX | {"bbox": [11, 10, 30, 40], "score": 0.9}
    entries = [BOX | {"image_id": 2}, BOX, copy, BOX | {"bbox": [40, 10, 30, 40]}]
    assert len(detected(two, entries)) == 4
    people = detected(two, entries, box_nms=0.5)
    assert people.rows.picture.tolist() == [0, 0, 1]
    assert people.rows.box[:, 0].tolist() == [11, 40, 10]
    assert (people.left_out, people.summary()["box_nms"]) == (1, 0.5)


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ({"annotations": []}, r"boxes\.json: no list of detections"),
        ([1], r"boxes\.json: no list of detections"),
        ([], r"boxes\.json: none of its 0 boxes of people is in an image of .*people"),
        ([BOX | {"image_id": 9}], r"boxes\.json: none of its 1 boxes of people is in"),
        ([BOX | {"image_id": [1]}], r"boxes\.json: none of its 1 boxes of people is in"),
        ([BOX, BOX | {"bbox": [1, 2, float("nan"), 4]}], r"boxes\.json: \[1\]: bbox must be 4 fin"),
        ([BOX, BOX | {"score": None}], r"boxes\.json: \[1\]: score must be a finite number"),
        ([BOX | {"bbox": [1, 2, 0, 0]}], r"boxes\.json: no person in it can be used"),
    ],
)
def test_boxes_that_cannot_be_used_are_named(two, entries, message):
    for box_nms in (1.0, 0.5):
        with pytest.raises(ValueError, match=message):
            detected(two, entries, box_nms=box_nms)


def test_real_detections_and_boxes_of_coco_and_crowdpose_are_read(shared):
    samples = shared / "data/samples"
    of_coco = {"annotations": "test_coco.json", "images": ".", "size": SIZE}
    found = coco(samples / "coco", "test", boxes="test_coco_det_AP_H_56.json", **of_coco)
    given = coco(samples / "coco", "test", **of_coco)
    assert len(found) == 118
    assert len(given) == 12
    crowd = crowdpose(
        samples / "crowdpose",
        "test",
        boxes="test_crowdpose_det_AP_40.json",
        annotations="test_crowdpose.json",
        images=".",
    )
    assert len(crowd) == 6
    for people in (found, given, crowd):
        assert people.__getitems__(list(range(5)))["image"].std() > 0.3


def test_boxes_of_heads_are_in_the_sample_if_the_file_has_any(photos):
    image = photos.picture(np.full((60, 80, 3), 90, np.uint8))
    points = np.random.default_rng(0).uniform((5, 5), (70, 50), (14, 2))
    photos.person(image, points, bbox_head=[10, 12, 8, 6])
    photos.person(image, points)
    photos.save()
    boxes = data(photos).__getitems__([0, 1])["head_box"]
    assert boxes[0].tolist() == [10, 12, 18, 18]
    assert boxes[1].isnan().all()
    for person in photos.data["annotations"]:
        person.pop("bbox_head", None)
    photos.save()
    assert "head_box" not in data(photos)[0]


@pytest.mark.parametrize(("key", "place"), [("keypoints", 0), ("bbox", 2), ("area", None)])
def test_the_digest_of_the_labels_follows_every_correction(two, key, place):
    before = data(two).summary()["labels"]
    assert data(two).summary()["labels"] == before
    person = two.data["annotations"][0]
    if place is None:
        person[key] += 1
    else:
        person[key][place] += 1
    assert data(two).summary()["labels"] != before
