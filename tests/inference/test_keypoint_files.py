"""Keypoints from files of every format, and the errors of other files."""

import json
import pickle

import numpy as np
import pytest
import torch
from helpers.keypoints import FULL, KEPT, POINTS, RNG, SCORES, J, coco, save_csv, save_json

from posediff.inference.keypoint_files import read_keypoints

WRITERS = {
    "a.npy": lambda path, x: np.save(path, x),
    "a.npz": lambda path, x: np.savez(path, x),
    "b.npz": lambda path, x: np.savez(path, keypoints=x, other=np.zeros(2)),
    "a.json": lambda path, x: save_json(path, x.tolist()),
    "b.json": lambda path, x: save_json(path, {"keypoints": x.tolist(), "by": "me"}),
    "a.csv": lambda path, x: save_csv(path, x.reshape(len(x), -1)),
    "b.CSV": lambda path, x: save_csv(
        path, [[f"{c}{j}" for j in range(J) for c in "xys"[: x.shape[-1]]], *x.reshape(len(x), -1)]
    ),
}


@pytest.mark.parametrize("name", WRITERS)
def test_every_format_has_the_same_keypoints(tmp_path, name):
    WRITERS[name](tmp_path / name, FULL)
    points, scores, names, *_ = read_keypoints(tmp_path / name, J)
    assert points.dtype == scores.dtype == torch.float32
    assert np.array_equal(points, KEPT.astype(np.float32))
    assert np.array_equal(scores, SCORES.astype(np.float32))
    assert names == ["000000", "000001", "000002"]


@pytest.mark.parametrize("name", WRITERS)
def test_without_scores_every_joint_counts(tmp_path, name):
    WRITERS[name](tmp_path / name, POINTS)
    points, scores, *_ = read_keypoints(tmp_path / name, J)
    assert np.array_equal(points, POINTS.astype(np.float32))
    assert (scores == 1).all()


@pytest.mark.parametrize("name", ["a.npy", "a.npz", "b.npz", "a.json", "b.json"])
@pytest.mark.parametrize("columns", [2, 3])
def test_one_frame_needs_no_axis_of_frames(tmp_path, name, columns):
    WRITERS[name](tmp_path / name, FULL[0, :, :columns])
    assert np.array_equal(
        read_keypoints(tmp_path / name, J).points[0],
        (POINTS if columns == 2 else KEPT)[0].astype(np.float32),
    )


def test_scores_may_be_an_array_of_their_own(tmp_path):
    np.savez(tmp_path / "a.npz", keypoints=POINTS, scores=SCORES)
    save_json(tmp_path / "a.json", {"keypoints": POINTS.tolist(), "scores": SCORES.tolist()})
    for name in ("a.npz", "a.json"):
        assert np.array_equal(read_keypoints(tmp_path / name, J).scores, SCORES.astype(np.float32))


def test_whole_numbers_and_visibility_two_are_read(tmp_path):
    np.save(tmp_path / "a.npy", np.array([[[1, 2, 2], [3, 4, 1], [5, 6, 0]]], np.int16))
    points, scores, *_ = read_keypoints(tmp_path / "a.npy", 3)
    assert points.tolist() == [[[1, 2], [3, 4], [0, 0]]]
    assert scores.tolist() == [[1, 1, 0]]


def test_a_missing_joint_may_be_nan(tmp_path):
    x = FULL.copy()
    x[:, 2, :2] = np.nan
    for name in ("a.npy", "a.json", "a.csv"):
        WRITERS[name](tmp_path / name, x)
        assert np.array_equal(read_keypoints(tmp_path / name, J).points, KEPT.astype(np.float32))


def test_a_point_of_nan_needs_no_score_to_be_missing(tmp_path):
    np.save(tmp_path / "a.npy", np.array([[[1, 2], [np.nan, np.nan]]]))
    points, scores, *_ = read_keypoints(tmp_path / "a.npy", 2)
    assert points.tolist() == [[[1, 2], [0, 0]]]
    assert scores.tolist() == [[1, 0]]


def test_null_and_empty_cells_are_nan(tmp_path):
    save_json(tmp_path / "a.json", [[[None, None, 0], [1, 2, 1]]])
    (tmp_path / "a.csv").write_text(",,0,1,2,1\n\n")
    for name in ("a.json", "a.csv"):
        assert read_keypoints(tmp_path / name, 2).points.tolist() == [[[0, 0], [1, 2]]]


@pytest.mark.parametrize("header", [True, False])
def test_the_first_column_of_a_csv_may_name_the_frames(tmp_path, header):
    words = ["image", *(f"{j}_{c}" for j in range(J) for c in ("x", "y", "score"))]
    rows = [[f"f{i}.jpg", *row] for i, row in enumerate(FULL.reshape(3, -1))]
    save_csv(tmp_path / "a.csv", [words, *rows] if header else rows)
    points, _, names, *_ = read_keypoints(tmp_path / "a.csv", J)
    assert names == ["f0.jpg", "f1.jpg", "f2.jpg"]
    assert np.array_equal(points, KEPT.astype(np.float32))


