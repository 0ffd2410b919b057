"""Commands from small copies of Human3.6M and MPI-INF-3DHP to metrics."""

import json
from pathlib import Path

import h5py
import numpy as np
import pytest
from helpers.commands import LIMIT, command, error_of, run, script

from posediff import config
from posediff.data.lifting.h36m_cameras import SIZES
from posediff.data.lifting.mixtures import write

ROOT = Path(__file__).parents[2]
TINY = (*LIMIT, "device=cpu", "name=e")
ENCODER = ("model.head.width=16", "model.head.depth=1", *TINY)


@pytest.fixture(scope="module", autouse=True)
def home(tmp_path_factory):
    """Both data sets under POSEDIFF_DATA, and a folder for runs."""
    folder = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("POSEDIFF_DATA", str(folder / "data"))
        patch.setenv("POSEDIFF_RUNS", str(folder / "runs"))
        for mini, name in (("h36m", "h36m"), ("3dhp", "mpi_inf_3dhp")):
            run(script("make_mini").main, mini, folder / mini)
            run(script(f"prepare_{name}").main, folder / mini)
        yield folder


def report(capsys, *arguments):
    capsys.readouterr()
    command("eval", *arguments)
    printed = capsys.readouterr().out
    return json.loads(Path(printed.strip().splitlines()[-1]).read_text()), printed


def test_human36m_is_scored_by_the_documented_command(capsys):
    command("train", "experiment=[lift3d_encoder,lift3d_h36m_frame_cpn]", *ENCODER)
    small = ("task.head.width=16", "task.head.depth=1", *LIMIT, "device=cpu", "name=p")
    command("train", "task=lift3d", "dataset=h36m", *small)
    quick = ("task.hypotheses=2", "sampler.steps=1")
    plain, _ = report(capsys, "task=lift3d", "dataset=h36m", *quick)
    assert (plain["keypoints"], plain["split"], plain["frames"]) == ("cpn", "test", 2600)
    assert plain["subjects"] == ["S11", "S9"]
    assert (plain["protocol"], plain["quirks"]) == ("h36m", [])
    rows = {"mpjpe/mean:Walking", "p_mpjpe/mean:Photo", "mpjpe/mean:frames"}
    assert rows <= set(plain["metrics"])

    encoder = "experiment=[lift3d_encoder,lift3d_h36m_frame_cpn]"
    plain, _ = report(capsys, encoder)
    quirks = ("eval.quirks.p2_batch_mean=true", "eval.quirks.mpjve_across_clips=true")
    quirky, _ = report(capsys, encoder, *quirks)
    assert quirky["quirks"] == ["mpjve_across_clips", "p2_batch_mean"]
    same = {key for key, x in plain["metrics"].items() if x == quirky["metrics"][key]}
    assert {"mpjpe/mean", "p_mpjpe/mean"} & same == {"mpjpe/mean"}
    assert "mpjve/mean" not in same


@pytest.mark.parametrize(
    ("component", "words"),
    [
        ((0.9, 5, 5, 4, 4), "weights that do not sum to 1"),
        ((1, 5, 5, 0, 4), "a scale that is zero or negative"),
        ((1, 5, 5, 4, -4), "a scale that is zero or negative"),
    ],
)
def test_wrong_mixtures_are_an_error_of_one_line(home, capsys, component, words):
    path = home / "broken.h5"
    with h5py.File(home / "data/h36m/h36m.h5") as file:
        clips = [(clip, len(x["world"])) for clip, x in file["S1"].items()]
    broken = [
        (f"S1/{clip}/{camera}", np.full((frames, 17, 1, 5), component))
        for clip, frames in clips
        for camera in SIZES
    ]
    write(path, broken, {"skeleton": "h36m17"})
    where = ("experiment=lift3d_encoder", "dataset=h36m", f"dataset.keypoints={path}")
    line = error_of(capsys, "train", *where, *ENCODER[:4], "name=broken")
    assert f"{path}: S1/{clips[0][0]}/" in line
    assert f"{words} in frame 0, joint 0: fit it again" in line


