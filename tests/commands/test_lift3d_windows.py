"""Command lines of train, eval and predict for video models, on a few synthetic clips."""

import json
from pathlib import Path

import numpy as np
import pytest
from helpers.commands import LIMIT, command, error_of

import posediff
from posediff import checkpoint
from posediff.data.lifting.synthetic_people import synthetic

WINDOWS = ("dataset=synthetic", "dataset.window=9", "dataset.clips=1", "dataset.length=20")
RECIPE = ("trainer.recipe.batch_size=8", "trainer.recipe.epoch_samples=16")
TINY = (*WINDOWS, *LIMIT, *RECIPE)
SMALL = ("width=16", "depth=1", "heads=2")
ENCODER = ("experiment=lift3d_video_encoder", *(f"model.head.{x}" for x in SMALL), *TINY)
LIFT = ("task=lift3d", "task.head.width=16", "task.head.depth=1", *TINY)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("work")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("POSEDIFF_RUNS", str(folder / "runs"))
        command("train", *ENCODER, "name=encoder")
        command("train", *LIFT, "preset=paper_video", "name=paper")
        command("train", *LIFT, "preset=official_video", "name=official")
        command("train", *LIFT, "preset=d3dp", "task.head.heads=2", "name=d3dp")
    return folder / "runs/lift3d/synthetic"


@pytest.fixture(autouse=True)
def inside(runs, monkeypatch):
    monkeypatch.chdir(runs.parents[2])
    monkeypatch.setenv("POSEDIFF_RUNS", str(runs.parents[1]))


@pytest.mark.parametrize(
    ("run", "method", "steps", "K", "flip"),
    [
        ("encoder", "encoder", 1, 1, False),
        ("paper", "paper_video", 5, 5, False),
        ("official", "official_video", 1, 1, False),
        ("d3dp", "d3dp", 5, 5, True),
    ],
)
def test_a_model_is_scored_over_the_windows_that_it_was_trained_on(
    runs, capsys, run, method, steps, K, flip
):
    where = f"checkpoint={runs}/{run}/checkpoints/best"
    command(
        "eval",
        "task=lift3d",
        "dataset=synthetic",
        "dataset.clips=2",
        "dataset.length=20",
        where,
        "device=cpu",
    )
    report = json.loads(Path(capsys.readouterr().out.strip().splitlines()[-1]).read_text())
    assert (report["method"], report["steps"], report["K"]) == (method, steps, K)
    assert report["flip"] == flip
    assert (report["window"], report["windows"], report["frames"]) == (9, 2 * 4 * 3, 2 * 4 * 20)
    assert report["metrics"]["frames/mean"] == 160
    assert report["metrics"]["mpjve/mean"] > 0


def test_a_model_without_a_folder_named_is_the_newest_of_its_windows(runs, capsys):
    few = ("dataset=synthetic", "dataset.clips=1", "dataset.length=20", "dataset.window=9")
    command("eval", "task=lift3d", "preset=paper_video", "device=cpu", *few)
    report = json.loads(Path(capsys.readouterr().out.strip().splitlines()[-1]).read_text())
    assert report["checkpoint"] == str(runs / "paper/checkpoints/best")


def test_the_encoder_of_other_windows_is_not_taken_and_the_error_says_what_to_train(runs, capsys):
    capsys.readouterr()
    with pytest.raises(SystemExit):
        command("train", *LIFT, "preset=paper_video", "dataset.window=27", "name=other")
    line = capsys.readouterr().err
    assert "keypoints noisy and window 27" in line
    assert "experiment=lift3d_video_encoder dataset=synthetic" in line
    assert "dataset.window=27" in line


