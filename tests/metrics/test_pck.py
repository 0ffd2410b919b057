"""Shares of correct keypoints as by HRNet and mmpose, by hand, and on data/lspet_crops."""

import json

import numpy as np
import pytest
import torch

from posediff.diffusion.aggregate import Poses
from posediff.metrics.pck import PCKh, TorsoPCK, auc, errors, pck, pooled_pck
from posediff.pose.heatmap import Codec
from posediff.pose.skeleton import skeleton
from posediff.truth import Truth

LAYOUT = skeleton("crowdpose14")


def numbered(name):
    return LAYOUT.joints.index(name)


def torso_pck(dataset="lsp", layout="crowdpose14"):
    return TorsoPCK(Truth(layout, dataset))


def pckh(rule="hrnet"):
    return PCKh(Truth("mpii16"), rule)


def shown(metric, pred, truth, visible=None, rows=None, rule="mean", **further):
    """Update a metric with such answers."""
    pred, truth = torch.as_tensor(pred).double(), torch.as_tensor(truth).double()
    visible = torch.full(truth.shape[:2], 2) if visible is None else torch.as_tensor(visible)
    rows = list(range(len(pred))) if rows is None else rows
    pred, spread = pred[rows], torch.ones(len(rows), truth.shape[1])
    sample = {
        "id": [f"person {i}" for i in rows],
        "keypoints_annotation": truth[rows],
        "visible_annotation": visible[rows],
        **{key: x[rows] for key, x in further.items()},
    }
    name = metric.skeleton.name
    metric.update(rule, Poses(pred, spread, pred[:, None], spread, name), sample)
    return metric


def bodies(count=1, size=100.0):
    """People on the x axis, with a torso of 100 pixels from left shoulder to right hip."""
    truth = torch.zeros(count, 14, 2, dtype=torch.float64)
    truth[..., 0] = torch.arange(14.0) * 7
    truth[..., 1] = torch.arange(count)[:, None] * 1000.0
    truth[:, numbered("left_shoulder")] = truth[:, numbered("right_hip")] + torch.tensor([0, size])
    return truth


# ------------------------------------------------------------------ the torso


def test_an_error_of_exactly_the_threshold_is_correct():
    truth = bodies()
    for error, right in ((20.0, 100.0), (20.001, 0.0)):
        figures = shown(torso_pck(), truth + torch.tensor([error, 0]), truth).compute()
        assert figures["lsp/pck@0.2/mean"] == right
        assert figures["lsp/pck@0.1/mean"] == 0.0
        assert figures["lsp/epe/mean"] == pytest.approx(error)


def test_only_the_left_shoulder_and_the_right_hip_measure_a_person():
    truth = bodies()
    truth[:, numbered("right_shoulder"), 1] = 900  # the other diagonal is long
    figures = shown(torso_pck(), truth + torch.tensor([30.0, 0]), truth).compute()
    assert figures["lsp/pck@0.2/mean"] == 0.0


def test_the_headline_pools_joints_and_a_part_is_the_mean_of_its_two():
    truth, visible = bodies(4), torch.ones(4, 14)
    visible[1:, numbered("left_wrist")] = 0  # labelled once
    pred = truth.clone()
    pred[0, numbered("left_wrist")] += 500
    pred[:3, numbered("head_top")] += 500
    figures = shown(torso_pck("own"), pred, truth, visible).compute()
    assert figures["own/pck@0.2/mean"] == pytest.approx(100 * (53 - 4) / 53)
    assert figures["own/pck_limbs@0.2/mean"] == pytest.approx(100 * (45 - 1) / 45)
    assert figures["own/pck@0.2/mean:wrist"] == pytest.approx((0 + 100) / 2)
    assert figures["own/pck@0.2/mean:head"] == pytest.approx((25 + 100) / 2)
    assert figures["own/pck@0.2/mean:knee"] == 100.0
    assert (figures["own/joints/mean"], figures["own/joints_of_limbs/mean"]) == (53, 45)


