"""VideoPose3D's files, small ones of make_mini, through prepare_h36m to samples."""

import shutil
import sys
import tarfile
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.commands import run, script
from scipy.io import savemat

from posediff.data.lifting.h36m import KEPT, TEST, TRAIN, h36m
from posediff.data.lifting.h36m_cameras import cameras
from posediff.pose.camera import world_to_camera
from posediff.pose.skeleton import skeleton

SCRIPTS = Path(__file__).parents[2] / "scripts"
GT, CPN = "data_2d_h36m_gt.npz", "data_2d_h36m_cpn_ft_h36m_dbb.npz"
MOTION = "data_3d_h36m.npz"


def entry(path, name):
    """One entry of a file of pickles that make_mini wrote."""
    with np.load(path, allow_pickle=True) as npz:
        return npz[name].item()


@pytest.fixture(scope="module")
def mini(tmp_path_factory):
    folder = tmp_path_factory.mktemp("h36m")
    run(script("make_mini").main, "h36m", folder)
    return folder


@pytest.fixture
def folder(mini, tmp_path):
    """Links to the mini files, which a test may replace."""
    for path in mini.iterdir():
        (tmp_path / path.name).symlink_to(path)
    return tmp_path


def rewrite(path, name, change):
    """The file with one of its entries changed in place."""
    with np.load(path, allow_pickle=True) as npz:
        content = {key: npz[key].item() for key in npz.files}
    change(content[name])
    path.unlink(missing_ok=True)
    np.savez(path, **content)


def fails(capsys, folder, out=None):
    """The script's error, one line."""
    with pytest.raises(SystemExit) as e:
        run(script("prepare_h36m").main, folder, "--out", out or folder / "out")
    assert str(e.value).startswith("error: ")
    assert "\n" not in str(e.value)
    return str(e.value)


def test_mini_files_are_laid_out_like_the_real_ones(mini):
    world, seen = entry(mini / MOTION, "positions_3d"), entry(mini / CPN, "positions_2d")
    assert list(world) == ["S1", "S5", "S6", "S7", "S8", "S9", "S11"]
    assert {"Walking", "Walking 1"} < set(world["S1"])
    assert "Directions" not in world["S11"]
    for subject, clips in world.items():
        for name, poses in clips.items():
            assert poses.shape == (len(poses), 32, 3)
            assert poses.dtype == np.float32
            assert len(seen[subject][name]) == 4
            assert seen[subject][name][3].shape == (len(poses) + 2, 17, 2)
    about = entry(mini / GT, "metadata")
    assert about["keypoints_symmetry"] == [[4, 5, 6, 11, 12, 13], [1, 2, 3, 14, 15, 16]]


def test_mini_people_are_on_the_floor_inside_all_four_images(mini):
    for clips in entry(mini / MOTION, "positions_3d").values():
        for poses in clips.values():
            assert -0.05 < poses[..., 2].min() < 0.3
            assert 0.7 < poses[..., 2].max() < 2.5
    for clips in entry(mini / GT, "positions_2d").values():
        for views in clips.values():
            assert np.min(views) > 0
            assert np.max(views) < 1000


def test_prepared_samples_are_the_files_cut_and_reduced_to_17_joints(mini, tmp_path, capsys):
    run(script("prepare_h36m").main, mini, "--out", tmp_path / "h36m")
    assert "training: 35 clips, 7,000 poses" in capsys.readouterr().out
    data = h36m(tmp_path / "h36m", "test", keypoints="cpn")
    world = entry(mini / MOTION, "positions_3d")
    cpn, gt = entry(mini / CPN, "positions_2d"), entry(mini / GT, "positions_2d")
    assert len(data) == 4 * sum(len(p) for s in TEST for p in world[s].values())
    serials = ["54138969", "55011271", "58860488", "60457274"]
    for i in range(0, len(data), 97):
        sample = data[i]
        subject, clip, serial, frame = sample["id"].split("/")
        c, f = serials.index(serial), int(frame)
        xyz = torch.from_numpy(world[subject][clip][f, KEPT])
        xyz = world_to_camera(xyz, cameras(subject)[c])
        torch.testing.assert_close(sample["keypoints"], xyz, atol=1e-5, rtol=0)
        assert np.array_equal(sample["keypoints_2d"], cpn[subject][clip][c][f])
        np.testing.assert_allclose(sample["target_2d"], gt[subject][clip][c][f], atol=0.01)
        assert sample["meta"]["action"] == clip.removesuffix(" 1")


def test_the_broken_clip_is_left_out_and_recorded_names_are_changed(folder, capsys):
    def as_recorded(people):
        people["S11"]["Directions"] = people["S11"]["Walking"]
        for clips in people.values():
            clips["TakingPhoto"] = clips.pop("Photo")

    rewrite(folder / MOTION, "positions_3d", as_recorded)
    run(script("prepare_h36m").main, folder, "--out", folder / "out")
    data = h36m(folder / "out", "test", keypoints="gt")
    names = {tuple(x.split("/")[:2]) for x in data.origins["sequence"]}
    assert ("S9", "Directions") in names
    assert ("S9", "Photo") in names
    assert ("S11", "Directions") not in names
    assert "S11/TakingPhoto" not in {"/".join(n) for n in names}


