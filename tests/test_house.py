"""What may import what, and that documents and configuration say what is true."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from posediff import config, tree

ROOT = Path(__file__).parents[1]
DOCUMENTS = ["ARCHITECTURE.md", "README.md", "CONTRIBUTING.md"]
DOCUMENTS += sorted(f"docs/guides/{p.name}" for p in (ROOT / "docs/guides").glob("*.md"))
FILES = sorted((ROOT / "posediff").rglob("*.py"))
MAINS = ("train.py", "eval.py", "predict.py", "config.py", "trained_model.py", "command.py")
SEAM = ("train.py", "eval.py", "predict.py", "config.py", "trained_model.py", "report.py")
ROOMS = ("data", "inference", "prepare", "synthetic")
ABOVE = ("engine", "config", "trained_model", "report")
HEAVY = ("scipy", "cv2", "tqdm", "h5py", "hydra", "omegaconf", "matplotlib", "pycocotools")


def imports(path, top_level=False):
    module = ast.parse(path.read_text())
    for node in module.body if top_level else ast.walk(module):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""


def inside(folder):
    return [path for path in FILES if f"/posediff/{folder}/" in path.as_posix()]


def test_the_core_imports_torch_einops_and_itself():
    allowed = {"torch", "einops", "posediff.diffusion", *sys.stdlib_module_names}
    for path in inside("diffusion"):
        for name in imports(path):
            assert {name.split(".")[0], ".".join(name.split(".")[:2])} & allowed, (path, name)


@pytest.mark.parametrize(
    ("folder", "never"),
    [
        ("pose", (*ROOMS[:4], "metrics", "nn", "tasks", "visual")),
        ("nn", (*ROOMS[:4], "metrics", "pose", "tasks", "visual", "diffusion")),
        ("synthetic", (*ROOMS[:3], "metrics", "nn", "tasks", "visual", "diffusion", *ABOVE)),
        ("data", (*ROOMS[1:3], "metrics", "nn", "tasks", "visual", *ABOVE)),
        ("metrics", (*ROOMS[:4], "nn", "tasks", "visual", *ABOVE)),
        ("tasks", (*ROOMS[:4], "metrics", "visual", *ABOVE, "checkpoint")),
        ("visual", (*ROOMS[:4], "metrics", "nn", "tasks", *ABOVE)),
        ("inference", ("prepare", "synthetic", "tasks", "nn", *ABOVE)),
        ("outputs", (*ROOMS, "tasks", "nn", *ABOVE)),
        ("prepare", ("inference", "metrics", "visual", *ABOVE)),
    ],
)
def test_data_flows_one_way(folder, never):
    assert inside(folder)
    for path in inside(folder):
        for name in imports(path):
            if name != "posediff.diffusion.choices":
                assert not any(name.startswith(f"posediff.{x}") for x in never), (path, name)


@pytest.mark.parametrize("name", SEAM)
def test_no_main_knows_a_head_a_data_set_or_a_metric(name):
    path = ROOT / "posediff" / name
    for module in imports(path):
        room, _, rest = module.removeprefix("posediff.").partition(".")
        assert room not in ("tasks", *ROOMS[::2], "synthetic"), module
        assert room != "metrics" or rest in ("calibration", "figure_names"), module  # of any metric
    asked = {"isinstance", "issubclass", "hasattr", "getattr", "signature", "type"}
    calls = [n.func for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, ast.Call)]
    names = {getattr(f, "id", getattr(f, "attr", "")) for f in calls}
    assert not names & asked


def test_no_module_and_no_class_has_the_name_of_another():
    modules = [path.stem for path in FILES if path.stem != "__init__"]
    classes = [
        node.name
        for path in FILES
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ClassDef)
    ]
    for names in (modules, classes):
        assert {name for name in names if names.count(name) > 1} == set()


def test_no_room_is_too_large():
    lines = {path: len(path.read_text().splitlines()) for path in FILES}
    for folder in {path.parent for path in FILES} - {ROOT / "posediff"}:
        own = [path for path in FILES if path.parent == folder and path.stem != "__init__"]
        assert len(own) <= 14, folder
        assert sum(lines[path] for path in own) <= sum(lines.values()) / 5, folder


def test_only_the_mains_and_config_know_hydra():
    for path in FILES:
        if path.name not in MAINS:
            assert not {n.split(".")[0] for n in imports(path)} & {"hydra", "omegaconf"}, path


def test_heavy_packages_are_imported_where_they_are_used():
    for path in FILES:
        if path.name not in MAINS[:3]:
            assert not {n.split(".")[0] for n in imports(path, top_level=True)} & {*HEAVY}, path


def test_importing_posediff_is_quick_beside_torch():
    code = (
        "import torch, time, sys; before = set(sys.modules); t = time.process_time()\n"
        "import posediff\n"
        "print(time.process_time() - t, *set(sys.modules) - before)"
    )

    def seconds():
        run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
        spent, *loaded = run.stdout.split()
        assert not {*HEAVY} & {*loaded}
        return float(spent)

    assert any(seconds() < 0.2 for _ in range(3))  # of this process alone, and warm


def targets():
    for path in (ROOT / "conf").rglob("*.yaml"):
        if path.relative_to(ROOT / "conf").parts[0] not in ("dataset", "eval", "trainer"):
            for name in re.findall(r"_target_: ([\w.]+)", path.read_text()):
                yield path, name


def test_a_model_folder_may_name_every_class_of_the_model_tree():
    found = list(targets())
    assert len(found) > 5
    for path, name in found:
        if not name.startswith(("torch.optim", "posediff.rates")):
            assert name in tree.KNOWN or re.fullmatch(tree.HEADS, name), path


def test_every_known_class_exists():
    for name in tree.KNOWN:
        module, _, attribute = name.rpartition(".")
        assert hasattr(__import__(module, fromlist=[attribute]), attribute)


def test_configuration_files_are_short_and_parse():
    for path in (ROOT / "conf").rglob("*.yaml"):
        yaml.safe_load(path.read_text())
        assert len(path.read_text().splitlines()) < 60, path


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_path_that_a_document_names_exists(document):
    text = (ROOT / document).read_text()
    paths = set(re.findall(r"\b(?:posediff|conf|scripts|tests|benchmarks)/[\w/.-]+\w", text))
    assert paths or document.startswith("docs/")
    for path in paths:
        assert (ROOT / path).exists(), path


def test_the_product_names_no_folder_beside_itself():
    for folder in ("posediff", "conf", "scripts", "benchmarks"):
        for path in (ROOT / folder).rglob("*"):
            if path.suffix in (".py", ".yaml", ".md"):
                assert "../shared" not in path.read_text(), path


@pytest.mark.parametrize("task", ["lift3d", "image2d", "video2d"])
def test_the_whole_configuration_of_a_task_resolves(task):
    assert config.plain(config.compose("train", [f"task={task}"]))["task"]["name"] == task
