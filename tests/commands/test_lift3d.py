"""Command lines of train and eval, on a few synthetic clips."""

import json
import shutil
import warnings

import numpy as np
import pytest
import torch
from helpers.commands import LIMIT, command, error_of
from helpers.lifters import ENCODER, LIFT, TINY
from safetensors.torch import load_file

import posediff
from posediff import checkpoint, engine, run_folder
from posediff import report as reporting
from posediff.command import one_line_errors


@pytest.fixture(autouse=True)
def inside(lifters, monkeypatch):
    monkeypatch.chdir(lifters.parents[2])
    monkeypatch.setenv("POSEDIFF_RUNS", str(lifters.parents[1]))


# --- training


def test_a_run_leaves_its_configuration_log_and_checkpoints(lifters):
    for run in ("encoder", "paper", "official"):
        files = {
            p.relative_to(lifters / run).as_posix()
            for p in (lifters / run).rglob("*")
            if p.is_file()
        }
        assert {".hydra/config.yaml", "log.jsonl", "checkpoints/last/trainer.pt"} <= files
        assert {f"checkpoints/best/{f}" for f in ("model.safetensors", "config.json")} <= files
        assert not [f for f in files if ".part" in f or ".old" in f]
    log = [json.loads(line) for line in (lifters / "paper/log.jsonl").read_text().splitlines()]
    assert sum("epoch" in line for line in log) == 2
    assert sum("step" in line for line in log) == 6


def test_the_encoder_learns_its_residual_and_goes_into_the_model_that_uses_it(lifters):
    weights = load_file(lifters / "encoder/checkpoints/best/model.safetensors")
    assert (weights["head.residual"][1:] > 0.001).all()
    for run in ("paper", "official"):
        whole = load_file(lifters / run / "checkpoints/best/model.safetensors")
        for name, value in weights.items():
            assert torch.equal(whole[name.replace("head.", "head.encoder.")], value)


ALIGNED = ("trainer.self_aligned.share=0.5", "trainer.self_aligned.from=0.5")


@pytest.mark.parametrize(("name", "options"), [("whole", ()), ("aligned", ALIGNED)])
def test_a_stopped_run_ends_with_the_weights_of_an_unbroken_one(
    lifters, monkeypatch, name, options
):
    command("train", *LIFT, *options, f"name={name}")
    real, epochs = engine.train_one_epoch, []

    def stop_in_the_second(*arguments):
        epochs.append(1)
        if len(epochs) == 2:
            raise KeyboardInterrupt
        return real(*arguments)

    monkeypatch.setattr(engine, "train_one_epoch", stop_in_the_second)
    with pytest.raises(SystemExit):
        command("train", *LIFT, *options, f"name={name}-broken")
    monkeypatch.setattr(engine, "train_one_epoch", real)
    command("train", *LIFT, *options, f"name={name}-broken", "resume=true")
    for kind in ("best", "last"):
        a, b = (
            load_file(lifters / run / "checkpoints" / kind / "model.safetensors")
            for run in (name, f"{name}-broken")
        )
        assert a.keys() == b.keys()
        assert all(torch.equal(a[name], b[name]) for name in a)


def test_what_a_resumed_training_must_have_in_common_with_its_beginning(lifters, capsys):
    def refused(*options):
        return error_of(capsys, "train", *LIFT, *options, "resume=true")

    kept = (lifters / "paper/.hydra/overrides.yaml").read_bytes()
    line = refused("name=paper", "seed=1", "trainer.recipe.batch_size=16")
    assert "seed=1 (it was 0)" in line
    assert "trainer.recipe.batch_size=16 (it was 32)" in line
    assert "depth=2 (it was 1)" in refused("name=paper", "task.head.depth=2")
    assert "dataset.clips=3 (it was 2)" in refused("name=paper", "dataset.clips=3")
    assert "eval.better=higher (it was lower)" in refused("name=paper", "eval.better=higher")
    assert "eval.monitor=loss (it was mpjpe/mean)" in refused("name=paper", "eval.monitor=loss")
    line = refused("name=paper", "+trainer.optimizer.amsgrad=true")
    assert "began here: trainer.optimizer.amsgrad=True (it was None); give" in line
    line = refused("name=paper", "trainer.optimizer.fused=true", "trainer.cache.views=2")
    assert "trainer.optimizer.fused=True (it was None)" in line
    assert "trainer.cache.views=2 (it was None)" in line
    assert (lifters / "paper/.hydra/overrides.yaml").read_bytes() == kept
    before = {*lifters.iterdir()}
    assert "resume=true needs name=" in refused()
    assert {*lifters.iterdir()} == before


