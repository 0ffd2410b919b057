"""Exported graphs answer as their models do, for any batch and any draws."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.heads import HEADS, case, model

from posediff import sample as samples
from posediff.exporting import write
from posediff.exporting.graphs import LEFT_OUT, draws, flat
from posediff.inference.photo_input import people_sample

FAST = ("posterior", "sgdd", "plain")  # draws of both kinds; masks and drawing; frames
RUNNER = Path(__file__).parents[2] / "scripts/run_exported.py"
onnx = pytest.mark.skipif(
    any(map(write.missing, write.PACKAGES)), reason="needs the extra `export`"
)


def exported(name, folder, formats=("onnx", "torch")):
    made, batch = model(name), case(name).sample
    return made, batch, write.export(made, folder, batch, formats)


def inputs(made, batch, seed):
    """Everything that the graphs read, by name, as arrays."""
    kept = {key: x for key, x in batch.items() if key not in LEFT_OUT}
    tensors = {**dict(flat(kept)), **draws(made, batch, seed)}
    return {name: x.numpy() for name, x in tensors.items()}


def answers(folder, values):
    """What scripts/run_exported.py computes in a process that cannot import torch or posediff."""
    np.savez(folder / "in.npz", **values)
    code = (
        "import sys; sys.modules['torch'] = sys.modules['posediff'] = None\n"
        f"sys.path.insert(0, {str(RUNNER.parent)!r})\n"
        "import numpy as np; from pathlib import Path; from run_exported import run\n"
        f"folder = Path({str(folder)!r})\n"
        "np.savez(folder / 'out.npz', **run(folder, dict(np.load(folder / 'in.npz'))))"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    return dict(np.load(folder / "out.npz"))


@onnx
@pytest.mark.parametrize(
    "name", [x if x in FAST else pytest.param(x, marks=pytest.mark.slow) for x in HEADS]
)
def test_numpy_and_onnxruntime_alone_give_the_answers_of_the_model(name, tmp_path):
    made, batch, about = exported(name, tmp_path / "exported")
    assert {"onnx", "torch"} == {*about["differences"]}
    other = samples.take(batch, slice(1, 3))  # another batch, and other draws than at the export
    wanted = made.predict(other, seed=7)
    found = answers(tmp_path / "exported", inputs(made, other, 7))
    for column in ("keypoints", "scores", "hypotheses", "spread"):
        want, got = getattr(wanted, column).numpy(), found[f"answer_{column}"]
        if "frames_valid" in other and made.head.window.frames > 1:
            at = 1 if made.head.window.centred else other["frames_valid"].shape[1]
            valid = other["frames_valid"].bool()
            rows = valid[:, valid.shape[1] // 2 :][:, :1] if at == 1 else valid
            got = np.moveaxis(got, 2, 1) if column == "hypotheses" else got
            got = got[rows.numpy()]
        assert np.abs(got - want).max() <= 1e-4 * max(1, np.abs(want).max()), column


@onnx
def test_the_metadata_says_what_the_graphs_read_and_how_it_is_made(tmp_path):
    import onnxruntime

    made, batch, about = exported("sgdd", tmp_path, ["onnx"])
    written = json.loads((tmp_path / "export.json").read_text())
    assert written == json.loads(json.dumps(about))
    assert written["skeleton"]["joints"][0] == "left_shoulder"
    assert written["sampler"]["timesteps"] == list(made.timesteps)
    assert written["sampler"]["hypotheses"] == made.hypotheses
    encode, sample = written["graphs"]
    assert encode["inputs"]["image"]["shape"] == ["batch", *batch["image"].shape[1:]]
    assert {"affine", "normal_0"} <= {*sample["inputs"]}
    assert not {"keypoints", "visible", "box", "area"} & {*encode["inputs"], *sample["inputs"]}
    assert "pixels" in sample["outputs"]["answer_keypoints"]["what"]
    session = onnxruntime.InferenceSession(tmp_path / "sample.onnx")
    inside = json.loads(session.get_modelmeta().custom_metadata_map["posediff"])
    assert inside["graphs"] == written["graphs"]


@onnx
def test_a_crop_without_posediff_is_that_of_posediff():
    from helpers.commands import script

    photo = np.random.default_rng(0).integers(0, 256, (12, 16, 3)).astype(np.uint8)
    photo = photo.repeat(20, 0).repeat(20, 1)
    about = {"size": [48, 64], "mean": [100.0, 110.0, 120.0], "std": [50.0, 60.0, 70.0]}
    box = np.array([-10.0, 30.0, 100.0, 150.0])
    for codec, udp in (("udp", True), ("quarter", False)):
        more = {"padding": 1.25, "udp": udp}
        got = script("run_exported").crop(photo, box, about | more)
        boxes = [[float(x) for x in box]]
        want = people_sample(photo, "photo", boxes, codec=codec, **about)
        assert np.abs(got["affine"] - want["affine"].numpy()).max() < 1e-4
        off = np.abs(got["image"] - want["image"].numpy()) * np.array(about["std"])[:, None, None]
        assert off.max() < 6  # grey levels: OpenCV's steps between pixels are coarse
        assert off.mean() < 0.5


def test_graphs_of_torch_alone_need_no_extra(tmp_path, monkeypatch):
    monkeypatch.setattr(write, "find_spec", lambda name: None)
    made, batch, about = exported("encoder", tmp_path, ["torch"])
    assert {*about["differences"]} == {"torch"}
    loaded = torch.export.load(tmp_path / "encode.pt2").module()
    seen = {name: batch[name] for name in about["graphs"][0]["inputs"]}
    assert torch.allclose(loaded(seen)["context_estimate"], made.head(batch), atol=1e-6)
    with pytest.raises(ValueError, match=r"posediff\[export\]"):
        write.export(made, tmp_path / "other", batch, ["onnx"])
    assert not (tmp_path / "other").exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"formats": ["tensorrt"]}, "formats must be one of onnx, torch"),
        ({"sample": 1}, "two samples or more"),
        ({"tolerance": -1.0}, "differs by"),
    ],
)
def test_what_cannot_be_exported_is_one_line_and_leaves_nothing(changes, message, tmp_path):
    made, batch = model("encoder"), case("encoder").sample
    rows = samples.take(batch, slice(changes.pop("sample", 3)))
    with pytest.raises(ValueError, match=message):
        write.export(made, tmp_path / "x", rows, **{"formats": ["torch"], **changes})
    assert [*tmp_path.iterdir()] == []
