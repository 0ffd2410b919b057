"""COCO's figures as by three evaluators (golden/coco_eval_*), and properties of the metric."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from helpers.annotations import truth

from posediff.diffusion.aggregate import Poses
from posediff.metrics.coco import CocoAP
from posediff.pose.oks import oks
from posediff.pose.skeleton import COCO, skeleton

NAMES = ["AP", "AP50", "AP75", "APm", "APl", "AR", "AR50", "AR75", "ARm", "ARl"]
CASES = [
    "mmpose_test_coco",
    "all_scores_tied",
    "no_detections_on_half_images",
    "xtcocoapi_example_coco",
]


def coco(gt, layout="coco17", area="file", whole=True, **options):
    """The metric of an annotation file's content."""
    return CocoAP(truth(gt, layout, area, whole=whole), **options)


@pytest.fixture(scope="module")
def cases(shared):
    found = json.loads((shared / "golden/coco_eval_cases.json").read_text())
    example = json.loads((shared / "golden/coco_eval_case_xtexample.json").read_text())
    found["xtcocoapi_example_coco"] = example
    for case in found.values():  # some name their joints k0, k1, ...
        case["gt"]["categories"][0]["keypoints"] = list(skeleton("coco17").joints)
    return found


@pytest.fixture(scope="module")
def expected(shared):
    return json.loads((shared / "golden/coco_eval_expected.json").read_text())


def ten(figures):
    return [figures[f"{name}/mean"] for name in NAMES]


@pytest.mark.parametrize("name", CASES)
def test_ten_figures_are_those_of_three_evaluators(cases, expected, scored, name):
    case = cases[name]
    figures = scored(coco(case["gt"], nms="none"), case["dt"])
    assert list(figures)[:10] == [f"{name}/mean" for name in NAMES]
    for tool in ("pycocotools_2.0.11", "xtcocotools_1.14.3", "faster_coco_eval_1.8.0"):
        np.testing.assert_allclose(ten(figures), expected[name][tool], rtol=0, atol=1e-9)


@pytest.mark.parametrize("name", CASES)
def test_similarity_is_that_of_the_evaluators(cases, expected, name):
    stored = expected[name]["oks_first_image"]
    gt, dt = (
        [x for x in entries if x["image_id"] == stored["image_id"]]
        for entries in (cases[name]["gt"]["annotations"], cases[name]["dt"])
    )
    labelled = [i for i, person in enumerate(gt) if any(person["keypoints"][2::3])]
    assert labelled
    dt = sorted(dt, key=lambda person: -person["score"])
    found, truth = (
        torch.tensor([x["keypoints"] for x in people], dtype=torch.float64).reshape(-1, 17, 3)
        for people in (dt, gt)
    )
    area = torch.tensor([person["area"] for person in gt], dtype=torch.float64)
    mine = oks(found[..., :2], truth[..., :2], area, COCO, truth[..., 2] > 0)
    golden = np.array(stored["oks_dt_by_score_desc_x_gt"])
    np.testing.assert_allclose(mine[:, labelled], golden[:, labelled], atol=1e-9)


def as_found(people, score=lambda i: 1.0):
    return [
        {"image_id": p["image_id"], "keypoints": p["keypoints"], "score": score(i)}
        for i, p in enumerate(people)
        if any(p["keypoints"][2::3])
    ]


@pytest.mark.parametrize("first", [0, 1, 7])
def test_annotations_may_be_numbered_from_0(cases, scored, first):
    """pycocotools takes the id 0 for "unmatched": AP .869 instead of 1 on these people."""
    gt = json.loads(json.dumps(cases["mmpose_test_coco"]["gt"]))
    for number, person in enumerate(gt["annotations"], first):
        person["id"] = number
    assert ten(scored(coco(gt), as_found(gt["annotations"]))) == [1.0] * 10


def test_images_without_an_answer_count(cases, scored):
    gt = cases["mmpose_test_coco"]["gt"]
    found = as_found(gt["annotations"])
    some = [p for p in found if p["image_id"] == found[0]["image_id"]]
    every = sum(p["num_keypoints"] > 0 for p in gt["annotations"])
    figures = scored(coco(gt), some)
    assert figures["AR/mean"] == pytest.approx(len(some) / every)
    assert scored(coco(gt, whole=False), some)["AR/mean"] == 1.0


