"""`posediff demo`, with models that are hardly trained and small examples."""

import shutil

import pytest
from helpers.commands import run
from helpers.shelf import film
from helpers.shelf import shelf as build

from posediff import __main__, demo, shipped
from posediff.outputs.frame_json import read
from posediff.usage import DEMO


@pytest.fixture
def shelf(tmp_path, monkeypatch):
    """The models of helpers/shelf.py as those that ship; the examples are one photo and a film."""
    folder = build(tmp_path / "shelf")
    monkeypatch.delenv("POSEDIFF_WEIGHTS", raising=False)
    monkeypatch.setattr(shipped, "PACKAGED", folder)
    examples = tmp_path / "examples"
    examples.mkdir()
    for name in demo.PHOTOS:
        shutil.copyfile(demo.EXAMPLES / "street.jpg", examples / name)
    film(examples / demo.FILM)
    monkeypatch.setattr(demo, "EXAMPLES", examples)
    monkeypatch.chdir(tmp_path)
    return folder


def written(folder):
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_the_demo_writes_pictures_tables_curves_a_film_and_pages(shelf, tmp_path, capsys):
    run(__main__.main, "demo", "--to", "out")
    here = written(tmp_path / "out")
    assert {*demo.PHOTOS, demo.FILM} < here
    assert {"photos/street_people.jpg", "photos/view.html", "photos/angles.csv"} < here
    assert {"film/poses.mp4", "film/view.html", "film/angles_000.png", "film/motion_000.bvh"} < here
    frames = read(tmp_path / "out/photos/frames.json")
    assert [frame.name for frame in frames] == [*demo.PHOTOS]
    assert all(person.keypoints_3d is not None for frame in frames for person in frame.people)
    assert frames[1].people
    said = capsys.readouterr().out
    assert said.count("$ posediff out/") == 2
    assert said.count("s a person") == 2
    page = (tmp_path / "out/film/view.html").read_text()
    assert page.count("data:image/jpeg") == 3  # the frames beside their poses


def test_without_a_lifter_it_says_so_and_stays_in_2d(shelf, tmp_path, capsys):
    shutil.rmtree(shelf / "lift3d")
    run(__main__.main, "demo")
    assert "3D is left out: no model lift3d ships" in capsys.readouterr().out
    here = written(tmp_path / "demo")
    assert "photos/street_people.jpg" in here
    assert not any(name.endswith(("view.html", "angles.csv")) for name in here)


def test_a_file_of_the_user_is_not_written_over(shelf, tmp_path, capsys):
    (tmp_path / "out").mkdir()
    shutil.copyfile(demo.EXAMPLES / "skateboard.jpg", tmp_path / "out/skateboard.jpg")
    (tmp_path / "out/street.jpg").write_text("mine")
    with pytest.raises(SystemExit):
        run(__main__.main, "demo", "--to", "out")
    assert "error: out/street.jpg: a file of yours" in capsys.readouterr().err
    assert written(tmp_path / "out") == {"skateboard.jpg", "street.jpg"}
    assert (tmp_path / "out/street.jpg").read_text() == "mine"


def test_a_model_that_does_not_exist_is_one_line_and_help_needs_nothing(shelf, capsys):
    with pytest.raises(SystemExit):
        run(__main__.main, "demo", "--model", "nothing")
    assert capsys.readouterr().err.startswith("error: nothing: no such folder and no model")
    with pytest.raises(SystemExit) as stop:
        run(__main__.main, "demo", "--help")
    assert (stop.value.code, capsys.readouterr().out) == (0, DEMO)


def test_the_examples_ship_and_are_attributed():
    notices = (demo.EXAMPLES.parents[1] / "THIRD_PARTY.md").read_text()
    names = {path.name for path in demo.EXAMPLES.iterdir()}
    assert names == {*demo.PHOTOS, demo.FILM}
    assert all(name in notices for name in names)
