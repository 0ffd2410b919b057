"""Boxes of people: by hand from planted maps, and in photos (data/coco_mini)."""

import json

import numpy as np
import pytest
import torch

from posediff import load
from posediff.data.pictures import picture_files
from posediff.inference.person_boxes import detect, detector_input, person_boxes


def maps(people, height=20, width=30):
    """Maps with these people: row, column, score, offset (y, x), scale (height, width)."""
    made = {"center": torch.full((1, 1, height, width), -9.0)}
    made |= {name: torch.zeros(1, 2, height, width) for name in ("box_offset", "box_scale")}
    for row, column, score, offset, scale in people:
        made["center"][0, 0, row, column] = torch.tensor(score).logit()
        made["box_offset"][0, :, row, column] = torch.tensor(offset)
        made["box_scale"][0, :, row, column] = torch.tensor(scale)
    return made


def test_a_box_is_read_at_its_cell():
    found = person_boxes(maps([(5, 12, 0.7, (0.5, -1.0), (8.0, 3.0))]))
    middle = torch.tensor([4 * (12 - 1.0), 4 * (5 + 0.5)])  # x, y
    half = torch.tensor([4 * 3.0, 4 * 8.0]) / 2
    torch.testing.assert_close(found.boxes, torch.cat([middle - half, middle + half])[None])
    torch.testing.assert_close(found.scores, torch.tensor([0.7]))


def test_only_the_best_of_neighbours_above_the_threshold_counts():
    size = (0.0, 0.0), (2.0, 2.0)
    people = [(5, 5, 0.5, *size), (5, 6, 0.4, *size), (5, 12, 0.9, *size), (9, 20, 0.1, *size)]
    assert person_boxes(maps(people)).scores.tolist() == pytest.approx([0.9, 0.5])
    assert len(person_boxes(maps(people), threshold=0.05).boxes) == 3
    assert person_boxes(maps([])).boxes.shape == (0, 4)


def test_of_two_boxes_that_overlap_the_better_one_stays():
    large = (10.0, 10.0)
    people = [(8, 8, 0.5, (0.0, 0.0), large), (8, 10, 0.6, (0.0, 0.0), large)]  # 80 of 120 shared
    assert person_boxes(maps(people)).scores.tolist() == pytest.approx([0.6])
    assert len(person_boxes(maps(people), apart=0.7).boxes) == 2


@pytest.mark.parametrize(
    ("shape", "inside"), [((100, 64), (256, 164)), ((60, 120), (128, 256)), ((2, 900), (1, 256))]
)
def test_a_picture_is_scaled_to_its_longer_side_and_padded(shape, inside):
    image, factor = detector_input(np.full((*shape, 3), 255, np.uint8), 256)
    assert factor == 256 / max(shape)
    assert all(side % 32 == 0 for side in image.shape[-2:])
    assert torch.equal(image[..., : inside[0], : inside[1]], torch.ones(1, 3, *inside))
    assert image.sum() == 3 * inside[0] * inside[1]


def test_boxes_of_a_picture_are_in_its_pixels_and_inside_it():
    def network(image):
        height, width = image.shape[-2] // 4, image.shape[-1] // 4
        return maps([(8, 0, 0.9, (0.0, 0.0), (6.0, 4.0))], height, width)

    (box,) = detect(network, np.zeros((64, 128, 3), np.uint8)).boxes.tolist()
    assert box == [0, (4 * 8 - 12) / 2, 8 / 2, (4 * 8 + 12) / 2]


def overlaps(a, b):
    low, high = torch.maximum(a[:, None, :2], b[:, :2]), torch.minimum(a[:, None, 2:], b[:, 2:])
    shared = (high - low).clamp(min=0).prod(-1)
    return shared / (
        (a[:, 2:] - a[:, :2]).prod(-1)[:, None] + (b[:, 2:] - b[:, :2]).prod(-1) - shared
    )


def test_people_in_photos_are_found(shared):
    """Measured on the 28 photos: 28 of 31 people above 96 x 96 pixels and 26 of 55 others, in 88
    boxes."""
    network = load("people")
    root = shared / "data/coco_mini"
    labels = json.loads((root / "person_keypoints_train2017.json").read_text())
    seen, count = {True: [], False: []}, 0
    for picture in labels["images"]:
        pixels = picture_files.read(root / "images" / picture["file_name"])
        boxes = detect(network.answers, pixels).boxes
        count += len(boxes)
        for person in labels["annotations"]:
            if person["image_id"] != picture["id"] or not person["num_keypoints"]:
                continue
            x, y, w, h = person["bbox"]
            best = overlaps(torch.tensor([[x, y, x + w, y + h]]), boxes).amax() if len(boxes) else 0
            seen[person["area"] > 96**2].append(bool(best >= 0.5))
    assert (len(seen[True]), len(seen[False])) == (31, 55)
    assert sum(seen[True]) >= 27
    assert sum(seen[False]) >= 24
    assert count <= 92
