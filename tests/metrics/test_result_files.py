"""Result files: their form, and equal figures from a benchmark's own reader."""

import contextlib
import io
import json

import numpy as np
import pytest
import torch
from helpers.annotations import truth

from posediff.diffusion.aggregate import Poses
from posediff.metrics.aic import aic_official
from posediff.metrics.coco import CocoAP
from posediff.metrics.result_files import Found, write_aic, write_coco
from posediff.pose.skeleton import skeleton


def people(n=5, joints=17, seed=0):
    rng = torch.Generator().manual_seed(seed)
    return Found(
        [i // 2 + 1 for i in range(n)],
        500 * torch.rand(n, joints, 2, generator=rng),
        torch.rand(n, joints, generator=rng),
        torch.rand(n, generator=rng).double(),
    )


def filled(metric, images, keypoints, joint_scores, scores):
    poses = Poses(keypoints, joint_scores, keypoints[:, None], joint_scores, metric.skeleton.name)
    sample = {
        "id": [f"{n:04}" for n in range(len(images))],
        "meta": {"image_id": images},
        "box_score": scores,
        "scale": torch.full((len(images), 2), 200.0),
    }
    metric.update("mean", poses, sample)
    return metric


def test_a_coco_file_has_the_benchmarks_form(tmp_path):
    images, keypoints, joints, scores = found = people()
    path = write_coco(tmp_path / "new/found.json", found, category=7)
    entries = json.loads(path.read_text())
    assert len(entries) == 5
    assert set(entries[0]) == {"image_id", "category_id", "keypoints", "score"}
    assert [entry["image_id"] for entry in entries] == images
    assert {entry["category_id"] for entry in entries} == {7}
    assert [entry["score"] for entry in entries] == scores.tolist()
    values = np.array([entry["keypoints"] for entry in entries]).reshape(5, 17, 3)
    np.testing.assert_allclose(values[..., :2], keypoints, atol=6e-4)
    np.testing.assert_allclose(values[..., 2], joints, atol=6e-7)


def test_pycocotools_gives_a_result_file_the_figures_of_the_metric(shared, tmp_path):
    case = json.loads((shared / "golden/coco_eval_cases.json").read_text())["mmpose_test_coco"]
    values = torch.tensor([p["keypoints"] for p in case["dt"]]).double().reshape(-1, 17, 3)
    metric = filled(
        CocoAP(truth(case["gt"])),
        [p["image_id"] for p in case["dt"]],
        values[..., :2],
        values[..., 2],
        torch.tensor([p["score"] for p in case["dt"]]).double(),
    )
    [path] = metric.result_files(tmp_path)
    assert path == tmp_path / "results_mean.json"
    assert 0 < len(json.loads(path.read_text())) <= len(case["dt"])

    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    with contextlib.redirect_stdout(io.StringIO()):
        gt = COCO()
        gt.dataset = case["gt"]
        gt.createIndex()
        scoring = COCOeval(gt, gt.loadRes(str(path)), "keypoints")
        for step in (scoring.evaluate, scoring.accumulate, scoring.summarize):
            step()
    mine = list(metric.compute().values())[:10]
    np.testing.assert_allclose(mine, scoring.stats, atol=1e-9)


def test_an_aic_file_has_the_challenges_form_and_its_score(shared, tmp_path):
    stored = json.loads((shared / "golden/aic_eval.json").read_text())
    name = "official_example_first60"
    pred = stored["cases"][name]["pred"]
    annotated = truth(stored["cases"][name]["gt"], "aic14", "0.53*w*h")
    images = [x["image_id"] for x in pred for _ in x["keypoint_annotations"]]
    flat = [human for x in pred for human in x["keypoint_annotations"].values()]
    values = torch.tensor(flat).double().reshape(-1, 14, 3)
    ones = torch.ones(len(images), 14).double()

    def official(images, values):
        metric = CocoAP(annotated, aic_official(), nms="none")
        return filled(metric, images, values[..., :2], ones, ones[:, 0])

    metric = official(images, values)
    [path] = metric.result_files(tmp_path)
    entries = json.loads(path.read_text())
    assert len(entries) == len(pred)
    for entry in entries:
        assert set(entry) == {"image_id", "keypoint_annotations"}
        assert next(iter(entry["keypoint_annotations"])) == "human1"
    again = torch.tensor([h for e in entries for h in e["keypoint_annotations"].values()])
    again = again.double().reshape(-1, 14, 3)
    ids = [e["image_id"] for e in entries for _ in e["keypoint_annotations"]]
    score = stored["expected"][name]["score"]
    for figures in (metric.compute(), official(ids, again).compute()):
        assert figures["aic/mAP_official/mean"] == pytest.approx(score, abs=1e-8)


def test_in_an_aic_image_the_best_person_comes_first(tmp_path):
    found = people(3, 14)._replace(images=["a", "a", "b"], scores=torch.tensor([0.1, 0.9, 0.5]))
    path = write_aic(tmp_path / "aic.json", found)
    first, second = json.loads(path.read_text())
    assert (first["image_id"], second["image_id"]) == ("a", "b")
    humans = first["keypoint_annotations"]
    assert list(humans) == ["human1", "human2"]
    np.testing.assert_allclose(humans["human1"][:2], found.keypoints[1, 0], atol=6e-4)
    assert humans["human1"][2::3] == [1] * 14
    assert len(skeleton("aic14").joints) == 14


@pytest.mark.parametrize("write", [write_coco, write_aic])
def test_no_people_make_a_file_of_an_empty_list(write, tmp_path):
    path = write(tmp_path / "none.json", people(0))
    assert json.loads(path.read_text()) == []


@pytest.mark.parametrize("write", [write_coco, write_aic])
@pytest.mark.parametrize("column", ["keypoints", "joint_scores", "scores"])
def test_a_number_that_is_not_finite_leaves_the_old_file(write, column, tmp_path):
    path, found = tmp_path / "found.json", people()
    write(path, found)
    before = path.read_text()
    getattr(found, column)[3] = torch.nan
    with pytest.raises(ValueError, match=r"found\.json: a number of person 3, image 2"):
        write(path, found)
    assert path.read_text() == before
    assert list(tmp_path.iterdir()) == [path]


def test_columns_of_other_lengths_are_refused(tmp_path):
    found = people()
    with pytest.raises(ValueError, match="5 rows for 4 people"):
        write_coco(tmp_path / "found.json", found._replace(images=found.images[:4]))