def test_a_run_without_a_state_begins_and_more_epochs_go_on(lifters, capsys):
    few = (*LIFT, "name=grown", "trainer.recipe.epoch_samples=32", "trainer.micro_batch=20")
    more = ("trainer.recipe.epochs=2", "trainer.validation_samples=32")
    command("train", *few, "trainer.recipe.epochs=1", "resume=true")
    assert "trainer.recipe.epochs" not in capsys.readouterr().out
    command("train", *few, *more, "resume=true")
    said = capsys.readouterr().out
    assert "trainer.validation_samples=32 (it was 64)" in said
    assert "trainer.recipe.epochs=2 (it was 1)" in said
    assert len(losses(lifters / "grown")) == 2


def test_self_aligned_training_starts_at_the_given_part(lifters):
    plain, aligned = (losses(lifters / run) for run in ("whole", "aligned"))
    assert len(plain) == len(aligned) == 6
    assert aligned[:3] == plain[:3]
    assert aligned[3] != plain[3]


@pytest.mark.parametrize(
    ("method", "override", "message"),
    [
        (LIFT, "trainer.self_aligned.share=1.5", r"trainer.self_aligned.share must be in 0 .. 1"),
        (LIFT, "trainer.self_aligned.from=late", r"from must be in 0 .. 1, got 'late'"),
        (ENCODER, "trainer.self_aligned.share=0.5", r"must be 0 for a method without diffusion"),
    ],
)
def test_self_aligned_training_that_cannot_be_is_refused(
    lifters, capsys, method, override, message
):
    assert message in error_of(capsys, "train", *method, override, "name=refused")


def test_training_again_under_a_used_name_is_refused(capsys):
    assert "resume=true" in error_of(capsys, "train", *LIFT, "name=paper")


def test_one_batch_again_and_again_is_learned(lifters):
    encoder = [x for x in ENCODER if x not in LIMIT]
    command("train", *encoder, "debug=overfit", "name=overfit", "trainer.optimizer.lr=1e-2")
    found = losses(lifters / "overfit")
    assert found[-1] < found[0] / 3


def losses(run):
    """The loss of every step of a run."""
    log = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    return [line["loss"] for line in log if "step" in line]


# --- scoring


def scores(capsys, *arguments):
    command("eval", *TINY, *arguments, "eval.batch_size=64")
    from pathlib import Path

    return json.loads(Path(capsys.readouterr().out.strip().splitlines()[-1]).read_text())


def test_scoring_takes_the_newest_model_of_its_method_and_says_what_it_measured(lifters, capsys):
    report = scores(capsys, "task=lift3d", f"checkpoint={lifters}/paper/checkpoints/best")
    assert (report["method"], report["steps"], report["K"], report["split"]) == (
        "paper",
        5,
        5,
        "test",
    )
    assert report["keypoints"] == "noisy"
    assert report["frames"] == 160
    assert report["metrics"]["mpjpe/mean"] > 0
    newest = scores(capsys, "experiment=lift3d_encoder")
    assert (newest["method"], newest["K"]) == ("encoder", 1)


@pytest.mark.parametrize("name", ["eval", "predict", "export"])
def test_the_folder_of_a_training_is_that_of_no_other_command(lifters, capsys, name):
    kept = {path: path.read_bytes() for path in (lifters / "paper/.hydra").iterdir()}
    given = ("task=lift3d", *TINY, f"checkpoint={lifters}/paper", "name=paper")
    given += ("input=keypoints.npy", "output=out") if name == "predict" else ()
    np.save("keypoints.npy", np.random.default_rng(0).uniform(100, 400, (3, 17, 2)))
    line = error_of(capsys, name, *given)
    assert "paper holds a training: checkpoint= names its model, name= another folder" in line
    assert {path: path.read_bytes() for path in (lifters / "paper/.hydra").iterdir()} == kept


