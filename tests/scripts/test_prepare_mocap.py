"""Motion files to a folder that dataset=mocap reads: a stick figure, and real samples."""

import json

import numpy as np
import pytest
import torch
from helpers.commands import script as load

from posediff.data.lifting.mocap import mocap, read_cameras
from posediff.data.lifting.recording import JOINTS, read

script = load("prepare_mocap")

# bone: its parent, and the vector to its end in millimetres (y up)
BONES = {
    "rhipjoint": ("root", (-100, -50, 0)),
    "rfemur": ("rhipjoint", (0, -400, 0)),
    "rtibia": ("rfemur", (0, -400, 50)),
    "lhipjoint": ("root", (100, -50, 0)),
    "lfemur": ("lhipjoint", (0, -400, 0)),
    "ltibia": ("lfemur", (0, -400, 50)),
    "lowerback": ("root", (0, 120, 0)),
    "thorax": ("lowerback", (0, 200, 0)),
    "upperneck": ("thorax", (0, 150, 0)),
    "head": ("upperneck", (0, 100, 30)),
    "lclavicle": ("thorax", (180, 0, 0)),
    "lhumerus": ("lclavicle", (280, 0, 0)),
    "lwrist": ("lhumerus", (0, 0, 250)),
    "rclavicle": ("thorax", (-180, 0, 0)),
    "rhumerus": ("rclavicle", (-280, 0, 0)),
    "rwrist": ("rhumerus", (0, -250, 0)),
}
UNIT = 25.4 / 0.45
FRAMES, TURN = 120, 0.5  # degrees a frame


def asf():
    lines = [":units", "length 0.45", "angle deg", ":root", "order TX TY TZ RX RY RZ"]
    lines += ["axis XYZ", "orientation 0 0 0", ":bonedata"]
    for name, (_, way) in BONES.items():
        length = np.linalg.norm(way)
        direction = " ".join(map(str, np.array(way) / length))
        lines += ["begin", f"name {name}", f"direction {direction}", f"length {length / UNIT}"]
        lines += ["axis 0 0 0 XYZ", "end"]
    tree = [f"{parent} {name}" for name, (parent, _) in BONES.items()]
    return "\n".join([*lines, ":hierarchy", "begin", *tree, "end"])


def amc(jump_at=FRAMES):
    """A figure that turns about its vertical axis, and jumps in one frame."""
    frames = [f"{n + 1}\nroot {10 * (n >= jump_at)} 20 5 0 {TURN * n} 0" for n in range(FRAMES)]
    return "\n".join([":DEGREES", *frames])


def figure():
    """The 17 joints at rest about the root, z up, millimetres."""
    ends = {"root": np.zeros(3)}
    for name, (parent, way) in BONES.items():
        ends[name] = ends[parent] + way
    hips = (ends["rhipjoint"] + ends["lhipjoint"]) / 2
    x, y, z = np.array([hips, *(ends[name] for name in BONES)]).T
    return np.stack([x, -z, y], 1)


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "mine"
    (folder / "deeper").mkdir(parents=True)
    (folder / "ann.asf").write_text(asf())
    (folder / "deeper" / "ann_turn_01.amc").write_text(amc())
    return folder


def test_a_figure_on_a_turntable_is_turned_centred_and_on_the_floor(folder, tmp_path):
    script.main([str(folder), "--out", str(tmp_path / "out")])
    (clip,) = read(tmp_path / "out" / "mine.npz")
    assert (clip.name, clip.subject, clip.action) == ("ann_turn_01", "ann", "turn")
    assert (clip.source, clip.split, clip.native_fps) == ("mine", "train", 120)
    assert len(clip.joints) == 50
    # the root turns about y, which is now z; the pelvis is on the axis, ankles at 70 mm
    rest = figure() - figure()[0]
    angle = np.radians(TURN * np.arange(50) * 120 / 50)
    c, s, o, i = np.cos(angle), np.sin(angle), np.zeros(50), np.ones(50)
    turns = np.stack([c, -s, o, s, c, o, o, o, i], -1).reshape(50, 3, 3)
    expected = np.einsum("fij,nj->fni", turns, rest)
    expected[..., 2] += 70 - rest[3, 2]
    # linear interpolation between angles half a degree apart: 0.01 mm on a metre
    assert np.abs(clip.joints - expected).max() < 0.125 + 0.02
    assert len(mocap(tmp_path / "out", validation=None)) == 4 * 50


