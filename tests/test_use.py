"""A file that cannot be used does not lose the results of the others."""

from pathlib import Path

import pytest

from posediff import use
from posediff.command import one_line_errors


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


def test_frames_of_a_video_before_an_error_are_kept_and_it_is_noted():
    bad = []
    assert [*use.until_error(frames(3), bad)] == [0, 1, 2]
    assert bad == []
    assert [*use.until_error(frames(2, ValueError("a.mp4: frame 2")), bad)] == [0, 1]
    assert bad == ["a.mp4: frame 2; the 2 frames before it are written"]
    with pytest.raises(ValueError, match="frame 1"):  # one frame is no film
        list(use.until_error(frames(1, ValueError("a.mp4: frame 1")), bad))


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


@pytest.mark.parametrize(
    ("primary", "said"),
    [("train", "resume=true"), ("predict", "no file is left half written")],
)
def test_a_stop_ends_all_files_and_only_a_training_says_how_it_goes_on(capsys, primary, said):
    bad = []
    stopped = pytest.raises(SystemExit)
    with stopped as stop, use.kept(bad, Path("a.json")), one_line_errors(primary):
        raise KeyboardInterrupt
    assert (stop.value.code, bad) == (130, [])
    err = capsys.readouterr().err
    assert err.startswith("\nstopped; ")
    assert err.endswith(f"{said}\n")


def test_a_film_of_one_frame_has_no_format_of_motion():
    use.refuse_short(Path("a.mp4"), 2, ["csv", "curves", "gif"])
    use.refuse_short(Path("a.mp4"), 1, ["csv", "angles"])
    with pytest.raises(ValueError, match=r"a.mp4: a video of 1 frame, .* curves,gif needs 2"):
        use.refuse_short(Path("a.mp4"), 1, ["csv", "curves", "gif"])


def test_a_folder_of_keypoints_is_lifted_and_one_of_photos_is_not(tmp_path):
    assert use.kind_of(tmp_path) == ""
    (tmp_path / "0_keypoints.json").write_text("{}")
    assert use.kind_of(tmp_path) == ".json"
    (tmp_path / "0.jpg").touch()
    assert use.kind_of(tmp_path) == ""
    assert use.kind_of(tmp_path / "a.MP4") == ".mp4"


def test_files_of_one_name_have_folders_of_their_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = ("a/clip.mp4", "b/clip.mp4", "Walk.mp4", "walk.json", "a b.npy", "clip.jpg")
    asked = use.parser().parse_args([*names, "--to", "out"])
    found = use.folders_of(asked, {path: path.suffix for path in asked.files})
    assert [str(folder) for folder in found.values()] == [
        *("out/a_clip_mp4", "out/b_clip_mp4", "out/Walk", "out/walk_2", "out/a b", "out")
    ]
    assert use.folders_of(asked, {Path("a/clip.mp4"): ".mp4"}) == {Path("a/clip.mp4"): Path("out")}


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
    asked.formats = ["angles", "curves"]  # a curve is the motion of one person, not of several
    assert use.formats(asked, film=False, several=True) == ["json", "angles"]