def test_an_evaluation_may_be_repeated_and_keeps_its_options(lifters, capsys):
    where = ("task=lift3d", f"checkpoint={lifters}/paper", "name=again")
    first = scores(capsys, *where, "seed=1")
    assert scores(capsys, *where, "seed=2")["metrics"] != first["metrics"]
    assert "seed=2" in run_folder.overrides(lifters / "again")
    assert run_folder.config(lifters / "again")["seed"] == 2


def test_a_model_is_scored_as_it_was_trained_whatever_the_preset_in_force(lifters, capsys):
    report = scores(capsys, "task=lift3d", f"checkpoint={lifters}/official/checkpoints/best")
    assert (report["method"], report["steps"], report["K"]) == ("official_frame", 2, 1)


def test_steps_hypotheses_flip_and_rules_are_free_at_evaluation(lifters, capsys):
    free = (
        "sampler.steps=2",
        "task.hypotheses=3",
        "task.flip=true",
        "eval.aggregates=[mean,median,p_best]",
    )
    where = ("task=lift3d", f"checkpoint={lifters}/paper/checkpoints/best")
    report = scores(capsys, *where, *free)
    assert (report["steps"], report["K"], report["flip"]) == (2, 3, True)
    metrics = report["metrics"]
    assert metrics["mpjpe/median"] != metrics["mpjpe/mean"]
    assert metrics["mpjpe/p_best@oracle"] < metrics["mpjpe/mean"]
    plain = scores(capsys, *where, *free[:2])["metrics"]
    assert plain["mpjpe/mean"] != metrics["mpjpe/mean"]


def test_every_figure_that_read_the_truth_says_oracle_and_no_headline_does(lifters, capsys):
    metrics = scores(capsys, "task=lift3d", f"checkpoint={lifters}/paper/checkpoints/best")[
        "metrics"
    ]
    assert all("oracle" in key for key in metrics if "best" in key)
    assert "mpjpe/mean" in metrics


def test_rules_that_project_carry_their_root_and_stand_beside_the_mean(lifters, capsys):
    where = ("task=lift3d", f"checkpoint={lifters}/paper/checkpoints/best", "sampler.steps=2")
    three = "eval.aggregates=[jpma,rpea,mode,p_best,j_best]"
    found = [scores(capsys, *where, three, f"eval.root={r}") for r in ("estimated", "oracle")]
    for report, root in zip(found, ("estimated_root", "oracle_root"), strict=True):
        names = ["mean", f"jpma@{root}", f"rpea@{root}", "mode", "p_best@oracle", "j_best@oracle"]
        assert report["aggregates"] == names
        for name in names:
            assert report["metrics"][f"mpjpe/{name}"] > 0
            assert report["metrics"][f"p_mpjpe/{name}"] > 0
        figures = report["metrics"]
        assert figures["mpjpe/j_best@oracle"] < figures["mpjpe/p_best@oracle"]
        assert figures["mpjpe/p_best@oracle"] < figures["mpjpe/mean"]
        assert figures["spread/mean:occluded"] > 0
    quirk = scores(capsys, *where, "eval.quirks.p_best_over_batch=true")["metrics"]
    assert quirk["mpjpe/p_best@oracle"] > found[0]["metrics"]["mpjpe/p_best@oracle"]


def test_what_reads_the_truth_is_no_answer(lifters, capsys):
    where = ("eval", *TINY, "task=lift3d", f"checkpoint={lifters}/paper/checkpoints/best")
    rooted = ("task.aggregate=jpma", "eval.root=oracle")
    assert "would read the truth" in error_of(capsys, *where, "task.aggregate=p_best")
    assert "would read the truth" in error_of(capsys, *where, *rooted)
    assert "would read the truth" in error_of(capsys, "train", *LIFT, "name=no", *rooted)
    assert "jpma" in error_of(capsys, *where, "eval.aggregates=[jpna]")
    line = error_of(capsys, *where, "eval.aggregates=[jpma]", "eval.root=guessed")
    assert "estimated, fixed, oracle" in line


