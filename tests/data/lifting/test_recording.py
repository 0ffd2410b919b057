"""Files of clips: a round trip is exact, and errors name what is damaged."""

import numpy as np
import pytest

from posediff.data.lifting.recording import Recording, read, write


def clip(name="walk", frames=30, start=0.0, **words):
    draws = np.random.default_rng(len(name))
    joints = start + np.cumsum(draws.normal(0, 20, (frames, 17, 3)), 0)
    labels = {"subject": "ann", "action": "walk", "source": "own", "split": "train"} | words
    return Recording(name, **labels, native_fps=120.0, joints=joints)


def test_a_round_trip_keeps_labels_and_a_quarter_millimetre(tmp_path):
    clips = [clip("walk"), clip("run#1", 7, subject="bob", action="run", split="test")]
    write(tmp_path / "own.npz", clips)
    for ours, theirs in zip(read(tmp_path / "own.npz"), clips, strict=True):
        assert np.abs(ours.joints - theirs.joints).max() <= 0.125
        labels = {**vars(ours), "joints": None}
        assert labels == {**vars(theirs), "joints": None}
    assert [path.name for path in tmp_path.iterdir()] == ["own.npz"]  # no leftover part


def test_a_clip_far_from_the_middle_is_kept_too(tmp_path):
    far = clip(start=20_000.0)
    write(tmp_path / "own.npz", [far])
    assert np.abs(read(tmp_path / "own.npz")[0].joints - far.joints).max() <= 0.125


@pytest.mark.parametrize("bad", [np.nan, np.inf, 1e9])
def test_joints_that_no_file_can_have_are_refused_by_the_name_of_their_clip(tmp_path, bad):
    run = clip("run", subject="bob")
    run.joints[7, 3, 1] = bad
    with pytest.raises(ValueError, match=r"own\.npz: clip run of bob has joints that are not fin"):
        write(tmp_path / "own.npz", [clip("walk"), run])
    assert not list(tmp_path.iterdir())


def test_writing_what_was_read_returns_the_published_file(shared, tmp_path):
    original = shared / "data/mocap17/hdm05_11.npz"
    write(tmp_path / "again.npz", read(original))
    with np.load(original) as old, np.load(tmp_path / "again.npz") as new:
        assert set(old) == set(new)
        for entry in old:
            assert old[entry].dtype == new[entry].dtype
            np.testing.assert_array_equal(old[entry], new[entry])


@pytest.mark.parametrize(
    ("entry", "value", "message"),
    [
        ("pos_delta", None, "is missing"),
        ("pos_delta", np.zeros((60, 16, 3), np.int16), r"must have shape \(N, 17, 3\)"),
        ("pos_delta", np.zeros(60, np.int16), r"must have shape \(N, 17, 3\)"),
        ("pos_delta", np.full((60, 17, 3), np.nan), "must contain integers"),
        ("subject", np.array(["ann", None], object), "no plain array"),
        ("subject", np.array(["ann"]), "must have one value per clip"),
        ("subject", np.array([1, 2]), "must be of numpy's kind 'U'"),
        ("start", np.array([0, -1]), "must be 0 or more"),
        ("length", np.array([30, 0]), "must be above 0"),
        ("length", np.array([30, 31]), "must end within 60 frames"),
        ("native_fps", np.array([120, np.nan]), "must be finite"),
        ("split", np.array(["train", "val"]), "must be train or test"),
        ("unit_mm", np.float32(np.nan), "must be above 0"),
        ("unit_mm", np.array([0.25, 0.25]), "must be one number"),
        ("fps", np.float32(25), "must be 50"),
        ("joints", np.array(["pelvis"] * 17), "must be pelvis r_hip"),
    ],
)
def test_a_wrong_entry_is_one_line_that_names_file_and_entry(tmp_path, entry, value, message):
    path = tmp_path / "own.npz"
    write(path, [clip("walk"), clip("run")])
    with np.load(path) as file:
        entries = dict(file) | {entry: value}
    np.savez(path, **{k: v for k, v in entries.items() if v is not None})
    with pytest.raises(ValueError, match=rf"own.npz: entry {entry}:? {message}") as error:
        read(path)
    assert "\n" not in str(error.value)


def test_a_truncated_or_damaged_file_is_named(tmp_path):
    path = tmp_path / "own.npz"
    write(path, [clip()])
    whole = path.read_bytes()
    path.write_bytes(whole[:-200])
    with pytest.raises(ValueError, match=r"own\.npz: cut short"):
        read(path)
    path.write_bytes(whole[:300] + bytes(100) + whole[400:])  # inside the first entry
    with pytest.raises(ValueError, match=r"own\.npz: cut short or no NumPy"):
        read(path)
    path.write_bytes(b"version https://git-lfs.github.com/spec/v1")
    with pytest.raises(ValueError, match=r"own\.npz: cut short or no NumPy file"):
        read(path)
