import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from posediff.data.lifting.detector import DetectorNoise, point_mixture
from posediff.data.lifting.lifting_dataset import LiftingDataset
from posediff.data.lifting.views import Clip
from posediff.pose.camera import Camera, project
from posediff.pose.mirror import mirror_sample

J = 17


def camera(side=1.0):
    """A camera at 5 m and chest height, looking along +y or -y, with Human3.6M's distortion."""
    rotation = torch.tensor([[side, 0, 0], [0, 0, -1], [0, side, 0]])
    lens = torch.tensor([1145.0, 1143, 512, 515, -0.2, 0.24, -0.002, -0.0009, -0.0014])
    return Camera(rotation, torch.tensor([0, -5 * side, 1]), lens, torch.tensor([1000.0, 1002]))


def clip(name="walk", frames=40, seed=0, **kwargs):
    rng = np.random.default_rng(seed)
    world = rng.normal((0, 0, 1), 0.3, (frames, J, 3)).astype(np.float32)
    return Clip(name, "mm", "walking", world, [camera(), camera(-1)], ["front", "back"], **kwargs)


def dataset(keypoints="noisy", clips=None, **kwargs):
    return LiftingDataset(clips or [clip(), clip("run", seed=1)], "mocap17", keypoints, **kwargs)


def leaves(sample):
    """The tensors of a sample by path."""
    for name, value in sample.items():
        if isinstance(value, dict):
            yield from ((f"{name}.{path}", leaf) for path, leaf in leaves(value))
        elif isinstance(value, torch.Tensor):
            yield name, value


def assert_same(one, other, rows=slice(None)):
    assert one["id"] == other["id"]
    for (path, a), (_, b) in zip(leaves(one), leaves(other), strict=True):
        assert torch.equal(a[rows], b[rows]), path


def differ(one, other, path="keypoints_2d"):
    return not torch.equal(one[path], other[path])


@pytest.mark.parametrize("training", [False, True])
def test_a_sample_is_the_same_alone_in_a_batch_and_shuffled(training):
    data = dataset(training=training, mirror=True)
    data.set_epoch(3)
    batch = data.__getitems__(list(range(len(data))))
    order = torch.randperm(len(data), generator=torch.Generator().manual_seed(0)).tolist()
    shuffled = data.__getitems__(order)
    assert shuffled["id"] == [batch["id"][i] for i in order]
    for (path, a), (_, b) in zip(leaves(batch), leaves(shuffled), strict=True):
        assert torch.equal(a[order], b), path
    for i in (0, 57, len(data) - 1):
        alone = data[i]
        assert alone["id"] == batch["id"][i]
        assert alone["meta"]["camera"] == batch["meta"]["camera"][i]
        for (path, a), (_, b) in zip(leaves(alone), leaves(batch), strict=True):
            assert torch.equal(a, b[i]), path


def test_a_sample_does_not_depend_on_the_other_clips():
    run = dataset(clips=[clip("run", seed=1)])
    assert_same(run.__getitems__([3, 50]), dataset().__getitems__([83, 130]))


def test_epochs_change_the_draws_of_training_and_seeds_all_draws():
    def draw(epoch, seed, training):
        data = dataset(seed=seed, training=training)
        data.set_epoch(epoch)
        return data.__getitems__([0, 1, 2])

    assert differ(draw(0, 0, True), draw(1, 0, True))
    assert_same(draw(0, 0, False), draw(1, 0, False))
    for training in (False, True):
        assert_same(draw(1, 0, training), draw(1, 0, training))
        assert differ(draw(0, 0, training), draw(0, 1, training))


