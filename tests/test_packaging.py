"""posediff runs from its wheel, from an editable install and from a bare checkout."""

import os
import subprocess
import sys
import sysconfig
import tarfile
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
def built(tmp_path_factory):
    """A folder with the source distribution, and the wheel that was built from it."""
    folder = tmp_path_factory.mktemp("built")
    source = folder / "source"  # a copy, so that building leaves nothing in the checkout
    source.mkdir()
    for name in ("posediff", "conf", "scripts", "docs", *(p.name for p in ROOT.glob("[A-Z]*.*"))):
        subprocess.run(["cp", "-r", str(ROOT / name), str(source)], check=True)
    for name in ("pyproject.toml", "setup.cfg", "constraints.txt", "LICENSE", "Makefile"):
        subprocess.run(["cp", str(ROOT / name), str(source)], check=True)
    build = [sys.executable, "-m", "build", "--no-isolation", "-o", str(folder), str(source)]
    run = subprocess.run(build, capture_output=True, text=True)
    assert run.returncode == 0, run.stdout + run.stderr
    return folder


@pytest.fixture(scope="module")
def wheel(built):
    return next(built.glob("*.whl"))


def test_the_source_distribution_holds_what_a_clone_has(built):
    with tarfile.open(next(built.glob("*.tar.gz"))) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {"README.md", "CITATION.cff", "THIRD_PARTY.md", "LICENSE", "Makefile"} < names
    assert {"conf/train.yaml", "docs/conf.py", "docs/pictures/people.jpg"} < names
    assert "posediff/examples/golf.mp4" in names
    assert not any(name.startswith(("docs/reference", "runs", "data")) for name in names)


@pytest.mark.slow
def test_the_wheel_alone_answers_in_an_empty_folder_without_a_network(wheel, tmp_path):
    env, site = tmp_path / "env", sysconfig.get_path("purelib")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(env)], check=True)
    python = env / "bin/python"
    own = subprocess.run(
        [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"],
        capture_output=True,
        text=True,
    ).stdout.strip()
    install = ["-m", "pip", "--python", str(python), "install", "--no-deps", "--no-index"]
    subprocess.run([sys.executable, *install, str(wheel)], check=True, capture_output=True)
    Path(own, "packages.pth").write_text(site)  # torch and the others, without a copy
    code = (
        "import socket\n"
        "def refused(*_): raise AssertionError('a network was asked for')\n"
        "socket.socket.connect = socket.create_connection = refused\n"
        "import posediff\n"
        "from posediff import demo, shipped\n"
        "to = '3d' if demo.LIFTER in shipped.names() else '2d'\n"
        "(frame,) = posediff.estimate(demo.EXAMPLES / 'street.jpg', to=to)\n"
        "posediff.view([frame], 'view.html')\n"
        "print(posediff.__file__, len(frame.people), frame.people[0].keypoints_2d.shape)\n"
    )
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "POSEDIFF"))}
    (tmp_path / "empty").mkdir()
    run = subprocess.run(
        [python, "-c", code], cwd=tmp_path / "empty", env=clean, capture_output=True, text=True
    )
    assert run.returncode == 0, run.stderr
    file, people, joints = run.stdout.split(maxsplit=2)
    assert Path(file).is_relative_to(env)
    assert (int(people), joints.strip()) == (1, "(14, 2)")
    assert (tmp_path / "empty/view.html").stat().st_size > 1e6
    assert (env / "bin/posediff").is_file()


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