def test_a_person_without_a_torso_is_left_out_and_counted():
    truth, visible = bodies(3), torch.full((3, 14), 2)
    visible[0, numbered("right_hip")] = 0
    truth[1, numbered("left_shoulder")] = truth[1, numbered("right_hip")]
    figures = shown(torso_pck(), truth + 1000.0, truth, visible).compute()
    assert figures["lsp/people_without_torso/mean"] == 2
    assert figures["lsp/joints/mean"] == 14
    assert figures["lsp/pck@0.2/mean"] == 0.0


def test_no_answer_is_wrong_in_every_joint():
    truth = bodies(4)
    pred = truth.clone()
    pred[2] = torch.nan
    figures = shown(torso_pck(), pred, truth).compute()
    assert figures["lsp/people_without_answer/mean"] == 1
    for key in ("pck@0.2", "pck_limbs@0.1", "auc", "pcp", "pckh@0.5"):
        assert figures[f"lsp/{key}/mean"] == pytest.approx(75.0)
    assert figures["lsp/epe/mean"] == 0.0


def test_without_labelled_joints_there_is_no_figure():
    truth = bodies(2)
    figures = shown(torso_pck(), truth, truth, torch.zeros(2, 14)).compute()
    assert "lsp/pck@0.2/mean" not in figures
    assert figures["lsp/people_without_torso/mean"] == 2


def test_the_area_under_the_curve_in_closed_form():
    counted = torch.ones(1, 1, dtype=torch.bool)
    for error, expected in ((0.0, 100.0), (0.095, 100 * 10.5 / 20), (0.2, 2.5), (0.21, 0.0)):
        area = auc(torch.tensor([[error]], dtype=torch.float64), counted)
        assert area == pytest.approx(expected)


def test_strict_parts_need_both_ends():
    truth = bodies()
    pred = truth.clone()
    length = (truth[0, numbered("left_elbow")] - truth[0, numbered("left_wrist")]).norm()
    pred[0, numbered("left_wrist"), 0] += 0.5 * length  # all of ten sticks are right
    assert shown(torso_pck(), pred, truth).compute()["lsp/pcp/mean"] == 100.0
    pred[0, numbered("left_wrist"), 0] += 0.01
    assert shown(torso_pck(), pred, truth).compute()["lsp/pcp/mean"] == 90.0
    pred[0, numbered("left_elbow"), 1] += 1000  # lower and upper arm
    assert shown(torso_pck(), pred, truth).compute()["lsp/pcp/mean"] == 80.0


def test_sticks_of_the_torso_end_in_the_middle_of_hips_and_shoulders():
    truth, shift = bodies(), torch.tensor([1000.0, 0])
    pred = truth.clone()
    pred[:, numbered("left_hip")] += shift
    pred[:, numbered("right_hip")] -= shift  # the middle stays, both thighs are wrong
    assert shown(torso_pck(), pred, truth).compute()["lsp/pcp/mean"] == 80.0


def test_head_segments_measure_where_there_are_no_head_boxes():
    truth = bodies()
    length = (truth[0, numbered("head_top")] - truth[0, numbered("upper_neck")]).norm()
    for part, right in ((0.5, 100.0), (0.51, 0.0)):
        pred = truth + torch.tensor([1.0, 0]) * part * length
        figures = shown(torso_pck(), pred, truth).compute()
        assert figures["lsp/pckh@0.5/mean"] == right


def test_figures_do_not_depend_on_order_batches_or_repeated_samples():
    rng = torch.Generator().manual_seed(0)
    truth = bodies(30) + 10 * torch.randn(30, 14, 2, generator=rng)
    pred = truth + 15 * torch.randn(30, 14, 2, generator=rng)
    whole, pieces = torso_pck(), torso_pck()
    shown(whole, pred, truth)
    order = torch.randperm(30, generator=rng).tolist()
    for rows in (order[:4], order[4:5], order[5:], order[:3]):
        shown(pieces, pred, truth, rows=rows)
    assert pieces.compute() == whole.compute()
    assert whole.compute()["lsp/people/mean"] == 30