def test_a_batch_has_the_keys_of_the_sample_table():
    data = dataset()
    batch = data.__getitems__([0, 40, 123])
    assert batch["id"] == ["mm/walk/front/000000", "mm/walk/back/000000", "mm/run/back/000003"]
    assert batch["meta"]["sequence"] == ["mm/walk/front", "mm/walk/back", "mm/run/back"]
    assert batch["meta"]["subject"] == ["mm"] * 3
    assert batch["meta"]["action"] == ["walking"] * 3
    assert batch["meta"]["frame"].tolist() == [0, 0, 3]
    shapes = {path: tuple(leaf.shape) for path, leaf in leaves(batch) if path != "meta.frame"}
    assert shapes == {
        "keypoints": (3, J, 3),
        "keypoints_2d": (3, J, 2),
        "keypoints_2d_scale": (3, J, 2),
        "scores": (3, J),
        "mixture.weights": (3, J, 5),
        "mixture.loc": (3, J, 5, 2),
        "mixture.scale": (3, J, 5, 2),
        "target_2d": (3, J, 2),
        "visible": (3, J),
        "camera": (3, 9),
        "image_size": (3, 2),
    }
    assert all(leaf.dtype == torch.float32 for path, leaf in leaves(batch) if path != "meta.frame")


def test_poses_are_camera_metres_and_the_target_is_their_projection():
    data = dataset()
    batch = data.__getitems__(list(range(len(data))))
    world = torch.from_numpy(clip().world)
    front = torch.stack([world[..., 0], 1 - world[..., 2], world[..., 1] + 5], -1)
    torch.testing.assert_close(batch["keypoints"][:40], front)
    seen = project(batch["keypoints"], batch["camera"])
    torch.testing.assert_close(batch["target_2d"], seen, atol=1e-3, rtol=0)


def test_the_three_sources_of_2d():
    exact = dataset("gt").__getitems__([0, 1])
    assert torch.equal(exact["keypoints_2d"], exact["target_2d"])
    assert (exact["scores"] == 1).all()
    assert (exact["mixture"]["scale"] == 0.5).all()

    noise = DetectorNoise(sigma=2)
    noisy = dataset("noisy", noise=noise).__getitems__([0, 1])
    assert torch.equal(noisy["target_2d"], exact["target_2d"])
    assert (noisy["keypoints_2d"] != exact["target_2d"]).any(-1).all()
    assert differ(noisy, dataset("noisy").__getitems__([0, 1]))

    found = [np.full((40, J, 2), 7 + c, np.float32) for c in range(2)]
    given = [np.full((40, J), 0.25 * (c + 1), np.float32) for c in range(2)]
    given[1][3, 5] = 0
    data = dataset("detected", [clip(detections=found, detection_scores=given)])
    batch = data.__getitems__([3, 43])
    assert torch.equal(batch["target_2d"], dataset("gt").__getitems__([3, 43])["target_2d"])
    assert batch["keypoints_2d"].unique().tolist() == [7, 8]
    assert batch["scores"][:, 0].tolist() == [0.25, 0.5]
    scale = batch["mixture"]["scale"]
    assert (scale[0] == 5).all()  # 8.2: .01 of half the width
    assert (scale[1, 5] == 25).all()  # the joint that the detector missed
    assert batch["visible"].sum() == 33
    assert (dataset("detected", [clip(detections=found)])[0]["scores"] == 1).all()


@pytest.mark.parametrize("window", [1, 9])
def test_a_share_of_training_samples_is_exact_with_all_their_frames(window):
    clips = [clip(f"walk{seed}", 180, seed) for seed in range(4)]
    rows = list(range(len(dataset(clips=clips, window=window))))

    def samples(keypoints="noisy", **options):
        found = dataset(keypoints, clips, window=window, **options).__getitems__(rows)
        return dict(leaves(found))

    mixed, noisy = samples(exact=0.3, training=True), samples(training=True)
    exact = samples("gt", training=True)
    kept = (mixed["keypoints_2d"] == exact["keypoints_2d"]).flatten(1).all(1)
    assert abs(kept.float().mean() - 0.3) < (0.05 if window == 1 else 0.08)
    for path, x in mixed.items():
        assert torch.equal(x[kept], exact[path][kept]), path
        assert torch.equal(x[~kept], noisy[path][~kept]), path
    # at evaluation all are noisy
    for path, x in samples(exact=0.3).items():
        assert torch.equal(x, samples()[path]), path


