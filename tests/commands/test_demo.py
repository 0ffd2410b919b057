"""`posediff demo`, with models that are hardly trained and small examples."""

import shutil

import cv2
import numpy as np
import pytest
from helpers.commands import run
from helpers.heads import case, model

from posediff import __main__, checkpoint, config, demo, shipped
from posediff.outputs.frame_json import read
from posediff.usage import DEMO
from posediff.visual.film import filming


@pytest.fixture
def shelf(tmp_path, monkeypatch):
    """A folder of models, image2d and lift3d, beside the detector; the examples are small."""
    folder = tmp_path / "shelf"
    for name, case_name in (("image2d", "coarse"), ("lift3d", "posterior")):
        cfg, tree, _ = case(case_name)
        about = {"task": cfg.task.name, "method": cfg.task.method, "model": tree}
        data = {k: x for k, x in config.plain(cfg.dataset).items() if k in config.DATA_KEYS}
        about |= {"skeleton": cfg.dataset.skeleton, "dataset": data}
        checkpoint.save(folder / name, model(case_name).state_dict(), about)
    shutil.copytree(shipped.PACKAGED / "people", folder / "people")
    shutil.copytree(
        shipped.PACKAGED / "movenet_thunder", folder / "movenet_thunder"
    )  # of which image2d may share
    monkeypatch.setattr(shipped, "PACKAGED", folder)
    monkeypatch.delenv("POSEDIFF_WEIGHTS", raising=False)
    examples = tmp_path / "examples"
    examples.mkdir()
    photo = cv2.imread(str(demo.EXAMPLES / demo.PHOTOS[1]))
    for name in demo.PHOTOS:
        cv2.imwrite(str(examples / name), photo)
    with filming(examples / demo.FILM, 10) as show:
        for _ in range(2):
            show(np.ascontiguousarray(photo[:400, 250:450]))
    monkeypatch.setattr(demo, "EXAMPLES", examples)
    monkeypatch.chdir(tmp_path)
    return folder


def written(folder):
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_the_demo_writes_pictures_tables_curves_a_film_and_pages(shelf, tmp_path, capsys):
    run(__main__.main, "demo", "--to", "out")
    here = written(tmp_path / "out")
    assert {*demo.PHOTOS, demo.FILM} < here
    assert {"photos/street_poses.jpg", "photos/view.html", "photos/angles.csv"} < here
    assert {"film/poses.mp4", "film/view.html", "film/angles_000.png", "film/motion_000.bvh"} < here
    frames = read(tmp_path / "out/photos/frames.json")
    assert [frame.name for frame in frames] == [*demo.PHOTOS]
    assert all(person.keypoints_3d is not None for frame in frames for person in frame.people)
    assert frames[1].people
    said = capsys.readouterr().out
    assert said.count("$ posediff out/") == 2
    assert said.count("s a person") == 2
    page = (tmp_path / "out/film/view.html").read_text()
    assert page.count("data:image/jpeg") == 2  # the frames beside their poses


def test_without_a_lifter_it_says_so_and_stays_in_2d(shelf, tmp_path, capsys):
    shutil.rmtree(shelf / "lift3d")
    run(__main__.main, "demo")
    assert "3D is left out: no model lift3d ships" in capsys.readouterr().out
    here = written(tmp_path / "demo")
    assert "photos/street_poses.jpg" in here
    assert not any(name.endswith(("view.html", "angles.csv")) for name in here)


def test_a_model_that_does_not_exist_is_one_line_and_help_needs_nothing(shelf, capsys):
    with pytest.raises(SystemExit):
        run(__main__.main, "demo", "--model", "nothing")
    assert capsys.readouterr().err.startswith("error: nothing: no such folder and no model")
    with pytest.raises(SystemExit) as stop:
        run(__main__.main, "demo", "--help")
    assert (stop.value.code, capsys.readouterr().out) == (0, DEMO)


def test_the_examples_ship_and_are_attributed():
    notices = (shipped.PACKAGED.parents[1] / "THIRD_PARTY.md").read_text()
    names = {path.name for path in demo.EXAMPLES.iterdir()}
    assert names == {*demo.PHOTOS, demo.FILM}
    assert all(name in notices for name in names)
