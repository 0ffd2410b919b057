"""CrowdPose's figures as by its official code and xtcocotools, and on its validation labels."""

import json
from collections import Counter

import numpy as np
import pytest
from helpers.annotations import truth

from posediff.metrics.coco import CocoAP
from posediff.metrics.crowdpose import crowdpose

NAMES = ["AP", "AP50", "AP75", "AR", "AR50", "AR75", "AP_easy", "AP_medium", "AP_hard"]


def metric(gt):
    """The metric of an annotation file's content."""
    given = truth(gt, "crowdpose14", "0.53*w*h", ["num_keypoints"])
    return CocoAP(given, crowdpose(), nms="none")


@pytest.fixture(scope="module")
def cases(shared):
    return json.loads((shared / "golden/crowdpose_eval_cases.json").read_text())


@pytest.fixture(scope="module")
def expected(shared):
    return json.loads((shared / "golden/crowdpose_eval_expected.json").read_text())


@pytest.fixture(scope="module")
def labels(shared):
    return json.loads((shared / "data/annotations_only/crowdpose_val.json").read_text())


def nine(figures):
    return [figures[f"{name}/mean"] for name in NAMES]


@pytest.mark.parametrize("name", ["synthetic_24img", "xtcocoapi_example_crowdpose"])
def test_nine_figures_are_those_of_both_evaluators(cases, expected, scored, name):
    figures = scored(metric(cases[name]["gt"]), cases[name]["dt"])
    assert list(figures)[:9] == [f"{name}/mean" for name in NAMES]
    mine, golden = nine(figures), expected[name]
    np.testing.assert_allclose(mine, golden["xtcocotools_1.14.3_stats9"], rtol=0, atol=1e-9)
    official = [
        x for i, x in enumerate(golden["crowdposetools_86fe5e1_stats11"]) if i not in (3, 4)
    ]
    np.testing.assert_allclose(mine, official, rtol=0, atol=1e-9)


def test_validation_labels_are_those_that_are_described(labels):
    whole = metric(labels)
    summary = whole.summary()
    assert (summary["annotated_images"], summary["annotated_people"]) == (2000, 8527)
    people = whole.truth["annotations"]
    assert sum(person["iscrowd"] for person in people) == 106
    unlabelled = [person for person in people if not person["num_keypoints"]]
    assert len(unlabelled) == 1453
    assert sum((person["keypoints"][2::3] > 0).any() for person in unlabelled) == 954
    crowds = Counter(
        "easy" if x["crowdIndex"] < 0.2 else "medium" if x["crowdIndex"] < 0.8 else "hard"
        for x in labels["images"]
    )
    assert crowds == {"easy": 411, "medium": 1240, "hard": 349}


def part(labels, images):
    """Some of the images with their people."""
    kept = {image["id"] for image in images}
    people = [person for person in labels["annotations"] if person["image_id"] in kept]
    return labels | {"images": images, "annotations": people}


def test_the_truth_is_perfect_everywhere(labels, scored):
    some = part(labels, labels["images"][:40])
    found = [p for p in some["annotations"] if p["num_keypoints"]]
    assert nine(scored(metric(some), found)) == [1.0] * 9


def test_counting_joints_again_changes_the_figures(labels, scored):
    """The stored count ignores people with only head or neck labelled."""
    some = part(labels, labels["images"][:40])
    recounted = json.loads(json.dumps(some))
    for person in recounted["annotations"]:
        person["num_keypoints"] = sum(v > 0 for v in person["keypoints"][2::3])
    found = [p for p in some["annotations"] if p["num_keypoints"]]
    stored = scored(metric(some), found)
    again = scored(metric(recounted), found)
    assert stored["AR/mean"] == 1.0
    assert again["AR/mean"] < 0.95


@pytest.mark.parametrize(
    ("index", "crowd"), [(0, "easy"), (0.1999, "easy"), (0.2, "medium"), (0.8, "hard"), (3, "hard")]
)
def test_images_belong_to_one_crowd_and_an_empty_one_has_minus_one(labels, scored, index, crowd):
    some = part(labels, [labels["images"][0] | {"crowdIndex": index}])
    found = [p for p in some["annotations"] if p["num_keypoints"]]
    figures = scored(metric(some), found)
    own = {c: figures[f"AP_{c}/mean"] for c in ("easy", "medium", "hard")}
    assert own == {c: 1.0 if c == crowd else -1.0 for c in own}


@pytest.mark.parametrize(
    ("where", "key"), [("images", "crowdIndex"), ("annotations", "num_keypoints")]
)
def test_a_file_that_is_not_crowdposes_is_refused(labels, where, key):
    some = json.loads(json.dumps(part(labels, labels["images"][:2])))
    del some[where][1][key]
    with pytest.raises(ValueError, match=rf"{some[where][1]['id']}.*{key}"):
        metric(some)
