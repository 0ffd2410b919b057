"""posediff runs from its wheel, from an editable install and from a bare checkout."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from helpers.shipping import faults

ROOT = Path(__file__).parents[1]
WEIGHTS = ROOT / "posediff/weights"


def composed(path, cwd):
    """Where posediff and its conf/ are found, with `path` first, seen from another folder."""
    code = (
        "import posediff, posediff.config as c, pathlib\n"
        "model = posediff.build('lift3d', overrides=['experiment=lift3d_encoder'])\n"
        "print(pathlib.Path(posediff.__file__).parent, c.CONF, model.head.skeleton)"
    )
    environment = {**os.environ, "PYTHONPATH": str(path)}
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=cwd, env=environment, capture_output=True, text=True
    )
    assert run.returncode == 0, run.stderr
    return run.stdout.split()


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"  # a copy, so that building leaves nothing in the checkout
    tracked = ("posediff", "conf", "pyproject.toml", "setup.cfg", "README.md")
    licences = ("LICENSE", "THIRD_PARTY.md")
    source.mkdir()
    for name in (*tracked, *licences):
        subprocess.run(["cp", "-r", str(ROOT / name), str(source)], check=True)
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "-o", str(folder)]
    run = subprocess.run([*build, str(source)], capture_output=True, text=True)
    assert run.returncode == 0, run.stdout + run.stderr
    return next(folder.glob("*.whl"))


def test_the_wheel_composes_outside_the_checkout(wheel, tmp_path):
    zipfile.ZipFile(wheel).extractall(tmp_path / "site")
    package, conf, skeleton = composed(tmp_path / "site", tmp_path)
    assert Path(package) == tmp_path / "site/posediff"
    assert Path(conf) == tmp_path / "site/posediff/conf"
    assert skeleton == "h36m17"


def test_the_wheel_holds_the_package_its_configuration_its_weights_and_nothing_else(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    python = {p.relative_to(ROOT).as_posix() for p in (ROOT / "posediff").rglob("*.py")}
    yaml = {f"posediff/{p.relative_to(ROOT).as_posix()}" for p in (ROOT / "conf").rglob("*.yaml")}
    held = {name for name in names if ".dist-info/" not in name}
    weights = {p.relative_to(ROOT).as_posix() for p in WEIGHTS.rglob("*") if p.is_file()}
    assert "posediff/weights/movenet_thunder/model.safetensors" in weights
    folders = (ROOT / "posediff/visual/page", ROOT / "posediff/examples")
    files = {p.relative_to(ROOT).as_posix() for folder in folders for p in folder.iterdir()}
    assert held == python | yaml | weights | files | {"posediff/py.typed"}
    for licence in ("LICENSE", "THIRD_PARTY.md"):
        assert any(name.endswith(f"licenses/{licence}") for name in names)


def test_the_weights_are_small_enough_to_ship_and_every_folder_has_a_card():
    files = [p for p in WEIGHTS.rglob("*") if p.is_file()]
    assert 0 < sum(p.stat().st_size for p in files) <= 40e6
    for folder in {p.parent for p in files}:
        assert folder.parent == WEIGHTS
        assert {"model.safetensors", "README.md"} <= {p.name for p in folder.iterdir()}


def test_every_model_that_was_trained_here_is_complete():
    trained = {path.parent for path in WEIGHTS.glob("*/config.json")} - {WEIGHTS / "people"}
    assert {folder.name: faults(folder) for folder in trained} == {f.name: [] for f in trained}


def test_an_empty_folder_finds_the_editable_install_or_the_bare_checkout(tmp_path):
    package, conf, _ = composed(ROOT, tmp_path)
    assert Path(package) == ROOT / "posediff"
    assert Path(conf) == ROOT / "conf"
