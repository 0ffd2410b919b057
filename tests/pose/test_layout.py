import pytest
import torch

from posediff.pose.layout import by_names, convert
from posediff.pose.skeleton import SKELETONS, skeleton

# Human3.6M's joints in each layout, by index: the sources and their weights.
TABLE = {
    "coco17": {
        0: {11: 1 / 2, 12: 1 / 2}, 1: 12, 2: 14, 3: 16, 4: 11, 5: 13, 6: 15,
        8: {5: 1 / 2, 6: 1 / 2}, 9: 0, 10: {1: 1 / 2, 2: 1 / 2},
        11: 5, 12: 7, 13: 9, 14: 6, 15: 8, 16: 10,
    },
    "halpe26": {
        0: 19, 1: 12, 2: 14, 3: 16, 4: 11, 5: 13, 6: 15,
        8: {5: 1 / 2, 6: 1 / 2}, 9: 0, 10: {18: 5 / 12, 17: 7 / 12},
        11: 5, 12: 7, 13: 9, 14: 6, 15: 8, 16: 10,
    },
    "mpii16": {
        0: 6, 1: 2, 2: 1, 3: 0, 4: 3, 5: 4, 6: 5,
        8: 7, 9: {8: 3 / 4, 9: 1 / 4}, 10: {8: 5 / 12, 9: 7 / 12},
        11: 13, 12: 14, 13: 15, 14: 12, 15: 11, 16: 10,
    },
    "aic14": {
        0: {6: 1 / 2, 9: 1 / 2}, 1: 6, 2: 7, 3: 8, 4: 9, 5: 10, 6: 11,
        8: {0: 1 / 2, 3: 1 / 2}, 9: {13: 3 / 4, 12: 1 / 4}, 10: {13: 5 / 12, 12: 7 / 12},
        11: 3, 12: 4, 13: 5, 14: 0, 15: 1, 16: 2,
    },
    "crowdpose14": {
        0: {6: 1 / 2, 7: 1 / 2}, 1: 7, 2: 9, 3: 11, 4: 6, 5: 8, 6: 10,
        8: {0: 1 / 2, 1: 1 / 2}, 9: {13: 3 / 4, 12: 1 / 4}, 10: {13: 5 / 12, 12: 7 / 12},
        11: 0, 12: 2, 13: 4, 14: 1, 15: 3, 16: 5,
    },
    "posetrack17": {
        0: {11: 1 / 2, 12: 1 / 2}, 1: 12, 2: 14, 3: 16, 4: 11, 5: 13, 6: 15,
        8: {5: 1 / 2, 6: 1 / 2}, 9: 0, 10: {1: 1 / 2, 2: 1 / 2},
        11: 5, 12: 7, 13: 9, 14: 6, 15: 8, 16: 10,
    },
}  # fmt: skip
RULES = {
    name: {j: rule if isinstance(rule, dict) else {rule: 1.0} for j, rule in table.items()}
    for name, table in TABLE.items()
}
RULES["posetrack15"] = {  # posetrack17 without its joints 3 and 4
    j: {i - 2 * (i > 2): a for i, a in rule.items()} for j, rule in RULES["posetrack17"].items()
}
WITHOUT_NOSE = {"mpii16", "aic14", "crowdpose14"}


def weight_table(name):
    weights = torch.zeros(17, len(skeleton(name).joints), dtype=torch.float64)
    for j, rule in RULES[name].items():
        for i, a in rule.items():
            weights[j, i] = a
    weights[7] = (weights[0] + weights[8]) / 2
    return weights


def detections(name, batch=(3,), seed=0):
    torch.manual_seed(seed)
    J = len(skeleton(name).joints)
    points = torch.rand(*batch, J, 2, dtype=torch.float64) * 1000
    return points, torch.rand(*batch, J).double() + 0.1, torch.rand(*batch, J).double() * 9 + 1


