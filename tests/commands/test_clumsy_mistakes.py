"""Mistakes that people make at the command line, each with the one line that it ends in.

benchmarks/clumsy_mistakes.md is the table of both. `python tests/commands/test_clumsy_mistakes.py`
fills the lines that are empty in it.
"""

import io
import json
import os
import re
import shlex
import sys
import tempfile
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import cv2
import numpy as np
import pytest

from posediff import __main__, shipped

TABLE = Path(__file__).parents[2] / "benchmarks/clumsy_mistakes.md"
ROW = re.compile(r"\| `(posediff.*?)` \| (.*) \|")
USED = ("image2d", "movenet_thunder", "people")  # of the models that ship
SETTINGS = ("POSEDIFF_DATA", "POSEDIFF_RUNS", "POSEDIFF_WEIGHTS", "HYDRA_FULL_ERROR")


def rows():
    found = map(ROW.fullmatch, TABLE.read_text().splitlines())
    return [(row[1], row[2]) for row in found if row]


def make(folder):
    """The files that the commands name."""
    picture = np.random.default_rng(0).integers(0, 256, (120, 160, 3), np.uint8)
    points = np.random.default_rng(0).uniform(100, 400, (3, 17, 2))
    cv2.imwrite(str(folder / "photo.jpg"), picture)
    np.save(folder / "points.npy", points)
    np.save(folder / "five.npy", points[:, :5])
    np.save(folder / "missing.npy", np.full((3, 17, 2), np.nan))
    (folder / "empty").mkdir()
    (folder / "gone.jpg").symlink_to("moved.jpg")
    (folder / "films").mkdir()
    (folder / "films/clip.mp4").touch()
    for name in ("text.jpg", "letter.docx", "text.mp4", "broken.json", "notes.txt"):
        (folder / name).write_text("[my notes\n")
    (folder / "empty.mp4").touch()
    cv2.VideoWriter(str(folder / "still.mp4"), cv2.VideoWriter.fourcc(*"mp4v"), 25, (64, 48))
    (folder / "other.json").write_text('{"holiday.jpg": [[10, 10, 40, 90]]}')
    (folder / "parts.json").write_text('{"photo.jpg": [[0.1, 0.1, 0.5, 0.9]]}')
    (folder / "outside.json").write_text('{"photo.jpg": [[1000, 10, 40, 90]]}')
    for name, joints in (("nobody", ["nose", "left_eye"]), ("strange", ["snout", "tail"])):
        (folder / name / "images").mkdir(parents=True)
        cv2.imwrite(str(folder / name / "images/photo.jpg"), picture)
        person = {"id": 1, "image_id": 1, "category_id": 1, "bbox": [10, 10, 40, 90]}
        person |= {"area": 3600, "iscrowd": 0, "keypoints": [20, 20, 2, 30, 30, 2]}
        content = {
            "images": [{"id": 1, "file_name": "photo.jpg", "width": 160, "height": 120}],
            "annotations": [person] if name == "strange" else [],
            "categories": [{"id": 1, "name": "person", "keypoints": joints}],
        }
        for split in ("train", "test"):
            (folder / name / f"annotations_{split}.json").write_text(json.dumps(content))
    for name in USED:
        (folder / "weights").mkdir(exist_ok=True)
        (folder / "weights" / name).symlink_to(shipped.PACKAGED / name)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("clumsy")
    make(made)
    with pytest.MonkeyPatch.context() as patch:
        enter(made, patch)
        yield made


def enter(folder, patch):
    """Work in a folder with the models that are there alone."""
    patch.chdir(folder)
    patch.setattr(shipped, "PACKAGED", folder / "weights")
    for name in SETTINGS:
        patch.delenv(name, raising=False)


def ending(command):
    """The exit code of a command, and its lines of errors."""
    before, sys.argv, handle = sys.argv, shlex.split(command), os.dup(2)
    with tempfile.TemporaryFile("w+") as said:
        os.dup2(said.fileno(), 2)  # of OpenCV, too
        try:
            with redirect_stderr(said), redirect_stdout(io.StringIO()):
                __main__.main()
            code = 0
        except SystemExit as stop:
            code = stop.code
        finally:
            os.dup2(handle, 2)
            os.close(handle)
            sys.argv = before
        said.seek(0)
        return code, said.read().strip().splitlines()


@pytest.mark.parametrize(("command", "line"), rows())
def test_a_mistake_ends_in_the_line_of_the_table(folder, command, line):
    assert ending(command) == (1, [f"error: {line}"])


def test_there_are_thirty_mistakes_and_each_line_is_short():
    assert len({command for command, _ in rows()}) >= 30
    assert max(len(line) for _, line in rows()) < 400


def write():
    """Fill the lines that are empty in the table with those that the commands end in now."""
    text, old = TABLE.read_text().splitlines(), Path.cwd()
    with tempfile.TemporaryDirectory() as made, pytest.MonkeyPatch.context() as patch:
        make(Path(made))
        enter(Path(made), patch)
        for n, row in enumerate(text):
            if (found := ROW.fullmatch(row)) and not found[2].strip():
                code, lines = ending(found[1])
                print(code, found[1], lines, sep="\n   ", flush=True)
                text[n] = f"| `{found[1]}` | {' '.join(lines).removeprefix('error: ')} |"
        os.chdir(old)
    TABLE.write_text("\n".join(text) + "\n")


if __name__ == "__main__":
    write()
