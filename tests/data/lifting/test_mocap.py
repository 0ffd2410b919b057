"""dataset=mocap: the clips of the splits, and the errors of a folder that cannot be read."""

import json
from collections import Counter

import numpy as np
import pytest
import torch

from posediff.data.lifting.mocap import mocap, read_cameras
from posediff.data.lifting.recording import Recording, read, write
from posediff.pose.camera import camera_to_world, project

FRAMES = 30
CAMERA = {
    "id": 0,
    "resolution": [1000, 900],
    "focal": [1000, 1100],
    "center": [500, 450],
    "radial": [0, 0, 0],
    "tangential": [0, 0],
    "R": [[1, 0, 0], [0, 0, -1], [0, 1, 0]],  # looks along the world's y
    "t_world_mm": [0, -5000, 1000],
}


def clip(name, subject, split="train", source="own"):
    draws = np.random.default_rng(len(name) + len(subject))
    joints = draws.uniform((-500, -500, 500), (500, 500, 1500), (FRAMES, 17, 3))
    return Recording(name, subject, "walk", source, split, 120.0, joints)


@pytest.fixture
def folder(tmp_path):
    """One file with ann and dg of train and mm of test, another with eve of train."""
    clips = [clip("a", "ann"), clip("b", "dg", source="HDM05"), clip("c", "mm", "test")]
    write(tmp_path / "first.npz", clips)
    write(tmp_path / "second.npz", [clip("d", "eve", source="CMU")])
    (tmp_path / "cameras.json").write_text(json.dumps({"cameras": [CAMERA, CAMERA | {"id": 3}]}))
    return tmp_path


def subjects(dataset):
    return dataset.summary()["subjects"]


def test_validation_is_taken_out_of_train_and_test_is_what_is_marked(folder):
    assert subjects(mocap(folder)) == ["ann", "eve"]
    assert subjects(mocap(folder, "validation")) == ["dg"]
    assert subjects(mocap(folder, "test")) == ["mm"]
    assert subjects(mocap(folder, validation=None)) == ["ann", "dg", "eve"]
    assert subjects(mocap(folder, "validation", validation="eve")) == ["eve"]
    assert len(mocap(folder)) == 2 * FRAMES * 2  # clips, frames, cameras


def test_sources_choose_training_clips_by_file_or_origin(folder):
    assert subjects(mocap(folder, sources=["first"])) == ["ann"]
    assert subjects(mocap(folder, sources=["CMU"])) == ["eve"]
    assert subjects(mocap(folder, sources=["own", "second"])) == ["ann", "eve"]
    assert subjects(mocap(folder, "validation", sources=["CMU"])) == ["dg"]
    assert subjects(mocap(folder, "test", sources=["CMU"])) == ["mm"]


def test_test_is_chosen_by_file_origin_or_person_and_never_trained_on(folder):
    for name in ("second", "CMU", "eve"):
        assert subjects(mocap(folder, "test", test=[name])) == ["eve"]
        assert subjects(mocap(folder, test=[name])) == ["ann"]  # mm stays out
    assert subjects(mocap(folder, "test", test=["eve", "mm"])) == ["eve", "mm"]
    with pytest.raises(ValueError, match=r"dataset.validation: no training clips of dg, only of"):
        mocap(folder, "validation", test=["HDM05"])
    with pytest.raises(ValueError, match=r"dataset.test: no clips of bob, only of CMU, HDM05, ann"):
        mocap(folder, "test", test=["bob"])


def test_a_sample_is_the_file_s_pose_in_metres_seen_by_its_camera(folder):
    dataset = mocap(folder, "test")
    sample = dataset[FRAMES + 4]  # the second camera's
    assert sample["id"] == "mm/c/cam3/000004"
    stored = torch.tensor(read(folder / "first.npz")[2].joints[4] / 1000, dtype=torch.float32)
    camera = read_cameras(folder / "cameras.json")["cam3"]
    torch.testing.assert_close(camera_to_world(sample["keypoints"], camera), stored)
    # a pinhole 5 m south of the origin, 1 m up: right is east
    x, y, z = stored.unbind(-1)
    u, v = 500 + 1000 * x / (y + 5), 450 - 1100 * (z - 1) / (y + 5)
    torch.testing.assert_close(sample["target_2d"], torch.stack([u, v], -1), rtol=0, atol=1e-3)
    assert sample["image_size"].tolist() == [1000, 900]


