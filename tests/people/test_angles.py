"""Joint angles in closed form, on constructed poses; intervals of known distributions."""

import math

import pytest
import torch

from posediff.people.angles import ANGLES, angle_intervals, joint_angles
from posediff.pose.camera import quaternion_to_matrix
from posediff.pose.skeleton import skeleton

H36M = skeleton("h36m17")


def standing():
    """A person who faces the camera: camera axes, so its left is at +x, up at -y, front at -z."""
    at = {"pelvis": (0, 0, 0), "spine": (0, -0.25, 0), "thorax": (0, -0.5, 0)}
    at |= {"neck": (0, -0.6, 0), "head": (0, -0.7, 0)}
    for side, x in (("left", 1), ("right", -1)):
        at |= {f"{side}_hip": (0.1 * x, 0, 0), f"{side}_knee": (0.1 * x, 0.4, 0)}
        at |= {f"{side}_ankle": (0.1 * x, 0.8, 0), f"{side}_shoulder": (0.2 * x, -0.5, 0)}
        at |= {f"{side}_elbow": (0.2 * x, -0.2, 0), f"{side}_wrist": (0.2 * x, 0.1, 0)}
    return at


def angles(at, layout=H36M, **arguments):
    pose = torch.tensor([at[joint] for joint in layout.joints], dtype=torch.float64)
    found = joint_angles(pose, layout, **arguments)
    return dict(zip(ANGLES, found.tolist(), strict=True))


def test_a_person_who_stands_straight_has_zeros():
    assert angles(standing()) == pytest.approx(dict.fromkeys(ANGLES, 0), abs=1e-9)


@pytest.mark.parametrize(
    ("moved", "expected"),
    [
        ({"left_ankle": (0.1, 0.4, 0.4)}, {"left_knee_flexion": 90}),
        ({"right_ankle": (-0.1, 0.4, 0.4)}, {"right_knee_flexion": 90}),
        ({"left_ankle": (0.1, 0.0, 0.001)}, {"left_knee_flexion": 180}),
        ({"right_wrist": (-0.2, -0.2, -0.3)}, {"right_elbow_flexion": 90}),
        (
            {"left_knee": (0.1, 0, -0.4), "left_ankle": (0.1, 0, -0.8)},
            {"left_hip_flexion": 90},
        ),
        (
            {"right_knee": (-0.1, 0.4, 0.4), "right_ankle": (-0.1, 0.8, 0.8)},
            {"right_hip_flexion": -45},
        ),
        (
            {"left_elbow": (0.2, -0.5, -0.3), "left_wrist": (0.2, -0.5, -0.6)},
            {"left_shoulder_elevation": 90},
        ),
        (  # to the side, and down as far
            {"right_elbow": (-0.5, -0.2, 0), "right_wrist": (-0.8, 0.1, 0)},
            {"right_shoulder_elevation": 45},
        ),
        (  # away from the body to the side, and as far forward: the side is left out
            {"left_knee": (0.4, 0.4, -0.3), "left_ankle": (0.7, 0.8, -0.6)},
            {"left_hip_flexion": math.degrees(math.atan2(0.3, 0.4))},
        ),
    ],
)
def test_a_limb_that_is_moved_alone_has_the_angle_of_its_construction(moved, expected):
    found = angles(standing() | moved)
    assert found == pytest.approx(dict.fromkeys(ANGLES, 0) | expected, abs=0.2)


@pytest.mark.parametrize("across", [0.0, 0.1, 0.3])  # of the plane, in shares of its distance
def test_an_arm_that_goes_over_the_head_has_an_elevation_without_a_jump(across):
    at, turns = standing(), torch.arange(0, 361, 5, dtype=torch.float64).deg2rad()
    found = []
    for turn in turns.tolist():  # a full circle: forward, up, backward, down
        bone = (0.3 * across, 0.3 * math.cos(turn), -0.3 * math.sin(turn))
        elbow = tuple(a + b for a, b in zip(at["left_shoulder"], bone, strict=True))
        found.append(angles(at | {"left_elbow": elbow})["left_shoulder_elevation"])
    expected = (turns.cos() / math.hypot(1, across)).acos().rad2deg()
    assert found == pytest.approx(expected.tolist(), abs=1e-6)
    assert torch.tensor(found).diff().abs().max() < 5 + 1e-6


