"""predict as people call it, and the library's calls that say the same."""

import json

import numpy as np
import pytest
import torch
from helpers.commands import command, error_of

import posediff
from posediff import checkpoint
from posediff.data.lifting.synthetic_people import synthetic


@pytest.fixture(autouse=True)
def inside(lifters, monkeypatch):
    monkeypatch.chdir(lifters.parents[2])
    monkeypatch.setenv("POSEDIFF_RUNS", str(lifters.parents[1]))


def keypoints(folder, frames=3):
    sample = synthetic("test", keypoints="gt", clips=1, length=10).__getitems__(list(range(frames)))
    path = folder / "keypoints.json"
    path.write_text(json.dumps({"keypoints": sample["keypoints_2d"].tolist()}))
    return path


def test_predicting_writes_poses_for_programs_and_people_and_a_picture(lifters, tmp_path, capsys):
    path = keypoints(tmp_path)
    where = (f"input={path}", "image_size=[1000,1002]", "layout=h36m17", f"output={tmp_path}/out")
    command("predict", "task=lift3d", f"checkpoint={lifters}/paper/checkpoints/best", *where)
    said = capsys.readouterr().out
    arrays = np.load(tmp_path / "out/poses.npz", allow_pickle=False)
    assert arrays["hypotheses"].shape == (3, 5, 17, 3)
    assert np.allclose(arrays["keypoints"], arrays["hypotheses"].mean(1), atol=1e-5)
    assert (arrays["spread"][:, 1:] > 0).all()
    text = json.loads((tmp_path / "out/poses.json").read_text())
    assert len(text["poses"]) == 3
    assert text["meta"]["steps"] == 5
    drawn = sorted(path.name for path in (tmp_path / "out").glob("*.png"))
    assert drawn == [f"{i:06d}_pose.png" for i in range(3)]
    assert str(tmp_path / "out/poses.npz") in said


def test_the_library_predicts_what_the_command_writes(lifters, tmp_path):
    path, folder = keypoints(tmp_path), lifters / "paper/checkpoints/best"
    where = (f"input={path}", "image_size=[1000,1002]", "layout=h36m17", f"output={tmp_path}/out")
    command("predict", "task=lift3d", f"checkpoint={folder}", *where)
    model = posediff.load(folder)
    points = torch.tensor(json.loads(path.read_text())["keypoints"])
    sample = posediff.lifting_sample(
        points,
        (1000, 1002),
        layout="h36m17",
        skeleton=model.head.skeleton,
        detector=checkpoint.read_config(folder)["dataset"],
        ids=[f"{i:06d}" for i in range(3)],
    )
    poses = model.predict(sample, hypotheses=5, steps=5, seed=0)
    written = np.load(tmp_path / "out/poses.npz")["keypoints"]
    assert np.allclose(poses.keypoints.numpy(), written, atol=1e-5)
    same = posediff.lift(model, points, (1000, 1002), layout="h36m17", ids=sample["id"])
    assert np.allclose(same.keypoints.numpy(), written, atol=1e-5)


def test_the_example_of_the_library_runs(lifters):
    lines = posediff.__doc__.splitlines()
    start = next(i for i, x in enumerate(lines) if x.startswith("model ="))
    example = "\n".join(lines[start : lines.index("", start)])
    example = example.replace("runs/lift3d/synthetic/<name>", f"{lifters}/paper")
    assert "posediff.lift(model, points)" in example
    names = {"posediff": posediff, "points": 300 + 50 * torch.rand(4, 17, 2)}
    exec(example, names)
    assert names["poses"].keypoints.shape == (4, 17, 3)
    assert names["poses"].hypotheses.shape == (4, 5, 17, 3)


