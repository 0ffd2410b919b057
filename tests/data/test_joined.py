"""Several data sets as one: joints by name, shares, and what cannot be joined."""

from collections import Counter
from functools import partial

import numpy as np
import pytest
import torch

from posediff.data.joined import joined
from posediff.data.lifting.mocap import mocap
from posediff.data.lifting.synthetic_people import synthetic
from posediff.data.pictures.coco_format import coco, custom
from posediff.data.pictures.synthetic_pictures import rendered
from posediff.data.video.synthetic_video import synthetic_video
from posediff.pose.layout import by_names
from posediff.pose.skeleton import SKELETONS, skeleton

CROWDPOSE = skeleton("crowdpose14")
SMALL = {"size": (24, 32)}


@pytest.fixture
def people(two, photos):
    """Two annotated people of CrowdPose's joints, and drawn people of COCO's."""
    files = {"train": photos.file.name, "validation": photos.file.name}
    own = partial(custom, two.root, files, "crowdpose14", **SMALL)
    drawn = partial(rendered, pictures=6, people=1, skeleton="coco17", **SMALL)
    return {"own": own, "drawn": drawn}


def every(data):
    return data.__getitems__(list(range(len(data))))


def test_samples_of_a_part_are_its_own_with_joints_by_name(people):
    data = joined(people, "crowdpose14")
    batch, drawn = every(data), every(people["drawn"]("train"))
    rows = [i for i, name in enumerate(batch["id"]) if name.startswith("drawn/")]
    assert [batch["id"][i] for i in rows] == [f"drawn/{name}" for name in drawn["id"]]
    assert torch.equal(batch["image"][rows], drawn["image"])
    assert [batch["meta"]["path"][i] for i in rows] == drawn["meta"]["path"]
    own = skeleton("coco17").joints
    for j, joint in enumerate(CROWDPOSE.joints):
        for key in ("keypoints", "visible", "keypoints_annotation", "visible_annotation"):
            found = batch[key][rows][:, j]
            if joint in own:
                assert torch.equal(found, drawn[key][:, own.index(joint)]), joint
            else:
                assert (found == 0).all(), joint
    mine = [i for i, name in enumerate(batch["id"]) if name.startswith("own/")]
    assert torch.equal(batch["keypoints"][mine], every(people["own"]("train"))["keypoints"])


@pytest.mark.parametrize("target", [s for s in SKELETONS.values() if s.sigmas])
def test_equal_names_are_one_joint_in_all_layouts(target):
    for source in SKELETONS.values():
        names = [joint for joint in source.joints if joint in target.joints]
        at = torch.arange(2.0 * len(names)).view(-1, 2)
        points, seen = by_names(at, torch.ones(len(names)), names, target)
        assert [target.joints[j] for j in seen.nonzero()[:, 0]] == sorted(
            names, key=target.joints.index
        )
        for name, point in zip(names, at, strict=True):
            assert torch.equal(points[target.joints.index(name)], point)


@pytest.mark.parametrize("split", ["train", "validation"])
def test_a_sample_is_the_same_alone_in_a_batch_and_shuffled(people, split):
    data = joined(people, "crowdpose14", split, {"own": 1, "drawn": 1})
    data.set_epoch(2)
    batch = every(data)
    order = torch.randperm(len(data), generator=torch.manual_seed(0)).tolist()
    shuffled = data.__getitems__(order)
    assert shuffled["id"] == [batch["id"][i] for i in order]
    for i in (0, len(data) - 1):
        assert data[i]["id"] == batch["id"][i]
        assert torch.equal(data[i]["image"], batch["image"][i])
    for key in ("image", "keypoints", "visible", "affine"):
        torch.testing.assert_close(shuffled[key], batch[key][order], atol=1e-4, rtol=0)


