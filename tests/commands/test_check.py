"""`posediff check`: one line for each thing that is there or wrong, before a long run."""

import json

import cv2
import numpy as np
import pytest
from helpers.commands import run
from helpers.heads import case, model

from posediff import check, checkpoint, config


@pytest.fixture
def things(tmp_path, monkeypatch):
    """A folder of a model, of photos with a damaged one, of keypoints and of boxes."""
    monkeypatch.chdir(tmp_path)
    cfg, tree, _ = case("posterior")
    about = {"task": "lift3d", "method": "posterior", "skeleton": "h36m17", "model": tree}
    data = {k: x for k, x in config.plain(cfg.dataset).items() if k in config.DATA_KEYS}
    checkpoint.save("model", model("posterior").state_dict(), about | {"dataset": data})
    (tmp_path / "photos").mkdir()
    cv2.imwrite("photos/a.png", np.zeros((60, 80, 3), np.uint8))
    body = [[100 + 30 * (j % 2), 10 * j] for j in range(1, 18)]
    (tmp_path / "good.json").write_text(json.dumps({"keypoints": [body] * 6}))
    (tmp_path / "boxes.json").write_text('{"a.png": [[1, 2, 30, 40]]}')
    return tmp_path


def lines(capsys, *words):
    """The lines, and the exit code."""
    capsys.readouterr()
    code = 0
    try:
        run(check.main, *words)
    except SystemExit as stop:
        code = stop.code
    return capsys.readouterr().out.splitlines(), code


def test_good_things_are_one_line_each(things, capsys):
    found, code = lines(capsys, "model", "photos", "photos/a.png", "boxes.json")
    assert code == 0
    assert all(line.startswith("good ") for line in found)
    model, photos, photo, boxes = found
    assert "model (lift3d posterior, trained on synthetic with noisy 2D" in model
    assert "1 photo, 80 x 60 pixels" in photos
    assert "1 photo" in photo
    assert "1 boxes in 1 pictures" in boxes


def test_what_is_wrong_is_one_line_each_and_the_exit_code(things, capsys):
    (things / "photos/b.png").write_bytes(b"no picture")
    weights = things / "model/model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-40])
    (things / "bad.json").write_text('{"keypoints": [[1, 2')
    found, code = lines(capsys, "model", "photos", "bad.json", "nothing")
    assert code == 1
    wrong = [line for line in found if line.startswith("wrong ")]
    for word, line in zip(("safetensors", "b.png", "bad.json", "nothing"), wrong, strict=True):
        assert word in line
    assert sum("1 photo, 80 x 60" in line for line in found) == 1


def test_keypoints_that_look_wrong_are_said(things, capsys):
    body = np.array(json.loads((things / "good.json").read_text())["keypoints"])
    (things / "swapped.json").write_text(json.dumps({"keypoints": body[..., ::-1].tolist()}))
    found, code = lines(capsys, "swapped.json")
    assert code == 1
    assert len(found) == 2


def test_a_data_set_is_built_part_by_part(things, capsys):
    keys = ("task=lift3d", "dataset=synthetic", "dataset.clips=1", "dataset.length=5")
    found, code = lines(capsys, *keys)
    assert code == 0
    assert [line.split(": ")[-1] for line in found] == ["20 samples"] * 3
    found, code = lines(capsys, "task=image2d", "dataset=coco", "dataset.root=nowhere")
    assert code == 1
    assert all(line.startswith("wrong ") for line in found)
    assert len(found) == 3
