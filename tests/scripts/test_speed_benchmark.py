"""benchmarks/speed.py in its tiny form."""

import re

import pytest
from helpers.commands import SCRIPTS, module

BENCHMARKS = SCRIPTS.parent / "benchmarks"


@pytest.fixture
def benchmarks(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))


def test_one_command_measures_all_and_writes_what_it_prints(benchmarks, tmp_path, capsys):
    to = tmp_path / "new" / "speed.md"
    words = ["--tiny", "--rounds", "1", "--batch", "2", "--to", str(to)]
    module(BENCHMARKS / "speed.py").main(words)
    text = to.read_text()
    assert text == capsys.readouterr().out
    assert re.match(r"# Speed, \d{4}-\d\d-\d\d \d\d:\d\d\n\ncommit \w+", text)
    assert f"python benchmarks/speed.py {' '.join(words)}" in text
    lines = text.splitlines()
    assert [line.partition(":")[0] for line in lines if ": " in line[:9]] == ["ceiling", "core"]
    rows = [line.strip("| ").split(" | ") for line in lines if line.startswith("| ")]
    heads, graphs, data = rows[:3], rows[3:6], rows[6:]
    for table in (heads, graphs, data):
        assert [row[:2] for row in table[1:]] == [
            ["lift3d posterior", "2"],
            ["image2d coarse", "2"],
        ]
        assert all(float(x) >= 0 for row in table[1:] for x in row[2:] if x != "-")
        assert {len(row) for row in table} == {len(table[0])}
    assert all(float(x) > 0 for row in data[1:] for x in row[2:])
    assert [row[2:][1] for row in graphs] == ["CUDA graph ms", "-", "-"]
    most = float(re.search(r"ceiling: ([\d.]+) GFLOP/s", text)[1])
    for row in heads[1:]:
        rates, parts = [float(x) for x in row[-4:-2]], [float(x) for x in row[-2:]]
        assert parts == pytest.approx([100 * rate / most for rate in rates], rel=1e-2)