def test_the_balance_is_by_name_of_the_part_and_of_training_alone(people):
    shares = {"own": 3, "drawn": 1}
    data = joined(people, "crowdpose14", "train", shares)
    assert len(data) == 8
    batch = every(data)
    of = [name.partition("/")[0] for name in batch["id"]]
    assert Counter(of) == {"own": 6, "drawn": 2}
    copies = [i for i, name in enumerate(batch["id"]) if name == "own/1/1"]
    assert len(copies) == 3
    assert len(batch["affine"][copies].flatten(1).unique(dim=0)) == 3  # three augmentations
    held_out = every(joined(people, "crowdpose14", "validation", shares))
    assert Counter(name.partition("/")[0] for name in held_out["id"]) == {"own": 2, "drawn": 6}


def test_video_is_joined_like_pictures():
    options = {"clips": 1, "length": 2, "people": 1, **SMALL}
    parts = {
        "one": partial(synthetic_video, **options),
        "other": partial(synthetic_video, seed=1, **options),
    }
    batch = every(joined(parts, "jhmdb15"))
    assert batch["frames"].shape == (4, 5, 3, 32, 24)
    named = skeleton("jhmdb15").joints
    labelled = [named[j] for j in (batch["visible_annotation"] > 0).any(0).nonzero()[:, 0]]
    assert labelled == [joint for joint in named if joint in skeleton("posetrack15").joints]


@pytest.mark.parametrize("window", [1, 9])
def test_poses_in_3d_are_joined_if_they_are_of_one_skeleton(shared, window):
    parts = {
        "mocap": partial(mocap, shared / "data/mocap17", sources=["bd"], window=window),
        "synthetic": partial(
            synthetic, keypoints="gt", clips=1, length=20, window=window, skeleton="mocap17"
        ),
    }
    data = joined(parts, "mocap17", balance={"mocap": 1, "synthetic": 1})
    batch = data.__getitems__(list(range(0, len(data), len(data) // 100)))
    share = np.mean([name.startswith("mocap/") for name in batch["id"]])
    assert share == pytest.approx(0.5, abs=0.02)
    assert batch["mixture"]["loc"].shape[-3:] == (17, 5, 2)
    assert data.truth().dimensions == 3
    with pytest.raises(ValueError, match=r"parts: mocap has the joints of mocap17, which cannot"):
        joined(parts, "coco17")


def test_the_summary_has_those_of_the_parts(people):
    data = joined(people, "crowdpose14", "validation", name="both")
    summary = data.summary()
    assert (summary["people"], summary["skeleton"]) == (8, "crowdpose14")
    assert summary["parts"]["drawn"]["skeleton"] == "coco17"
    assert (data.truth().dataset, data.truth().skeleton) == ("both", "crowdpose14")
    with pytest.raises(ValueError, match="both has none"):
        data.truth().annotated_people("ap")


def test_what_cannot_be_joined_is_one_line(people, tmp_path):
    clips = partial(synthetic_video, clips=1, length=1, people=1, **SMALL)
    poses = partial(synthetic, clips=1, length=2)
    for parts, arguments, message in (
        ({}, {}, "dataset.parts names no data set"),
        (people, {"split": "test"}, "scored one by one: set dataset=own or dataset=drawn"),
        (people, {"balance": {"own": 1}}, "dataset.balance: no share of drawn"),
        (people, {"balance": {"x": 1, "own": 1}}, "no training samples of x, only of drawn, own"),
        (people, {"options": {"x": {}}}, "dataset.options: x is none of dataset.parts, own, drawn"),
        (people | {"clips": clips}, {}, "own and clips are of different kinds: only one has fra"),
        ({"poses": poses}, {"skeleton": "coco17"}, "poses has the joints of h36m17, which cannot"),
        (
            {"poses": poses},
            {"skeleton": "mocap17"},
            "of h36m17, which cannot be those of .*mocap17",
        ),
    ):
        with pytest.raises(ValueError, match=message):
            joined(parts, **{"skeleton": "crowdpose14"} | arguments)
    with pytest.raises(FileNotFoundError):
        joined({"coco": partial(coco, tmp_path)}, "coco17")