def test_figures_do_not_depend_on_order_batches_or_repeated_samples(cases, answers):
    case = cases["all_scores_tied"]
    order = np.random.default_rng(0).permutation(len(case["dt"])).tolist()
    whole, pieces = coco(case["gt"]), coco(case["gt"])
    whole.update("mean", *answers(case["dt"], "coco17"))
    for rows in (order[:7], order[7:9], order[9:], order[-5:]):
        pieces.update("mean", *answers(case["dt"], "coco17", rows))
    assert pieces.compute() == whole.compute()


def test_copies_of_lower_score_are_suppressed_and_without_that_do_not_help(cases, scored):
    case = cases["mmpose_test_coco"]
    copies = [person | {"score": person["score"] / 1000} for person in case["dt"]]
    once, twice = case["dt"], case["dt"] + copies
    assert ten(scored(coco(case["gt"]), twice)) == ten(scored(coco(case["gt"]), once))
    assert scored(coco(case["gt"]), twice)["people_kept/mean"] <= len(once)
    without = [scored(coco(case["gt"], nms="none"), people) for people in (once, twice)]
    assert without[1]["AP/mean"] <= without[0]["AP/mean"]


def test_the_rule_of_scores_decides_which_person_is_first(cases, answers):
    gt = cases["mmpose_test_coco"]["gt"]
    person = next(p for p in gt["annotations"] if p["num_keypoints"] > 10)
    poses, sample = answers([person | {"score": 0.9}, person | {"score": 0.5}], "coco17")
    joints = torch.tensor([[0.5], [0.8]], dtype=torch.float64).expand(2, 17)
    poses = Poses(poses.keypoints, joints, poses.hypotheses, poses.spread, poses.skeleton)
    for rule, boxes_win, expected in (
        ("bbox_keypoint", True, [0.45, 0.4]),
        ("bbox_rle", False, [1.9, 2.1]),
        ("keypoint", False, [0.5, 0.8]),
    ):
        metric = coco(gt, score=rule, nms="none")
        metric.update("mean", poses, sample)
        assert metric.people(metric.table("mean")).scores.tolist() == pytest.approx(expected)
        best = coco(gt, score=rule)
        best.update("mean", poses, sample)
        assert best.people(best.table("mean")).joint_scores[0, 0] == (0.5 if boxes_win else 0.8)


def test_suppression_reads_the_padded_crop_or_the_area_of_the_sample(cases, answers):
    gt = cases["mmpose_test_coco"]["gt"]
    person = next(p for p in gt["annotations"] if p["num_keypoints"] > 10)
    near = [x + 6.0 * (i % 3 == 0) for i, x in enumerate(person["keypoints"])]
    pair = [person | {"score": 0.9}, person | {"keypoints": near, "score": 0.8}]
    kept = {}
    for rule in ("padded", "annotation"):
        metric = coco(gt, nms_area=rule)
        poses, sample = answers(pair, "coco17")
        sample |= {"scale": torch.full((2, 2), 300.0), "area": torch.full((2,), 900.0)}
        metric.update("mean", poses, sample)
        kept[rule] = len(metric.people(metric.table("mean")).scores)
    assert kept == {"padded": 1, "annotation": 2}


def test_every_rule_of_aggregation_gets_its_figures(cases, answers):
    case = cases["mmpose_test_coco"]
    metric = coco(case["gt"], nms="none")
    poses, sample = answers(case["dt"], "coco17")
    metric.update("mean", poses, sample)
    worse = Poses(poses.keypoints + 9, poses.scores, poses.hypotheses, poses.spread, "coco17")
    metric.update("median", worse, sample)
    figures = metric.compute()
    assert figures["AP/median"] < figures["AP/mean"]
    assert set(figures) == {k.replace("mean", r) for k in figures for r in ("mean", "median")}


