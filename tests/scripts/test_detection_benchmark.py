"""benchmarks/detection.py: which box is of whom, and what a row counts."""

import json

import cv2
import numpy as np
import pytest
import torch
from helpers.commands import SCRIPTS, module


@pytest.fixture(scope="module")
def detection():
    return module(SCRIPTS.parent / "benchmarks/detection.py")


def test_the_surest_box_takes_the_free_person_that_it_overlaps_most(detection):
    truth = torch.tensor([[0.0, 0, 10, 10], [0, 0, 10, 16]])
    found = torch.tensor([[0.0, 0, 10, 10], [0, 0, 10, 11], [0, 0, 10, 10], [50, 50, 60, 60]])
    assert detection.matched(found, truth) == {0: 0, 1: 1}
    assert detection.matched(found[3:], truth) == {}


def test_the_share_of_a_box_in_a_crowd(detection):
    found = torch.tensor([[0.0, 0, 10, 10], [5, 0, 15, 10]])
    crowds = torch.tensor([[0.0, 0, 8, 20], [100, 100, 101, 101]])
    assert detection.inside(found, crowds).tolist() == pytest.approx([0.8, 0.3])
    assert detection.inside(found, crowds[:0]).tolist() == [0, 0]


def test_a_row_counts_people_with_joints_and_boxes_of_nobody(detection, tmp_path, monkeypatch):
    (tmp_path / "images").mkdir()
    cv2.imwrite(str(tmp_path / "images/a.png"), np.zeros((200, 300, 3), np.uint8))

    def person(box, joints=1, crowd=0):
        area = box[2] * box[3]
        entry = {"image_id": 1, "bbox": box, "area": area, "num_keypoints": joints}
        return entry | {"iscrowd": crowd}

    people = [person([0, 0, 100, 100]), person([0, 0, 20, 20]), person([40, 150, 9, 9])]
    people += [person([150, 0, 20, 20], joints=0), person([200, 100, 90, 90], 0, crowd=1)]
    labels = {"images": [{"id": 1, "file_name": "a.png"}], "annotations": people}
    (tmp_path / "labels.json").write_text(json.dumps(labels))
    boxes = [[0, 0, 100, 99], [0, 0, 19, 20], [150, 0, 170, 20], [210, 110, 220, 120]]
    found = torch.tensor([*boxes, [250, 10, 260, 30]]).float(), torch.arange(5, 0, -1) / 10
    monkeypatch.setattr(detection, "detect", lambda *_, threshold: found)
    assert detection.photos_row(tmp_path, 0.5) == "| 0.5 | 1 of 1 | 1 of 2 | 5 | 1 | 1 |"