# --- the data set's own files


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    """.cdf files, and their content as {subject: {name: (F, 32, 3) metres}}."""
    cdflib = pytest.importorskip("cdflib")
    folder = tmp_path_factory.mktemp("cdf")
    run(script("make_mini").main, "h36m_cdf", folder)
    content = {}
    for path in folder.glob("S*/MyPoseFeatures/D3_Positions/*.cdf"):
        pose = cdflib.CDF(str(path)).varget("Pose")
        assert pose.shape == (1, pose.shape[1], 96)
        content.setdefault(path.parents[2].name, {})[path.stem] = pose.reshape(-1, 32, 3) / 1000
    return folder, content


def as_cdf(folder, content, recorded):
    for subject in content:
        (folder / subject).symlink_to(recorded / subject)


def as_tgz(folder, content, recorded):
    for subject in content:
        with tarfile.open(folder / f"Poses_D3_Positions_{subject}.tgz", "w:gz") as tar:
            tar.add(recorded / subject, subject)


def as_mat(folder, content, recorded):
    for subject, clips in content.items():
        home = folder / "h36m" / subject / "MyPoseFeatures/D3_Positions"
        home.mkdir(parents=True)
        for name, poses in clips.items():
            cell = np.empty((1, 1), dtype=object)
            cell[0, 0] = 1000 * poses.reshape(-1, 96)
            savemat(home / f"{name}.cdf.mat", {"data": cell})


def as_h5(folder, content, recorded):
    import h5py

    for subject, clips in content.items():
        home = folder / "h36m" / subject / "MyPoses/3D_positions"
        home.mkdir(parents=True)
        for name, poses in clips.items():
            with h5py.File(home / f"{name}.h5", "w") as file:
                file["3D_positions"] = 1000 * poses.reshape(-1, 96).T


@pytest.mark.parametrize("form", [as_cdf, as_tgz, as_mat, as_h5])
def test_every_form_of_the_data_set_has_the_same_samples(form, recorded, tmp_path, capsys):
    source, content = recorded
    form(tmp_path, content, source)
    run(script("prepare_h36m").main, tmp_path, "--out", tmp_path / "out")
    printed = capsys.readouterr().out
    assert "training: 20 clips, 1,600 poses" in printed
    assert "test: 7 clips" in printed  # without the broken one
    assert "clips of S1 4, " in printed
    data = h36m(tmp_path / "out", "test", keypoints="gt")
    renamed = {"Photo": "TakingPhoto"}
    for i in range(0, len(data), 41):
        subject, clip, serial, frame = data[i]["id"].split("/")
        world = torch.tensor(content[subject][renamed.get(clip, clip)][int(frame), KEPT]).float()
        camera = cameras(subject)[["54138969", "55011271", "58860488", "60457274"].index(serial)]
        xyz = world_to_camera(world, camera)
        torch.testing.assert_close(data[i]["keypoints"], xyz, atol=1e-5, rtol=0)


def test_broken_files_of_the_data_set_are_one_line(recorded, tmp_path, monkeypatch, capsys):
    source, _ = recorded
    clip = "S1/MyPoseFeatures/D3_Positions/Walking 1.cdf"
    shutil.copytree(source / "S1", tmp_path / "S1")
    whole = (tmp_path / clip).read_bytes()
    for length in (0, 300, len(whole) - 500):
        (tmp_path / clip).write_bytes(whole[:length])
        line = fails(capsys, tmp_path)
        assert "Walking 1.cdf: cannot be read as a .cdf file with the variable Pose" in line
    monkeypatch.setitem(sys.modules, "cdflib", None)
    assert "pip install 'posediff[prepare]'" in fails(capsys, tmp_path)
    shutil.rmtree(tmp_path / "S1")

    archive = tmp_path / "Poses_D3_Positions_S1.tgz"
    archive.write_bytes(b"no archive")
    assert f"{archive}: cannot be read as a packed folder: copy it again" in fails(capsys, tmp_path)
    archive.unlink()

    home = tmp_path / "S1/MyPoses/3D_positions"
    home.mkdir(parents=True)
    (home / "Walking.h5").write_bytes(b"torn")
    assert "Walking.h5: cannot be read as an HDF5 file" in fails(capsys, tmp_path)
    (home / "Walking.h5").rename(tmp_path / "S1/Walking.cdf.mat")
    (tmp_path / "S1/MyPoseFeatures/D3_Positions").mkdir(parents=True)
    mat = tmp_path / "S1/MyPoseFeatures/D3_Positions/Walking.cdf.mat"
    (tmp_path / "S1/Walking.cdf.mat").rename(mat)
    assert "Walking.cdf.mat: cannot be read as a MATLAB" in fails(capsys, tmp_path)
    savemat(mat, {"data": np.array([[np.zeros((5, 90))]], dtype=object)})
    assert "no cell `data` of one array" in fails(capsys, tmp_path)
    cell = np.empty((1, 1), dtype=object)
    cell[0, 0] = np.zeros((5, 90))
    savemat(mat, {"data": cell})
    assert "has shape (5, 90), expected 96 numbers" in fails(capsys, tmp_path)