def test_people_of_coco_results_are_frames_named_after_their_image(tmp_path):
    save_json(tmp_path / "a.json", [coco(i, x) for i, x in zip([7, 9, 7], FULL, strict=True)])
    points, _, names, *_ = read_keypoints(tmp_path / "a.json", J)
    assert names == ["7#0", "9", "7#1"]
    assert np.array_equal(points, KEPT.astype(np.float32))


def test_people_without_a_label_in_coco_annotations_are_no_rows(tmp_path):
    unlabelled = {"image_id": 3, "keypoints": [0] * 3 * J}
    data = {
        "images": [{"id": 3, "file_name": "c.jpg"}],
        "annotations": [unlabelled, coco(3, FULL[0]), coco(4, FULL[1]), {"image_id": 3}],
    }
    save_json(tmp_path / "a.json", data)
    points, _, names, *_ = read_keypoints(tmp_path / "a.json", J)
    assert names == ["c.jpg", "4"]
    assert np.array_equal(points, KEPT[:2].astype(np.float32))


def test_a_real_coco_file_has_its_labelled_people_as_rows(shared):
    path = shared / "data/coco_mini/person_keypoints_train2017.json"
    points, scores, names, *_ = read_keypoints(path, 17)
    assert len(points) == len(set(names)) == 86
    people = [p for p in json.loads(path.read_text())["annotations"] if p["num_keypoints"]]
    assert [(s > 0).sum() for s in scores] == [p["num_keypoints"] for p in people]
    assert names[0].split("#")[0].endswith(".jpg")


def put(index, value):
    """FULL with one entry changed."""
    x = FULL.copy()
    x[index] = value
    return x


