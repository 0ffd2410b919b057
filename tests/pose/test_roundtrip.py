"""Boxes, crops and maps together, against golden/roundtrip_mmpose_test_coco.json."""

import json

import pytest
import torch

from posediff.pose.affine import affine, box_to_center_scale, clean_box, invert, transform
from posediff.pose.heatmap import Codec


@pytest.mark.parametrize("key", ["192x256", "288x384"])
@pytest.mark.parametrize("name", ["hrnet_quarter", "dark", "udp"])
def test_round_trips_of_coco_people_are_those_of_the_released_codes(shared, name, key):
    """Annotation -> clean box -> crop -> maps -> crop -> annotation."""
    golden = shared / "golden"
    stored = json.loads((golden / "roundtrip_mmpose_test_coco.json").read_text())
    people = json.loads((golden / "coco_eval_cases.json").read_text())["mmpose_test_coco"]["gt"]
    sizes = {x["id"]: (x["width"], x["height"]) for x in people["images"]}
    by_id = {x["id"]: x for x in people["annotations"]}
    decoded = stored["decoded"][f"{name}_{key}"]
    rows = [by_id[person["ann_id"]] for person in decoded]

    def tensor(lists):
        return torch.tensor(lists, dtype=torch.float64)

    size = (int(key[:3]), int(key[4:]))
    codec = Codec(name.removeprefix("hrnet_"), size, rule="hrnet")
    image_size = tensor([sizes[row["image_id"]] for row in rows])
    boxes, remain = clean_box(tensor([row["bbox"] for row in rows]), image_size)
    matrix = affine(*box_to_center_scale(boxes, 0.75), size, udp=codec.udp)
    truth = tensor([row["keypoints"] for row in rows]).view(-1, 17, 3)
    crop = transform(truth[..., :2], matrix)
    maps, weights = codec.encode(crop, (truth[..., 2] > 0).double())
    points, peaks = codec.decode(maps.float())

    assert remain.all()
    labelled = weights > 0
    expected = tensor([person["keypoints"] for person in decoded]).view(-1, 17, 3)[labelled]
    image_points = transform(points.double(), invert(matrix))[labelled]
    torch.testing.assert_close(image_points, expected[:, :2], atol=1e-2, rtol=0)
    torch.testing.assert_close(peaks[labelled].double(), expected[:, 2], atol=1e-3, rtol=0)
    error = (points - crop).norm(dim=-1)[labelled]
    figures = stored["expected"][f"{name}_{key}"]
    assert abs(error.mean() - figures["err_input_px_mean"]) < 1e-2
    assert abs(error.max() - figures["err_input_px_max"]) < 1e-2
