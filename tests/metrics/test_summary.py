"""Figures and summaries of metrics can be written as JSON for all kinds of annotations."""

import json

import pytest
import torch
from helpers.annotations import truth, video_truth

from posediff.diffusion import Poses
from posediff.files import write_json
from posediff.metrics.aic import aic_coco, aic_official
from posediff.metrics.coco import CocoAP
from posediff.metrics.crowdpose import crowdpose
from posediff.metrics.pck import PCKh, PersonPCK, TorsoPCK
from posediff.metrics.pose_error import PoseError3D
from posediff.metrics.posetrack import PoseTrackAP
from posediff.pose.skeleton import skeleton
from posediff.truth import Truth

PEOPLE = {
    "a person": [{}],
    "a crowd": [{}, {"iscrowd": 1}],
    "an ignored person": [{}, {"num_keypoints": 0}],
    "no person": [],
}


def annotated(layout, people):
    """Annotations of one image in COCO's form; people: the entries of each that differ."""
    joints = skeleton(layout).joints
    entries = [
        {
            "id": n,
            "image_id": 1,
            "category_id": 1,
            "keypoints": [float(10 * n + 3 * j + k) for j in range(len(joints)) for k in (0, 1)],
            "bbox": [0.0, 0.0, 90.0, 90.0],
            "bbox_head": [0.0, 0.0, 30.0, 40.0],
            "area": 4000.0,
            "num_keypoints": len(joints),
            "iscrowd": 0,
            "track_id": n,
            **more,
        }
        for n, more in enumerate(people, 1)
    ]
    for entry in entries:
        xy = entry["keypoints"]
        entry["keypoints"] = [v for j in range(len(joints)) for v in (*xy[2 * j : 2 * j + 2], 2)]
    image = {"id": 1, "file_name": "v/1.jpg", "crowdIndex": 0.1, "width": 200, "height": 200}
    category = {"id": 1, "name": "person", "keypoints": list(joints)}
    return {"images": [image], "annotations": entries, "categories": [category]}


def people_in(layout, people):
    return truth(annotated(layout, people), layout)


def videos_of(people):
    return video_truth({"v.json": annotated("posetrack15", people)})


METRICS = {
    "coco": lambda people: CocoAP(people_in("coco17", people)),
    "crowdpose": lambda people: CocoAP(people_in("crowdpose14", people), crowdpose()),
    "aic_coco": lambda people: CocoAP(people_in("aic14", people), aic_coco()),
    "aic_official": lambda people: CocoAP(people_in("aic14", people), aic_official()),
    "poseval": lambda people: PoseTrackAP(videos_of(people)),
    "posetrack21": lambda people: PoseTrackAP(videos_of(people), evaluator="posetrack21"),
    "pck": lambda people: TorsoPCK(people_in("crowdpose14", people)),
    "pck_person": lambda people: PersonPCK(people_in("jhmdb15", people)),
    "pckh": lambda people: PCKh(people_in("mpii16", people)),
    "mpjpe": lambda people: PoseError3D(Truth("h36m17", dimensions=3)),
    "3dhp": lambda people: PoseError3D(Truth("3dhp17", dimensions=3), "3dhp"),
}
LAYOUTS = {
    "coco": "coco17",
    "crowdpose": "crowdpose14",
    "aic_coco": "aic14",
    "aic_official": "aic14",
    "poseval": "posetrack15",
    "posetrack21": "posetrack15",
    "pck": "crowdpose14",
    "pck_person": "jhmdb15",
    "pckh": "mpii16",
    "mpjpe": "h36m17",
    "3dhp": "3dhp17",
}


def answered(layout):
    """Poses of two people, and the sample they answer."""
    J = len(skeleton(layout).joints)
    D = 3 if skeleton(layout).root is not None and layout != "mpii16" else 2
    points = torch.rand(2, J, D, generator=torch.Generator().manual_seed(0))
    ones = torch.ones(2, J)
    box = torch.tensor([[0.0, 0.0, 30.0, 40.0]]).repeat(2, 1)
    meta = {"image_id": [1, 1], "file": ["v/1.jpg"] * 2, "frame": torch.tensor([0, 1])}
    meta |= {"action": ["sit"] * 2, "sequence": ["s"] * 2, "camera": ["c"] * 2}
    sample = {
        "id": ["a", "b"],
        "meta": meta,
        "keypoints": points,
        "visible": ones,
        "keypoints_annotation": points,
        "visible_annotation": ones,
        "box": box,
        "head_box": box,
        "box_score": torch.ones(2),
        "scale": torch.full((2, 2), 100.0),
        "area": torch.full((2,), 4000.0),
    }
    return Poses(points, ones, points[:, None], ones, layout), sample


@pytest.mark.parametrize("people", PEOPLE)
@pytest.mark.parametrize("name", METRICS)
def test_summary_and_figures_are_plain_numbers_and_words(name, people, tmp_path):
    metric = METRICS[name](PEOPLE[people])
    metric.update("mean", *answered(LAYOUTS[name]))
    figures, summary = metric.compute(), metric.summary()
    assert figures
    assert json.loads(json.dumps(figures, allow_nan=False)) == figures
    assert json.loads(json.dumps(summary, allow_nan=False)) == summary
    written = write_json(tmp_path / "metrics.json", {**summary, "metrics": figures})
    assert json.loads(written.read_text())["metrics"] == figures