PICKLED = r"no plain array \(pickled Python objects are not read\); save numbers: np\.save\("
BAD = {  # case: (name, write(path), message)
    "unknown extension": (
        "a.doc",
        lambda p: p.write_text("1"),
        r"unknown kind of file '\.doc'; .*\.npz, \.npy, \.json, \.csv, \.txt, \.h5",
    ),
    "empty npz": ("a.npz", lambda p: p.touch(), "the file is empty"),
    "empty csv": ("a.csv", lambda p: p.touch(), "the file is empty"),
    "blank csv": ("a.csv", lambda p: p.write_text("\n\n"), "has no keypoints"),
    "no frames": ("a.npy", lambda p: np.save(p, FULL[:0]), "has no keypoints"),
    "no list": ("a.json", lambda p: save_json(p, []), "has no keypoints"),
    "pickle in npy": ("a.npy", lambda p: np.save(p, np.array([{}, 1])), PICKLED),
    "pickle in npz": (
        "a.npz",
        lambda p: np.savez(p, keypoints=np.array({"S1": POINTS}, dtype=object)),
        PICKLED,
    ),
    "bare pickle": ("a.npy", lambda p: p.write_bytes(pickle.dumps(POINTS)), PICKLED),
    "text as npy": ("a.npy", lambda p: p.write_text("1,2,3"), PICKLED),
    "words in npy": ("a.npy", lambda p: np.save(p, np.array([["a", "b"]] * J)), "not numbers"),
    "complex": ("a.npy", lambda p: np.save(p, POINTS * 1j), "not numbers"),
    "several arrays": (
        "a.npz",
        lambda p: np.savez(p, left=POINTS, right=POINTS),
        "contains left, right; name the array of 2D keypoints `keypoints`",
    ),
    "no array": ("a.npz", lambda p: np.savez(p), "contains no array; name"),
    "3D poses": (
        "a.npz",
        lambda p: np.savez(p, keypoints=FULL, scores=SCORES),
        r"keypoints \(3, 5, 3\) and scores \(3, 5\) do not belong .* 3D poses are no input",
    ),
    "wrong joints": (
        "a.npy",
        lambda p: np.save(p, FULL[:, :4]),
        "the layout has 5 joints, the file has 4; name the layout",
    ),
    "two people": (
        "a.npy",
        lambda p: np.save(p, FULL[:, None]),
        r"shape \(3, 1, 5, 3\); keypoints",
    ),
    "flat": ("a.npy", lambda p: np.save(p, POINTS.reshape(3, -1)), r"shape \(3, 10\); keypoints"),
    "nan": (
        "a.npy",
        lambda p: np.save(p, put((1, 3, 0), np.nan)),
        r"frame 1 \(000001\), joint 3: the point is \[nan, .*give a missing joint the score 0",
    ),
    "inf": (
        "a.json",
        lambda p: save_json(p, put((2, 0, 1), np.inf).tolist()),
        r"frame 2 \(000002\), joint 0: the point is \[.*, inf\]; give a missing",
    ),
    "nan without scores": (
        "a.csv",
        lambda p: p.write_text("1,2,,4\n"),
        r"frame 0 \(000000\), joint 1: the point is \[nan, 4\.0\]; .*in a third column",
    ),
    "nan score": (
        "a.npy",
        lambda p: np.save(p, put((0, 1, 2), np.nan)),
        r"frame 0 \(000000\), joint 1: the third number is a score, .* not nan",
    ),
    "depths": (
        "a.npy",
        lambda p: np.save(p, put((..., 2), np.linspace(-1, 1, J))),
        r"the third numbers, -1 to 1, are no scores, 0 \(missing\) to 1; 3D poses are no input",
    ),
    "broken json": ("a.json", lambda p: p.write_text('{"keypoints": [[1,'), "cut short or no JSON"),
    "binary json": ("a.json", lambda p: p.write_bytes(b"\xff\xfe\x00"), "cut short or no JSON"),
    "other json": (
        "a.json",
        lambda p: save_json(p, {"poses": []}),
        "neither a list nor an object with `keypoints` or `annotations`; write",
    ),
    "ragged json": (
        "a.json",
        lambda p: save_json(p, [FULL[0].tolist(), FULL[1, :4].tolist()]),
        r"entry 1 has shape \(4, 3\), entry 0 \(5, 3\); give every frame all joints",
    ),
    "ragged joint": ("a.json", lambda p: save_json(p, [[[1, 2], [3]]]), "entry 0: not numbers"),
    "word in json": ("a.json", lambda p: save_json(p, [[[1, "x"]]]), "entry 0: not numbers"),
    "huge number": ("a.json", lambda p: save_json(p, [[[1, 10**400]]]), "entry 0: not numbers"),
    "keypoints a word": ("a.json", lambda p: save_json(p, {"keypoints": "x"}), "must be a list"),
    "coco joints": (
        "a.json",
        lambda p: save_json(p, [coco(1, FULL[0]), coco(2, FULL[1, :4])]),
        r"entry 1 \(image 2\): the layout has 5 joints, the file has 4 \(x, y, score each\)",
    ),
    "coco entry": (
        "a.json",
        lambda p: save_json(p, [coco(1, FULL[0]), {"image_id": 2}]),
        "entry 1: a COCO entry needs `image_id` and `keypoints`",
    ),
    "coco without people": (
        "a.json",
        lambda p: save_json(p, {"images": [], "annotations": []}),
        "has no keypoints",
    ),
    "csv joints": (
        "a.csv",
        lambda p: save_csv(p, FULL[:, :4].reshape(3, -1)),
        r"line 1: the layout has 5 joints, the file has 4 \(x, y, score\) or 6 \(x, y\)",
    ),
    "ragged csv": (
        "a.csv",
        lambda p: save_csv(p, [FULL[0].ravel(), FULL[1].ravel()[:-1]]),
        "line 2: 14 columns, but the first line has 15; correct the line",
    ),
    "word in csv": (
        "a.csv",
        lambda p: save_csv(p, [FULL[0].ravel(), ["oops", *FULL[1].ravel()[1:]]]),
        "line 2, column 1: 'oops' is no number; correct it",
    ),
    "csv by axis": (
        "a.csv",
        lambda p: save_csv(p, [["x1", "x2", "x3", "x4", "x5", "y1", "y2", "y3", "y4", "y5"]]),
        "header, column 2 is 'x2' where an y is needed; order and name the columns x1,y1",
    ),
    "binary csv": ("a.csv", lambda p: p.write_bytes(b"\xff\xfe\x00\xff"), "no CSV text"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_line_that_names_the_file_and_the_remedy(tmp_path, case):
    name, write, line = BAD[case]
    write(tmp_path / name)
    joints = 2 if case == "nan without scores" else J
    with pytest.raises(ValueError, match=line) as error:
        read_keypoints(tmp_path / name, joints)
    assert str(error.value).startswith(str(tmp_path / name))
    assert "\n" not in str(error.value)


def test_a_missing_file_is_named(tmp_path):
    for path in (tmp_path / "a.npz", str(tmp_path / "a.csv")):
        with pytest.raises(FileNotFoundError, match=r"no such file; name the file"):
            read_keypoints(path, J)
    (tmp_path / "folder.npz").mkdir()
    with pytest.raises(FileNotFoundError):
        read_keypoints(tmp_path / "folder.npz", J)


@pytest.mark.parametrize("name", ["a.npy", "b.npz"])
def test_a_numpy_file_cut_anywhere_is_one_clear_error(tmp_path, name):
    WRITERS[name](tmp_path / name, FULL)
    whole = (tmp_path / name).read_bytes()
    for length in range(1, len(whole) - 1, 7):
        (tmp_path / name).write_bytes(whole[:length])
        with pytest.raises(ValueError, match=r"cut short or no NumPy file|pickled") as error:
            read_keypoints(tmp_path / name, J)
        assert "\n" not in str(error.value)


def test_a_compressed_npz_with_a_damaged_byte_is_one_clear_error(tmp_path):
    path = tmp_path / "a.npz"
    np.savez_compressed(path, keypoints=RNG.normal(size=(50, J, 2)))
    whole = path.read_bytes()
    for at in range(len(whole) // 4, len(whole) // 2, 50):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 0xFF]) + whole[at + 1 :])
        with pytest.raises(ValueError, match="cut short or no NumPy file"):
            read_keypoints(path, J)