def test_errors_that_last_are_alike_in_near_frames_and_the_same_in_windows_and_alone():
    noise = DetectorNoise(swap=0, occluded=0, outlier=0, lasting=[(4, 0.3), (32, 0.6)])
    clips = [clip(f"walk{seed}", 90, seed) for seed in range(4)]

    def error(window):
        data = dataset(clips=clips, noise=noise, window=window)
        sample = data.__getitems__(list(range(len(data))))
        shape = (-1, 90, J, 2)  # clips and cameras, frames
        return (sample["keypoints_2d"] - sample["target_2d"]).view(shape)

    alone = error(1)
    torch.testing.assert_close(alone, error(9), atol=1e-3, rtol=0)
    assert alone.std().item() == pytest.approx(4, rel=0.1)
    for lag, expected in ((1, 0.87), (60, 0.0)):
        near = (alone[:, lag:] * alone[:, :-lag]).mean() / alone.square().mean()
        assert near.item() == pytest.approx(expected, abs=0.08)


def test_the_mixture_is_a_function_of_the_detections_alone():
    data = dataset()
    batch = data.__getitems__(list(range(len(data))))
    assert batch["visible"].all()
    again = data.noise.posterior(
        batch["keypoints_2d"], batch["scores"], batch["image_size"][:, 0], data.skeleton
    )
    assert all(torch.equal(again[name], batch["mixture"][name]) for name in again)

    found = [np.random.default_rng(0).uniform(0, 999, (40, J, 2)).astype(np.float32)] * 2
    one, other = (
        dataset("detected", [clip(seed=seed, detections=found)]).__getitems__([0, 50])
        for seed in (0, 1)
    )
    assert differ(one, other, "target_2d")
    for name in ("keypoints_2d", "scores", "visible"):
        assert torch.equal(one[name], other[name])
    assert all(torch.equal(one["mixture"][k], other["mixture"][k]) for k in one["mixture"])


def edge_clip(x, z):
    """Joint 0 of the frames at (x, 0, z), the others in the middle; u = 1024 x / z + 512."""
    world = np.zeros((len(x), J, 3), np.float32)
    world[..., 2] = 1
    world[:, 0, 0], world[:, 0, 2] = x, z
    lens = torch.tensor([1024.0, 1024, 512, 512, 0, 0, 0, 0, 0])
    view = Camera(torch.eye(3), torch.zeros(3), lens, torch.tensor([1024.0, 1024]))
    return Clip("edge", "a", "b", world, [view], ["c"])


@pytest.mark.parametrize("keypoints", ["gt", "noisy"])
def test_a_joint_outside_the_image_or_behind_the_camera_is_not_visible(keypoints):
    u = np.array([-0.5, -0.501, 1023.4, 1023.5, 512, 512, 512])
    x = (u - 512) / 1024
    data = dataset(keypoints, [edge_clip(x, [1, 1, 1, 1, 1, -1, 0.01])])
    batch = data.__getitems__(list(range(7)))
    gone = batch["visible"][:, 0] == 0
    assert gone.tolist() == [False, True, False, True, False, True, False]
    assert batch["visible"][:, 1:].all()
    assert (batch["scores"][gone, 0] == 0).all()
    assert torch.equal(batch["keypoints_2d"][gone, 0], batch["target_2d"][gone, 0])
    alone = point_mixture(batch["target_2d"][gone], 1024 / 40)
    for name, value in alone.items():
        assert torch.equal(batch["mixture"][name][gone, 0], value[:, 0])


def test_an_occluded_joint_is_a_bad_detection_and_stays_visible():
    batch = dataset(noise=DetectorNoise(occluded=1)).__getitems__([0, 1])
    assert (batch["scores"] < 0.5).all()
    assert batch["visible"].all()


