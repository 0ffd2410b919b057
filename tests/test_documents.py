"""Every command and every snippet of the documents is run, or parsed by what it would run.

    python    run, the blocks of a document one after the other in one namespace
    bash      a line that trains, scores or predicts composes its configuration; scripts, reports,
              checks and the demo parse their arguments; `posediff FILE` runs, with models that are
              not trained; targets of make and extras of pip exist
    json      parsed;  text: a listing, and no command

A comment `<!-- folder: PATH -->` above a block of bash is the folder that it is for.
"""

import argparse
import json
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from helpers.commands import run, script
from helpers.shelf import film, shelf

from posediff import __main__, check, config, demo, report, shipped

ROOT = Path(__file__).parents[1]
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
BLOCK = re.compile(r"(?:^<!-- folder: (\S+) -->\n)?^```(.*?)\n(.*?)^```$", re.M | re.S)
EXTRAS = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
TARGETS = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.M))
COMMANDS = ("train", "eval", "predict", "export")
OTHERS = {"report": report.parser, "demo": demo.parser, "check": check.parser}


class Block(NamedTuple):
    document: str
    folder: str
    language: str
    text: str


def blocks(document):
    name = document.relative_to(ROOT).as_posix()
    for folder, language, text in BLOCK.findall(document.read_text()):
        if not language.startswith("{"):  # of Sphinx
            yield Block(name, folder, language, text)


BLOCKS = [block for document in DOCUMENTS for block in blocks(document)]


def lines(block):
    """The commands of a block of bash, each as its words."""
    for line in block.text.replace("\\\n", " ").splitlines():
        if words := shlex.split(line, comments=True):
            yield words


LINES = [(b, words) for b in BLOCKS if b.language == "bash" for words in lines(b)]


def named(value):
    return " ".join(value)[:90] if isinstance(value, list) else ""


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    """A folder with the files of the documents, where the models of helpers/shelf.py ship."""
    folder = tmp_path_factory.mktemp("documents")
    (folder / "photos").mkdir()
    for name in ("photo.jpg", "photos/a.jpg"):
        shutil.copyfile(demo.EXAMPLES / "street.jpg", folder / name)
    film(folder / "clip.mp4")
    points = np.random.default_rng(0).uniform(100, 400, (2, 17, 2)).astype(np.float32)
    np.save(folder / "keypoints.npy", points)
    (folder / "keypoints.json").write_text(json.dumps({"keypoints": points.tolist()}))
    marks = [{"x": x, "y": y, "visibility": 1.0} for x, y in (points[0] / 400).tolist() * 2][:33]
    (folder / "mediapipe.json").write_text(json.dumps({"pose_landmarks": marks}))
    (folder / "boxes.json").write_text(json.dumps({"photo.jpg": [[180, 90, 120, 300]]}))
    models = shelf(folder / "shelf")
    shutil.copytree(models / "lift3d", folder / "runs/lift3d/mocap/mine/checkpoints/best")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shipped, "PACKAGED", models)
        patch.delenv("POSEDIFF_WEIGHTS", raising=False)
        patch.chdir(folder)
        yield folder


class Parsed(Exception):
    """Raised where a script has parsed its arguments."""


@pytest.fixture
def parse_alone(monkeypatch):
    """Parsers of arguments stop after they have parsed."""
    before = argparse.ArgumentParser.parse_args

    def parse(self, *given):
        before(self, *given)
        raise Parsed

    monkeypatch.setattr(argparse.ArgumentParser, "parse_args", parse)


def test_nothing_of_the_documents_is_left_out():
    languages = {block.language for block in BLOCKS}
    assert languages == {"python", "bash", "json", "text"}
    fences = sum(d.read_text().count("\n```") for d in DOCUMENTS)
    sphinx = sum(len(re.findall(r"^```\{", d.read_text(), re.M)) for d in DOCUMENTS)
    assert fences == 2 * (len(BLOCKS) + sphinx)
    kinds = [kind(words) for _, words in LINES]
    assert None not in kinds
    assert len(kinds) == len(LINES) > 50
    assert sum(block.language == "python" for block in BLOCKS) > 8
    for block in BLOCKS:
        if block.language == "text":
            assert not re.search(r"^(posediff|python|make|pip) ", block.text, re.M)