def test_spread_is_that_of_labelled_joints(cases, answers):
    case = cases["mmpose_test_coco"]
    poses, sample = answers(case["dt"], "coco17")
    spread = torch.rand(len(case["dt"]), 17, generator=torch.Generator().manual_seed(0)).double()
    visible = torch.arange(17).expand_as(spread) % 3
    poses = Poses(poses.keypoints, poses.scores, poses.hypotheses, spread, "coco17")
    metric = coco(case["gt"])
    metric.update("mean", poses, sample | {"visible_annotation": visible})
    expected = spread[visible > 0].mean().item()
    assert metric.compute()["spread/mean"] == pytest.approx(expected)
    unlabelled = coco(case["gt"])
    unlabelled.update("mean", poses, sample | {"visible_annotation": 0 * visible})
    assert "spread/mean" not in unlabelled.compute()


def test_without_people_to_find_figures_are_minus_one(cases, scored):
    gt = json.loads(json.dumps(cases["mmpose_test_coco"]["gt"]))
    for person in gt["annotations"]:
        person["iscrowd"] = 1
    assert ten(scored(coco(gt), cases["mmpose_test_coco"]["dt"])) == [-1.0] * 10


def test_the_users_data_may_have_other_joints_sigmas_and_areas(scored):
    layout = skeleton("mpii16")
    rng = np.random.default_rng(1)
    points = rng.uniform(100, 300, (6, 16, 2))
    people = [
        {
            "id": i,
            "image_id": f"{i // 2}.jpg",
            "category_id": 7,
            "keypoints": np.concatenate([x, np.full((16, 1), 2)], 1).ravel().tolist(),
        }
        for i, x in enumerate(points)
    ]
    order = rng.permutation(16)
    gt = {
        "images": [
            {"id": f"{i}.jpg", "file_name": f"{i}.jpg", "width": 400, "height": 400}
            for i in range(3)
        ],
        "categories": [
            {"id": 3, "name": "ball"},
            {"id": 7, "name": "person", "keypoints": [layout.joints[j] for j in order]},
        ],
        "annotations": [
            p | {"keypoints": np.reshape(p["keypoints"], (16, 3))[order].ravel().tolist()}
            for p in people
        ],
    }
    moved = [
        {"image_id": p["image_id"], "keypoints": (np.array(p["keypoints"]) + 8).tolist()}
        for p in people
    ]
    how = ("mpii16", "0.53*w*h")
    exact = scored(coco(gt, *how, sigmas=[0.05] * 16), people)
    assert exact["AP/mean"] == 1.0  # joints are matched by name
    strict, lax = (coco(gt, *how, sigmas=[s] * 16) for s in (0.02, 0.1))
    assert scored(strict, moved)["AP/mean"] < scored(lax, moved)["AP/mean"]


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"sigmas": [0.26] * 17}, "divide by 10"),
        ({"sigmas": [0.05] * 5}, "5 sigmas for the 17 joints"),
        ({"nms_area": "box"}, "padded, annotation"),
        ({"score": "box"}, "bbox_keypoint"),
    ],
)
def test_options_that_make_no_sense_are_refused(cases, options, named):
    with pytest.raises(ValueError, match=named):
        coco(cases["mmpose_test_coco"]["gt"], **options)


def test_a_skeleton_without_sigmas_needs_some(cases):
    given = replace(truth(cases["mmpose_test_coco"]["gt"]), skeleton="mpii16")
    with pytest.raises(ValueError, match="no OKS sigmas"):
        CocoAP(given)


def test_what_cannot_be_scored_is_refused(cases, answers):
    case = cases["mmpose_test_coco"]
    metric = coco(case["gt"])
    poses, sample = answers(case["dt"], "coco17")
    with pytest.raises(ValueError, match="poses of mpii16 cannot be scored as coco17"):
        metric.update("mean", replace(poses, skeleton="mpii16"), sample)
    with pytest.raises(ValueError, match="image 17 of sample 0 is not in the annotations"):
        metric.update("mean", poses, sample | {"meta": {"image_id": [17] * len(case["dt"])}})
    poses.keypoints[3, 5, 0] = torch.nan
    with pytest.raises(ValueError, match="the pose of 3 is not finite"):
        metric.update("mean", poses, sample)
    assert metric.compute() == {}


def test_nothing_is_printed_and_the_report_counts_ignored_people(cases, scored, capfd):
    case = cases["mmpose_test_coco"]
    metric = coco(case["gt"])
    scored(metric, case["dt"])
    assert capfd.readouterr() == ("", "")
    summary = metric.summary()
    assert (summary["annotated_people"], summary["ignored_people"]) == (14, 2)
