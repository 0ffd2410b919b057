"""Tables of joints and angles."""

import csv
import math

import numpy as np
import pytest
import torch
from helpers.people import person, video

from posediff.outputs.tables import person_angles, writing_angles, writing_joints
from posediff.people.angles import ANGLES, angle_intervals, joint_angles
from posediff.pose.skeleton import skeleton


def rows(path, writing, frames):
    with writing(path) as add:
        for frame in frames:
            add(frame)
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def number(cell):
    return float(cell) if cell else math.nan


def test_joints_have_a_row_each_with_2d_and_3d_beside_each_other(tmp_path):
    rng = np.random.default_rng(0)
    people = [person(rng, track=5), person(rng, layout_3d=None)]
    people[0].keypoints_2d[0] = np.nan
    found = rows(tmp_path / "joints.csv", writing_joints, video([[], people]))
    joints = [*skeleton("coco17").joints]
    both = [*dict.fromkeys([*joints, *skeleton("h36m17").joints])]
    assert [row["joint"] for row in found] == both + joints
    assert {(row["frame"], row["index"], row["time_s"]) for row in found} == {
        ("000001", "1", "0.040000")
    }
    assert [row["track"] for row in found] == ["5"] * len(both) + [""] * len(joints)
    assert [row["person"] for row in found] == ["0"] * len(both) + ["1"] * len(joints)
    assert found[0]["x_px"] == found[0]["x_m"] == ""  # the nose: missing, and not in 3D
    assert found[len(both)]["z_m"] == ""
    row, j, j3 = found[5], joints.index("left_shoulder"), 11
    assert row["joint"] == "left_shoulder"
    one = people[0]
    flat = [*one.keypoints_2d[j], one.scores[j], one.spread_2d[j]]
    solid = [*one.keypoints_3d[j3], one.spread_3d[j3], one.scores_3d[j3]]
    assert [number(cell) for cell in list(row.values())[6:]] == pytest.approx(
        [*flat, *solid], abs=5.1e-4
    )


def test_angles_have_their_mean_and_intervals_from_the_hypotheses(tmp_path):
    rng = np.random.default_rng(1)
    people = [person(rng, K=30), person(rng, layout_3d=None), person(rng, K=1, track=2)]
    found = rows(tmp_path / "angles.csv", writing_angles, video([people]))
    assert [row["angle"] for row in found] == [*ANGLES, *ANGLES]
    draws = torch.from_numpy(people[0].hypotheses_3d).double()
    mean, low, high = angle_intervals(joint_angles(draws, skeleton("h36m17")))
    expected = torch.stack([mean, low[:, 0], high[:, 0], low[:, 1], high[:, 1]], 1)
    cells = np.array([[number(cell) for cell in list(row.values())[6:]] for row in found])
    np.testing.assert_allclose(cells[:9], expected, atol=0.0051)
    alone = joint_angles(torch.from_numpy(people[2].keypoints_3d), skeleton("h36m17"))
    np.testing.assert_allclose(cells[9:, 0], alone, atol=0.0051)
    assert np.isnan(cells[9:, 1:]).all()
    assert person_angles(people[1]) is None