def test_the_pack_of_crops_has_the_joints_that_are_described(shared):
    """spec/image2d.md 5.6: 266 of 279 people have a torso, 21 no head; 3,660 and 3,149 joints."""
    labels = json.loads((shared / "data/lspet_crops/annotations_test.json").read_text())
    values = torch.tensor([person["keypoints"] for person in labels["annotations"]])
    values = values.reshape(-1, 14, 3).double()
    metric = torso_pck("lspet_crops")
    figures = shown(metric, values[..., :2], values[..., :2], values[..., 2]).compute()
    own = {key.split("/")[1]: x for key, x in figures.items() if key.endswith("/mean")}
    assert (own["people"], own["people_without_torso"], own["people_without_head"]) == (279, 13, 21)
    assert (own["joints"], own["joints_of_limbs"]) == (3660, 3149)
    assert {own[key] for key in ("pck@0.2", "pck_limbs@0.1", "auc", "pcp", "pckh@0.5")} == {100.0}
    assert next(iter(figures)) == "lspet_crops/pck@0.2/mean"


def test_joints_beyond_the_limbs_are_pooled_too():
    layout = skeleton("coco17")
    truth = torch.arange(34.0).reshape(1, 17, 2) * 10
    figures = shown(torso_pck("own", "coco17"), truth, truth).compute()
    assert (figures["own/joints/mean"], figures["own/joints_of_limbs/mean"]) == (17, 12)
    assert "own/pckh@0.5/mean" not in figures  # no head top, no neck
    assert figures["own/pcp/mean"] == 100.0
    assert layout.joints[0] == "nose"


def test_poses_of_other_joints_are_refused():
    poses = Poses(*[torch.zeros(1, 17, 2)] * 4, "coco17")
    sample = {
        "id": ["0"],
        "keypoints_annotation": bodies(),
        "visible_annotation": torch.ones(1, 14),
    }
    with pytest.raises(ValueError, match="poses of coco17 cannot be scored as crowdpose14"):
        torso_pck().update("mean", poses, sample)


# ------------------------------------------------------------------ mmpose's functions


@pytest.fixture(scope="module")
def golden(shared):
    with np.load(shared / "golden/pck2d.npz", allow_pickle=False) as file:
        return {key: torch.from_numpy(file[key]) for key in file}


def test_shares_and_distances_are_those_of_mmpose(golden):
    norm, mask = golden["norm"], golden["mask"]
    sized = (norm > 0).all(1)  # a norm of 0 leaves its person out
    divisor = torch.where(norm > 0, norm, 1.0)[:, None]
    scaled = errors(golden["pred"] / divisor, golden["gt"] / divisor, sized.double())
    for t in (0.05, 0.1, 0.2, 0.5):
        share = pck(scaled, mask, t, strict=True) / 100
        np.testing.assert_allclose(share.nan_to_num(-1), golden[f"pck_{t}"], atol=1e-6)
        assert share.nanmean() == pytest.approx(golden[f"pckavg_{t}"].item(), abs=1e-6)
        assert (~share.isnan()).sum() == golden[f"pckcnt_{t}"]
    assert scaled[mask & ~scaled.isnan()].mean() == pytest.approx(golden["nme"].item(), abs=1e-6)
    pixels = errors(golden["pred"], golden["gt"])
    assert pixels[mask].mean() == pytest.approx(golden["epe"].item(), rel=1e-6)
    curve = [pck(pixels / 30, mask, i / 20, strict=True).nanmean() for i in range(20)]
    area = torch.stack(curve).mean() / 100
    assert area == pytest.approx(golden["auc_norm30"].item(), abs=1e-6)


def test_shares_of_heatmaps_are_those_that_both_codes_print_in_training(shared):
    """Theirs divide x by the height and y by the width."""
    with np.load(shared / "golden/heatmap_accuracy.npz", allow_pickle=False) as file:
        z = {key: torch.from_numpy(file[key]) for key in file}
    with np.load(shared / "golden/heatmap_decode.npz", allow_pickle=False) as file:
        maps = torch.from_numpy(file["hm_f16"])
    truth, size = z["tgt_argmax"], torch.tensor([64.0, 48.0])
    cases = (
        ("hrnet", "hrnet", (truth > 1).all(-1), z["hrnet_acc"][1:]),
        ("mmpose", "mm", z["mask"], z["mm_acc"]),
    )
    for rule, prefix, counted, expected in cases:
        codec = Codec("argmax", rule=rule)
        pred = codec.to_map(codec.decode(maps)[0])
        share = pck(errors(pred / size, truth / size), counted, 0.05, strict=True) / 100
        mean, count = share.nanmean(), (~share.isnan()).sum()
        np.testing.assert_allclose(share.nan_to_num(-1), expected, atol=1e-6)
        assert mean == pytest.approx(z[f"{prefix}_avg"].item(), abs=1e-6)
        assert count == z[f"{prefix}_cnt"]