def test_only_training_samples_change_with_the_epoch(folder):
    for split, changes in (("train", True), ("validation", False), ("test", False)):
        dataset = mocap(folder, split, keypoints="noisy")
        first = dataset[0]["keypoints_2d"]
        dataset.set_epoch(1)
        assert torch.equal(first, dataset[0]["keypoints_2d"]) is not changes


def people(dataset, epoch=0):
    """The people of an epoch's samples, and its batch."""
    dataset.set_epoch(epoch)
    batch = dataset.__getitems__(list(range(len(dataset))))
    return Counter(batch["meta"]["subject"]), batch


@pytest.mark.parametrize("window", [1, 10])
def test_an_epoch_of_training_has_the_shares_of_files_origins_or_people(folder, window):
    plain, _ = people(mocap(folder, window=window))
    half = len(mocap(folder, window=window)) // 2
    assert plain == {"ann": half, "eve": half}
    for light, heavy in (("ann", "CMU"), ("first", "second"), ("own", "eve")):
        balance = {light: 0.25, heavy: 0.75}
        count, _ = people(mocap(folder, window=window, balance=balance), epoch=3)
        assert count == {"ann": half / 2, "eve": half * 3 / 2}
    held_out, _ = people(mocap(folder, "validation", balance={"ann": 1, "CMU": 1}))
    assert set(held_out) == {"dg"}


def test_copies_of_a_frame_in_an_epoch_have_draws_of_their_own(folder):
    balance = {"ann": 0.25, "eve": 0.75}
    dataset = mocap(folder, keypoints="noisy", mirror=True, views="free", balance=balance)
    _, batch = people(dataset)
    place = [i for i, name in enumerate(batch["id"]) if name == "eve/d/cam0/000004"]
    assert len(place) == 2
    seen = batch["keypoints"][place]
    assert not torch.equal(seen[0], seen[1])
    assert torch.equal(dataset[place[1]]["keypoints"], seen[1])
    noise = batch["keypoints_2d"][place] - batch["target_2d"][place]
    assert not torch.equal(noise[0], noise[1])


@pytest.mark.parametrize(
    ("balance", "message"),
    [
        ({"ann": 1, "xy": 1, "eve": 1}, "no training samples of xy, only of ann, eve"),
        ({"ann": 1, "dg": 1, "eve": 1}, "no training samples of dg, only of ann, eve"),
        ({"ann": 1}, "no share of CMU: add it"),
        ({"ann": 1, "eve": 1, "CMU": 1}, "clip d of eve is of eve and CMU"),
    ],
)
def test_a_wrong_balance_is_one_line(folder, balance, message):
    with pytest.raises(ValueError, match=f"dataset.balance: {message}"):
        mocap(folder, balance=balance)


@pytest.mark.parametrize("name", ["cameras.json", "*.npz"])
def test_a_missing_file_is_one_line_with_the_tree_and_the_command(folder, name):
    for path in folder.glob(name):
        path.unlink()
    with pytest.raises(FileNotFoundError) as error:
        mocap(folder)
    line = str(error.value)
    assert line.startswith(f"{folder / name} is missing: {folder}/")
    assert "cameras.json and *.npz" in line
    assert f"python scripts/prepare_mocap.py FOLDER --out {folder}" in line
    assert "POSEDIFF_DATA" in line
    assert "\n" not in line


def test_choices_without_a_clip_are_errors(folder):
    with pytest.raises(ValueError, match=r"dataset.validation: no .* of xy, only of ann, dg, eve"):
        mocap(folder, validation="xy")
    with pytest.raises(ValueError, match="no subject is held out"):
        mocap(folder, "validation", validation=None)
    with pytest.raises(ValueError, match=r"dataset.sources: no .* of cmu, only of CMU, ann, eve"):
        mocap(folder, sources=["cmu"])
    with pytest.raises(ValueError, match="split must be one of train, validation, test, got 'val'"):
        mocap(folder, "val")
    (folder / "first.npz").unlink()
    with pytest.raises(ValueError, match="no clip of split test"):
        mocap(folder, "test")


