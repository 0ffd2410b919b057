"""`posediff report`, on run folders that are written here; and the figures that eval prints."""

import csv
import json

import numpy as np
import pytest
import yaml
from helpers.commands import command, error_of

from posediff import comparison, report
from posediff.metrics.figure_names import figures
from posediff.usage import REPORT

PCK = "coco/pck@0.2/mean"


def training(folder, epochs, settings, monitor="mpjpe/${task.aggregate}", better="lower", of=80):
    """A run folder whose log has these figures, one an epoch."""
    (folder / ".hydra").mkdir(parents=True)
    cfg = {
        "task": {"name": "lift3d", "method": "paper", "aggregate": "mean"},
        "dataset": {"name": "synthetic"},
        "eval": {"monitor": monitor, "better": better},
        "trainer": {"recipe": {"epochs": of}, "lr": 0.1},
    }
    (folder / ".hydra/config.yaml").write_text(yaml.safe_dump(cfg))
    (folder / ".hydra/overrides.yaml").write_text(yaml.safe_dump(settings))
    lines = [
        {"epoch": n, "loss": 1 / n, **x, "seconds": 2.0} for n, x in enumerate(epochs, start=1)
    ]
    text = '{"step": 0, "loss": 2}\n' + "".join(json.dumps(x) + "\n" for x in lines)
    (folder / "log.jsonl").write_text(text)
    return folder


def evaluation(folder, metrics, **about):
    folder.mkdir(parents=True)
    facts = {"task": "lift3d", "method": "paper", "dataset": "synthetic", "seconds": 1.5, **about}
    (folder / "metrics.json").write_text(json.dumps({**facts, "metrics": metrics}))
    return folder


@pytest.fixture
def runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rows = [{"mpjpe/mean": x, "mpjpe/mean:walking": 1.0} for x in (90.0, 70.25, 80.0)]
    training(tmp_path / "runs/a", rows, ["trainer.lr=0.1", "name=a", "preset=paper"])
    training(tmp_path / "runs/b", rows[:1], ["+trainer.recipe.epochs=1", "trainer.lr=0.1"], of=1)
    best = "somewhere/runs/lift3d/synthetic/a/checkpoints/best"
    evaluation(tmp_path / "runs/eval", {"mpjpe/mean": 71.5}, K=5, checkpoint=best)
    return tmp_path / "runs"


def printed(capsys, *words):
    """The rows that the command prints, by their column; and what it says of runs left out."""
    capsys.readouterr()
    command("report", *words)
    out, err = capsys.readouterr()
    header, _, *rows = [
        [x.strip() for x in line.strip("|").split("|")] for line in out.splitlines()
    ]
    return [dict(zip(header, row, strict=True)) for row in rows], err


def test_trainings_are_shown_at_their_best_epoch_beside_evaluations(runs, capsys):
    (a, b, eval_), err = printed(capsys, runs)
    assert err == ""
    assert (a["name"], a["run"], a["mpjpe/mean [mm]"], a["epoch"]) == (
        "a",
        "training",
        "70.25",
        "2",
    )
    assert (b["name"], b["mpjpe/mean [mm]"], b["epoch"], b["seconds"]) == ("b", "90", "1", "2")
    assert (eval_["run"], eval_["mpjpe/mean [mm]"], eval_["seconds"]) == (
        "evaluation",
        "71.50",
        "1.50",
    )


def test_only_settings_that_differ_are_columns_with_the_value_that_was_in_force(runs, capsys):
    (a, b, eval_), _ = printed(capsys, runs)
    assert (a["trainer.recipe.epochs"], b["trainer.recipe.epochs"]) == ("80", "1")
    assert (a["preset"], b["preset"], eval_["preset"]) == ("paper", "-", "-")
    assert not {"trainer.lr", "task"} & {*a}
    assert (a["method"], a["dataset"]) == ("paper", "synthetic")


def test_where_higher_is_better_the_best_epoch_is_the_highest(tmp_path, capsys):
    rows = [{PCK: x} for x in (50.0, 60.0, 55.0)]
    training(tmp_path / "c", rows, [], monitor=PCK, better="higher")
    ((c,), _) = printed(capsys, tmp_path / "c")
    assert c["pck@0.2/mean [%]"] == "60"


def test_a_pattern_is_of_measures_whatever_the_data_set():
    known = ["mine/pck@0.2/mean", "mine/pck@0.2/mean:head", "mine/auc/mean", "seed"]
    assert comparison.matching("pck*", known) == known[:1]
    assert comparison.matching("mine/*", known) == known[:3]


def test_columns_are_chosen_by_name_measure_or_pattern(runs, capsys):
    (a, *_), _ = printed(capsys, runs, "--columns", "method,mpjpe,trainer.recipe.*")
    assert list(a) == ["name", "method", "mpjpe/mean [mm]", "trainer.recipe.epochs"]
    (a, *_), _ = printed(capsys, runs, "--columns", "mpjpe/mean:walking, checkpoint")
    assert list(a) == ["name", "mpjpe/mean:walking [mm]", "checkpoint"]
    assert "no run has 'mpjep', but mpjpe" in error_of(capsys, "report", runs, "--columns", "mpjep")