@pytest.mark.parametrize("name", RULES)
def test_human36m_from_each_layout_is_as_in_the_table(name):
    points, scores, scale = detections(name)
    got = convert(points, scores, skeleton(name), skeleton("h36m17"), scale)
    weights = weight_table(name)
    torch.testing.assert_close(got.points, weights @ points, atol=1e-9, rtol=0)
    derived = torch.ones(17).double()
    if name in WITHOUT_NOSE:
        derived[9] = 0
    assert torch.equal(got.visible, derived.expand(3, 17))
    for j in range(17):
        used = weights[j] > 0
        if j == 9 and name in WITHOUT_NOSE:
            a, b = points[:, used].unbind(1)
            assert torch.equal(got.scores[:, j], torch.zeros(3).double())
            large = ((a - b).norm(dim=-1) / 2).clamp(min=25)
            torch.testing.assert_close(got.scale[:, j], large)
        else:
            assert torch.equal(got.scores[:, j], scores[:, used].amin(-1))
            expected = (weights[j] * scale).square().sum(-1).sqrt()
            torch.testing.assert_close(got.scale[:, j], expected)


@pytest.mark.parametrize("name", ["coco17", "halpe26"])
def test_mocap_bodies_have_another_thorax_neck_and_head(name):
    points, scores, _ = detections(name)
    got = convert(points, scores, skeleton(name), skeleton("mocap17")).points
    left_ear, right_ear, left_shoulder, right_shoulder = points[:, [3, 4, 5, 6]].unbind(1)
    hip = points[:, 19] if name == "halpe26" else (points[:, 11] + points[:, 12]) / 2
    middle = (left_shoulder + right_shoulder) / 2
    thorax, neck = middle + 0.10 * (hip - middle), (left_ear + right_ear) / 2
    expected = {0: hip, 7: (hip + thorax) / 2, 8: thorax, 9: neck, 10: neck + 0.5 * (neck - thorax)}
    for j, point in expected.items():
        torch.testing.assert_close(got[:, j], point, atol=1e-9, rtol=0)


