"""Joints are put in order by the names that a file says."""

import json

import numpy as np
import pytest
import torch

from posediff.inference.keypoints import rows_of
from posediff.inference.tools.joint_names import names_in
from posediff.pose.skeleton import skeleton

COCO = skeleton("coco17")
ORDER = list(reversed(range(17)))
NAMES = [COCO.joints[j] for j in ORDER]
POINTS = np.random.default_rng(0).uniform(10, 200, (3, 17, 2)).round(3)


def written(folder, kind):
    """A file with the joints in reversed order, called by usual names."""
    mixed, usual = POINTS[:, ORDER], [name.replace("left_", "L").title() for name in NAMES]
    path = folder / f"a.{kind}"
    if kind == "npz":
        np.savez(path, keypoints=mixed, joints=np.array(usual))
    elif kind == "csv":
        head = ",".join(f"{name}_x,{name}_y" for name in NAMES)
        rows = "\n".join(",".join(map(str, row)) for row in mixed.reshape(3, -1))
        path.write_text(
            f"frame,{head}\n" + "\n".join(f"{n},{r}" for n, r in enumerate(rows.split("\n")))
        )
    elif kind == "json":
        path.write_text(json.dumps({"keypoints": mixed.tolist(), "joints": usual}))
    return path


@pytest.mark.parametrize("kind", ["npz", "csv", "json"])
def test_joints_are_ordered_by_their_names(tmp_path, kind):
    rows = rows_of(written(tmp_path, kind), COCO)
    torch.testing.assert_close(rows.points, torch.tensor(POINTS).float())
    assert rows.scores.min() == 1


def test_the_joints_of_coco_categories_are_read_and_missing_ones_have_no_score(tmp_path):
    names = NAMES[:12]
    people = [
        {"image_id": n, "keypoints": np.insert(POINTS[n, ORDER[:12]], 2, 2, -1).ravel().tolist()}
        for n in range(3)
    ]
    images = [{"id": n, "file_name": f"{n}.jpg"} for n in range(3)]
    content = {"images": images, "annotations": people, "categories": [{"keypoints": names}]}
    path = tmp_path / "a.json"
    path.write_text(json.dumps(content))
    rows = rows_of(path, COCO)
    torch.testing.assert_close(rows.points[:, 5:], torch.tensor(POINTS[:, 5:]).float())
    assert rows.scores[:, :5].max() == 0


def test_names_of_another_layout_name_it(tmp_path):
    path = tmp_path / "a.json"
    joints = skeleton("crowdpose14").joints
    path.write_text(json.dumps({"keypoints": POINTS[:, :14].tolist(), "joints": joints}))
    with pytest.raises(ValueError, match="not those of coco17, but of crowdpose14: set layout="):
        rows_of(path, COCO)


def test_a_file_without_names_has_none(tmp_path):
    for name, text in (("a.json", "[[1, 2]]"), ("b.csv", "x1,y1,x2,y2\n1,2,3,4"), ("c.npz", "")):
        (tmp_path / name).write_text(text)
        assert names_in(tmp_path / name) == []
