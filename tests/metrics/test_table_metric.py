"""Tables of the samples that a metric has collected."""

import torch

from posediff.diffusion.aggregate import Poses
from posediff.metrics.table_metric import TableMetric, rows_by_image


class Means(TableMetric):
    """The mean of a column, and its maximum as a part of it."""

    def update(self, name, poses, sample):
        self.add(name, poses, sample, image=sample["image"], x=sample["x"])

    def summary(self):
        return {}

    def _figures(self, table):
        return {"x": table["x"].mean(), "x:max": table["x"].max(), "y": torch.nan}


def filled():
    metric = Means("coco17", "set/")
    for name, ids, images, x in (
        ("mean", ["7/box10", "7/box9"], ["b", "a"], [10.0, 9.0]),
        ("mean", ["7/box9", "12/1"], ["a", "c"], [9.0, 12.0]),
        ("median", ["1"], ["d"], [1.0]),
    ):
        points = torch.zeros(len(ids), 17, 2)
        poses = Poses(points, points[..., 0], points[:, None], points[..., 0], "coco17")
        metric.update(name, poses, {"id": ids, "image": images, "x": torch.tensor(x)})
    return metric


def test_a_table_has_every_sample_once_and_by_its_id():
    table = filled().table("mean")
    assert table["id"] == ["7/box9", "7/box10", "12/1"]
    assert table["image"] == ["a", "b", "c"]
    assert table["x"].tolist() == [9, 10, 12]
    assert table["x"].dtype == torch.float64


def test_keys_of_figures_have_a_prefix_and_a_rule_and_nan_is_left_out():
    figures = filled().compute()
    assert figures == {
        "set/x/mean": 31 / 3, "set/x/mean:max": 12, "set/x/median": 1, "set/x/median:max": 1,
    }  # fmt: skip


def test_several_hypotheses_of_labelled_people_have_a_calibration_of_their_own():
    metric, g = Means("coco17", "set/"), torch.Generator().manual_seed(0)
    truth = 50 * torch.randn(200, 17, 2, generator=g)
    drawn = truth[:, None] + torch.randn(200, 50, 17, 2, generator=g)
    points = truth + torch.randn(200, 17, 2, generator=g)
    drawn = drawn + (points - truth)[:, None]
    sample = {
        "id": [str(i) for i in range(200)],
        "image": [""] * 200,
        "x": truth[:, 0, 0],
        "keypoints_annotation": truth,
        "visible_annotation": torch.ones(200, 17),
    }
    for name in ("mean", "median"):
        poses = Poses(points, truth[..., 0], drawn, truth[..., 0], "coco17")
        metric.update(name, poses, sample)
    found = metric.compute()
    assert found["calibration_error"] < 0.03
    assert abs(found["coverage@0.5"] - 0.5) < 0.03
    assert found["energy_score"] > 0
    alone = Poses(points, truth[..., 0], drawn[:, :1], truth[..., 0], "coco17")
    single = Means("coco17")
    single.update("mean", alone, sample)
    assert not {key for key in single.compute() if "score" in key or "cover" in key}


def test_rows_are_found_by_their_image():
    assert rows_by_image(["b", 1, "b"]) == {"b": [0, 2], 1: [1]}
