"""Exported graphs answer as their models do, for any batch and any draws."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.commands import script
from helpers.heads import HEADS, case, model

from posediff import sample as samples
from posediff.exporting import write
from posediff.exporting.describe import preprocessing
from posediff.exporting.graphs import LEFT_OUT, draws, flat
from posediff.inference.photo_input import people_sample

FAST = "posterior"  # draws of both kinds, in opposite pairs
RUNNER = Path(__file__).parents[2] / "scripts/run_exported.py"
onnx = pytest.mark.skipif(
    any(map(write.missing, write.PACKAGES)), reason="needs the extra `export`"
)


def shortened(name, steps):
    """A model of few steps and hypotheses, and its samples: graphs grow with the steps."""
    made = model(name)
    if made.sampler is not None:
        made.sampler = replace(made.sampler, steps=steps)
        made.hypotheses = min(made.hypotheses, 4)
    return made, case(name).sample


@pytest.fixture(scope="module")
def fast(tmp_path_factory):
    """The folder of an exported model, the model and its samples."""
    folder = tmp_path_factory.mktemp("fast") / "exported"
    made, batch = shortened(FAST, 1)
    write.export(made, folder, batch, ["onnx"])
    return folder, made, batch


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


def agree(folder, made, batch):
    """True if another batch and other draws than those of the export have the model's answers."""
    other = samples.take(batch, slice(1, 3))
    wanted, found = made.predict(other, seed=7), answers(folder, inputs(made, other, 7))
    for column in ("keypoints", "scores", "hypotheses", "spread"):
        want, got = getattr(wanted, column), torch.from_numpy(found[f"answer_{column}"])
        if made.head.window.frames > 1:
            valid = other["frames_valid"] > 0
            middle = valid.shape[1] // 2
            valid = valid[:, middle : middle + 1] if made.head.window.centred else valid
            got = (got.transpose(1, 2) if column == "hypotheses" else got)[valid]
        assert (got - want).abs().max() <= 1e-4 * max(1, want.abs().max()), column


@onnx
def test_numpy_and_onnxruntime_alone_give_the_answers_of_the_model(fast):
    agree(*fast)


@onnx
@pytest.mark.parametrize("name", [FAST, "posterior_refined"])
def test_hypotheses_are_recalibrated_as_predictions_are(name, tmp_path):
    made, batch = shortened(name, 1)
    made.recalibration = [0.5, 0.6, 0.7, 0.8, 1.0, 1.2, 1.5, 2.0, 3.0]
    write.export(made, tmp_path / "exported", batch, ["onnx"])
    agree(tmp_path / "exported", made, batch)


@onnx
@pytest.mark.slow
@pytest.mark.parametrize("name", HEADS)
def test_every_head_is_exported_in_both_formats(name, tmp_path):
    made, batch = shortened(name, 2)
    about = write.export(made, tmp_path / "exported", batch)
    assert {"onnx", "torch"} == {*about["differences"]}
    agree(tmp_path / "exported", made, batch)


@onnx
def test_the_metadata_says_what_the_graphs_read(fast):
    import onnxruntime

    folder, made, batch = fast
    written = json.loads((folder / "export.json").read_text())
    assert written["skeleton"]["joints"][0] == "pelvis"
    assert written["sampler"]["timesteps"] == list(made.timesteps)
    assert written["sampler"]["hypotheses"] == made.hypotheses
    assert written["sampler"]["opposite"]
    encode, sample = written["graphs"]
    assert encode["inputs"]["keypoints_2d"]["shape"] == ["batch", *batch["keypoints_2d"].shape[1:]]
    assert sample["inputs"]["normal_1"]["shape"] == ["batch", made.hypotheses, 17, 5]
    assert not {"keypoints", "target_2d", "camera"} & {*encode["inputs"], *sample["inputs"]}
    assert "metres" in sample["outputs"]["answer_keypoints"]["what"]
    session = onnxruntime.InferenceSession(folder / "sample.onnx")
    inside = json.loads(session.get_modelmeta().custom_metadata_map["posediff"])
    assert inside["graphs"] == written["graphs"]


def test_the_description_of_pictures_has_their_size_colours_and_codec():
    made = model("coarse")
    made.trained_on = {"size": [48, 64], "mean": [1, 2, 3], "std": [4, 5, 6], "codec": "udp"}
    found = preprocessing(made)
    assert found["trained_on"] == made.trained_on
    assert (found["size"], found["codec"], found["udp"]) == ([48, 64], "udp", True)


@onnx
def test_a_crop_without_posediff_is_that_of_posediff():
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
    made, batch = shortened("encoder", 1)
    about = write.export(made, tmp_path / "encoder", batch, ["torch"])
    assert {*about["differences"]} == {"torch"}
    loaded = torch.export.load(tmp_path / "encoder/encode.pt2").module()
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