def test_options_name_split_labels_and_rate(folder, tmp_path, capsys):
    table = tmp_path / "labels.csv"
    table.write_text("file,subject,action,split\nann_turn_01,eve,spin,test\n")
    out = tmp_path / "out"
    script.main([str(folder), "--out", str(out), "--name", "spins", "--fps", "60"])
    assert "wrote" in capsys.readouterr().out
    (clip,) = read(out / "spins.npz")
    assert (clip.native_fps, len(clip.joints), clip.source) == (60, 100, "spins")
    script.main([str(folder), "--out", str(out), "--name", "spins", "--split", "test"])
    assert read(out / "spins.npz")[0].split == "test"
    script.main([str(folder), "--out", str(out), "--name", "spins", "--table", str(table)])
    (clip,) = read(out / "spins.npz")
    assert (clip.subject, clip.action, clip.split) == ("eve", "spin", "test")
    script.main([str(folder), "--out", str(out), "--name", "spins", "--unit", str(2 * UNIT)])
    (twice,) = read(out / "spins.npz")
    size = np.linalg.norm(clip.joints[:, 2] - clip.joints[:, 1], axis=-1)
    np.testing.assert_allclose(
        np.linalg.norm(twice.joints[:, 2] - twice.joints[:, 1], axis=-1), 2 * size, atol=0.5
    )


@pytest.mark.parametrize(("jump_at", "kept"), [(60, [25, 25]), (72, [30]), (12, [45])])
def test_parts_between_jumps_are_numbered_and_short_ones_dropped(folder, tmp_path, jump_at, kept):
    (folder / "deeper" / "ann_turn_01.amc").write_text(amc(jump_at))
    script.main([str(folder), "--out", str(tmp_path / "out")])
    clips = read(tmp_path / "out" / "mine.npz")
    assert [len(clip.joints) for clip in clips] == kept
    assert [clip.name for clip in clips] == [f"ann_turn_01#{n}" for n in range(len(kept))]


def test_the_skeleton_is_the_longest_start_of_the_name_of_the_file(folder, tmp_path):
    for wrong in ("an", "ann_turn_0", "bob"):
        (folder / f"{wrong}.asf").write_text("not a skeleton")
    (folder / "ann_turn.asf").write_text(asf().replace("length 0.45", "length 0.5"))
    script.main([str(folder), "--out", str(tmp_path / "out")])
    joints = read(tmp_path / "out" / "mine.npz")[0].joints
    thigh = np.linalg.norm(joints[:, 2] - joints[:, 1], axis=-1)
    np.testing.assert_allclose(thigh, 400 * 0.45 / 0.5, atol=0.5)


def test_names_of_known_collections_have_subject_action_and_rate():
    assert script.label_of("HDM_bd_01-01_02_120") == {
        "source": "HDM05",
        "subject": "bd",
        "action": "01-01",
        "fps": "120",
    }
    assert script.label_of("07_12") == {"source": "CMU", "subject": "cmu07", "action": "cmu"}
    assert script.label_of("ann_walk") == {"subject": "ann", "action": "walk"}
    assert script.label_of("walk") == {}


