"""scripts/publish.py on runs that are hardly trained."""

import json
import shutil

import pytest
import torch
from helpers.commands import command, run, script
from helpers.lifters import LIFT
from helpers.shipping import faults
from omegaconf import OmegaConf
from safetensors.torch import load_file

import posediff
from posediff import checkpoint, shipped, training_state
from posediff.prepare.model_card import WRITTEN, sections, unwritten

PART = "head.encoder.network"


@pytest.fixture
def runs(lifters, tmp_path, monkeypatch):
    """Copies of the runs that a test may change, and no other folder of models than `shelf`."""
    runs = tmp_path / "runs/lift3d/synthetic"
    shutil.copytree(lifters, runs)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("POSEDIFF_RUNS", str(tmp_path / "runs"))
    monkeypatch.setattr(shipped, "PACKAGED", tmp_path / "shelf")
    return runs


def publish(source, name, *arguments):
    run(script("publish").main, source, name, *arguments)


def refused(capsys, *arguments):
    with pytest.raises(SystemExit) as stop:
        publish(*arguments)
    message = str(stop.value)
    assert message.startswith("error: ")
    assert "\n" not in message
    return message


def test_a_run_is_published_and_found_by_its_name(runs, tmp_path, capsys):
    best = runs / "paper/checkpoints/best"
    publish(best, "frame")
    folder = tmp_path / "shelf/frame"
    files = {p.name for p in folder.iterdir()}
    assert files == {"model.safetensors", "config.json", "log.jsonl", "README.md"}
    state, stored = load_file(best / "model.safetensors"), load_file(folder / "model.safetensors")
    loaded = posediff.load("frame").state_dict()
    for name, x in state.items():
        assert stored[name].dtype == (torch.float16 if x.is_floating_point() else x.dtype)
        assert torch.equal(loaded[name], stored[name].to(x.dtype))
        assert torch.allclose(loaded[name], x, rtol=1e-3, atol=1e-7)
    out = capsys.readouterr().out
    assert "still to be written: Data and licences, Scores, Not good for, Calibration" in out
    assert faults(folder) == [f"the card lacks {title}" for title in WRITTEN]
    command("eval", "task=lift3d", "checkpoint=frame", "dataset.clips=1", "device=cpu")


def test_the_facts_are_those_of_the_training(runs, tmp_path):
    publish(runs / "paper/checkpoints/best", "frame")
    text = (tmp_path / "shelf/frame/README.md").read_text()
    state = training_state.read_trainer(runs / "paper/checkpoints/last")
    best = state["best"]
    lines = [json.loads(x) for x in (runs / "paper/log.jsonl").read_text().splitlines()]
    steps = sum("step" in line for line in lines)
    batch = OmegaConf.load(runs / "paper/.hydra/config.yaml").trainer.recipe.batch_size
    seen = [f"{n * steps // 2 * batch:,}" for n in (best["epoch"], 2)]
    count = sum(p.numel() for p in posediff.load("frame").parameters())
    for fact in (
        "| model | lift3d, paper, joints of h36m17 |",
        f"| parameters | {count:,} |",
        '| data | synthetic, `{"noise": {"_target_":',
        "| begins with | the newest model of `experiment=lift3d_encoder` |",
        f"| samples seen | {seen[0]} until the epoch that is kept, {seen[1]} in all |",
        f"| epochs | {best['epoch']} of 2: mpjpe/mean {best['mpjpe/mean']:.4g} on held-out data |",
        "| seed | 0 |",
        "| recalibration | none |",
        f"| versions | posediff {posediff.__version__}, torch {torch.__version__} |",
        f"    python -m posediff.train {' '.join(LIFT)} name=paper\n",
    ):
        assert fact in text
    log = [json.loads(x) for x in (tmp_path / "shelf/frame/log.jsonl").read_text().splitlines()]
    assert log == [line for line in lines if "epoch" in line]


def test_an_epoch_that_was_trained_twice_counts_once(runs, tmp_path):
    path = runs / "paper/log.jsonl"
    text = path.read_text()
    first = text[: text.index('"epoch"')].rpartition("\n")[0]
    path.write_text(first + "\n" + text)  # stopped before the end of the first epoch
    publish(runs / "paper/checkpoints/best", "frame")
    card = (tmp_path / "shelf/frame/README.md").read_text()
    path.write_text(text)
    publish(runs / "paper/checkpoints/best", "again")
    again = (tmp_path / "shelf/again/README.md").read_text()
    assert card == again.replace("again", "frame")


def test_publishing_again_keeps_what_was_written_by_hand(runs, tmp_path, capsys):
    publish(runs / "paper/checkpoints/best", "frame")
    path = tmp_path / "shelf/frame/README.md"
    text = path.read_text()
    for title in WRITTEN:
        text = text.replace(sections(text)[title], f"My words on {title}.")
    path.write_text(text)
    capsys.readouterr()
    publish(runs / "official/checkpoints/best", "frame")
    again = path.read_text()
    assert "official_frame" in again
    assert unwritten(again) == []
    assert all(f"My words on {title}." in again for title in WRITTEN)
    assert "still to be written" not in capsys.readouterr().out
    assert faults(tmp_path / "shelf/frame") == []


