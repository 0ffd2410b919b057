"""Windows of frames: their frames, and those of them that count."""

from collections import Counter

import numpy as np
import pytest
import torch

from posediff.data.lifting.lifting_dataset import LiftingDataset
from posediff.data.lifting.synthetic_people import people, synthetic
from posediff.data.lifting.views import Clip
from posediff.data.lifting.windows import Windows, windowed
from posediff.pose.camera import project
from posediff.pose.mirror import mirror_sample

SOURCES = ("gt", "noisy")


def every(data):
    return data.__getitems__(list(range(len(data))))


def dataset(frames, keypoints="noisy", split="validation", length=50, **kwargs):
    return synthetic(split, keypoints, clips=2, length=length, window=frames, **kwargs)


@pytest.mark.parametrize("length", [1, 100, 242, 243, 244, 486, 600])
def test_every_frame_counts_once_and_windows_stay_in_their_sequence(length):
    windows = Windows.over([7, length, 300], 243)
    rows, valid = windows.rows(torch.arange(len(windows)))
    assert sorted(rows[valid].tolist()) == list(range(7 + length + 300))
    sequence = torch.tensor([0] * 7 + [1] * length + [2] * 300)
    assert (sequence[rows] == windows.sequence[:, None]).all()
    mine = rows[windows.sequence == 1] - 7
    assert mine.shape == (-(-length // 243), 243)
    assert mine[-1, -1] == length - 1
    if length >= 243:
        assert (mine.diff(dim=1) == 1).all()  # the last one overlaps instead of being padded
    else:
        assert mine[0].tolist() == [min(i, length - 1) for i in range(243)]


@pytest.mark.parametrize("length", [1, 100, 243, 244, 600])
def test_count_overlap_counts_all_frames_of_all_windows(length):
    rows = every(synthetic("test", "gt", clips=1, length=length, window=243))
    assert rows["frames_valid"].sum() == 4 * length
    data = synthetic("test", "gt", clips=1, length=length, window=243)
    data.count_overlap = True
    assert every(data)["frames_valid"].sum() == 4 * 243 * -(-length // 243)


def test_in_training_a_window_starts_anywhere_and_padding_never_counts():
    windows = Windows.over([10, 3], 4)
    u = torch.linspace(0, 0.9999, 1000)
    rows, valid = windows.rows(torch.zeros(1000, dtype=torch.long), u)
    assert valid.all()
    starts = Counter(rows[:, 0].tolist())
    assert set(starts) == set(range(7))
    assert max(starts.values()) - min(starts.values()) <= 2
    rows, valid = windows.rows(torch.tensor([3]), torch.tensor([0.7]))
    assert (rows.tolist(), valid.tolist()) == ([[10, 11, 12, 12]], [[True, True, True, False]])


def test_a_window_of_no_frames_is_refused():
    with pytest.raises(ValueError, match=r"dataset\.window must be at least 1, got 0"):
        dataset(0)


def flat(sample, rows):
    return {
        k: flat(x, rows) if isinstance(x, dict) else x[rows]
        for k, x in sample.items()
        if isinstance(x, dict | torch.Tensor)
    }


@pytest.mark.parametrize("keypoints", SOURCES)
def test_the_frames_of_a_window_equal_single_frames_with_their_noise(keypoints):
    single, video = every(dataset(1, keypoints)), every(dataset(27, keypoints))
    valid = video.pop("frames_valid") > 0
    assert valid.sum() == len(single["id"]) == 2 * 4 * 50
    assert valid.float().mean(1).unique().tolist() == pytest.approx([23 / 27, 1])
    assert video["keypoints"].shape == (16, 27, 17, 3)
    assert video["camera"].shape == (16, 27, 9)
    assert video["mixture"]["loc"].shape == (16, 27, 17, 5, 2)
    seen = flat(video, valid)
    for key, x in flat(single, slice(None)).items():
        for name, y in x.items() if isinstance(x, dict) else [(None, x)]:
            assert torch.equal(seen[key] if name is None else seen[key][name], y), (key, name)
    assert video["id"][1] == "validation00/walking/cam0/000023"
    assert video["meta"]["sequence"][1] == "validation00/walking/cam0"
    assert video["meta"]["frame"][1].tolist() == list(range(23, 50))
    assert video["meta"]["action"][1] == ["walking"] * 27


def test_a_window_is_the_same_alone_and_in_any_batch():
    data = dataset(27, split="train", mirror=True)
    data.set_epoch(2)
    batch = every(data)
    alone = data[5]
    assert alone["id"] == batch["id"][5]
    for key in ("keypoints", "keypoints_2d", "frames_valid", "camera"):
        assert torch.equal(alone[key], batch[key][5])


def test_epochs_move_and_mirror_whole_windows_of_training():
    data = dataset(27, split="train", mirror=True)
    plain = dataset(27, split="train")
    starts, mirrored = [], []
    for epoch in range(4):
        data.set_epoch(epoch)
        plain.set_epoch(epoch)
        batch, straight = every(data), every(plain)
        starts.append(batch["meta"]["frame"][:, 0])
        turned = mirror_sample(straight, data.skeleton)
        heads = (batch["camera"] != straight["camera"]).any(-1)
        assert (heads.all(1) == heads.any(1)).all()
        mirrored.append(heads[:, 0])
        for name in ("keypoints", "keypoints_2d", "target_2d", "scores", "camera"):
            chosen = torch.where(
                heads[:, 0].view(-1, *[1] * (batch[name].ndim - 1)), turned[name], straight[name]
            )
            assert torch.equal(batch[name], chosen), name
        error = project(batch["keypoints"], batch["camera"]) - batch["target_2d"]
        assert error.abs().max() < 1e-2
    assert (torch.stack(starts).diff(dim=0) != 0).float().mean() > 0.9
    assert 0.3 < torch.stack(mirrored).float().mean() < 0.7


def test_a_frame_with_few_joints_stays_in_its_window_without_counting():
    data = dataset(1)
    world = np.random.default_rng(0).normal((0, 0, 1), 0.3, (40, 17, 3)).astype(np.float32)
    camera = next(people("test", 0, 2)).cameras[0]
    clip = Clip("walk", "a", "walking", world, [camera], ["cam"])
    clip.world[10:15] += 100
    video = LiftingDataset([clip], "h36m17", "gt", window=20)
    batch = every(video)
    assert batch["meta"]["frame"].flatten().tolist() == list(range(40))
    missing = (batch["frames_valid"].flatten() == 0).nonzero().flatten()
    assert missing.tolist() == list(range(10, 15))
    assert video.left_out == 5
    assert video.summary()["frames"] == 35
    assert (video.summary()["window"], video.summary()["windows"]) == (20, 2)
    clip.world[0:20] += 100
    assert every(LiftingDataset([clip], "h36m17", "gt", window=20))["id"] == ["a/walk/cam/000020"]
    assert "window" not in data.summary()


def test_windowed_frames_are_valid_once_each():
    frames = {
        "id": [str(i) for i in range(10)],
        "keypoints_2d": torch.arange(10.0).view(10, 1, 1).expand(10, 17, 2),
        "mixture": {"weights": torch.arange(10.0).view(10, 1, 1)},
    }
    video = windowed(frames, 4)
    assert video["id"] == ["0", "4", "6"]
    assert video["keypoints_2d"].shape == (3, 4, 17, 2)
    valid = video["frames_valid"] > 0
    assert video["keypoints_2d"][valid][:, 0, 0].tolist() == list(range(10))
    assert video["mixture"]["weights"][valid].flatten().tolist() == list(range(10))
    short = windowed(frames, 27)
    assert (short["frames_valid"].sum(), short["keypoints_2d"][0, 26, 0, 0]) == (10, 9)
