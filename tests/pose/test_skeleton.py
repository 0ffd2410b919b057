import json

import numpy as np
import pytest
import torch

from posediff.pose.skeleton import SKELETONS, Skeleton, skeleton


def test_the_names_of_all_layouts():
    joints = {name: len(s.joints) for name, s in SKELETONS.items()}
    assert joints == {
        "h36m17": 17, "mocap17": 17, "3dhp17": 17, "coco17": 17, "halpe26": 26,
        "mpii16": 16, "aic14": 14, "crowdpose14": 14, "posetrack15": 15, "posetrack17": 17,
        "jhmdb15": 15, "halpe136": 136, "wholebody133": 133, "body25": 25, "openpose18": 18,
        "mediapipe33": 33,
    }  # fmt: skip
    with pytest.raises(
        ValueError, match=r"skeleton must be one of h36m17, mocap17, .*, got 'smpl'"
    ):
        skeleton("smpl")


def test_human36m_joints_bones_and_sides():
    s = skeleton("h36m17")
    assert s.root == 0
    parents = [-1, 0, 1, 2, 0, 4, 5, 0, 7, 8, 9, 8, 11, 12, 8, 14, 15]
    assert {b: a for a, b in s.edges} == {j: p for j, p in enumerate(parents) if j}
    left, right = [4, 5, 6, 11, 12, 13], [1, 2, 3, 14, 15, 16]
    assert [s.flip[j] for j in left] == right
    assert [s.joints[j] for j in (3, 6, 13)] == ["right_ankle", "left_ankle", "left_wrist"]
    assert skeleton("mocap17").joints == s.joints
    assert skeleton("mocap17").edges == s.edges


def test_mpi_inf_3dhp_has_its_own_order_root_and_bones():
    s = skeleton("3dhp17")
    assert s.root == 14
    parents = [1, 15, 1, 2, 3, 1, 5, 6, 14, 8, 9, 14, 11, 12, 14, 14, 1]
    assert {b: a for a, b in s.edges} == {j: p for j, p in enumerate(parents) if j != 14}
    assert [s.flip[j] for j in (5, 6, 7, 11, 12, 13)] == [2, 3, 4, 8, 9, 10]


def test_the_joints_of_human36m_agree_with_the_golden_file(golden):
    z, s = golden("camera_h36m.npz"), skeleton("h36m17")
    parents = dict.fromkeys(range(17), -1) | {b: a for a, b in s.edges}
    assert list(parents.values()) == z["parents17"].tolist()
    assert [s.flip[j] for j in z["joints_left"]] == z["joints_right"].tolist()


@pytest.mark.parametrize(
    ("name", "swaps"),
    [
        ("coco17", [(j, j + 1) for j in range(1, 17, 2)]),
        ("posetrack15", [(j, j + 1) for j in range(3, 15, 2)]),
        ("posetrack17", [(j, j + 1) for j in range(3, 17, 2)]),
        ("jhmdb15", [(j, j + 1) for j in range(3, 15, 2)]),
        ("crowdpose14", [(j, j + 1) for j in range(0, 12, 2)]),
        ("aic14", [(0, 3), (1, 4), (2, 5), (6, 9), (7, 10), (8, 11)]),
        ("mpii16", [(0, 5), (1, 4), (2, 3), (10, 15), (11, 14), (12, 13)]),
        ("halpe26", [*((j, j + 1) for j in range(1, 17, 2)), (20, 21), (22, 23), (24, 25)]),
    ],
)
def test_swap_pairs_of_the_2d_layouts(name, swaps):
    assert sorted(skeleton(name).swaps) == swaps


def test_the_oks_of_ai_challenger_has_our_sigmas(shared):
    golden = json.loads((shared / "golden/aic_eval.json").read_text())
    case, expected = (golden[part]["official_example_first60"] for part in ("cases", "expected"))
    predicted = {p["image_id"]: p["keypoint_annotations"] for p in case["pred"]}
    delta = 2 * np.array(skeleton("aic14").sigmas)
    for image in case["gt"]:
        if image["image_id"] not in predicted:
            continue
        rows = []
        for person, joints in image["keypoint_annotations"].items():
            x0, y0, x1, y1 = image["human_annotations"][person]
            truth = np.reshape(joints, (14, 3))
            visible, area = truth[:, 2] == 1, (x1 - x0) * (y1 - y0) + 1
            others = np.array(list(predicted[image["image_id"]].values())).reshape(-1, 14, 3)
            squared = ((others - truth)[..., :2] ** 2).sum(-1)
            oks = np.exp(-squared / 2 / delta**2 / area)[:, visible]
            rows.append(oks.mean(1) if visible.any() else np.zeros(len(oks)))
        np.testing.assert_allclose(rows, expected["oks"][image["image_id"]], atol=1e-8)


def test_a_layout_without_published_sigmas_has_none():
    assert skeleton("h36m17").sigmas is None
    assert skeleton("halpe26").sigmas is None


@pytest.mark.parametrize("s", SKELETONS.values(), ids=SKELETONS)
def test_every_layout_mirrors_onto_itself(s):
    assert [s.flip[j] for j in s.flip] == list(range(len(s.joints)))
    for j, joint in enumerate(s.joints):
        mirrored = joint.replace("left", "L").replace("right", "left").replace("L", "right")
        assert s.joints[s.flip[j]] == mirrored
    a = s.adjacency()
    assert torch.equal(a, a.T)
    assert torch.equal(a, a[s.flip][:, s.flip])
    assert a.diagonal().sum() == 0
    assert a.sum() == 2 * len(s.edges)
    reach = torch.linalg.matrix_power(a.double() + torch.eye(len(a)), len(a))
    assert (reach > 0).all(), "an unconnected joint could not be placed by its neighbours"


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"joints": ("a", "a", "b")}, "named twice"),
        ({"edges": ((0, 3),)}, "must be in 0..2"),
        ({"root": 3}, "must be in 0..2"),
        ({"swaps": ((0, 1), (1, 2))}, "two partners"),
        ({"swaps": ((1, 1),)}, "two partners"),
        ({"sigmas": (0.1, 0.1)}, "2 sigmas for 3 joints"),
    ],
)
def test_a_skeleton_that_cannot_be_is_refused(wrong, message):
    right = {"name": "x", "joints": ("a", "b", "c"), "edges": (), "swaps": (), "root": None}
    with pytest.raises(ValueError, match=message):
        Skeleton(**{**right, **wrong})