def test_cameras_of_the_folder_are_kept(folder, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    (out / "cameras.json").write_text("{}")
    script.main([str(folder), "--out", str(out)])
    assert (out / "cameras.json").read_text() == "{}"


def test_cameras_are_around_the_origin_and_look_at_the_body(tmp_path):
    script.write_cameras(tmp_path / "cameras.json")
    for camera in read_cameras(tmp_path / "cameras.json").values():
        x, y, z = camera.rotation @ (torch.tensor([0, 0, 0.9]) - camera.translation)
        assert abs(x) < 1e-6
        assert abs(y) < 1e-6
        assert 5 < z < 6
        assert camera.rotation[1, 2] < -0.9  # the y of an image points down


def fails(arguments):
    with pytest.raises(SystemExit) as exit:
        script.main([str(argument) for argument in arguments])
    line = str(exit.value.code)
    assert line.startswith("error: ")
    assert "\n" not in line
    return line


def test_input_that_cannot_be_prepared_is_one_line_and_leaves_no_file(folder, tmp_path):
    out, motion = tmp_path / "out", folder / "deeper" / "ann_turn_01.amc"
    assert "no folder" in fails([tmp_path / "nowhere", "--out", out])
    (tmp_path / "empty").mkdir()
    assert "empty: no .amc and no .bvh" in fails([tmp_path / "empty", "--out", out])
    (folder / "ann.asf").rename(folder / "an.asf")
    assert "ann_turn_01.amc: no .asf" in fails([folder, "--out", out])
    (folder / "an.asf").rename(folder / "ann.asf")
    motion.rename(folder / "turn.amc")
    assert "turn.amc: no <subject>_<action>" in fails([folder, "--out", out])
    (folder / "turn.amc").rename(motion)
    table = tmp_path / "labels.csv"
    for text, message in (
        ("file,subject\nann_turn_01,eve\n", "line 2 lacks file, subject or action"),
        ("file,subject,action\nturn,eve,spin\n", "line 2 names turn"),
        ("file,subject,action,split\nann_turn_01,eve,spin,dev\n", "line 2 has split dev"),
    ):
        table.write_text(text)
        assert message in fails([folder, "--out", out, "--table", table])
    motion.write_text(amc()[:-5])
    assert "ann_turn_01.amc: frame 119 has 5 values of 'root'" in fails([folder, "--out", out])
    (folder / "deeper" / "ann_turn_01.bvh").write_text("")
    assert "have the same name" in fails([folder, "--out", out])
    assert not out.exists()


def test_real_samples_become_the_published_clips_keys_and_cameras(shared, tmp_path):
    script.main([str(shared / "data/samples/mocap"), "--out", str(tmp_path), "--name", "ours"])
    published = shared / "data/mocap17"
    theirs = {c.name: c for path in published.glob("*.npz") for c in read(path)}
    ours = read(tmp_path / "ours.npz")
    assert {c.name for c in ours} == {"39_07", "39_08", "HDM_mm_grabHighR_018_120"}
    for clip in ours:
        error = np.linalg.norm(clip.joints - theirs[clip.name].joints, axis=-1).max(0)
        bar = np.where(np.arange(17) < 8, 0.25, 7) if clip.name == "39_07" else 0.25
        # both are rounded, some of them to different sides
        assert (error <= bar + 0.25 * np.sqrt(3)).all()
        for label in ("subject", "action", "source", "native_fps"):
            assert getattr(clip, label) == getattr(theirs[clip.name], label)
    with np.load(tmp_path / "ours.npz") as new, np.load(published / "cmu_subset.npz") as old:
        assert {k: new[k].dtype.kind for k in new} == {k: old[k].dtype.kind for k in old}
        assert new["pos_delta"].dtype == np.int16
        assert new["joints"].tolist() == JOINTS.split()
    cameras = [json.loads((f / "cameras.json").read_text()) for f in (tmp_path, published)]
    for mine, other in zip(*(c["cameras"] for c in cameras), strict=True):
        assert mine.keys() == other.keys()
        for key in mine:
            np.testing.assert_allclose(mine[key], other[key], atol=1e-6)
