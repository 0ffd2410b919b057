"""The metric of an evaluation of 3D poses: its keys, means, quirks and counts."""

import numpy as np
import pytest
import torch

from posediff.diffusion import Poses
from posediff.metrics.pose_error import (
    PoseError3D,
    mpjpe,
    mpjve,
    n_mpjpe,
    p_mpjpe,
)
from posediff.truth import Truth


def frames(n=120, K=3, seed=0, noise=0.06):
    """Poses and their sample: clips of 10 frames, two cameras, three actions of unequal size."""
    torch.manual_seed(seed)
    truth = torch.randn(n, 17, 3) * 0.3 + torch.tensor([0.2, -0.1, 5.0])
    spread = noise * torch.rand(n, 1, 1, 1)
    hypotheses = (truth - truth[:, :1])[:, None] + spread * torch.randn(n, K, 17, 3)
    hypotheses = hypotheses - hypotheses[:, :, :1]
    keypoints = hypotheses.mean(1)
    deviation = (hypotheses - keypoints[:, None]).square().sum(-1).mean(1).sqrt()
    poses = Poses(keypoints, torch.ones(n, 17), hypotheses, deviation, "h36m17")
    clip, action = torch.arange(n) // 10, ["walk", "walk", "walk", "sit", "sit", "wave"]
    meta = {
        "subject": ["S9"] * n,
        "sequence": [f"clip#{c // 2}" for c in clip.tolist()],
        "camera": [f"cam{c % 2}" for c in clip.tolist()],
        "action": [action[c // 2 % 6] for c in clip.tolist()],
        "frame": torch.arange(n) % 10,
    }
    ids = [f"frame {i}" for i in range(n)]
    return poses, {"id": ids, "keypoints": truth, "visible": torch.ones(n, 17), "meta": meta}


def take(poses, sample, index):
    def some(x):
        return x[index] if isinstance(x, torch.Tensor) else [x[i] for i in index.tolist()]

    chosen = Poses(*(some(getattr(poses, f)) for f in tuple(vars(poses))[:4]), poses.skeleton)
    meta = {k: some(v) for k, v in sample["meta"].items()}
    return chosen, {**{k: some(v) for k, v in sample.items() if k != "meta"}, "meta": meta}


def pose_error(skeleton="h36m17", **options):
    return PoseError3D(Truth(skeleton, dimensions=3), **options)


def score(*updates, name="mean", skeleton="h36m17", **options):
    metric = pose_error(skeleton, **options)
    for poses, sample in updates:
        metric.update(name, poses, sample)
    return metric.compute()


def by_hand(poses, sample):
    """Centred prediction and truth in mm, and the action of each frame."""
    pred, truth = (1000 * x.double() for x in (poses.keypoints, sample["keypoints"]))
    return pred - pred[:, :1], truth - truth[:, :1], np.array(sample["meta"]["action"])


@pytest.mark.parametrize("size", [1, 7, 60])
def test_figures_depend_neither_on_the_order_nor_on_the_size_of_batches(size):
    everything = frames()
    order = torch.randperm(120)
    batches = [take(*everything, index) for index in order.split(size)]
    assert score(*batches) == score(everything)


def test_the_keys_follow_the_grammar():
    metrics = ("mpjpe", "p_mpjpe", "n_mpjpe", "mpjve", "pck150", "auc")
    means = ("", ":frames", ":sit", ":walk", ":wave")
    expected = {f"{metric}/mean{mean}" for metric in metrics for mean in means}
    expected |= {"energy_score"}
    expected |= {f"{k}/mean" for k in ("frames", "joints_unseen", "joints_left_out")}
    expected |= {f"{k}/mean" for k in ("spread", "spread_rank", "spread_covers")}
    figures = score(frames())
    assert set(figures) == expected
    assert all(type(x) is float for x in figures.values())


def test_the_headline_is_the_mean_of_the_means_of_the_actions():
    poses, sample = frames()
    pred, truth, action = by_hand(poses, sample)
    figures = score((poses, sample))
    errors = {"mpjpe": mpjpe, "p_mpjpe": p_mpjpe, "n_mpjpe": n_mpjpe}
    for name, error in errors.items():
        each = error(pred, truth).numpy()
        rows = [each[action == a].mean() for a in ("walk", "sit", "wave")]
        assert figures[f"{name}/mean:walk"] == pytest.approx(rows[0], rel=1e-6)
        assert figures[f"{name}/mean"] == pytest.approx(np.mean(rows), rel=1e-6)
        assert figures[f"{name}/mean:frames"] == pytest.approx(each.mean(), rel=1e-6)
    assert abs(figures["mpjpe/mean"] - figures["mpjpe/mean:frames"]) > 1e-3


def released(shared):
    """The poses of a released evaluation as one batch, and its figures."""
    golden = np.load(shared / "golden/lift3d/metrics.npz", allow_pickle=False)
    P, G, actions = torch.tensor(golden["P"]), torch.tensor(golden["G"]), golden["actions"].tolist()
    poses = Poses(P, torch.ones(12, 17), P[:, None], torch.zeros(12, 17), "h36m17")
    meta = {"sequence": actions, "camera": ["0"] * 12, "action": actions, "frame": range(12)}
    sample = {"id": actions, "keypoints": G, "visible": torch.ones(12, 17), "meta": meta}
    return poses, sample, golden


def test_rows_of_actions_are_the_released_protocol_1_and_true_protocol_2(shared):
    *batch, golden = released(shared)
    figures = score(batch)
    for i, action in enumerate(("Directions", "Photo", "Walking")):
        assert figures[f"mpjpe/mean:{action}"] == pytest.approx(golden["quirk_p1"][i], abs=1e-3)
        assert figures[f"p_mpjpe/mean:{action}"] == pytest.approx(golden["true_p2"][i], abs=1e-3)
    assert figures["mpjpe/mean"] == pytest.approx(golden["quirk_p1"].mean(), abs=1e-3)
    assert figures["p_mpjpe/mean"] == pytest.approx(golden["true_p2"].mean(), abs=1e-3)


def test_the_quirk_of_protocol_2_gives_its_released_figures(shared):
    *batch, golden = released(shared)
    figures = score(batch, quirks={"p2_batch_mean": True})
    for i, action in enumerate(("Directions", "Photo", "Walking")):
        assert figures[f"mpjpe/mean:{action}"] == pytest.approx(golden["quirk_p1"][i], abs=1e-3)
        assert figures[f"p_mpjpe/mean:{action}"] == pytest.approx(golden["quirk_p2"][i], abs=1e-3)
    assert abs(golden["quirk_p2"] - golden["true_p2"]).max() > 1


def test_the_quirk_of_velocities_takes_them_over_the_borders_of_clips():
    poses, sample = frames()
    pred, truth, _ = by_hand(poses, sample)
    jumps = score((poses, sample), quirks={"mpjve_across_clips": True})
    every = mpjve(pred, truth).mean().item()
    assert jumps["mpjve/mean:frames"] == pytest.approx(every, rel=1e-5)
    assert jumps["mpjve/mean:frames"] != score((poses, sample))["mpjve/mean:frames"]


def test_an_unknown_quirk_is_refused():
    with pytest.raises(ValueError, match="quirks must be one of p2_batch_mean"):
        pose_error(quirks={"p1_batch_mean": False})
    assert pose_error(quirks={"p2_batch_mean": False}).summary()["quirks"] == []


def test_perfect_poses_score_zero_and_a_hundred():
    _, sample = frames()
    perfect = Poses(
        sample["keypoints"],  # absolute: the metric centres both
        torch.ones(120, 17),
        sample["keypoints"][:, None],
        torch.zeros(120, 17),
        "h36m17",
    )
    figures = score((perfect, sample))
    for metric in ("mpjpe", "n_mpjpe", "mpjve", "spread"):
        assert figures[f"{metric}/mean"] == 0
    assert figures["p_mpjpe/mean"] < 1e-9
    assert figures["pck150/mean"] == 100
    # an error of 0 is below every threshold but the first, which is 0 itself
    assert figures["auc/mean"] == pytest.approx(100 * 30 / 31)


def test_pck_and_auc_are_strict_and_over_the_joints_that_are_not_the_root():
    _, sample = frames(n=1)
    sample["keypoints"] = torch.zeros(1, 17, 3)
    off = torch.zeros(1, 17, 3)
    off[0, 1:5, 0] = 0.151
    off[0, 5:9, 1] = 0.150  # in float32 a little more than 150 mm: not below
    off[0, 9:13, 2] = 0.1024
    figures = score((Poses(off, off[..., 0], off[:, None], off[..., 0], "h36m17"), sample))
    assert figures["pck150/mean"] == 100 * 8 / 16
    # thresholds above 102.4 mm: 105, 110, ... 150
    assert figures["auc/mean"] == pytest.approx(100 * (4 * 10 / 31 + 4 * 30 / 31) / 16)
    assert figures["mpjpe/mean"] == pytest.approx(4 * (151 + 150 + 102.4) / 17)


def test_velocity_is_taken_between_consecutive_frames_of_one_view_only():
    poses, sample = frames()
    pred, truth, action = by_hand(poses, sample)
    views = [mpjve(p, t) for p, t in zip(pred.split(10), truth.split(10), strict=True)]
    per_action = {a: [] for a in ("walk", "sit", "wave")}
    for view, a in zip(views, action[::10], strict=True):
        per_action[a].append(view)
    headline = np.mean([torch.cat(v).mean().item() for v in per_action.values()])
    figures = score((poses, sample))
    assert figures["mpjve/mean"] == pytest.approx(headline, rel=1e-5)
    assert figures["mpjve/mean:frames"] == pytest.approx(torch.cat(views).mean().item(), rel=1e-5)

    hole = torch.tensor([i for i in range(10) if i != 4])
    first, gap = mpjve(pred[:10], truth[:10]), score(take(poses, sample, hole))
    assert gap["mpjve/mean"] == pytest.approx(first[[0, 1, 2, 5, 6, 7, 8]].mean().item(), rel=1e-5)

    alone = score(take(poses, sample, torch.arange(0, 120, 2)))
    assert not any(key.startswith("mpjve") for key in alone)


def test_sequences_of_the_same_name_of_two_subjects_are_two_sequences():
    poses, sample = frames(n=20)
    sample["meta"] |= {
        "subject": ["S1"] * 10 + ["S5"] * 10,
        "camera": ["cam0"] * 20,
        "frame": torch.cat([torch.arange(0, 10), torch.arange(10, 20)]),
    }
    pred, truth, _ = by_hand(poses, sample)
    both = torch.cat([mpjve(pred[:10], truth[:10]), mpjve(pred[10:], truth[10:])])
    assert score((poses, sample))["mpjve/mean"] == pytest.approx(both.mean().item(), rel=1e-5)


def test_figures_of_the_hypotheses_appear_once_for_any_number_of_rules():
    poses, sample = frames(K=18)
    metric = pose_error()
    metric.update("mean", poses, sample)
    metric.update("median", poses, sample)
    figures = metric.compute()
    assert figures["mpjpe/median"] == figures["mpjpe/mean"]
    assert figures["frames/median"] == 120
    once = score((poses, sample))
    shared = {k for k in once if not k.endswith(("/mean", "frames", "sit", "walk", "wave"))}
    coverage = {f"coverage@0.{i}" for i in range(1, 10)}
    assert shared == {"energy_score", "calibration_error"} | coverage
    assert {k: figures[k] for k in shared} == {k: once[k] for k in shared}


def test_spread_is_the_mean_over_the_joints_that_are_not_the_root():
    poses, sample = frames()
    expected = 1000 * poses.spread[:, 1:].double().mean().item()
    assert score((poses, sample))["spread/mean"] == pytest.approx(expected, rel=1e-6)


def test_the_spread_of_occluded_joints_is_separate_from_the_others():
    poses, sample = frames()
    poses.scores[:] = 0.9
    assert not any(k.endswith(("occluded", "visible")) for k in score((poses, sample)))
    poses.scores[:40, 3:7] = 0.2
    poses.scores[:, 0] = 0  # the root does not count
    low = (poses.scores < 0.5)[:, 1:]
    spread = 1000 * poses.spread[:, 1:].double()
    figures = score((poses, sample))
    assert figures["spread/mean:occluded"] == pytest.approx(spread[low].mean().item(), rel=1e-5)
    assert figures["spread/mean:visible"] == pytest.approx(spread[~low].mean().item(), rel=1e-5)


def test_joints_without_2d_are_scored_and_frames_without_3d_left_out():
    poses, sample = frames()
    whole = score((poses, sample))
    sample["visible"][3, 5:9] = 0
    unseen = score((poses, sample))
    assert unseen.pop("joints_unseen/mean") == 4
    assert all(unseen[key] == whole[key] for key in unseen)

    keypoints = sample["keypoints"].clone()
    keypoints[[0, 119], 7] = torch.nan
    partial = score((poses, {**sample, "keypoints": keypoints}))
    assert partial["joints_left_out/mean"] == 34
    kept = score(take(poses, sample, torch.arange(1, 119)))
    assert {**partial, "joints_left_out/mean": 0.0} == kept


def test_nothing_to_score_gives_no_figures_but_the_counts():
    poses, sample = frames(n=20)
    sample["keypoints"] = torch.full_like(sample["keypoints"], torch.nan)
    assert score((poses, sample)) == {
        "frames/mean": 0, "joints_unseen/mean": 0, "joints_left_out/mean": 340,
    }  # fmt: skip
    assert score() == {}


def test_what_cannot_be_scored_is_refused():
    poses, sample = frames(n=4)
    with pytest.raises(ValueError, match="poses of h36m17 cannot be scored as mocap17"):
        score((poses, sample), skeleton="mocap17")
    with pytest.raises(ValueError, match="skeleton coco17 has none"):
        pose_error("coco17")
    with pytest.raises(ValueError, match="protocol must be one of h36m, 3dhp, got 'human36m'"):
        pose_error(protocol="human36m")
    poses.keypoints[2, 3] = torch.inf
    with pytest.raises(ValueError, match="the pose of frame 2 is not finite"):
        score((poses, sample))
