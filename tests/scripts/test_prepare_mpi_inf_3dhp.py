"""MPI-INF-3DHP's own files, small ones of make_mini, through the script to samples."""

import re
import shutil
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from helpers.commands import run, script
from scipy.io import loadmat, savemat

from posediff.data.lifting.mpi_inf_3dhp import ACTIVITIES, JOINTS, VALID, lens, mpi_inf_3dhp
from posediff.pose.camera import project
from posediff.pose.skeleton import skeleton

SCRIPTS = Path(__file__).parents[2] / "scripts"
TESTS = "mpi_inf_3dhp_test_set"


@pytest.fixture(scope="module")
def mini(tmp_path_factory):
    folder = tmp_path_factory.mktemp("3dhp")
    run(script("make_mini").main, "3dhp", folder)
    return folder


@pytest.fixture(scope="module")
def root(mini):
    run(script("prepare_mpi_inf_3dhp").main, mini, "--out", mini / "out")
    return mini / "out"


@pytest.fixture
def folder(mini, tmp_path):
    """A copy of a few sequences, which a test may damage."""
    for part in ("S1/Seq1", "S8/Seq2", f"{TESTS}/TS1", f"{TESTS}/TS5"):
        shutil.copytree(mini / part, tmp_path / part)
    return tmp_path


def fails(capsys, folder, *options):
    """The script's error, one line."""
    with pytest.raises(SystemExit) as e:
        run(script("prepare_mpi_inf_3dhp").main, folder, "--out", folder / "out", *options)
    assert str(e.value).startswith("error: ")
    assert "\n" not in str(e.value)
    assert not (folder / "out/mpi_inf_3dhp.h5").exists()
    return str(e.value)


@pytest.mark.parametrize("annotation", ["annot3", "univ_annot3"])
def test_training_samples_are_the_17_joints_of_the_files_in_metres(mini, root, annotation):
    data = mpi_inf_3dhp(root, "train", annotation=annotation)
    assert len(data) == 7 * 2 * 8 * 20
    assert data.summary()["annotation"] == annotation
    assert data.summary()["subjects"] == [f"S{n}" for n in range(1, 8)]
    assert set(data.origins["camera"]) == set("01245678")
    data = mpi_inf_3dhp(root, "validation", annotation=annotation)
    for i in range(0, len(data), 31):
        sample = data[i]
        subject, sequence, camera, frame = sample["id"].split("/")
        raw = loadmat(mini / subject / sequence / "annot.mat")
        poses = raw[annotation][int(camera), 0][int(frame)].reshape(28, 3)[list(JOINTS)]
        np.testing.assert_allclose(sample["keypoints"], poses / 1000, atol=1e-5)
        pixels = raw["annot2"][int(camera), 0][int(frame)].reshape(28, 2)[list(JOINTS)]
        for key in ("keypoints_2d", "target_2d"):
            np.testing.assert_allclose(sample[key], pixels, atol=1e-3)
        assert sample["image_size"].tolist() == [2048, 2048]
        assert sample["meta"]["action"] == sequence


