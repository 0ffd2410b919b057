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


def test_rows_are_found_by_their_image():
    assert rows_by_image(["b", 1, "b"]) == {"b": [0, 2], 1: [1]}
