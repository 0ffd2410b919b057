"""dataset=joined: what the parts get from the configuration."""

import pytest

from posediff import config

PARTS = "dataset.parts=[lspet_crops,coco]"


def part(name, *overrides, task="image2d", dataset="joined"):
    composed = config.compose("train", [f"task={task}", f"dataset={dataset}", *overrides])
    return config.joined_part(composed, name)


def test_a_part_is_its_own_configuration_with_the_options_of_all():
    alone = config.plain(
        config.compose("train", ["task=image2d", "dataset=coco", "dataset.size=[96,128]"]).dataset
    )
    del alone["needs"]
    joined = part("coco", PARTS, "dataset.size=[96,128]", "dataset.skeleton=crowdpose14")
    assert joined == alone | {"_partial_": True}
    assert part("coco", PARTS, "dataset.augment=null")["augment"] is None
    assert part("lspet_crops", PARTS)["area"] == "0.53*w*h"
    assert part("coco", PARTS, "backbone.mean=[1,2,3]")["mean"] == [1, 2, 3]


def test_options_of_a_single_part_win():
    options = "dataset.options={coco:{root:/photos,size:[24,32]}}"
    assert part("coco", PARTS, options)["root"] == "/photos"
    assert part("coco", PARTS, options)["size"] == [24, 32]
    assert part("lspet_crops", PARTS, options)["size"] == [192, 256]


@pytest.mark.parametrize(
    ("task", "dataset", "name", "override", "key", "value"),
    [
        ("lift3d", "joined_lifting", "mocap", "dataset.window=9", "window", 9),
        ("lift3d", "joined_lifting", "synthetic", "dataset.keypoints=gt", "keypoints", "gt"),
        ("lift3d", "joined_lifting", "mocap", "dataset.views=free", "views", "free"),
        ("lift3d", "joined_lifting", "mocap", "dataset.balance={mocap:1}", "balance", None),
        ("video2d", "joined_video", "jhmdb_video", "dataset.border=repeat", "border", "repeat"),
    ],
)
def test_poses_and_clips_share_what_they_must(task, dataset, name, override, key, value):
    assert part(name, override, task=task, dataset=dataset)[key] == value


def test_a_part_that_does_not_exist_is_one_line():
    with pytest.raises(ValueError, match=r"dataset\.parts: there is no data set 'xyz'"):
        part("xyz", PARTS)


def test_shares_of_mocap_are_set_on_the_command_line():
    shares = "dataset.balance={hdm05_11:0.5,cmu_subset:0.5}"
    composed = config.compose("train", ["task=lift3d", "dataset=mocap", shares])
    assert config.plain(composed.dataset)["balance"] == {"hdm05_11": 0.5, "cmu_subset": 0.5}