def test_detections_of_cocos_joints_are_converted_by_name(folder, capsys):
    path = folder / "data_2d_h36m_detectron_pt_coco.npz"
    path.symlink_to(folder / CPN)
    coco, bones = skeleton("coco17"), skeleton("h36m17").joints

    def as_coco(people):
        for clips in people.values():
            for views in clips.values():
                for c, view in enumerate(views):
                    limbs = [j for j in coco.joints if j in bones]
                    face = np.repeat(view[:, [bones.index("neck")]], 17, axis=1)
                    order = [coco.joints.index(j) for j in limbs]
                    face[:, order] = view[:, [bones.index(j) for j in limbs]]
                    views[c] = face

    rewrite(path, "positions_2d", as_coco)
    rewrite(path, "metadata", lambda m: m.update(layout_name="coco"))
    run(script("prepare_h36m").main, folder, "--out", folder / "out")
    assert "with 2D sources gt, noisy, cpn, detectron" in capsys.readouterr().out
    mine = h36m(folder / "out", "test", keypoints="detectron")[77]["keypoints_2d"]
    cpn = h36m(folder / "out", "test", keypoints="cpn")[77]["keypoints_2d"]
    limbs = [j for j, name in enumerate(bones) if name in coco.joints]
    torch.testing.assert_close(mine[limbs], cpn[limbs])
    torch.testing.assert_close(mine[0], (cpn[1] + cpn[4]) / 2)  # the pelvis between the hips


def test_other_layouts_and_mixture_files_are_skipped(folder, capsys):
    (folder / "data_2d_h36m_sh_pt_mpii.npz").symlink_to(folder / GT)
    rewrite(folder / "data_2d_h36m_sh_pt_mpii.npz", "metadata", lambda m: m.update(num_joints=15))
    (folder / "data_2d_h36m_cpn_ft_h36m_dbb_gmm.npz").symlink_to(folder / CPN)
    run(script("prepare_h36m").main, folder, "--out", folder / "out")
    out = capsys.readouterr().out
    assert out.count("left out") == 2
    assert "with 2D sources gt, noisy, cpn" in out


def shift(people):
    people["S7"]["Walking 1"][2] += 3


def shorten(people):
    people["S6"]["Walking 1"] = [view[:-5] for view in people["S6"]["Walking 1"]]


def lose_camera(people):
    people["S1"]["Photo"].pop()


def drop_joint(people):
    people["S1"]["Photo"] = [view[:, :16] for view in people["S1"]["Photo"]]


def drop_person(people):
    people["S8"]["Photo"][2][7] = np.nan


def in_millimetres(people):
    people["S9"]["Sitting"] *= 1000


def seventeen(people):
    people["S9"]["Sitting"] = people["S9"]["Sitting"][:, :17]


def unknown_action(people):
    people["S1"]["Juggling"] = people["S1"]["Walking"]


@pytest.mark.parametrize(
    ("name", "change", "words"),
    [
        (GT, shift, ["S7/Walking 1", "px off"]),
        (CPN, shorten, ["S6/Walking 1", "2D of 47 frames for 3D of 50"]),
        (CPN, lose_camera, ["S1/Photo", "3 cameras"]),
        (CPN, drop_person, ["S8/Photo", "2D that is not finite"]),
        (CPN, drop_joint, ["S1/Photo", "(52, 16, 2)"]),
        (MOTION, in_millimetres, ["S9/Sitting", "metres"]),
        (MOTION, seventeen, ["S9/Sitting", "(50, 17, 3)"]),
        (MOTION, unknown_action, ["S1/Juggling"]),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_files_that_do_not_fit_are_named_and_nothing_is_written(
    name, change, words, folder, capsys
):
    rewrite(folder / name, "positions_3d" if name == MOTION else "positions_2d", change)
    line = fails(capsys, folder)
    for word in [str(folder / name), *words]:
        assert word in line
    assert not (folder / "out").exists()


def test_a_file_with_foreign_classes_is_refused_and_a_missing_one_named(folder, capsys):
    (folder / CPN).unlink()
    np.savez(folder / CPN, positions_2d={"S1": Path("x")}, metadata={})
    assert "dbb.npz: positions_2d: cannot be read: it names pathlib" in fails(capsys, folder)
    (folder / MOTION).unlink()
    assert f"{folder / MOTION} is missing" in fails(capsys, folder)


def test_the_data_folder_is_that_of_the_environment(mini, tmp_path, monkeypatch):
    monkeypatch.setenv("POSEDIFF_DATA", str(tmp_path))
    run(script("prepare_h36m").main, mini)
    data = h36m(tmp_path / "h36m", "train", keypoints="gt", validation="S8")
    assert data.summary()["subjects"] == sorted(set(TRAIN) - {"S8"})