def test_a_part_that_two_models_have_in_common_is_stored_once(runs, tmp_path):
    publish(runs / "encoder/checkpoints/best", "encoder")
    assert "| begins with | fresh weights |" in (tmp_path / "shelf/encoder/README.md").read_text()
    publish(runs / "paper/checkpoints/best", "whole")
    publish(runs / "paper/checkpoints/best", "frame", "--share", f"{PART}=encoder:head.network")
    shelf = tmp_path / "shelf"
    whole, own = (load_file(shelf / x / "model.safetensors") for x in ("whole", "frame"))
    assert own.keys() == {k for k in whole if not k.startswith(f"{PART}.")}
    a, b = (posediff.load(x).state_dict() for x in ("whole", "frame"))
    assert all(torch.equal(a[name], b[name]) for name in a)
    assert "MB in shared files" in (shelf / "frame/README.md").read_text()
    place = checkpoint.read_config(shelf / "frame")["parts"][PART]
    assert (place["file"], place["at"]) == ("../encoder/model.safetensors", "head.network")


def test_entries_of_a_shared_part_that_were_trained_on_stay_with_the_model(runs, tmp_path):
    publish(runs / "encoder/checkpoints/best", "encoder")
    best = runs / "paper/checkpoints/best"
    state = checkpoint.read_weights(best)
    name = next(k for k in state if k.startswith(PART))
    checkpoint.save(best, state | {name: state[name] + 1}, checkpoint.read_config(best))
    publish(best, "frame", "--share", f"{PART}=encoder:head.network")
    own = load_file(tmp_path / "shelf/frame/model.safetensors")
    assert [k for k in own if k.startswith(PART)] == [name]
    loaded = posediff.load("frame").state_dict()[name]
    assert torch.equal(loaded, (state[name] + 1).half().float())


def test_values_that_float16_does_not_have_stay_float32(runs, tmp_path):
    best = runs / "paper/checkpoints/best"
    state = checkpoint.read_weights(best)
    name = next(iter(state))
    checkpoint.save(best, state | {name: state[name] + 1e6}, checkpoint.read_config(best))
    publish(best, "frame")
    assert f"{name} is torch.float32" in faults(tmp_path / "shelf/frame")
    assert torch.equal(posediff.load("frame").state_dict()[name], state[name] + 1e6)


def test_an_entry_is_taken_from_another_model(runs, tmp_path, capsys):
    best, other = runs / "paper/checkpoints/best", runs / "official/checkpoints/best"
    mine, theirs = checkpoint.read_weights(best), checkpoint.read_weights(other)
    name = "head.encoder.residual"
    checkpoint.save(other, theirs | {name: mine[name] + 1}, checkpoint.read_config(other))
    publish(best, "frame", "--take", f"{name}={other}")
    found = posediff.load("frame").state_dict()
    assert torch.equal(found[name], (mine[name] + 1).half().float())
    others = [x for x in mine if x != name]
    assert all(torch.equal(found[x], mine[x].half().to(mine[x].dtype)) for x in others)
    place = "runs/lift3d/synthetic/official/checkpoints/best"
    text = (tmp_path / "shelf/frame/README.md").read_text()
    assert f"| taken from other models | `{name}={place}` |" in text
    assert "ENTRY=MODEL_FOLDER" in refused(capsys, best, "frame", "--take", name)
    assert "both models must have x" in refused(capsys, best, "frame", "--take", f"x={other}")


def test_folders_that_training_started_from_are_facts_and_no_configuration(runs, tmp_path):
    begin = runs / "encoder/checkpoints/best"
    command("train", *LIFT, f"task.head.encoder={begin}", "name=begun")
    publish(runs / "begun/checkpoints/best", "frame")
    text = (tmp_path / "shelf/frame/README.md").read_text()
    start = "task.head.encoder=runs/lift3d/synthetic/encoder/checkpoints/best"
    assert f"| begins with | `{start}` |" in text
    assert f"{start} name=begun" in text
    assert "encoder/checkpoints" not in (tmp_path / "shelf/frame/config.json").read_text()
    for path in (tmp_path / "shelf/frame").glob("*[!s]"):  # all but the weights
        assert str(tmp_path) not in path.read_text()


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda run: (run / "log.jsonl").unlink(), "log.jsonl: no such file"),
        (lambda run: (run / "log.jsonl").write_text(""), "log.jsonl: no epoch in it"),
        (lambda run: (run / ".hydra/config.yaml").unlink(), "config.yaml: no such file"),
        (lambda run: shutil.rmtree(run / "checkpoints/last"), "no training to go on with"),
        (lambda run: change(run, versions={}), "frame: the fact 'versions' is missing"),
        (lambda run: change(run, overrides=["task.x=/home/me"]), "is a path of this machine"),
    ],
)
def test_nothing_is_written_if_a_fact_is_missing_or_local(runs, tmp_path, capsys, spoil, message):
    spoil(runs / "paper")
    assert message in refused(capsys, runs / "paper/checkpoints/best", "frame")
    assert not list(tmp_path.glob("shelf/frame*"))


def change(run, **more):
    best = run / "checkpoints/best"
    checkpoint.write_config(best, checkpoint.read_config(best) | more)


def test_a_name_and_shares_that_cannot_be_are_refused(runs, tmp_path, capsys):
    best = runs / "paper/checkpoints/best"
    publish(runs / "encoder/checkpoints/best", "encoder")
    assert "letters, digits and _ alone" in refused(capsys, best, "../frame")
    assert "PART=FOLDER[:AT]" in refused(capsys, best, "frame", "--share", PART)
    assert "there is no" in refused(capsys, best, "frame", "--share", f"{PART}=nowhere")
    assert "has no entry" in refused(capsys, best, "frame", "--share", f"{PART}=encoder:x")
