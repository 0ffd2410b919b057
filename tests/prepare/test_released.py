"""A released checkpoint, converted and loaded, has the released trajectory."""

from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.commands import script

import posediff
from posediff.diffusion.schedule import linear
from posediff.pose.camera import denormalise

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def converted(shared, tmp_path_factory):
    folder, golden = tmp_path_factory.mktemp("models") / "official", shared / "golden/lift3d"
    files = [golden / "pose_ckpt_official.pth", golden / "diff_ckpt_official.pth"]
    script("convert_checkpoint").write(files, folder, "model")
    return posediff.load(folder)


@pytest.fixture(scope="module")
def golden(shared):
    with np.load(shared / "golden/lift3d/sampler_cpn.npz", allow_pickle=False) as file:
        return {name: torch.from_numpy(file[name]) for name in file}


def test_the_tables_are_the_released_ones(golden):
    bar = linear(51, 1e-4, 1e-3).alpha ** 2
    assert torch.allclose(bar.roll(1).float(), golden["alpha_m1_to_50"], atol=1e-6)


def test_the_cpn_trajectory_is_the_released_one(converted, golden):
    size = torch.tensor([[1000.0, 1002.0]]).expand(len(golden["u"]), 2)
    points = denormalise(golden["u"], size)
    sample = {
        "id": [str(i) for i in range(len(points))],
        "keypoints_2d": points,
        "keypoints_2d_scale": torch.ones_like(points),
        "scores": torch.ones(points.shape[:2]),
        "image_size": size,
    }
    steps = list(converted.trajectory(sample, 1))
    assert [step.t for step in steps] == golden["cpn_seq"].tolist()[::-1] == [12, 0]
    for step, x_t, x_0 in zip(steps, golden["cpn_xs"], golden["cpn_x0"], strict=False):
        assert torch.allclose(step.x_t, x_t, atol=1e-5)
        assert torch.allclose(step.x_0, x_0, atol=1e-5)
    poses = converted.predict(sample)
    assert torch.allclose(poses.keypoints, golden["cpn_xyz"], atol=1e-5)


def test_both_networks_can_be_called_on_plain_tensors(converted, shared):
    with np.load(shared / "golden/lift3d/forward.npz", allow_pickle=False) as file:
        x, t, y, u, z = (torch.from_numpy(file[name]) for name in ("x", "t", "y", "u", "z"))
    with torch.no_grad():
        assert torch.allclose(converted.head.refiner(x, t), y, atol=1e-5)
        assert torch.allclose(converted.head.encoder.network(u)[0], z, atol=1e-5)