def test_mpi_inf_3dhp_is_scored_by_its_own_protocol(capsys):
    command("train", "experiment=[lift3d_encoder,lift3d_3dhp]", *ENCODER)
    found, _ = report(capsys, "experiment=[lift3d_encoder,lift3d_3dhp]")
    assert (found["protocol"], found["annotation"], found["frames"]) == ("3dhp", "univ_annot3", 96)
    assert found["trained_on"]["annotation"] == "univ_annot3"
    figures, tables = found["metrics"], found["tables"]["mean"]
    rows = [figures[f"pck150/mean:TS{n}"] for n in range(1, 7)]
    assert figures["pck150/mean"] == pytest.approx(sum(rows) / 6)
    assert tables["subject"]["pck150"]["TS3"]["Total"] == pytest.approx(rows[2], abs=1e-4)
    assert tables["action"]["mpjpe"]["All"]["Average"] == pytest.approx(
        figures["mpjpe/mean:frames"], rel=1e-5
    )
    folder = found["checkpoint"]
    _, printed = report(
        capsys, "experiment=[lift3d_encoder,lift3d_3dhp]", f"checkpoint={folder}",
        "dataset.annotation=annot3",
    )  # fmt: skip
    assert "warning: trained on 3D of 'univ_annot3', scored on 'annot3'" in printed


def test_a_model_of_another_annotation_is_not_used_by_default(capsys):
    with pytest.raises(SystemExit):
        command("eval", "experiment=[lift3d_encoder,lift3d_3dhp]", "dataset.annotation=annot3")
    line = capsys.readouterr().err
    assert "no trained model (encoder) of lift3d for mpi_inf_3dhp with keypoints gt and" in line
    assert "annotation annot3" in line


@pytest.mark.parametrize(
    ("experiment", "dataset", "keypoints", "frames", "monitor"),
    [
        ("lift3d_h36m_frame_cpn", "h36m", "cpn", 1, "mpjpe/mean"),
        ("lift3d_h36m_frame_gt", "h36m", "gt", 1, "mpjpe/mean"),
        ("lift3d_h36m_video_cpn", "h36m", "cpn", 243, "mpjpe/mean"),
        ("lift3d_h36m_video_gt", "h36m", "gt", 243, "mpjpe/mean"),
        ("lift3d_3dhp", "mpi_inf_3dhp", "gt", 1, "pck150/mean"),
        ("lift3d_3dhp_video", "mpi_inf_3dhp", "gt", 243, "pck150/mean"),
    ],
)
def test_every_published_table_is_one_experiment(experiment, dataset, keypoints, frames, monitor):
    video = frames > 1
    cfg = config.compose("eval", [f"experiment={experiment}"])
    data = cfg.dataset
    assert (data.name, data.keypoints, data.window) == (dataset, keypoints, frames)
    assert (cfg.eval.monitor, cfg.eval.split) == (monitor, "test")
    assert cfg.task.method == ("paper_video" if video else "paper")
    assert not any(cfg.eval.quirks.values())
    official = "official_video" if video else "official_frame"
    cfg = config.compose("eval", [f"experiment={experiment}", f"preset={official}"])
    assert (cfg.task.method, cfg.dataset.keypoints) == (official, keypoints)
    encoder = "lift3d_video_encoder" if video else "lift3d_encoder"
    cfg = config.compose("train", [f"experiment=[{encoder},{experiment}]"])
    assert (cfg.task.method, cfg.dataset.window) == ("encoder", frames)
    assert cfg.model._target_.endswith("Regression")


@pytest.mark.parametrize(
    "experiment",
    [
        pytest.param("lift3d_h36m_frame_gt", marks=pytest.mark.slow),
        "lift3d_h36m_video_cpn",
        pytest.param("lift3d_h36m_video_gt", marks=pytest.mark.slow),
        "lift3d_3dhp",
        "lift3d_3dhp_video",
    ],
)
def test_every_experiment_trains_encoder_and_denoiser_and_is_scored(experiment, capsys):
    video = "video" in experiment
    kind, windows = ("video_encoder", ("dataset.window=9",)) if video else ("encoder", ())
    quick = (*windows, "trainer.recipe.epochs=1", "trainer.recipe.batch_size=16", *TINY)
    heads = ("model.head.heads=2",) if video else ()
    encoder = f"experiment=[lift3d_{kind},{experiment}]"
    command("train", encoder, *ENCODER[:2], *heads, *quick, f"name=e-{experiment}")
    small = ("task.head.width=16", "task.head.depth=1")
    command("train", f"experiment={experiment}", *small, *quick, f"name=p-{experiment}")
    few = ("task.hypotheses=2", "sampler.steps=1", *windows)
    found, _ = report(capsys, f"experiment={experiment}", *few)
    assert found["checkpoint"].endswith(f"p-{experiment}/checkpoints/best")
    assert found["method"] == ("paper_video" if video else "paper")
    assert found.get("window", 1) == (9 if video else 1)
    assert (
        found["frames"] == found["metrics"]["frames/mean"] == (96 if "3dhp" in experiment else 2600)
    )
    assert found["protocol"] == ("3dhp" if "3dhp" in experiment else "h36m")
