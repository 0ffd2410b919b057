"""poses.npz and poses.json."""

import dataclasses
import json

import numpy as np
import pytest
import torch

from posediff.diffusion.aggregate import Poses
from posediff.inference.pose_files import write_poses
from posediff.pose.skeleton import skeleton

H36M = skeleton("h36m17")
FRAMES = ["a.jpg", "b.jpg#0"]
ROWS = np.array([3, 3]), np.array([7, 9])  # tracks, numbers
META = {"layout": "coco17", "image_size": [1000, 800], "note": "a [b] {c}"}


def poses(K: int = 3) -> Poses:
    generator = torch.Generator().manual_seed(0)
    every = torch.randn(2, K, 17, 3, generator=generator)
    mean = every.mean(1)
    spread = (every - mean[:, None]).square().sum(-1).mean(1).sqrt()
    return Poses(mean, torch.rand(2, 17, generator=generator), every, spread, "h36m17")


def strict(text: str) -> dict:
    def refuse(word: str) -> None:
        raise AssertionError(f"{word} is no JSON")

    return json.loads(text, parse_constant=refuse)


def test_the_npz_has_every_array_and_no_pickle(tmp_path):
    p = poses()
    path, _ = write_poses(tmp_path / "new" / "folder", p, FRAMES, H36M, META, *ROWS)
    with np.load(path, allow_pickle=False) as file:
        for name in ("keypoints", "hypotheses", "spread", "scores"):
            assert file[name].dtype == np.float32
            assert np.array_equal(file[name], getattr(p, name).numpy())
        assert file["frames"].tolist() == FRAMES
        assert (file["track"].tolist(), file["number"].tolist()) == ([3, 3], [7, 9])
        assert file["joints"].tolist() == list(H36M.joints)
        assert file["edges"].tolist() == [list(edge) for edge in H36M.edges]
        assert (str(file["skeleton"]), str(file["unit"])) == ("h36m17", "metre")
        assert json.loads(str(file["meta"])) == META


def test_the_json_is_the_same_to_a_hundredth_of_a_millimetre(tmp_path):
    p = poses()
    _, path = write_poses(tmp_path, p, FRAMES, H36M, META, *ROWS)
    data = strict(path.read_text())
    assert data["meta"] == META
    assert data["joints"] == list(H36M.joints)
    assert (data["root"], data["unit"], data["skeleton"]) == ("pelvis", "metre", "h36m17")
    assert [one["frame"] for one in data["poses"]] == FRAMES
    assert [(one["track"], one["number"]) for one in data["poses"]] == [(3, 7), (3, 9)]
    for i, one in enumerate(data["poses"]):
        for name in ("keypoints", "hypotheses", "spread", "scores"):
            np.testing.assert_allclose(one[name], getattr(p, name)[i], atol=0.51e-5)
        assert one["mean_spread"] == pytest.approx(float(p.spread[i].mean()), abs=2e-5)


def test_a_joint_is_one_line_of_the_json(tmp_path):
    _, path = write_poses(tmp_path, poses(K=1), FRAMES, H36M, META, *ROWS)
    x, y, z = strict(path.read_text())["poses"][1]["keypoints"][3]
    assert f"[{x}, {y}, {z}]," in [line.strip() for line in path.read_text().splitlines()]


def test_poses_on_a_graph_and_in_half_precision_are_written_too(tmp_path):
    p = dataclasses.replace(poses(), keypoints=poses().keypoints.bfloat16().requires_grad_())
    path, _ = write_poses(tmp_path, p, FRAMES, H36M, {}, *ROWS)
    with np.load(path) as file:
        assert np.array_equal(file["keypoints"], p.keypoints.detach().float().numpy())


def test_writing_again_replaces_both_files_and_leaves_no_others(tmp_path):
    write_poses(tmp_path, poses(), FRAMES, H36M, META, *ROWS)
    _, path = write_poses(tmp_path, poses(K=1), FRAMES, H36M, META, *ROWS)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["poses.json", "poses.npz"]
    assert len(strict(path.read_text())["poses"][0]["hypotheses"]) == 1


@pytest.mark.parametrize(
    ("change", "frames", "message"),
    [
        ({"skeleton": "mocap17"}, FRAMES, "poses of mocap17 cannot be written as h36m17"),
        ({}, FRAMES[:1], "1 frame names for 2 poses"),
    ],
)
def test_poses_of_another_skeleton_or_number_are_refused(tmp_path, change, frames, message):
    with pytest.raises(ValueError, match=message):
        write_poses(tmp_path, dataclasses.replace(poses(), **change), frames, H36M, META, *ROWS)


def test_a_pose_that_is_not_finite_is_named_and_the_old_files_stay(tmp_path):
    npz, text = write_poses(tmp_path, poses(), FRAMES, H36M, META, *ROWS)
    before = npz.read_bytes(), text.read_bytes()
    bad = poses()
    bad.keypoints[1, 4, 2] = torch.nan
    with pytest.raises(ValueError, match=r"frame b\.jpg#0: keypoints\[4, 2\] is not finite"):
        write_poses(tmp_path, bad, FRAMES, H36M, META, *ROWS)
    assert (npz.read_bytes(), text.read_bytes()) == before
    assert len(list(tmp_path.iterdir())) == 2