def test_a_video_of_tracks_is_predicted_and_its_empty_frames_are_listed(lifters, tmp_path, capsys):
    people = [
        {"image_id": n, "track_id": t, "keypoints": (100 + 50 * torch.rand(51)).tolist()}
        for t in (3, 8)
        for n in range(30)
        if n not in (4, 5) and (n, t) != (9, 8)
    ]
    images = [{"id": n, "file_name": f"{n:03d}.jpg"} for n in range(30)]
    people[-1]["keypoints"][24:] = [0] * 27  # too little is known of the last
    path = tmp_path / "video.json"
    path.write_text(json.dumps({"images": images, "annotations": people}))
    capsys.readouterr()
    where = (f"input={path}", "layout=coco17", f"output={tmp_path}/out", "camera=[900,900,320,240]")
    command("predict", "task=lift3d", f"checkpoint={lifters}/paper/checkpoints/best", *where)
    said = capsys.readouterr().out.strip().splitlines()
    assert said[3].startswith("expects  about ")
    assert said[4].startswith("54 poses of h36m17 in 2 tracks")
    assert said[-2] == "1 left out with fewer than 9 joints: 029.jpg#8"
    assert said[-1] == "no person in 2 frames: 004.jpg, 005.jpg"
    arrays = np.load(tmp_path / "out/poses.npz", allow_pickle=False)
    assert arrays["track"].tolist() == [0] * 28 + [1] * 26
    assert arrays["number"][28:].tolist() == [n for n in range(29) if n not in (4, 5, 9)]
    assert arrays["frames"][[0, 53]].tolist() == ["000.jpg#3", "028.jpg#8"]
    text = json.loads((tmp_path / "out/poses.json").read_text())
    assert (text["poses"][53]["track"], text["poses"][53]["number"]) == (1, 28)
    assert text["meta"]["empty_frames"] == ["004.jpg", "005.jpg"]
    assert len(list((tmp_path / "out").glob("*.png"))) == 11


@pytest.mark.parametrize(
    ("make", "word"),
    [
        (lambda p: p.write_text(""), "empty"),
        (lambda p: p.write_text("[[[1, 2], [3, 4]]]"), "17"),
        (lambda p: p.write_text(json.dumps([[[float("nan"), 1.0]] * 17])), "frame"),
    ],
)
def test_bad_keypoints_are_one_line_and_leave_the_last_answer_alone(
    lifters, capsys, tmp_path, make, word
):
    out = tmp_path / "out"
    out.mkdir()
    (out / "poses.npz").write_bytes(b"the last answer")
    path = tmp_path / "bad.json"
    make(path)
    where = (f"input={path}", "image_size=[1000,1002]", "layout=h36m17", f"output={out}")
    line = error_of(
        capsys, "predict", "task=lift3d", f"checkpoint={lifters}/paper/checkpoints/best", *where
    )
    assert "bad.json" in line
    assert word in line
    assert (out / "poses.npz").read_bytes() == b"the last answer"


def test_the_input_is_not_written_over(lifters, capsys, tmp_path):
    path = keypoints(tmp_path).rename(tmp_path / "poses.json")
    before = path.read_bytes()
    words = (f"input={path}", "layout=h36m17", f"output={tmp_path}")
    said = error_of(capsys, "predict", "task=lift3d", *words)
    assert "poses.json: was given, and the results would be written over it" in said
    assert "output=FOLDER" in said
    assert path.read_bytes() == before


def test_an_unknown_layout_or_size_is_one_line(lifters, capsys, tmp_path):
    path = keypoints(tmp_path)
    where = (
        "predict",
        "task=lift3d",
        f"checkpoint={lifters}/paper/checkpoints/best",
        f"input={path}",
    )
    assert "coco17" in error_of(capsys, *where, "layout=coco18", "image_size=[1000,1000]")
    assert "image_size" in error_of(capsys, *where, "layout=h36m17", "image_size=[1000]")
    line = error_of(capsys, *where, "layout=h36m17", "camera=[0,900,500,500]")
    assert "the focal length must be above 0 pixels" in line