def test_recalibration_is_found_on_validation_data_and_kept_in_the_model_folder(
    lifters, capsys, tmp_path
):
    folder = tmp_path / "model"
    shutil.copytree(lifters / "paper/checkpoints/best", folder)
    where = ("task=lift3d", f"checkpoint={folder}", "task.hypotheses=50", "dataset.length=5")
    before = scores(capsys, *where, "sampler.steps=2")["metrics"]
    assert "coverage@0.5/recalibrated" not in before
    report = scores(capsys, *where, "sampler.steps=2", "eval.recalibrate=30")
    found, after = report["recalibration"], report["metrics"]
    sampler = found["sampler"]
    assert sampler.startswith("DDIMSampler(steps=2,")
    assert {k: x for k, x in found.items() if k != "factors"} == {
        "split": "validation", "samples": 30, "sampler": sampler, "K": 50,
    }  # fmt: skip
    assert checkpoint.read_config(folder)["recalibration"] == found
    for key in ("coverage@0.5", "calibration_error", "energy_score", "mpjpe/mean"):
        assert after[key] == before[key]
    assert after["calibration_error/recalibrated"] < after["calibration_error"]
    ratio = after["spread/recalibrated"] / after["spread/mean"]
    assert min(found["factors"]) < ratio < max(found["factors"])
    assert posediff.load(folder).hypotheses == 5
    command("eval", *TINY, *where, "sampler.steps=1")
    said = capsys.readouterr().out
    assert f"recalibrated with {sampler}, scored with DDIMSampler(steps=1," in said
    assert "confident:" in said or "calibrated:" in said
    assert "reliability.png" in said


@pytest.mark.parametrize("option", ["recalibrate", "match_start"])
def test_what_is_found_on_validation_data_is_not_scored_on_it(lifters, capsys, option):
    where = (*TINY, "task=lift3d", f"checkpoint={lifters}/paper/checkpoints/best")
    line = error_of(capsys, "eval", *where, "eval.split=validation", f"eval.{option}=8")
    assert f"eval.{option} reads the validation data, which eval.split=validation scores" in line
    own = ("task=lift3d", "checkpoint=lift3d", "dataset.skeleton=mocap17")
    line = error_of(capsys, "eval", *TINY, *own, f"eval.{option}=8")
    assert "weights/lift3d is of the package: copy it" in line


def test_building_gives_fresh_weights_by_the_command_line_s_names(lifters):
    model = posediff.build("lift3d", "synthetic", ["task.head.width=24", "task.hypotheses=7"])
    assert model.hypotheses == 7
    features = torch.zeros(1, 17, model.head.encoder.network.width)
    assert model.head.denoiser.project(features).shape == (1, 17, 24)
    with pytest.raises(ValueError, match="widht"):
        posediff.build("lift3d", overrides=["task.head.widht=24"])


# --- bad input


def test_a_wrong_word_on_the_command_line_is_one_line(capsys):
    assert "sed" in error_of(capsys, "train", *LIFT, "sed=3")
    assert "h36" in error_of(capsys, "train", "task=lift3d", "dataset=h36")
    assert "task" in error_of(capsys, "train", "dataset=synthetic")
    assert "nonsense" in error_of(capsys, "train", *LIFT, "+task.head.nonsense=1", "name=wrong")


def test_a_warning_of_a_command_is_one_line_without_its_place_in_the_code():
    given = ("clips.json: two\n frames", UserWarning, "posediff/data/video/clip_dataset.py", 3)
    with one_line_errors():
        assert warnings.formatwarning(*given) == "warning: clips.json: two frames\n"
    assert "clip_dataset.py:3" in warnings.formatwarning(*given)


def test_missing_data_names_the_file_the_tree_and_the_command(capsys, tmp_path):
    line = error_of(capsys, "train", *ENCODER[:3], "dataset=mocap", f"dataset.root={tmp_path}/none")
    assert str(tmp_path / "none") in line
    assert "scripts/prepare_mocap.py" in line
    line = error_of(capsys, "train", *ENCODER[:3], "dataset=h36m", f"dataset.root={tmp_path}/none")
    assert "scripts/prepare_h36m.py" in line


