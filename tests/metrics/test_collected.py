"""Tables of the samples that a metric was given."""

import torch

from posediff.metrics.collected import Collected, rows_by_image


def test_a_table_has_every_sample_once_and_by_its_id():
    rows = Collected()
    rows.add("mean", id=["7/box10", "7/box9"], image=["b", "a"], x=torch.tensor([[10.0], [9.0]]))
    rows.add("mean", id=["7/box9", "12/1"], image=["a", "c"], x=torch.tensor([[9.0], [12.0]]))
    rows.add("median", id=["1"], image=["d"], x=torch.ones(1, 1))
    table = rows.table("mean")
    assert table["id"] == ["7/box9", "7/box10", "12/1"]
    assert table["image"] == ["a", "b", "c"]
    assert table["x"].tolist() == [[9], [10], [12]]
    assert table["x"].dtype == torch.float64
    assert list(rows.batches) == ["mean", "median"]


def test_rows_are_found_by_their_image():
    assert rows_by_image(["b", 1, "b"]) == {"b": [0, 2], 1: [1]}
