"""TRC against the form that OpenSim reads."""

import numpy as np

from posediff.outputs.trc import KEYS, write_trc
from posediff.pose.skeleton import skeleton


def test_the_file_has_five_lines_of_header_and_a_line_per_frame(tmp_path):
    layout, points = skeleton("h36m17"), np.random.default_rng(0).normal(size=(4, 17, 3))
    points[2, 16] = np.nan
    write_trc(tmp_path / "a.trc", points, layout, rate=29.97, first=10)
    lines = [line.split("\t") for line in (tmp_path / "a.trc").read_text().splitlines()]
    kind, keys, values, names, axes, blank, *rows = lines
    assert kind == ["PathFileType", "4", "(X/Y/Z)", "a.trc"]
    assert tuple(keys) == KEYS
    assert values == ["29.97", "29.97", "4", "17", "mm", "29.97", "1", "4"]
    assert names[:2] == ["Frame#", "Time"]
    assert [name for name in names[2:] if name] == [*layout.joints]
    assert names[2::3] == [*layout.joints]
    assert axes[:5] == ["", "", "X1", "Y1", "Z1"]
    assert axes[-1] == "Z17"
    assert blank == [""]
    assert {len(row) for row in (*rows, names, axes)} == {2 + 3 * 17}
    data = np.array(rows, np.float64)
    assert data[:, 0].tolist() == [1, 2, 3, 4]
    np.testing.assert_allclose(data[:, 1], np.arange(10, 14) / 29.97, atol=1e-6)
    np.testing.assert_allclose(data[:, 2:].reshape(4, 17, 3), 1000 * points, atol=5.1e-4)
