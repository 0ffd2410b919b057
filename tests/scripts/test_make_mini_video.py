"""The files of make_mini_video contain the clips that it rendered, in every form."""

import json
import shutil

import numpy as np
import pytest
from helpers.commands import run, script
from scipy.io import loadmat, savemat

from posediff.data.video.custom_video import custom_video
from posediff.data.video.jhmdb import jhmdb
from posediff.metrics.posetrack import PoseTrackAP

CLIPS, FRAMES = 2, 5
POSETRACK = {"train": "annotations/train", "test": "annotations/val"}
OPTIONS = {"size": (48, 64), "validation": 0.5}


def made(dataset, folder):
    run(script("make_mini_video").main, dataset, folder, "--clips", CLIPS, "--frames", FRAMES)
    return folder


@pytest.fixture(scope="module")
def posetrack18(tmp_path_factory):
    return made("posetrack18", tmp_path_factory.mktemp("posetrack18"))


@pytest.fixture(scope="module")
def minis(tmp_path_factory, posetrack18):
    """Data sets of all forms that contain the same clips."""
    folders = {"posetrack18": posetrack18}
    for name in ("posetrack17", "posetrack21", "custom_video"):
        folders[name] = made(name, tmp_path_factory.mktemp(name))
    return folders


PARTS = {
    "posetrack17": POSETRACK,
    "posetrack18": POSETRACK,
    "posetrack21": {"train": "posetrack_data/train", "test": "posetrack_data/val"},
    "custom_video": {"train": "annotations_train.json", "test": "annotations_test.json"},
}


def opened(name, folder, split="test", **more):
    return custom_video(folder, PARTS[name], "posetrack15", split, **OPTIONS, **more)


def test_all_forms_hold_the_same_labels(minis):
    first = opened("posetrack18", minis["posetrack18"])
    for name, folder in minis.items():
        data = opened(name, folder)
        one, other = (x.__getitems__(list(range(len(x)))) for x in (first, data))
        assert data.summary()["labelled_frames"] == 3
        assert data.footage.number.tolist() == [n + (name == "posetrack17") for n in range(FRAMES)]
        assert (one["keypoints_annotation"] == other["keypoints_annotation"]).all()
        assert ((one["visible_annotation"] > 0) == (other["visible_annotation"] > 0)).all()
        assert (one["track_id"] == other["track_id"]).all()
        assert (one["frames_valid"] == other["frames_valid"]).all()
        if name != "posetrack17":  # which has no boxes
            assert (one["affine"] == other["affine"]).all()
            assert (one["frames"] - other["frames"]).abs().mean() < 0.2  # another compression
        truth = PoseTrackAP(data.truth()).truth
        assert np.isfinite(truth.head).all()
        assert (truth.head > 0).all()


def test_a_detector_s_boxes_come_along(posetrack18):
    found = opened("posetrack18", posetrack18, boxes="detections_val.json")
    assert len(found) == len(opened("posetrack18", posetrack18))


def test_posetrack21_has_ids_of_people(minis):
    path = next((minis["posetrack21"] / "posetrack_data/val").iterdir())
    content = json.loads(path.read_text())
    assert all("person_id" in person for person in content["annotations"])
    assert [image["has_labeled_person"] for image in content["images"]][1] is False


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return made("jhmdb", tmp_path_factory.mktemp("jhmdb"))


@pytest.mark.parametrize("part", ["sub", "full"])
def test_jhmdb_is_read_as_it_was_drawn(home, part):
    data = jhmdb(home, "test", part=part, size=(48, 64))
    assert len(data) == FRAMES
    assert data.footage.number.tolist() == [1, 2, 3, 4, 5]
    path = next(home.glob("joint_positions/walk/film2_*/joint_positions.mat"))
    points = loadmat(path)["pos_img"]
    sample = data.__getitems__([0, 4])
    seen = sample["visible_annotation"] > 0
    given = np.moveaxis(points[..., [0, 4]], 2, 0).swapaxes(1, 2) - 1
    np.testing.assert_allclose(sample["keypoints_annotation"][seen], given[seen], atol=1e-3)
    assert seen.float().mean() > 0.8
    masks = loadmat(next(home.glob("puppet_mask/walk/film2_*/puppet_mask.mat")))["part_mask"]
    rows, columns = np.nonzero(masks[..., 0])
    corners = [columns.min(), rows.min(), columns.max(), rows.max()]
    assert sample["box"][0].tolist() == corners, "by HRNet's rule the last pixel is the end"
    joints = jhmdb(home, "test", part=part, box="joints", size=(48, 64))
    assert joints[0]["box"].tolist() != corners