def test_test_samples_are_the_valid_frames_with_their_activity(mini, root):
    data = mpi_inf_3dhp(root, "test", annotation="annot3")
    assert data.origins["subject"] == list(VALID)
    assert len(data) == 6 * 16
    assert data.left_out == 0
    for i in range(len(data)):
        sample = data[i]
        subject, frame = sample["meta"]["subject"], int(sample["meta"]["frame"])
        assert frame % 5
        assert sample["meta"]["action"] == ACTIVITIES[frame * 7 // 20]
        with h5py.File(mini / TESTS / subject / "annot_data.mat") as raw:
            assert raw["valid_frame"][frame, 0] == 1
            np.testing.assert_allclose(sample["keypoints"], raw["annot3"][frame, 0] / 1000, 1e-5)
            np.testing.assert_allclose(sample["keypoints_2d"], raw["annot2"][frame, 0], 1e-5)
        # true metres through the published lens are the annotated pixels
        seen = project(sample["keypoints"], sample["camera"])
        np.testing.assert_allclose(seen, sample["keypoints_2d"], atol=0.05)
        wide = subject in ("TS5", "TS6")
        assert sample["image_size"].tolist() == ([1920, 1080] if wide else [2048, 2048])


def test_a_window_has_every_frame_and_counts_the_valid_ones_once(root):
    data = mpi_inf_3dhp(root, "test", window=9)
    windows = data.__getitems__(list(range(len(data))))
    at = windows["frames_valid"] > 0
    assert at.sum() == 6 * 16
    frame = windows["meta"]["frame"]
    assert (frame[at] % 5 > 0).all()
    assert set(frame.flatten().tolist()) == set(range(20))
    single = mpi_inf_3dhp(root, "test")
    rows = single.__getitems__(list(range(len(single))))
    torch.testing.assert_close(windows["keypoints"][at], rows["keypoints"])


def test_the_published_lenses_in_pixels():
    (f_x, f_y, c_x, c_y, *rest), _ = lens("TS2")
    assert (f_x, f_y) == pytest.approx((1500.172, 1500.172), abs=1e-3)
    assert (c_x, c_y) == pytest.approx((1017.387, 1043.032), abs=1e-3)
    assert rest == [0] * 5
    (f_x, f_y, c_x, c_y, *_), size = lens("TS6")
    assert (f_x, f_y, c_x, c_y) == pytest.approx((1683.983, 1683.983, 939.858, 560.141), abs=1e-3)
    assert size == (1920, 1080)


def test_people_of_the_mini_files_are_upright_in_every_image(root):
    names = skeleton("3dhp17").joints
    for split in ("train", "test"):
        data = mpi_inf_3dhp(root, split, annotation="annot3")
        rows = data.__getitems__(list(range(0, len(data), 7)))
        assert rows["visible"].all()
        height = rows["keypoints_2d"][..., 1]  # downwards
        assert (height[:, names.index("head_top")] < height[:, names.index("pelvis")]).all()
        legs = rows["keypoints_2d"][:, [names.index("right_hip"), names.index("right_knee")]]
        assert (legs[:, 0] - legs[:, 1]).norm(dim=-1).min() > 20


def test_a_part_of_the_data_set_is_prepared_and_the_rest_named(folder, capsys):
    run(script("prepare_mpi_inf_3dhp").main, folder, "--out", folder / "out")
    printed = capsys.readouterr().out
    assert "S2, S3, S4, S5, S6, S7, TS2, TS3, TS4, TS6" in printed
    assert "TS1 16 (603), TS5 16 (276)" in printed
    assert "320 poses to train on, 32 to test on" in printed
    assert "annot3 is 0.0 px" in printed
    assert len(mpi_inf_3dhp(folder / "out", "test")) == 32
    with pytest.raises(ValueError, match=r"none of S3, only S1, S8, TS1, TS5"):
        mpi_inf_3dhp(folder / "out", "validation", validation="S3")


def as_npz(folder, root):
    """The two npz files of other projects, with the prepared annot3; returns one lens."""
    data = {}
    with h5py.File(root / "mpi_inf_3dhp.h5") as file:
        views = file["S1/Seq1"].items()
        seen = {
            c: {"data_2d": v["keypoints_2d"][()], "data_3d": 1000 * v["annot3"][()]}
            for c, v in views
        }
        data["train"] = {"S1 Seq1": [seen, 25]}
        test = file["TS5/Seq1/0"]
        seen = {"data_2d": test["keypoints_2d"][()], "data_3d": 1000 * test["annot3"][()]}
        data["test"] = {"TS5": {**seen, "valid": test["valid"][()]}}
        lens = file["S1/Seq1/0"].attrs["intrinsics"]
    for split, value in data.items():
        np.savez(folder / f"data_{split}_3dhp.npz", data=np.array(value, dtype=object))
    return lens


def test_npz_files_of_other_projects_have_the_same_samples(root, tmp_path, capsys):
    lens = as_npz(tmp_path, root)
    assert "add --scale" in fails(capsys, tmp_path)
    run(script("prepare_mpi_inf_3dhp").main, tmp_path, "--scale", "annot3", "--out", tmp_path / "o")
    mine = mpi_inf_3dhp(tmp_path / "o", "train", annotation="annot3", validation=None)[100]
    theirs = {
        x["id"]: x
        for x in map(mpi_inf_3dhp(root, "train", annotation="annot3").__getitem__, range(200))
    }
    for key in ("keypoints", "keypoints_2d", "image_size"):
        torch.testing.assert_close(mine[key], theirs[mine["id"]][key], atol=1e-4, rtol=1e-6)
    np.testing.assert_allclose(mine["camera"], lens, atol=0.5)  # fitted, not read
    test = mpi_inf_3dhp(tmp_path / "o", "test", annotation="annot3")
    assert len(test) == 16
    assert test[0]["meta"]["action"] == "Seq1"
    with pytest.raises(ValueError, match=r"no univ_annot3 of TS5/Seq1/0, only annot3: set dataset"):
        mpi_inf_3dhp(tmp_path / "o", "test", scale="univ_annot3")


def damage(path, name, change):
    """The HDF5 file with one of its variables changed."""
    with h5py.File(path, "a") as file:
        value = change(file[name][()])
        del file[name]
        if value is not None:
            file[name] = value


@pytest.mark.parametrize(
    ("name", "change", "words"),
    [
        ("annot3", lambda x: x[:-3], r"annot3 has 17 frames, annot2 20"),
        ("valid_frame", lambda x: x[:-1], r"valid has 19 frames, annot2 20"),
        ("annot2", lambda x: np.where(np.arange(20)[:, None, None, None] == 4, np.nan, x),
         r"annot2 of frame 4 is not finite"),
        ("annot3", lambda x: x[:, :, :16], r"annot3 has shape \(3, 16, 1, 20\), expected"),
        ("univ_annot3", lambda x: 1000 * x, r"univ_annot3 is beyond 20000; millimetres"),
        ("activity_annotation", lambda x: x + 1, r"activity_annotation must be 1 \.\. 7"),
        ("valid_frame", lambda x: None, r"no valid_frame in it"),
    ],
)  # fmt: skip
def test_test_files_with_missing_or_wrong_entries_are_named(folder, capsys, name, change, words):
    damage(folder / TESTS / "TS1/annot_data.mat", name, change)
    error = fails(capsys, folder)
    assert "TS1/annot_data.mat" in error
    assert re.search(words, error), error


def test_a_test_file_that_is_cut_short_is_named(folder, capsys):
    path = folder / TESTS / "TS5/annot_data.mat"
    path.write_bytes(path.read_bytes()[:3000])
    assert f"{path}: cannot be read" in fails(capsys, folder)
    path.unlink()
    assert f"{path} is missing" in fails(capsys, folder)


def test_training_files_with_missing_frames_or_cameras_are_named(folder, capsys):
    path = folder / "S1/Seq1/annot.mat"
    raw = {k: v for k, v in loadmat(path).items() if k[0] != "_"}
    raw["annot3"][4, 0] = raw["annot3"][4, 0][:11]
    savemat(path, raw)
    assert "S1/Seq1 camera 4: annot3 has 11 frames, annot2 20" in fails(capsys, folder)
    raw["annot3"][4, 0] = np.empty((0, 0))
    savemat(path, raw)
    error = fails(capsys, folder)
    assert "annot3 of camera 4 has shape (0, 0), expected (frames, 84)" in error
    raw |= {"annot2": raw["annot2"][:6], "annot3": raw["annot3"][:6]}
    raw["annot3"][4, 0] = raw["annot3"][3, 0]
    savemat(path, raw)
    assert "annot2 must be a cell of 14 cameras, it has 6" in fails(capsys, folder)
    path.write_bytes(path.read_bytes()[:5000])
    assert f"{path}: cannot be read" in fails(capsys, folder)
    path.unlink()
    assert f"{path} is missing" in fails(capsys, folder)


def test_a_calibration_without_a_lens_is_named(folder, capsys):
    path = folder / "S1/Seq1/camera.calibration"
    text = path.read_text()
    path.write_text(text.replace("intrinsic   1500.0", "intrinsic   0.0", 1))
    error = fails(capsys, folder)
    assert f"{path}: camera 0 has a focal length that is not above 0" in error
    path.write_text(text.replace("2048 2048", "2048 wide", 1))
    assert f"{path}: line 4 cannot be read" in fails(capsys, folder)
    path.write_text(text.replace("name          8", "name          88"))
    assert f"{path}: camera 8 is missing" in fails(capsys, folder)
    path.unlink()
    assert f"{path} is missing" in fails(capsys, folder)


def test_an_empty_folder_or_missing_file_is_an_error_with_a_command(tmp_path, capsys):
    assert "make_mini.py 3dhp" in fails(capsys, tmp_path)
    with pytest.raises(FileNotFoundError, match=r"prepare_mpi_inf_3dhp.*make_mini\.py 3dhp"):
        mpi_inf_3dhp(tmp_path / "nowhere")
    with pytest.raises(ValueError, match=r"dataset\.annotation must be one of annot3, univ_annot3"):
        mpi_inf_3dhp(tmp_path, annotation="mm")
    (tmp_path / "mpi_inf_3dhp.h5").write_bytes(b"torn")
    with pytest.raises(ValueError, match=r"mpi_inf_3dhp\.h5: cannot be read, prepare it again"):
        mpi_inf_3dhp(tmp_path)