def test_runs_that_cannot_be_read_are_named_and_left_out(runs, capsys):
    (runs / "empty").mkdir()
    (runs / "damaged").mkdir()
    (runs / "damaged/metrics.json").write_text("{")
    (runs / "cut").mkdir()
    (runs / "cut/log.jsonl").write_text('{"step": 1\n{"epoch": 1}\n')
    found, err = printed(capsys, runs, runs / "empty")
    assert [x["name"] for x in found] == ["a", "b", "eval"]
    lines = [
        f"skipped: {runs}/cut/log.jsonl: line 1 is not a JSON object",
        f"skipped: {runs}/damaged/metrics.json: cut short or no JSON",
        f"skipped: {runs}/empty: no epoch in log.jsonl and no metrics.json",
    ]
    for line, start in zip(err.splitlines(), lines, strict=True):
        assert line.startswith(start)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["nowhere"], "nowhere: no such folder"),
        (["runs", "--to", "table.pdf"], "--to table.pdf: a name ends with .md, .csv, .html"),
        (["runs", "--colums", "x"], "--colums"),
        ([], "required: runs; posediff report --help"),
    ],
)
def test_mistakes_are_one_line(runs, capsys, words, message):
    assert message in error_of(capsys, "report", *words)


def test_a_run_that_is_being_trained_is_shown_as_far_as_it_is(runs, capsys):
    with (runs / "b/log.jsonl").open("a") as file:
        file.write('{"step": 4, "lo')
    found, err = printed(capsys, runs / "b")
    assert (found[0]["epoch"], err) == ("1", "")


def test_the_same_table_is_written_as_csv_markdown_and_html_with_the_curves(runs, capsys):
    rows, _ = printed(capsys, runs)
    for name in ("t.csv", "t.md", "t.html"):
        command("report", runs, "--to", name)
        assert capsys.readouterr().out.split() == [name, "t_curves.png"]
    with open("t.csv") as file:  # noqa: PTH123
        assert list(csv.DictReader(file)) == rows
    assert "![learning curves](<t_curves.png>)" in (runs.parent / "t.md").read_text()
    page = (runs.parent / "t.html").read_text()
    assert all(f"<td>{value}</td>" in page for row in rows for value in row.values())
    assert "data:image/png;base64,iVBOR" in page
    assert "http" not in page


def test_names_are_told_apart_by_the_folders_above(tmp_path, capsys):
    for task in ("x", "y"):
        evaluation(tmp_path / task / "eval", {"mpjpe/mean": 1.0})
    found, _ = printed(capsys, tmp_path)
    assert [row["name"] for row in found] == ["x/eval", "y/eval"]


def test_the_curves_are_the_loss_and_the_figure_that_selects(runs):
    found = comparison.curves([comparison.read(runs / x) for x in ("a", "b", "eval")])
    assert {k: list(x) for k, x in found.items()} == {
        "loss, training": ["a", "b"],
        "mpjpe/mean, held out [mm]": ["a", "b"],
    }
    assert found["mpjpe/mean, held out [mm]"]["a"] == [(1, 90.0), (2, 70.25), (3, 80.0)]


def test_help(capsys):
    with pytest.raises(SystemExit) as stop:
        command("report", "--help")
    assert (stop.value.code, capsys.readouterr().out) == (0, REPORT)


# --- what eval prints


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("mpjpe/mean", ("mpjpe", "mean", "errors", "mm")),
        ("mpjve/mean", ("mpjve", "mean", "errors", "mm per frame")),
        ("energy_score/recalibrated", ("energy_score", "recalibrated", "uncertainty", "mm")),
        ("coverage@0.5", ("coverage@0.5", "", "uncertainty", "")),
        ("frames/mean", ("frames", "mean", "counts", "")),
        ("mpjpe/mean:Walking", ("mpjpe", "mean:Walking", "errors", "mm")),
        ("own/figure/mean", ("figure", "mean", "other", "")),
    ],
)
def test_a_key_says_its_measure_rule_group_and_unit(key, expected):
    assert figures([key, "mpjpe/median"])[key] == expected


def test_lengths_are_pixels_without_figures_in_3d():
    found = figures([PCK, "coco/epe/mean", "coco/spread/mean", "AP/mean", "mAP/mean"])
    assert [x.unit for x in found.values()] == ["%", "px", "px", "", "%"]


def test_figures_are_printed_in_groups_with_units_and_the_headline_first():
    measured = {
        "frames/mean": 12.0,
        "p_mpjpe/mean": 40.0,
        "mpjpe/mean": 52.125,
        "mpjpe/p_best@oracle": 45.5,
        "mpjpe/mean:walking": 1.0,
        "coverage@0.5": 0.4375,
    }
    assert report.table(measured, "mpjpe/mean").splitlines() == [
        "mpjpe/mean      mm   52.12",
        "",
        "errors                mean  p_best@oracle",
        "  p_mpjpe       mm      40",
        "  mpjpe         mm   52.12          45.50",
        "",
        "uncertainty           mean  p_best@oracle",
        "  coverage@0.5      0.4375",
        "",
        "counts                mean  p_best@oracle",
        "  frames                12",
    ]
    assert report.table({}, "mpjpe/mean") == ""


def test_numbers_have_the_decimals_of_their_size():
    assert [comparison.number(x) for x in (12.0, 52.126, 0.43751, -3.0)] == [
        *("12", "52.13", "0.4375", "-3"),
    ]
    assert comparison.number(float(np.float32(0.5))) == "0.5000"