def test_the_parts_of_jhmdb_are_those_of_its_lists(home):
    names = {
        split: set(jhmdb(home, split, validation=0.5, size=(48, 64)).footage.video)
        for split in ("train", "validation", "test")
    }
    assert {split: len(x) for split, x in names.items()} == {"train": 1, "validation": 1, "test": 1}
    assert len(set().union(*names.values())) == 3


def test_a_joint_outside_the_picture_is_not_labelled(home, tmp_path):
    copy = shutil.copytree(home, tmp_path / "copy")
    path = next(copy.glob("joint_positions/walk/film2_*/joint_positions.mat"))
    points = loadmat(path)["pos_img"]
    points[0, 3, 0], points[1, 4, 0] = 0.5, 240.5
    savemat(path, {"pos_img": points})
    assert jhmdb(copy, "test", size=(48, 64))[0]["visible_annotation"][3:5].tolist() == [0, 0]


def broken(copy, what):
    path = next(copy.glob("joint_positions/walk/film2_*/joint_positions.mat"))
    mask = next(copy.glob("puppet_mask/walk/film2_*/puppet_mask.mat"))
    lists = copy / "sub_splits/walk_test_split_1.txt"
    changes = {
        "no positions": path.unlink,
        "cut positions": lambda: path.write_bytes(path.read_bytes()[:200]),
        "other positions": lambda: savemat(path, {"pos_img": np.zeros((2, 13, 5))}),
        "no entry": lambda: savemat(path, {"x": np.zeros(3)}),
        "no mask": mask.unlink,
        "a short mask": lambda: savemat(mask, {"part_mask": np.ones((240, 320, 3))}),
        "no list": lists.unlink,
        "a strange line": lambda: lists.write_text("film2_walk 2\n"),
        "a missing frame": lambda: next(copy.glob("Rename_Images/walk/film2_*/00003.png")).unlink(),
    }
    changes[what]()


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("no positions", r"joint_positions\.mat: no such file: look at dataset\.root"),
        ("cut positions", r"joint_positions\.mat: cannot be read as a MATLAB file"),
        ("other positions", r"joint_positions\.mat: pos_img is of shape \(2, 13, 5\)"),
        ("no entry", r"joint_positions\.mat: no entry `pos_img`: not a file of JHMDB"),
        ("no mask", r"puppet_mask\.mat: no such file"),
        ("a short mask", r"puppet_mask\.mat: part_mask is of shape .* for 5 labelled frames"),
        ("no list", r"sub_splits: no file \*_test_split\*1\.txt: look at dataset\.root"),
        ("a strange line", r"walk_test_split_1\.txt: line 1: must be CLIP\.avi and 1 or 2"),
        ("a missing frame", r"film2_walk_\w+/00003\.png: no such frame, but"),
    ],
)
def test_files_of_jhmdb_that_cannot_be_used_are_named(home, tmp_path, what, message):
    copy = shutil.copytree(home, tmp_path / "copy")
    broken(copy, what)
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        jhmdb(copy, "test", size=(48, 64))


def test_options_of_jhmdb_are_checked(home):
    for key, value in (("part", "half"), ("number", 4), ("box", "big"), ("skeleton", "coco17")):
        with pytest.raises(ValueError, match=rf"dataset\.{key} must be .*, got {value!r}"):
            jhmdb(home, "test", **{key: value})
