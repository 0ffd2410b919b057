"""A file that cannot be used does not lose the results of the others."""

from pathlib import Path

import pytest

from posediff import use


def frames(count, error=None):
    yield from range(count)
    if error:
        raise error


def test_frames_before_an_error_are_kept_and_the_error_is_noted():
    bad = []
    assert use.gathered(frames(3), bad) == [0, 1, 2]
    assert bad == []
    assert use.gathered(frames(3, ValueError("1 of 4 not used:\nb.jpg")), bad) == [0, 1, 2]
    assert bad == ["1 of 4 not used: b.jpg"]
    with pytest.raises(ValueError, match=r"b\.jpg"):
        use.gathered(frames(0, ValueError("b.jpg")), [])


@pytest.mark.parametrize(
    ("error", "noted"),
    [
        (OSError("a.mp4: no such video"), ["a.mp4: no such video"]),
        (ValueError("a.mp4: damaged"), ["a.mp4: damaged"]),
        (SystemExit(1), ["a.mp4: was not used, as said above"]),
        (SystemExit(0), []),
    ],
)
def test_an_error_of_one_file_is_noted(error, noted):
    bad = []
    with use.kept(bad, Path("a.mp4")):
        raise error
    assert bad == noted


def test_a_folder_of_keypoints_is_lifted_and_one_of_photos_is_not(tmp_path):
    assert use.kind_of(tmp_path) == ""
    (tmp_path / "0_keypoints.json").write_text("{}")
    assert use.kind_of(tmp_path) == ".json"
    (tmp_path / "0.jpg").touch()
    assert use.kind_of(tmp_path) == ""
    assert use.kind_of(tmp_path / "a.MP4") == ".mp4"


def test_a_file_may_begin_with_a_dash_and_an_option_is_no_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("-dash.jpg", "--to", "--2d.jpg"):
        Path(name).touch()
    asked = use.parser().parse_args(["-dash.jpg", "--2d.jpg", "--to", "out"])
    assert asked.files == [Path("-dash.jpg"), Path("--2d.jpg")]
    assert (asked.to, asked.flat) == (Path("out"), False)


def test_photos_and_films_of_one_picture_are_no_film():
    asked = use.parser().parse_args(["a.jpg", "--2d"])
    assert "video" in use.formats(asked, film=True, several=True)
    assert use.formats(asked, film=True, several=False) == use.formats(asked, False, True)
    asked = use.parser().parse_args(["a.jpg", "a.mp4", "--formats", "csv, video"])
    assert use.formats(asked, film=True, several=True) == ["json", "csv", "video"]
    assert use.formats(asked, film=False, several=True) == ["json", "csv"]