def test_without_a_model_the_command_that_trains_one_is_named(capsys, tmp_path):
    where = f"paths.runs={tmp_path}/empty"
    assert "posediff.train task=lift3d" in error_of(capsys, "eval", *LIFT, where)
    assert "experiment=lift3d_encoder" in error_of(capsys, "train", *LIFT, where)


def test_a_checkpoint_that_does_not_fit_is_one_line(lifters, capsys, tmp_path):
    good = lifters / "paper/checkpoints/best"
    config, weights = checkpoint.read_config(good), checkpoint.read_weights(good)

    def line(change=None, state=weights):
        checkpoint.save(tmp_path / "model", state, config | (change or {}))
        return error_of(capsys, "eval", *TINY, "task=lift3d", f"checkpoint={tmp_path}/model")

    assert "video2d" in line({"task": "video2d"})
    assert "mocap17" in line({"skeleton": "mocap17"})
    assert "os.system" in line({"model": {"_target_": "os.system", "command": "true"}})
    name = "head.denoiser.output.bias"
    assert name in line(state={k: x for k, x in weights.items() if k != name})
    assert name in line(state=weights | {name: torch.zeros(7)})
    assert "head.more" in line(state=weights | {"head.more": torch.zeros(7)})
    (tmp_path / "model/model.safetensors").write_bytes(b"half a file")
    line = error_of(capsys, "eval", *TINY, "task=lift3d", f"checkpoint={tmp_path}/model")
    assert "model.safetensors" in line
    line = error_of(capsys, "eval", *TINY, "task=lift3d", f"checkpoint={tmp_path}/nowhere")
    assert "nowhere" in line


@pytest.mark.slow
def test_diffusion_trained_from_nothing_beats_the_encoder_it_stands_on(tmp_path, capsys):
    data = ("dataset=synthetic", "trainer=demo", "seed=0", f"paths.runs={tmp_path}", "device=cpu")
    command("train", "experiment=lift3d_encoder", *data)
    command("train", "task=lift3d", *data)
    few = (f"paths.runs={tmp_path}", "dataset.clips=13")
    alone = scores(capsys, "experiment=lift3d_encoder", *few)["metrics"]
    paper = scores(capsys, "task=lift3d", *few)["metrics"]
    assert paper["mpjpe/mean"] < alone["mpjpe/mean"] < 80
    assert 20 < paper["spread/mean"] < 60


def test_a_lifter_alone_is_averaged_over_both_views_and_the_report_says_so(lifters, capsys):
    where = ("task=lift3d", "experiment=lift3d_encoder")
    where = (*where, f"checkpoint={lifters}/encoder/checkpoints/best")
    plain = scores(capsys, *where)
    both = scores(capsys, *where, "task.flip=true")
    assert (plain["flip"], both["flip"]) == (False, True)
    assert plain["metrics"]["mpjpe/mean"] != both["metrics"]["mpjpe/mean"]


def test_figures_stay_if_a_result_file_cannot_be_written(lifters, capsys, monkeypatch):
    def full(*arguments):
        raise OSError("no space left on device")

    monkeypatch.setattr(reporting, "reliability_picture", full)
    where = ("task=lift3d", f"checkpoint={lifters}/paper/checkpoints/best", "name=full")
    line = error_of(capsys, "eval", *TINY, *where)
    assert "no space left" in line
    left = json.loads((lifters / "full/metrics.json").read_text())
    assert left["metrics"]["mpjpe/mean"] > 0


# --- choices


@pytest.mark.parametrize(
    ("override", "allowed"),
    [
        ("sampler.spacing=trailling", "trailing, leading"),
        ("sampler.order=3", "1 or 2"),
        ("task.predicts=v", "x_0, noise"),
        ("dataset.answers=middle", "all, centre"),
        ("trainer.recipe.precision=fp16", "float32, bfloat16"),
        ("eval.better=bigger", "lower, higher"),
        ("dataset.keypoints=exact", "gt, noisy"),
        ("dataset.component=best", "heaviest, sample"),
    ],
)
def test_a_misspelt_choice_is_one_line_with_those_that_exist(capsys, override, allowed):
    line = error_of(capsys, "train", *LIFT, override, "name=misspelt")
    key, _, value = override.partition("=")
    assert f"error: {key} must be" in line
    assert allowed in line
    assert value in line