def test_camera_frames_with_few_visible_joints_are_left_out_and_counted():
    half = clip()
    half.world[10:30, :9, 0] += 100  # eight of 17 joints are left
    data = dataset(clips=[half])
    assert (len(data), data.left_out) == (40, 40)
    assert data.__getitems__([9, 10])["id"] == ["mm/walk/front/000009", "mm/walk/front/000030"]
    assert data.summary()["left_out"] == 40
    half.world[10:30, 8, 0] -= 100
    assert dataset(clips=[half]).left_out == 0
    half.world[:] += 100
    everything = dataset(clips=[half], minimum_visible=0)
    assert (len(everything), everything.left_out) == (80, 0)


def test_every_other_training_sample_is_mirrored_with_its_projection():
    data, plain = dataset(training=True, mirror=True), dataset(training=True)
    rows = list(range(len(data)))
    seen = []
    for epoch in range(3):
        data.set_epoch(epoch)
        plain.set_epoch(epoch)
        batch, straight = data.__getitems__(rows), plain.__getitems__(rows)
        turned = mirror_sample(straight, data.skeleton)
        mirrored = (batch["camera"] != straight["camera"]).any(-1)
        assert_same(batch, turned, mirrored)
        assert_same(batch, straight, ~mirrored)
        torch.testing.assert_close(
            project(batch["keypoints"], batch["camera"]), batch["target_2d"], atol=1e-3, rtol=0
        )
        twice = mirror_sample(turned, data.skeleton)
        for (path, a), (_, b) in zip(leaves(twice), leaves(straight), strict=True):
            torch.testing.assert_close(a, b, atol=1e-4, rtol=1e-6, msg=path)
        seen.append(mirrored)
    rate = torch.stack(seen).float().mean().item()
    assert rate == pytest.approx(0.5, abs=3 * 0.5 / np.sqrt(3 * len(rows)))
    assert (seen[0] != seen[1]).any()
    assert_same(dataset(mirror=True).__getitems__(rows), dataset().__getitems__(rows))


def test_a_loader_hands_out_whole_batches():
    loader = DataLoader(dataset(), batch_size=50, collate_fn=lambda batch: batch)
    sizes = [len(batch["id"]) for batch in loader]
    assert sizes == [50, 50, 50, 10]


def test_the_summary_describes_the_data():
    assert dataset("gt").summary() == {
        "frames": 160,
        "people": 160,
        "left_out": 0,
        "subjects": ["mm"],
        "skeleton": "mocap17",
        "keypoints": "gt",
    }
    assert dataset(noise=DetectorNoise(swap=0.5)).summary()["noise"]["swap"] == 0.5


def test_a_share_outside_0_and_1_is_refused():
    with pytest.raises(ValueError, match=r"dataset.exact must be in 0..1, got 1.5"):
        dataset(exact=1.5)


def test_clips_that_cannot_be_read_are_refused_by_name():
    refused = {
        "no clips": {"clips": []},
        "keypoints must be one of gt, noisy, detected, mixture, got 'cpn'": {"keypoints": "cpn"},
        "two clips of one subject have the same name": {"clips": [clip(), clip()]},
        "mm/walk has no detections": {"keypoints": "detected"},
    }
    for message, arguments in refused.items():
        with pytest.raises(ValueError, match=message):
            LiftingDataset(**{"clips": [clip()], "skeleton": "mocap17"} | arguments)
    for change, message in (
        ({"world": np.zeros((4, 16, 3), np.float32)}, r"mm/walk: world has shape \(4, 16, 3\)"),
        ({"camera_names": ["front"]}, "mm/walk: 1 names for 2 cameras"),
        ({"detections": [np.zeros((39, J, 2), np.float32)] * 2}, "mm/walk: detections are"),
    ):
        broken = clip()
        vars(broken).update(change)
        with pytest.raises(ValueError, match=message):
            dataset("detected", [broken])