def kind(words):
    """How a line of bash is checked."""
    if words[:2] == ["pip", "install"] or words[0] == "make":
        return words[0]
    if words[0] == "python" and words[1].startswith("scripts/"):
        return "script"
    if words[:2] == ["python", "-m"] and words[2].startswith("posediff."):
        return "configuration"
    if words[0] == "posediff":
        if words[1] in COMMANDS:
            return "configuration"
        return "other" if words[1] in OTHERS else "use"
    return None


@pytest.mark.parametrize(
    ("block", "words"), [x for x in LINES if kind(x[1]) == "configuration"], ids=named
)
def test_a_line_that_trains_scores_or_predicts_composes(block, words):
    first, *rest = words[1:] if words[0] == "posediff" else words[2:]
    name = first.removeprefix("posediff.")
    if "--config-dir" in rest:
        at = rest.index("--config-dir")
        folder = (ROOT / block.folder / rest[at + 1]).as_posix()
        assert (ROOT / block.folder).is_dir()
        rest[at : at + 2] = [f"hydra.searchpath=[file://{folder}]"]
    while rest[0].startswith("-"):  # such as -m
        rest.pop(0)
    if "--cfg" in rest:
        assert rest[-2:] == ["--cfg", "job"]
        del rest[-2:]
    rest = [word.partition(",")[0] if word.startswith("seed=") else word for word in rest]
    cfg = config.compose(name, rest)
    assert cfg.task.method
    assert name != "predict" or cfg.input


@pytest.mark.parametrize(("block", "words"), [x for x in LINES if kind(x[1]) == "use"], ids=named)
def test_a_line_for_your_own_files_runs(work, block, words):
    run(__main__.main, *words[1:])
    assert any((work / "out").iterdir())


@pytest.mark.parametrize(
    ("block", "words"), [x for x in LINES if kind(x[1]) == "script"], ids=named
)
def test_a_script_knows_its_arguments(parse_alone, block, words):
    with pytest.raises(Parsed):
        run(script(Path(words[1]).stem).main, *words[2:])


@pytest.mark.parametrize(("block", "words"), [x for x in LINES if kind(x[1]) == "other"], ids=named)
def test_a_report_a_check_and_the_demo_know_their_arguments(block, words):
    assert OTHERS[words[1]]().parse_args(words[2:])


def test_targets_and_extras_exist():
    for _, words in LINES:
        if words[0] == "make":
            assert words[1] in TARGETS, words
        if words[:2] == ["pip", "install"]:
            (extra,) = re.findall(r"^\.(?:\[([\w,]+)\])?$", words[2])
            assert {*filter(None, extra.split(","))} <= {*EXTRAS}, words


@pytest.mark.parametrize("document", sorted({b.document for b in BLOCKS if b.language == "python"}))
def test_the_python_of_a_document_runs(work, document, capsys):
    space = {}
    for block in BLOCKS:
        if (block.document, block.language) == (document, "python"):
            exec(compile(block.text, document, "exec"), space)


def test_json_is_json():
    for block in BLOCKS:
        if block.language == "json":
            json.loads(block.text)


def test_every_link_of_a_document_leads_somewhere():
    for document in DOCUMENTS:
        for target in re.findall(r"\]\(([^)#]+)\)", document.read_text()):
            assert "://" in target or (document.parent / target).exists(), (document, target)


@pytest.mark.slow
def test_the_pages_build_without_a_warning(tmp_path):
    build = [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", "-b", "html"]
    run = subprocess.run([*build, ROOT / "docs", tmp_path], capture_output=True, text=True)
    assert (run.returncode, run.stderr) == (0, "")
    page = (tmp_path / "reference/posediff.html").read_text()
    assert all(f'id="posediff.{name}"' in page for name in ("estimate", "lift", "save", "view"))
