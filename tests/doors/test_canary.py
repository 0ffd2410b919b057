"""Nothing in a file runs, and nothing is written where it says: a canary for each route."""

import json
import pickle
import shutil
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from helpers.commands import command, error_of, run, script
from helpers.lifters import ENCODER, LIFT

import posediff
from posediff import command as command_module
from posediff import torch_files, training_state
from posediff.command import require_plain
from posediff.config import METHOD_KEYS
from posediff.data.lifting.pickles import read_npz
from posediff.data.pictures import annotations
from posediff.data.video import footage
from posediff.doors import hdf5_door, numpy_door
from posediff.files import inside, safe_name, safe_names
from posediff.inference.keypoint_files import read_keypoints
from posediff.metrics.result_files import Found, write_posetrack
from posediff.nn import weights
from posediff.pose.skeleton import skeleton

CODE = {"_target_": "posediff.files.write_json", "content": 1}
TASK = "experiment=lift3d_encoder"


@pytest.fixture
def canary(tmp_path):
    """A file that nobody may write."""
    path = tmp_path / "canary"
    yield path
    assert not path.exists()


@pytest.fixture
def folder(tmp_path, lifters):
    """A copy of a trained encoder, to be changed."""
    return Path(shutil.copytree(lifters / "encoder/checkpoints/best", tmp_path / "model"))


def edit(folder, **changes):
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def config_of(folder):
    return json.loads((folder / "config.json").read_text())