@pytest.mark.parametrize("name", ["posetrack17", "aic14", "crowdpose14", "mpii16", "h36m17"])
def test_mocap_joints_of_other_layouts_are_those_of_human36m(name):
    points, scores, scale = detections(name)
    mocap = convert(points, scores, skeleton(name), skeleton("mocap17"), scale)
    h36m = convert(points, scores, skeleton(name), skeleton("h36m17"), scale)
    for a, b in zip(mocap, h36m, strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize("s", SKELETONS.values(), ids=SKELETONS)
def test_a_layout_converts_to_itself_unchanged(s):
    points, scores, scale = detections(s.name)
    got = convert(points, scores, s, s, scale)
    given = points, scores, scale, torch.ones(3, len(s.joints)).double()
    for a, b in zip(got, given, strict=True):  # a scale is the root of its square, rounded
        torch.testing.assert_close(a, b, rtol=1e-14, atol=0)


def test_the_default_scale_is_five_pixels_at_a_width_of_a_thousand():
    points, scores, _ = detections("h36m17")
    got = convert(points, scores, skeleton("h36m17"), skeleton("mocap17"), width=640)
    torch.testing.assert_close(got.scale, torch.full((3, 17), 3.2).double())


def test_a_missing_joint_is_at_the_mean_of_its_neighbours():
    h36m = skeleton("h36m17")
    points, scores, scale = detections("h36m17")
    points[0, 12], scores[0, 16], scores[0, 8] = torch.nan, 0, 0
    got = convert(points, scores, h36m, h36m, scale)
    elbow = (points[0, 11] + points[0, 13]) / 2
    thorax = points[0, [7, 9, 11, 14]].mean(0)
    torch.testing.assert_close(got.points[0, 12], elbow)
    torch.testing.assert_close(got.points[0, 8], thorax)
    torch.testing.assert_close(got.points[0, 16], points[0, 15])
    half = (points[0, 11] - points[0, 13]).norm() / 2
    torch.testing.assert_close(got.scale[0, 12], half.clamp(min=25))
    widest = torch.cdist(points[0, [7, 9, 11, 14]], points[0, [7, 9, 11, 14]]).max() / 2
    torch.testing.assert_close(got.scale[0, 8], widest.clamp(min=25))
    assert got.scale[0, 16] == 25
    assert got.scores[0, [8, 12, 16]].eq(0).all()
    assert got.visible[0].eq(0).nonzero()[:, 0].tolist() == [8, 12, 16]
    assert got.visible[1:].eq(1).all()


def test_a_joint_is_missing_if_any_of_its_sources_is():
    points, scores, _ = detections("coco17")
    points[0, 11] = torch.nan  # the left hip
    got = convert(points, scores, skeleton("coco17"), skeleton("h36m17"))
    assert got.visible[0].eq(0).nonzero()[:, 0].tolist() == [0, 4, 7]
    assert got.points.isfinite().all()
    torch.testing.assert_close(got.points[0, 4], points[0, 13])  # its pelvis is missing, too


@pytest.mark.parametrize("target", SKELETONS)
def test_results_are_finite_whichever_joints_are_missing(target):
    for name in SKELETONS:
        points, scores, scale = detections(name, batch=(8,), seed=1)
        missing = torch.rand_like(scores) < torch.linspace(0, 1.01, 8)[:, None]
        points[missing], scale[missing] = torch.nan, torch.nan
        got = convert(points, scores, skeleton(name), skeleton(target), scale)
        assert all(x.isfinite().all() for x in got)
        assert got.scale.gt(0).all()
        assert got.scores[got.visible == 0].eq(0).all()
        assert got.visible[-1].eq(0).all()
        assert got.points[-1].eq(500).all()
        assert got.scale[-1].eq(250).all()


def test_one_pose_converts_as_in_a_batch_of_clips():
    points, scores, scale = detections("aic14", batch=(2, 3))
    points[0, 1, 4] = torch.nan
    together = convert(points, scores, skeleton("aic14"), skeleton("h36m17"), scale)
    alone = convert(points[0, 1], scores[0, 1], skeleton("aic14"), skeleton("h36m17"), scale[0, 1])
    for a, b in zip(together, alone, strict=True):
        torch.testing.assert_close(a[0, 1], b)


def test_a_wrong_number_of_joints_or_another_body_is_refused():
    points, scores, _ = detections("aic14")
    with pytest.raises(ValueError, match="14 joints given, but skeleton coco17 has 17"):
        convert(points, scores, skeleton("coco17"), skeleton("h36m17"))
    other = type(skeleton("aic14"))("dog", tuple("abcdefghijklmn"), (), (), None)
    with pytest.raises(ValueError, match="no joint of h36m17 can be derived from those of dog"):
        convert(points, scores, other, skeleton("h36m17"))


H36M_NAMES = (
    "Hip,RHip,RKnee,RFoot,LHip,LKnee,LFoot,Spine,Thorax,Neck/Nose,Head,"
    "LShoulder,LElbow,LWrist,RShoulder,RElbow,RWrist"
)
OTHER_NAMES = (
    "root,r_hip,r_knee,r_ankle,l_hip,l_knee,l_ankle,spine,thorax,neck_base,head,"
    "l_shoulder,l_elbow,l_wrist,right_shoulder,rightElbow,Right Wrist"
)


def test_joints_by_name_in_any_order_and_spelling():
    order = torch.randperm(17, generator=torch.Generator().manual_seed(0))
    points, scores, _ = detections("h36m17")
    for names in (H36M_NAMES.split(","), OTHER_NAMES.split(",")):
        shuffled = [names[i] for i in order]
        got = by_names(points[:, order], scores[:, order], shuffled, skeleton("h36m17"))
        assert torch.equal(got[0], points)
        assert torch.equal(got[1], scores)
    names = [*skeleton("aic14").joints[:12], "head", "neck"]
    assert torch.equal(
        by_names(points[:, :14], scores[:, :14], names, skeleton("aic14"))[0], points[:, :14]
    )


def test_a_joint_that_is_not_named_is_missing_and_an_unknown_name_an_error():
    points, scores, _ = detections("coco17")
    names, coco = skeleton("coco17").joints, skeleton("coco17")
    some, some_scores = by_names(points[:, 5:], scores[:, 5:], names[5:], coco)
    assert some[:, :5].isnan().all()
    assert some_scores[:, :5].eq(0).all()
    assert convert(some, some_scores, coco, skeleton("h36m17")).visible.sum(-1).eq(15).all()
    with pytest.raises(ValueError, match=r"joint 'tail' is not in skeleton coco17.*rename it"):
        by_names(points, scores, [*names[:16], "tail"], coco)
    with pytest.raises(ValueError, match="two joints have the same name"):
        by_names(points, scores, [*names[:16], "RFoot", "r_ankle"][1:], coco)
