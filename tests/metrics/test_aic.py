"""AI Challenger's two figures: the official one as by its code, and their difference."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from helpers.annotations import truth

from posediff.metrics.aic import aic_coco, aic_official
from posediff.metrics.coco import CocoAP
from posediff.pose.oks import oks
from posediff.pose.skeleton import AIC, skeleton
from posediff.truth import Truth


def annotated(images):
    return truth(images, "aic14", "0.53*w*h")


@pytest.fixture(scope="module")
def golden(shared):
    stored = json.loads((shared / "golden/aic_eval.json").read_text())
    name = "official_example_first60"
    return stored["cases"][name] | stored["expected"][name]


def official(images):
    return CocoAP(annotated(images), aic_official(), nms="none")


def found(images):
    return [
        {"image_id": image["image_id"], "keypoints": values}
        for image in images
        for _, values in sorted(image["keypoint_annotations"].items())
    ]


def test_official_score_is_that_of_the_official_code(golden, scored):
    figures = scored(official(golden["gt"]), found(golden["pred"]))
    assert next(iter(figures)) == "aic/mAP_official/mean"
    assert figures["aic/mAP_official/mean"] == pytest.approx(golden["score"], abs=1e-8)


def test_official_similarity_is_that_of_the_official_code(golden):
    answers = {image["image_id"]: image["keypoint_annotations"] for image in golden["pred"]}
    compared = 0
    for image in golden["gt"]:
        name, people = image["image_id"], image["keypoint_annotations"]
        if name not in golden["oks"] or name not in answers:
            continue
        boxes = np.array([image["human_annotations"][human] for human in people], float)
        truth, pred = (
            torch.tensor(list(x.values()), dtype=torch.float64).reshape(-1, 14, 3)
            for x in (people, answers[name])
        )
        area = torch.from_numpy((boxes[:, 2:] - boxes[:, :2]).prod(1)) + 1
        mine = oks(pred[..., :2], truth[..., :2], area, AIC, truth[..., 2] == 1)
        np.testing.assert_allclose(mine.T, golden["oks"][name], atol=1e-8)
        compared += mine.numel()
    assert compared > 300


def moved(images):
    """The sensitive case of spec/image2d.md: every joint is off by .02 of its person's size."""
    people, k = [], 0
    for n, image in enumerate(images):
        for human, values in sorted(image["keypoint_annotations"].items()):
            x1, y1, x2, y2 = image["human_annotations"][human]
            s, points = math.sqrt((x2 - x1) * (y2 - y1)), list(values)
            for i in range(14):
                points[3 * i] += 0.02 * s * math.sin(1 + i + n)
                points[3 * i + 1] += 0.02 * s * math.cos(2 + 3 * i + n)
                points[3 * i + 2] = 1
            people.append(
                {"image_id": image["image_id"], "keypoints": points, "score": 1 - 1e-4 * k}
            )
            k += 1
    return people


def test_the_two_figures_differ_and_agree_on_equal_joints_and_areas(golden, scored):
    """The official score is COCO's recall over visible joints and whole boxes, if every person has
    one answer."""
    people = moved(golden["gt"])
    own = scored(official(golden["gt"]), people)["aic/mAP_official/mean"]
    usual = scored(CocoAP(annotated(golden["gt"]), aic_coco(), nms="none"), people)
    assert own - usual["aic/AP/mean"] > 0.2
    assert own - usual["aic/AR/mean"] > 0.15

    same = annotated(golden["gt"]).people()
    for person in same["annotations"]:
        person["area"] = person["bbox"][2] * person["bbox"][3] + 1
        person["keypoints"][2::3] = [2 * (v == 2) for v in person["keypoints"][2::3]]
    given = Truth("aic14", people=lambda: same)
    recall = scored(CocoAP(given, nms="none"), people)["AR/mean"]
    assert own == pytest.approx(recall, abs=1e-12)


def image(name, *people, box=(0, 0, 100, 100)):
    humans = {f"human{i}": values for i, values in enumerate(people, 1)}
    return {
        "image_id": name,
        "human_annotations": {human: list(box) for human in humans},
        "keypoint_annotations": humans,
    }


def person(x, v=1):
    return [value for _ in range(14) for value in (x, x, v)]


def test_official_denominators_answers_used_twice_and_hidden_joints(scored):
    def score(images, answers, at="a"):
        rows = [{"image_id": at, "keypoints": values} for values in answers]
        return scored(official(images), rows)["aic/mAP_official/mean"]

    here = person(10)
    assert score([image("a", here)], [here]) == 1.0
    assert score([image("a", here, here)], [here]) == 1.0  # one answer serves both
    assert score([image("a", here)], [here, person(90)]) == 0.5  # an answer too many
    assert score([image("a", here), image("b", here)], [here]) == 0.5  # an image unanswered
    assert score([image("a", here), image("b")], [here], "b") == 0.0  # and one without people
    assert score([image("a", here, person(10, 2))], [here]) == 0.5  # hidden joints do not count
    half = here[:21] + person(90, 2)[21:]
    assert score([image("a", half)], [here]) == 1.0


def test_the_layout_is_the_right_side_first():
    assert skeleton("aic14").joints[:2] == ("right_shoulder", "right_elbow")
    given = annotated([image("a", person(1))])
    assert CocoAP(given, aic_coco()).sigmas == AIC
    other = replace(given, skeleton="crowdpose14")
    for evaluator in (aic_coco(), aic_official()):
        with pytest.raises(ValueError, match="joints of aic14, not crowdpose14: set eval=coco"):
            CocoAP(other, evaluator)