class Touch:
    """An object whose pickle, when it is read by pickle, writes a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


@pytest.mark.parametrize(
    "override",
    [
        "+model.x={{_target_: posediff.files.write_json, path: {0}, content: 1}}",
        "+model.aggregate._target_=posediff.files.write_json",
        "rules.mean={{_target_: posediff.files.write_json, path: {0}, content: 1}}",
        "+task.x=${{oc.env:HOME}}",
        "preset=../../evil",
        "hydra.searchpath=[{0}]",
        "eval.metric._target_=os.system",
        "paths.runs={0}",
        "task.hypotheses=1,2",
        "+model@x=diffusion",
        "a word",
        "schedule.steps=100000000",
        *("task.input=os.system", "+task.example=os.system", "task.draws=os.system"),
    ],
)
def test_overrides_of_a_model_folder_are_options_with_plain_values(
    folder, canary, capsys, override
):
    given = override.format(canary)
    edit(folder, overrides=[*config_of(folder)["overrides"], given])
    line = error_of(capsys, "eval", *ENCODER, f"checkpoint={folder}")
    assert f"{folder}/config.json: overrides: " in line


def test_an_export_calls_nothing_that_a_model_folder_names(
    folder, canary, capsys, monkeypatch, tmp_path
):
    (folder / "x.py").write_text(f"open({str(canary)!r}, 'w').close()\n")
    monkeypatch.syspath_prepend(tmp_path)
    edit(folder, overrides=[*config_of(folder)["overrides"], "task.example=model.x.f"])
    given = (*ENCODER, f"checkpoint={folder}", f"output={tmp_path / 'out'}")
    given += (f"paths.runs={tmp_path}",)
    assert "'task.example=model.x.f' is no option of" in error_of(capsys, "export", *given)
    monkeypatch.setattr(command_module, "IMPORTED", ())  # and if it passed, it would not be called
    command("export", *given, "formats=[torch]")


@pytest.mark.parametrize(
    "override",
    ["task=lift3d", "experiment=lift3d_encoder", "task.head.x=[1,2]", "+task.x={a: 1, b: [true]}",
     "backbone.weights='/a b/c.pth'", "task.head.width=${backbone.features}", "~task.bound",
     "schedule.steps=50", "task.bound=null", "preset=null"],
)  # fmt: skip
def test_the_options_of_a_method_stay_usable(override):
    require_plain(override, METHOD_KEYS, "config.json")


@pytest.mark.parametrize("key", ["size", "window", "mean", "offsets", "noise", "parts"])
def test_the_data_set_of_a_model_folder_is_a_description(folder, canary, capsys, key):
    code = CODE | {"path": str(canary)}
    edit(
        folder,
        dataset=config_of(folder)["dataset"] | {key: {"x": code} if key == "noise" else code},
    )
    line = error_of(capsys, "eval", *ENCODER, f"checkpoint={folder}")
    assert f"{folder}/config.json: dataset" in line


@pytest.mark.parametrize("key", ["match_start", "recalibration"])
def test_what_an_evaluation_found_is_numbers(folder, canary, capsys, key):
    code = CODE | {"path": str(canary)}
    found = {"start": code, "end": 0, "steps": 5, "factors": [code] * 9}
    edit(folder, **{key: found | {"instead_of": {"start": None, "end": 0}}})
    line = error_of(capsys, "eval", *ENCODER, f"checkpoint={folder}")
    assert f"{folder}/config.json: {key}" in line


@pytest.mark.parametrize("at", ["root", "head", "key"])
def test_the_tree_of_a_model_folder_names_known_classes(folder, canary, at):
    code, tree = CODE | {"path": str(canary)}, config_of(folder)["model"]
    changed = {"root": code, "head": tree | {"head": code}, "key": tree | {"_args_": [1]}}[at]
    edit(folder, model=changed)
    with pytest.raises(ValueError, match=r"config\.json: .*(no class of posediff|unknown key)"):
        posediff.load(folder)


def test_the_tree_of_an_encoder_s_folder_names_known_classes(folder, canary, capsys):
    tree = config_of(folder)["model"]
    edit(folder, model=tree | {"head": CODE | {"path": str(canary)}})
    line = error_of(capsys, "train", *LIFT, f"task.head.encoder={folder}", "name=evil")
    assert f"{folder}/config.json: posediff.files.write_json is no class of posediff" in line


class Program(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + 1


def test_a_torchscript_archive_is_refused_by_its_name(tmp_path, canary):
    path = tmp_path / "program.pth"
    torch.jit.script(Program()).save(str(path))
    for read in (torch_files.read_torch, weights.read):
        with pytest.raises(
            ValueError, match=r"program\.pth: a TorchScript archive, which is a prog"
        ):
            read(path)
    convert = script("convert_checkpoint")
    with pytest.raises(SystemExit, match="a TorchScript archive"):
        run(convert.main, path, tmp_path / "out")
    place = tmp_path / "last"
    place.mkdir()
    shutil.copy(path, place / "trainer.pt")
    with pytest.raises(ValueError, match="a TorchScript archive"):
        training_state.read_trainer(place)


def test_pickles_are_refused(tmp_path, canary):
    objects = np.array([Touch(canary)], dtype=object)
    np.savez(tmp_path / "a.npz", keypoints=objects)
    np.save(tmp_path / "a.npy", objects)
    torch.save({"a": Touch(canary)}, tmp_path / "a.pth")
    (tmp_path / "b.npy").write_bytes(pickle.dumps(Touch(canary)))
    for read, name in (
        (lambda path: read_keypoints(path, 17), "a.npz"),
        (lambda path: read_keypoints(path, 17), "a.npy"),
        (lambda path: read_keypoints(path, 17), "b.npy"),
        (numpy_door.read_npz, "a.npz"),
        (read_npz, "a.npz"),
        (torch_files.read_torch, "a.pth"),
        (weights.read, "a.pth"),
    ):
        with pytest.raises(ValueError, match=name):
            read(tmp_path / name)


def document(**image):
    """A video of one frame with one person."""
    keypoints = [float(n % 40 + 1) for n in range(45)]
    keypoints[2::3] = [1.0] * 15
    person = {"image_id": 1, "track_id": 0, "keypoints": keypoints, "bbox_head": [0, 0, 9, 9]}
    about = {"id": 1, "file_name": "v/000001.jpg", "is_labeled": True} | image
    names = list(skeleton("posetrack15").joints)
    return {
        "images": [about],
        "categories": [{"id": 1, "keypoints": names}],
        "annotations": [person],
    }


@pytest.mark.parametrize("name", ["../../canary", "/tmp/canary", "a/../../../canary", "..", "\0x"])
def test_a_video_s_name_is_no_path(tmp_path, canary, name):
    both = document(vid_id=name)
    second = document(file_name="w/000001.jpg", vid_id=name + "2")
    both["images"].append(second["images"][0] | {"id": 2})
    path = tmp_path / "people.json"
    path.write_text(json.dumps(both))
    found = footage.read(path, skeleton("posetrack15"), tmp_path)
    assert len(found.truth) == 2
    for file in found.truth:
        assert file == safe_name(file)
    bad = {f"{name}.json": both}
    with pytest.raises(ValueError, match="no safe name"):
        write_posetrack(tmp_path / "out", bad, Found([], *(torch.zeros(0, n) for n in (2, 1, 1))))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("file", ["../secret.png", "/etc/hostname", "a/../../secret.png"])
def test_pictures_are_read_below_their_folder(tmp_path, file):
    content = {"images": [{"id": 1, "file_name": file}], "categories": [], "annotations": []}
    path = tmp_path / "people.json"
    path.write_text(json.dumps(content | {"categories": [{"id": 1, "keypoints": ["nose"]}]}))
    with pytest.raises(ValueError, match=r"images\[0\]: .* is outside of .*set dataset\.images"):
        annotations.checked(path, annotations.load(path), skeleton("coco17"), tmp_path / "images")
    assert inside(Path("/"), file.lstrip("./"), "x")  # unless the user names a folder around it


def test_hdf5_reads_nothing_outside_of_its_file(tmp_path):
    (tmp_path / "secret").write_bytes(bytes(range(80)))
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["x"] = np.ones(3)
    with h5py.File(tmp_path / "link.h5", "w") as file:
        file["a/x"] = h5py.ExternalLink(str(tmp_path / "other.h5"), "x")
    with h5py.File(tmp_path / "raw.h5", "w") as file:
        file.create_dataset("x", (10,), "f8", external=[(str(tmp_path / "secret"), 0, 80)])
    with h5py.File(tmp_path / "virtual.h5", "w") as file:
        layout = h5py.VirtualLayout((3,), "f8")
        layout[:] = h5py.VirtualSource(str(tmp_path / "other.h5"), "x", (3,))
        file.create_virtual_dataset("x", layout)
    for name, what in (
        ("link", "a link to another"),
        ("raw", "are in another"),
        ("virtual", "are in"),
    ):
        with (
            pytest.raises(ValueError, match=rf"{name}\.h5: \S*x: .*{what}"),
            hdf5_door.opened(tmp_path / f"{name}.h5", "copy it again") as file,
        ):
            file.raw("x")


def test_a_member_of_an_archive_is_no_path(tmp_path, canary):
    path = tmp_path / "a.npz"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("../canary.npy", b"x")
    with pytest.raises(ValueError, match=r"a\.npz"):
        numpy_door.read_npz(path)
    assert not (tmp_path.parent / "canary.npy").exists()


def test_names_of_files_are_safe_and_differ():
    names = [
        "a/b.jpg",
        "a_b.jpg",
        "A_B.jpg",
        "",
        "..",
        ".hidden",
        "x" * 300,
        "x" * 301,
        "\ud800",
        "é",
    ]
    found = safe_names(names)
    assert len({x.casefold() for x in found.values()}) == len(names)
    for safe in found.values():
        assert "/" not in safe
        assert not safe.startswith(".")
        assert 0 < len(safe.encode("utf-8", "replace")) < 200
    assert safe_name("walk_01-b.c") == "walk_01-b.c"


def test_versions_with_published_holes_are_excluded():
    import tomllib

    text = (Path(__file__).parents[2] / "pyproject.toml").read_text()
    wanted = tomllib.loads(text)["project"]["dependencies"]
    assert {"torch>=2.10", "hydra-core>=1.3.8,<1.5", "orjson>=3.9.15"} <= {*wanted}
