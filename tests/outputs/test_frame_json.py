"""Our own JSON, written and read again."""

import json
from dataclasses import fields, replace

import numpy as np
import pytest
from helpers.people import person, video

from posediff.doors import limits
from posediff.outputs.frame_json import ARRAYS, read, stream, writing_json
from posediff.people.frame import Frame, Person
from posediff.pose.skeleton import skeleton


@pytest.fixture
def frames():
    rng = np.random.default_rng(0)
    flat = replace(person(rng, K=0, layout_3d=None), box_score=float("nan"))
    broken = person(rng, track=7)
    broken.keypoints_2d[3] = np.nan
    photo = Frame(
        'a "b" é.jpg',
        (640, 480),
        (flat, broken),
        seconds={"lift3d": 0.25},
        made_by=("model x", "cpu"),
    )
    image = np.zeros((240, 320, 3), np.uint8)
    return [photo, *(replace(f, image=image) for f in video([[], [person(rng, track=1)]]))]


def written(path, frames):
    with writing_json(path) as add:
        for frame in frames:
            add(frame)
    return path


def test_frames_are_read_as_they_were_to_the_written_precision(tmp_path, frames):
    again = read(written(tmp_path / "frames.json", frames))
    assert len(again) == len(frames)
    for old, new in zip(frames, again, strict=True):
        for name in ("name", "size", "index", "time", "seconds", "made_by"):
            assert getattr(new, name) == getattr(old, name)
        assert new.image is None
        for a, b in zip(old.people, new.people, strict=True):
            for name in (f.name for f in fields(Person)):
                x, y = getattr(a, name), getattr(b, name)
                if name not in ARRAYS:
                    assert y == x or (name == "box_score" and np.isnan([x, y]).all()), name
                elif x is None:
                    assert y is None, name
                else:
                    digits = 3 if ARRAYS[name][0] == "pixels" else 6
                    assert y.dtype == np.float32, name
                    assert y.shape == x.shape, name
                    np.testing.assert_allclose(y, x, rtol=1e-6, atol=0.51 * 10.0**-digits)
    rewritten = written(tmp_path / "again.json", again)
    assert rewritten.read_bytes() == (tmp_path / "frames.json").read_bytes()


def test_any_json_reader_finds_units_joints_and_a_line_per_frame(tmp_path, frames):
    path = written(tmp_path / "frames.json", frames)
    content = json.loads(path.read_text(encoding="utf-8"))
    assert content["units"]["keypoints_3d"] == "metres"
    assert content["skeletons"] == {
        name: list(skeleton(name).joints) for name in ("coco17", "h36m17")
    }
    assert content["frames"][0]["people"][1]["keypoints_2d"][3] == [None, None]
    assert len(path.read_text().splitlines()) == len(frames) + 2
    assert read(written(tmp_path / "none.json", [])) == ()
    path.write_text(path.read_text().replace('"made_by":', '"other":'))  # as the first files were
    assert [frame.made_by for frame in read(path)] == [()] * len(frames)


def test_a_long_file_is_read_frame_after_frame(tmp_path, frames, monkeypatch):
    path = written(tmp_path / "frames.json", frames)
    longest = max(map(len, path.read_bytes().splitlines())) + 1
    assert longest < path.stat().st_size - 100
    monkeypatch.setattr(limits.CURRENT, "json_mb", longest / 1e6)
    with pytest.raises(ValueError, match=r"more than limits\.json_mb"):
        read(path)
    again = written(tmp_path / "again.json", stream(path))
    assert again.read_bytes() == path.read_bytes()
    assert [*stream(written(tmp_path / "none.json", []))] == []
    monkeypatch.setattr(limits.CURRENT, "json_mb", (longest - 2) / 1e6)
    with pytest.raises(ValueError, match=r"the size of a line in MB is .* limits.json_mb"):
        list(stream(path))


def test_a_stream_of_another_or_broken_file_is_an_error_that_names_it(tmp_path, frames):
    path = written(tmp_path / "frames.json", frames)
    head, first, *lines = path.read_text().splitlines()
    for wrong, said in (
        ([], "no JSON"),
        (["{}"], "no JSON"),
        ([head, first], "cut short"),
        ([head, first, lines[0][:-20]], "frame 1: cut short or no JSON"),
        ([head.replace('"version":1', '"version":9'), first, *lines], "version 9"),
        ([head, first.replace('"scores":', '"scored":'), *lines], "frame 0 cannot be read"),
    ):
        path.write_text("\n".join(wrong))
        with pytest.raises(ValueError, match=said) as error:
            list(stream(path))
        assert str(path) in str(error.value)


def test_another_file_is_an_error_that_names_it(tmp_path, frames):
    path = written(tmp_path / "frames.json", frames)
    text = path.read_text()
    for wrong, said in (
        (text[:-20], "no JSON"),
        ("[]", "posediff.save wrote as json"),
        (text.replace('"version":1', '"version":9'), "version 9"),
        (text.replace('"box":[10.0,', '"box":[[10.0],'), "frame 0 cannot be read"),
        (text.replace('"scores":', '"scored":'), "frame 0 cannot be read: KeyError"),
    ):
        path.write_text(wrong)
        with pytest.raises(ValueError, match=said) as error:
            read(path)
        assert str(path) in str(error.value)