def test_doubt_about_an_arm_above_the_head_is_an_interval_of_its_size():
    g = torch.Generator().manual_seed(0)
    pose = torch.tensor([standing()[joint] for joint in H36M.joints], dtype=torch.float64)
    draws = pose.repeat(20000, 1, 1)
    sideways = torch.tensor([1.0, 0, 1]) * torch.randn(len(draws), 3, generator=g).double()
    bone = torch.tensor([0, -0.3, 0]) + 0.05 * sideways  # its distance from straight: Rayleigh
    draws[:, H36M.joints.index("left_elbow")] = pose[H36M.joints.index("left_shoulder")] + bone
    found, arm = angle_intervals(joint_angles(draws, H36M)), ANGLES.index("left_shoulder_elevation")
    for ends, levels in ((found.low, (0.25, 0.05)), (found.high, (0.75, 0.95))):
        off = [0.05 * math.sqrt(-2 * math.log(level)) / 0.3 for level in levels]
        expected = [180 - math.degrees(math.atan(x)) for x in off]
        assert ends[arm].tolist() == pytest.approx(expected, abs=0.3)


def test_lean_is_to_the_vertical_and_the_other_angles_turn_with_the_body():
    pose = torch.tensor([standing()[joint] for joint in H36M.joints], dtype=torch.float64)
    pose[H36M.joints.index("left_ankle")] = torch.tensor([0.1, 0.4, 0.4])
    for axis in range(3):
        turn = torch.zeros(4, dtype=torch.float64)
        turn[0], turn[axis + 1] = math.cos(math.pi / 12), math.sin(math.pi / 12)
        found = joint_angles(pose @ quaternion_to_matrix(turn).T, H36M)
        assert found[0] == pytest.approx(90)
        assert found[1:8].abs().max() < 1e-9
        assert found[8] == pytest.approx(0 if axis == 1 else 30, abs=1e-6)
    assert angles(standing(), up=(1.0, 0, 0))["trunk_lean"] == pytest.approx(90)


def test_a_mirror_exchanges_the_sides():
    g = torch.Generator().manual_seed(0)
    poses = torch.randn(4, 5, 17, 3, generator=g, dtype=torch.float64)
    swapped = [1, 0, 3, 2, 5, 4, 7, 6, 8]
    mirrored = (poses * torch.tensor([-1.0, 1, 1]))[..., H36M.flip, :]
    found = joint_angles(mirrored, H36M)
    torch.testing.assert_close(found, joint_angles(poses, H36M)[..., swapped])
    torch.testing.assert_close(found[2, 3], joint_angles(mirrored[2, 3], H36M))


def test_an_angle_without_its_points_is_not_a_number_and_no_other():
    at = standing() | {"left_wrist": (float("nan"),) * 3, "right_ankle": standing()["right_knee"]}
    unknown = {name for name, angle in angles(at).items() if angle != angle}
    assert unknown == {"left_elbow_flexion", "right_knee_flexion"}


def test_a_skeleton_without_wrists_is_an_error():
    layout = skeleton("posetrack17")
    assert len(joint_angles(torch.randn(2, 17, 3), layout)[0]) == len(ANGLES)
    legs = type(layout)("legs", ("left_hip", "right_hip"), ((0, 1),), ((0, 1),), 0)
    with pytest.raises(ValueError, match="skeleton legs has no left_ankle"):
        joint_angles(torch.zeros(2, 3), legs)


def test_intervals_are_order_statistics_about_the_circular_mean():
    angles = torch.arange(1.0, 20)[torch.randperm(19, generator=torch.Generator().manual_seed(1))]
    found = angle_intervals(torch.stack([angles, angles + 170], -1))
    expected = torch.tensor([10.0, 180.0])  # the second passes 180
    assert found.mean.remainder(360).tolist() == pytest.approx(expected.tolist(), abs=1e-3)
    assert (found.low - found.mean[:, None]).tolist() == [pytest.approx([-5, -9], abs=1e-3)] * 2
    assert (found.high - found.mean[:, None]).tolist() == [pytest.approx([5, 9], abs=1e-3)] * 2


def test_an_interval_covers_its_share_of_truths_like_the_hypotheses():
    g = torch.Generator().manual_seed(0)
    draws = 20 * torch.randn(20000, 21, 1, generator=g, dtype=torch.float64) + 175
    truth, found = draws[:, 0], angle_intervals((draws[:, 1:] + 180) % 360 - 180)
    offset = (truth - found.mean + 180) % 360 - 180 + found.mean
    inside = (found.low <= offset[..., None]) & (offset[..., None] <= found.high)
    assert inside.double().mean((0, 1)).tolist() == pytest.approx([0.5, 0.9], abs=0.01)


def test_one_hypothesis_is_its_own_interval_and_nan_stays_nan():
    found = angle_intervals(torch.tensor([[30.0, torch.nan]]))
    assert found.mean[0] == found.low[0, 1] == found.high[0, 1] == pytest.approx(30)
    assert found.low[1].isnan().all()
