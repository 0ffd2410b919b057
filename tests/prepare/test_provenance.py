from pathlib import Path

import pytest

from posediff.prepare.provenance import command_line, known_roots, portable

ROOTS = {"/tmp/a/runs": "runs", "/big/data": "data"}


def test_paths_below_a_known_folder_begin_with_its_name():
    given = [
        "task.begin=/tmp/a/runs/image2d/coarse/checkpoints/best",
        "dataset.parts=[/big/data/a,/big/data/b]",
        "dataset.size=[48,64]",
        "dataset/noise=own",
        "checkpoint=runs/x",
        "a=../b/c",
    ]
    assert command_line("python x.py", given, ROOTS) == (
        "python x.py task.begin=runs/image2d/coarse/checkpoints/best "
        "'dataset.parts=[data/a,data/b]' 'dataset.size=[48,64]' dataset/noise=own "
        "checkpoint=runs/x a=../b/c"
    )


@pytest.mark.parametrize("text", ["a=/tmp/a/runsaway", "x={b: /home/me/w.pth}", "/etc"])
def test_any_other_path_of_the_machine_is_refused(text):
    with pytest.raises(ValueError, match="is a path of this machine"):
        portable(text, ROOTS)


def test_the_environment_names_the_folders(monkeypatch):
    monkeypatch.setenv("POSEDIFF_RUNS", "runs/of/mine")
    monkeypatch.delenv("POSEDIFF_DATA", raising=False)
    assert known_roots() == {str(Path.cwd() / "runs/of/mine"): "runs"}