def test_predicting_a_clip_gives_a_pose_for_every_frame(runs, tmp_path):
    seen = synthetic("test", "gt", clips=1, length=20).__getitems__(list(range(20)))
    path = tmp_path / "keypoints.json"
    path.write_text(json.dumps({"keypoints": seen["keypoints_2d"].tolist()}))
    folder = runs / "paper/checkpoints/best"
    where = ("dataset=synthetic", f"checkpoint={folder}", "device=cpu", f"output={tmp_path}/out")
    said = (f"input={path}", "image_size=[1000,1002]", "layout=h36m17")
    command("predict", "task=lift3d", *where, *said)
    arrays = np.load(tmp_path / "out/poses.npz", allow_pickle=False)
    assert arrays["hypotheses"].shape == (20, 5, 17, 3)
    assert arrays["frames"].shape == (20,)

    model = posediff.load(folder)
    sample = posediff.lifting_sample(
        seen["keypoints_2d"],
        (1000, 1002),
        layout="h36m17",
        detector=checkpoint.read_config(folder)["dataset"],
        ids=[f"{i:06d}" for i in range(20)],
    )
    poses = model.predict(posediff.windowed(sample, 9))
    assert np.allclose(poses.keypoints, arrays["keypoints"], atol=1e-5)


def test_a_clip_shorter_than_the_window_is_scored_and_predicted_frame_by_frame(
    runs, tmp_path, capsys
):
    where = ("task=lift3d", "dataset=synthetic", f"checkpoint={runs}/paper/checkpoints/best")
    command("eval", *where, "dataset.clips=1", "dataset.length=4")
    report = json.loads(Path(capsys.readouterr().out.strip().splitlines()[-1]).read_text())
    assert (report["window"], report["windows"], report["frames"]) == (9, 4, 4 * 4)
    assert report["metrics"]["frames/mean"] == 16
    seen = synthetic("test", "gt", clips=1, length=4).__getitems__([0, 1, 2])["keypoints_2d"]
    np.save(tmp_path / "three.npy", seen.numpy())
    out = ("layout=h36m17", f"output={tmp_path}/out")
    command("predict", *where, f"input={tmp_path}/three.npy", *out)
    found = np.load(tmp_path / "out/poses.npz", allow_pickle=False)["keypoints"]
    assert found.shape == (3, 17, 3)
    assert np.isfinite(found).all()


def test_the_middle_frames_alone_are_trained_and_scored(runs, capsys):
    middle = ("task.head.answers=centre", "task.head.temporal=false")
    centre = (*LIFT, "preset=paper_video", *middle)
    command("train", *centre, f"task.head.encoder={runs}/encoder/checkpoints/best", "name=centre")
    capsys.readouterr()
    where = f"checkpoint={runs}/centre/checkpoints/best"
    command("eval", "task=lift3d", "dataset=synthetic", *WINDOWS[2:], where)
    report = json.loads(Path(capsys.readouterr().out.strip().splitlines()[-1]).read_text())
    assert (report["windows"], report["metrics"]["frames/mean"]) == (4 * 20, 4 * 20)


def test_what_the_video_presets_say_is_what_was_released():
    model = posediff.build("lift3d", "synthetic", ["preset=d3dp", "task.head.depth=1"])
    assert model.head.signal_scale == 1.0
    assert (len(model.process.schedule), model.process.bound) == (1000, 1.1)
    assert model.sampler.grid(1000) == [999, 799, 599, 399, 199, -1]
    assert (model.sampler.eta, model.squared) == (1.0, True)
    assert model.head.denoiser.Temporal_pos_embed.shape == (1, 243, 512)
    small = (*WINDOWS[1:], "task.head.width=16", "task.head.depth=1")
    released = posediff.build("lift3d", "synthetic", ["preset=official_video", *small])
    assert released.sampler.grid(51) == [0, -1]
    assert not released.squared
    published = posediff.build("lift3d", "synthetic", ["preset=paper_video", *small])
    assert published.sampler.grid(50) == [49, 39, 29, 19, 9, -1]
    assert published.head.denoiser.context.weight.shape == (16, 3 * 16)
    frames = published.head.encoder.window.frames
    assert published.head.denoiser.across[0].positions.shape[1] == frames


def test_a_window_that_the_model_cannot_read_is_an_error(capsys, runs):
    where = f"checkpoint={runs}/paper/checkpoints/best"
    line = error_of(capsys, "eval", "task=lift3d", *WINDOWS, where, "dataset.window=27")
    assert "dataset.window must stay 9" in line
    assert str(runs / "paper") in line
