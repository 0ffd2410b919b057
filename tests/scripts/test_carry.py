"""benchmarks/carry.py on a few people."""

import pytest
from helpers.commands import SCRIPTS, module
from helpers.heads import case, model

from posediff import checkpoint, config


@pytest.fixture
def folders(tmp_path):
    for name in ("coarse", "posterior"):
        cfg, tree, _ = case(name)
        about = {"task": cfg.task.name, "skeleton": cfg.dataset.skeleton, "model": tree}
        data = {k: x for k, x in config.plain(cfg.dataset).items() if k in config.DATA_KEYS}
        checkpoint.save(tmp_path / name, model(name).state_dict(), about | {"dataset": data})
    return [str(tmp_path / name) for name in ("posterior", "coarse")]


def test_the_table_has_a_row_for_both_kinds_of_people_and_of_carrying(folders, capsys):
    lifter, eye = folders
    words = ["--lift3d", lifter, "--image2d", eye, "--dataset", "synthetic", "--hypotheses", "3"]
    few = ["--samples", "4", "--pictures", "1", "--overrides", "dataset.clips=1"]
    module(SCRIPTS.parent / "benchmarks/carry.py").main([*words, *few, "dataset.length=5"])
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("|")]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]
    assert [row[:2] for row in rows] == [
        ["lifted synthetic (4)", "point"],
        ["lifted synthetic (4)", "posterior"],
        ["drawn (1)", "point"],
        ["drawn (1)", "posterior"],
    ]
    assert {len(row) for row in rows} == {len(lines[0].strip("|").split("|"))}
    assert all(float(row[2]) > 0 for row in rows)