def test_pooled_joints_are_weighted_by_how_many_count():
    distances = torch.tensor([[0.1, 0.3], [0.3, 0.3], [0.1, 0.1]])
    counted = torch.tensor([[True, True], [True, False], [True, False]])
    assert pck(distances, counted, 0.2).tolist() == pytest.approx([200 / 3, 0])
    assert pooled_pck(distances, counted, 0.2) == pytest.approx(50)


# ------------------------------------------------------------------ the head, MPII


@pytest.fixture(scope="module")
def mpii(shared):
    expected = json.loads((shared / "golden/pckh_mpii_expected.json").read_text())
    with np.load(shared / "golden/pckh_mpii.npz", allow_pickle=False) as file:
        case = {key: torch.from_numpy(file[key]) for key in file}
    truth, boxes = case["gt1"].permute(2, 0, 1), case["headboxes"].permute(2, 0, 1)
    inputs = {"visible": 1 - case["missing"].T.int(), "head_box": boxes.reshape(-1, 4)}
    return expected, case["preds0"], truth, inputs


def named(figures, rule):
    """By the names of the references' tables."""
    parts = ("head", "shoulder", "elbow", "wrist", "hip", "knee", "ankle")
    table = {part.title(): figures[f"pckh@0.5/mean:{part}"] for part in parts}
    table |= {"Mean": figures["pckh@0.5/mean"], "Mean@0.1": figures["pckh@0.1/mean"]}
    if rule == "hrnet":
        return table
    names = {"Mean": "PCK", "Mean@0.1": "PCK@0.1"}
    return {names.get(key, f"{key} PCK"): x for key, x in table.items()}


@pytest.mark.parametrize("rule", ["hrnet", "mmpose"])
@pytest.mark.parametrize("origin", [0, 1])
def test_mpii_figures_are_those_of_both_references(mpii, rule, origin):
    """Theirs are 1-based, the golden answers 0-based; only the difference matters."""
    expected, pred, truth, inputs = mpii
    metric = pckh(rule)
    figures = shown(metric, pred + origin, truth - 1 + origin, **inputs).compute()
    for key, x in named(figures, rule).items():
        assert x == pytest.approx(expected[rule][key], abs=1e-6), key


def test_the_rules_differ_at_the_threshold_itself():
    truth = torch.zeros(1, 16, 2)
    box = torch.tensor([[0.0, 0.0, 60.0, 80.0]])  # .6 * 100
    at, tenth = truth + torch.tensor([30.0, 0]), truth + torch.tensor([6.3, 0])
    for rule, half, small in (("hrnet", 100.0, 100.0), ("mmpose", 0.0, 0.0)):
        assert shown(pckh(rule), at, truth, head_box=box).compute()["pckh@0.5/mean"] == half
        figures = shown(pckh(rule), tenth, truth, head_box=box).compute()
        assert figures["pckh@0.1/mean"] == small


def test_pelvis_and_thorax_do_not_count():
    truth, box = torch.zeros(1, 16, 2), torch.tensor([[0.0, 0.0, 60.0, 80.0]])
    pred, joints = truth.clone(), skeleton("mpii16").joints
    pred[:, [joints.index("pelvis"), joints.index("thorax")]] = 1e4
    assert shown(pckh(), pred, truth, head_box=box).compute()["pckh@0.5/mean"] == 100.0


def test_head_boxes_and_rules_that_do_not_exist_are_errors():
    with pytest.raises(ValueError, match="must be one of hrnet, mmpose"):
        pckh("mpii")
    with pytest.raises(ValueError, match=r"boxes of heads.*set eval=pck"):
        shown(pckh(), torch.zeros(1, 16, 2), torch.zeros(1, 16, 2))