def test_a_clip_in_two_files_is_an_error(folder):
    write(folder / "third.npz", [clip("d", "eve")])
    with pytest.raises(ValueError, match=r"second.npz and third.npz both have clip d of eve"):
        mocap(folder)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"R": np.eye(3)[:2].tolist()}, "cam0: R must be finite numbers of shape"),
        ({"R": (2 * np.eye(3)).tolist()}, "cam0: R is not a rotation"),
        ({"R": (-np.eye(3)).tolist()}, "cam0: R is not a rotation"),
        ({"focal": [0, 1145]}, "cam0: focal must be above 0 pixels"),
        ({"focal": [1000]}, "cam0: focal must be finite numbers of shape"),
        ({"center": [500, float("nan")]}, "cam0: center must be finite"),
        ({"t_world_mm": "near"}, "cam0: t_world_mm must be finite numbers"),
        ({"resolution": [1000, 0]}, "cam0: resolution must be above 0 pixels"),
        ({"resolution": [-1000, 900]}, "cam0: resolution must be above 0 pixels"),
        ({"resolution": [1e9, 900]}, "cam0: its image must end within 45 degrees"),
        ({"focal": [499, 1100]}, "cam0: its image must end within 45 degrees"),
        ({"center": [500, -201]}, "cam0: its image must end within 45 degrees"),
        # half the width is .96 focal lengths, but the ray of a corner has x = 1.07
        ({"focal": [520, 520], "radial": [-0.05, 0, 0]}, "cam0: its image must end within 45 deg"),
    ],
)
def test_a_wrong_camera_is_one_line_that_names_it(tmp_path, change, message):
    path = tmp_path / "cameras.json"
    path.write_text(json.dumps({"cameras": [CAMERA | change]}))
    with pytest.raises(ValueError, match=f"cameras.json: {message}"):
        read_cameras(path)


def test_a_joint_in_the_image_of_a_wide_camera_is_where_the_pinhole_puts_it(tmp_path):
    path = tmp_path / "cameras.json"
    path.write_text(json.dumps({"cameras": [CAMERA | {"focal": [501, 501]}]}))
    lens = read_cameras(path)["cam0"].intrinsics
    corner = torch.tensor([[0.998, -0.898, 1.0]])
    torch.testing.assert_close(project(corner, lens), 501 * corner[:, :2] + lens[2:4])


def test_a_folder_whose_cameras_see_nobody_is_an_error(folder):
    away = CAMERA | {"t_world_mm": [0, 5000, 1000]}
    (folder / "cameras.json").write_text(json.dumps({"cameras": [away]}))
    message = r"no camera sees 9 or more joints in any of 60 frames: look at the cameras \(unit, R"
    for window in (1, 9):
        with pytest.raises(ValueError, match=message):
            mocap(folder, window=window)
    assert len(mocap(folder, views="free")) == 60, "drawn cameras see everybody"


def test_a_cameras_file_without_cameras_is_named(tmp_path):
    path = tmp_path / "cameras.json"
    for text in ('{"cameras": [', "{}", '{"cameras": [{}]}', "[]"):
        path.write_text(text)
        with pytest.raises(ValueError, match=r"cameras\.json: "):
            read_cameras(path)
    without = {k: v for k, v in CAMERA.items() if k != "radial"}
    path.write_text(json.dumps({"cameras": [without]}))
    with pytest.raises(ValueError, match=r"cameras\.json: cam0: radial cannot be read"):
        read_cameras(path)


def test_the_published_folder_has_the_published_counts(shared):
    root = shared / "data/mocap17"
    test = mocap(root, "test")
    assert (subjects(test), len(test), test.left_out) == (["mm"], 4 * 5002, 0)
    assert subjects(mocap(root, "validation")) == ["dg"]
    train = mocap(root, validation=None)
    assert len(train) + train.left_out == 4 * (23_646 - 5_002 + 98_673)
    assert train.left_out == 1_082  # fewer than 9 joints in the image
    outside = (train.rows.visible == 0).any(-1).sum() + train.left_out
    assert outside == 3_366
    assert 2.5 < float(test.rows.keypoints[..., 2].min()) < float(test.rows.keypoints[..., 2].max())
