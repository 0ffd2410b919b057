"""Values that were taken without a word are errors: of the kind, the range, or not finite."""

import json
from pathlib import Path

import h5py
import numpy as np
import pytest
from helpers import readers

from posediff.data.lifting import h36m, mocap, mpi_inf_3dhp
from posediff.doors import checks
from posediff.inference.keypoint_files import read_keypoints
from posediff.inference.photo_input import box_in, read_boxes
from posediff.pose.skeleton import skeleton

AT = readers.AT


def altered(folder, name, change):
    """The file and reader of a source, its JSON changed in place."""
    path, read, _ = readers.READERS[name](folder)
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))
    return path, read


def person(**values):
    return lambda content: content["annotations"][0].update(values)


def image(**values):
    return lambda content: content["images"][0].update(values)


def joint(**values):
    def change(content):
        point = content["annolist"][0]["annorect"][0]["annopoints"][0]["point"][3]
        point.update({key: [value] for key, value in values.items()})

    return change


@pytest.mark.parametrize(
    ("name", "change", "words"),
    [
        ("coco", person(iscrowd="0"), "iscrowd must be true or false"),
        ("coco", person(id=2**70), "id must be an integer"),
        ("coco", person(id=1.5), "id must be an integer"),
        ("coco", person(area=10**400), "area must be a finite number"),
        ("coco", person(area="12"), "area must be a finite number"),
        ("coco", person(bbox=[[0, 0, 9, 9]]), ""),
        ("coco", person(bbox=[0, 0, 9, 1e39]), "bbox must be 4 finite numbers"),
        ("coco", person(num_keypoints=1.5), "num_keypoints must be an integer"),
        ("coco", image(width=2**70), "width and height must be positive"),
        ("coco", image(width=True), "width and height must be positive"),
        ("posetrack18", image(is_labeled="false"), "is_labeled must be true or false"),
        ("posetrack18", person(track_id=1.2), "track_id must be an integer"),
        ("posetrack18", person(track_id=2**70), "track_id must be an integer"),
        ("posetrack18", person(image_id=[1]), "image_id must be an integer"),
        ("posetrack18", person(bbox=[1, 2, 3]), "bbox must be"),
        ("posetrack18", person(bbox={"x": 1}), "bbox must be"),
        ("posetrack18", person(keypoints=5), "keypoints must be"),
        ("posetrack18", image(file_name=f"v/{'9' * 30}.jpg"), "more than 18 digits"),
        ("posetrack17", lambda content: content.update(annolist=None), "annolist must be a list"),
        ("posetrack17", joint(id=-1), "id of a joint must be an integer in 0 .. 14"),
        ("posetrack17", joint(id=99), "id of a joint must be an integer in 0 .. 14"),
        ("posetrack17", joint(x=float("inf")), "x must be a finite number"),
        ("posetrack17", joint(is_visible="no"), "is_visible must be true or false"),
    ],
)
def test_an_annotation_says_what_it_means(tmp_path, name, change, words):
    path, read = altered(tmp_path, name, change)
    if not words:
        read(path)
        return
    with pytest.raises(ValueError, match=words) as error:
        read(path)
    assert path.name in str(error.value)


@pytest.mark.parametrize("entry", ["world", "cpn"])
def test_a_prepared_file_of_h36m_is_finite(tmp_path, entry):
    path, read, _ = readers.READERS["h36m"](tmp_path)
    with h5py.File(path, "r+") as file:
        file[f"S1/Walking/{entry}"][..., 0, 0] = np.nan
    with pytest.raises(
        ValueError, match=rf"h36m\.h5: S1/Walking/{entry}\[.* is nan.*prepare it aga"
    ):
        read(path)
    with pytest.raises(ValueError, match="no clips of S5"):
        list(h36m.read(path, ["S5"]))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda view: view["annot3"].__setitem__((0, 0, 0), np.inf), r"annot3\[0, 0, 0\] is inf"),
        (lambda view: view["keypoints_2d"].__setitem__((0, 0, 0), np.nan), "keypoints_2d"),
        (lambda view: view["activity"].__setitem__(0, 0), r"activity must be integers in 1 \.\. 7"),
        (lambda view: view["activity"].__setitem__(0, 200), "activity must be integers in 1"),
        (lambda view: view["valid"].__setitem__(0, 2), r"valid must be integers in 0 \.\. 1"),
        (lambda view: view.attrs.pop("intrinsics"), "intrinsics must be 9 finite numbers"),
        (lambda view: view.attrs.update(intrinsics=np.full(9, np.nan)), "9 finite numbers"),
        (lambda view: view.__delitem__("keypoints_2d"), "no array keypoints_2d|cannot be read"),
    ],
)
def test_a_prepared_file_of_3dhp_is_finite_and_of_known_activities(tmp_path, change, words):
    path, read, _ = readers.READERS["3dhp"](tmp_path)
    with h5py.File(path, "r+") as file:
        change(file[AT])
    with pytest.raises(ValueError, match=rf"mpi\.h5: {AT}/.*({words})"):
        read(path)
    assert mpi_inf_3dhp.ACTIVITIES


def test_cameras_are_finite_and_have_one_name_each(tmp_path):
    def twice(content):
        content["cameras"] *= 2

    path, read = altered(tmp_path, "mocap cameras", twice)
    with pytest.raises(ValueError, match="a second camera of id 0"):
        mocap.read_cameras(path)
    camera = lambda content: content["cameras"][0].update(center=[1e39, 0])  # noqa: E731
    path, read = altered(tmp_path, "mocap cameras", camera)
    with pytest.raises(ValueError, match="center must be finite"):
        read(path)


def test_coordinates_that_overflow_and_fractions_of_tracks_are_errors(tmp_path):
    values = np.ones((3, 17, 2))
    values[1, 4, 0] = 1e39
    np.save(tmp_path / "a.npy", values)
    np.savez(tmp_path / "a.npz", keypoints=values)
    (tmp_path / "a.json").write_text(json.dumps(values.tolist()))
    (tmp_path / "a.csv").write_text("\n".join(",".join(map(str, x)) for x in values.reshape(3, -1)))
    with pytest.raises(
        ValueError, match=r"a\.csv: line 2, column 9: '1e\+39' is not finite, or too"
    ):
        read_keypoints(tmp_path / "a.csv", 17)
    for suffix in ("npy", "npz", "json"):
        with pytest.raises(ValueError, match=rf"a\.{suffix}: 1e\+39 .*too large"):
            read_keypoints(tmp_path / f"a.{suffix}", 17)
    for track in (1.2, float("inf"), float("nan")):
        entries = [readers.RESULTS[0] | {"track_id": track}]
        (tmp_path / "t.json").write_text(json.dumps(entries))
        with pytest.raises(ValueError, match=r"t\.json: frame .*: track_id must be an integer"):
            read_keypoints(tmp_path / "t.json", 17)


def test_a_check_takes_what_it_is_for_and_nothing_else():
    assert [checks.flag("x", v) for v in (True, False, 1, 0, 1.0)] == [
        True,
        False,
        True,
        False,
        True,
    ]
    for wrong in ("true", "0", 2, None, [True]):
        with pytest.raises(ValueError, match="x must be true or false"):
            checks.flag("x", wrong)
    assert checks.integer("x", 3.0) == 3
    for wrong in (True, 1.5, "3", None, 2**60, float("nan"), float("inf")):
        with pytest.raises(ValueError, match="x must be an integer"):
            checks.integer("x", wrong)
    assert checks.number("x", 3) == 3.0
    for wrong in (True, "3", None, float("nan"), 1e39, 10**400):
        with pytest.raises(ValueError, match="x must be a finite number"):
            checks.number("x", wrong)
    for wrong in ([1, "2"], [True, False], [[1], [2, 3]], [1e39, 0], [10**400, 1], {}, None):
        with pytest.raises(ValueError, match="x"):
            checks.array("x", wrong, 2)


UNUSABLE = ("inf", "-inf", "Infinity", "1e400", "1e39", "x")


@pytest.mark.parametrize("word", UNUSABLE)
def test_a_number_of_text_is_finite_or_named_with_its_line_and_column(tmp_path, word):
    """In tables of keypoints, of DeepLabCut and Ultralytics, and in boxes of MOT."""
    head = ["scorer,net,net,net", "bodyparts,nose,nose,nose", "coords,x,y,likelihood"]
    texts = {
        "a.csv": (f"1,2,1,3,4,1\n1,2,1,{word},4,1\n", 2, 4),
        "first.csv": (f"1,2,1,{word if word != 'x' else 'inf'},4,1\n", 1, 4),
        "named.csv": (f"f1,1,2,1,3,4,1\nf2,1,2,1,3,{word},1\n", 2, 6),
        "dlc.csv": ("\n".join([*head, "0,1,2,.9", f"1,{word},2,.9"]), 5, 2),
        "frame.txt": (f"0 .5 .5 .1 .1 .2 .3 1 .4 .5 1\n0 .5 .5 .1 .1 .2 .3 1 .4 {word} 1", 2, 10),
    }
    for name, (text, line, column) in texts.items():
        (tmp_path / name).write_text(text)
        with pytest.raises(ValueError, match=rf"{name}: line {line}, column {column}: .*; correct"):
            read_keypoints(tmp_path / name, 2, skeleton("coco17"))
    (tmp_path / "mot.txt").write_text(f"1,1,2,3,40,50,1\n2,1,2,{word},40,50,1\n")
    with pytest.raises(ValueError, match=r"mot\.txt: line 2, column 4: .*; correct it"):
        read_boxes(tmp_path / "mot.txt")


def test_a_joint_of_a_table_that_is_empty_or_nan_is_missing_and_half_of_one_is_an_error(tmp_path):
    missing = ("1,2,1,,,\n", "1,2,,\n", "1,2,1,nan,nan,0\n", "1,2,1,,,0\n")
    for text in (*missing, "1,2,1,nan,nan,1\n", "1,2,nan,nan\n", "1,2,1,,,1\n"):
        (tmp_path / "a.csv").write_text(text)
        points, scores, *_ = read_keypoints(tmp_path / "a.csv", 2)
        assert points.tolist() == [[[1, 2], [0, 0]]]
        assert scores.tolist() == [[1, 0]]
    for text in ("1,2,,3\n", "1,2,1,nan,3,1\n", "1,2,nan,3\n"):
        (tmp_path / "a.csv").write_text(text)
        with pytest.raises(ValueError, match=r"a\.csv: frame 0 .*, joint 1: the point is \["):
            read_keypoints(tmp_path / "a.csv", 2)


def test_a_comma_at_the_end_of_all_lines_is_no_column(tmp_path):
    for text in (
        "1,2,3,4,\n5,6,7,8,\n",
        "a,1,2,3,4,\nb,5,6,7,8,\n",
        "1,2,1,3,4,1,\n5,6,1,7,8,1,\n",
    ):
        (tmp_path / "a.csv").write_text(text)
        points = read_keypoints(tmp_path / "a.csv", 2).points
        assert points.tolist() == [[[1, 2], [3, 4]], [[5, 6], [7, 8]]]
    (tmp_path / "a.csv").write_text("a,1,2,,\nb,5,6,,\n")
    assert read_keypoints(tmp_path / "a.csv", 2).scores.tolist() == [[1, 0], [1, 0]]


@pytest.mark.parametrize("track", [1.5, float("nan"), float("inf")])
def test_a_fraction_is_no_track_in_any_file(tmp_path, track):
    joints = [[1.0, 2.0]] * 2
    box = {"x1": 1, "y1": 2, "x2": 30, "y2": 40}
    keypoints = {"x": [1, 2], "y": [3, 4]}
    person = {"keypoints": joints, "keypoint_scores": [1, 1], "track_id": track}
    entries = {
        "mmpose.json": [{"frame_id": 3, "instances": [person]}],
        "ultralytics.json": [{"class": 0, "box": box, "keypoints": keypoints, "track_id": track}],
    }
    for name, content in entries.items():
        (tmp_path / name).write_text(json.dumps(content))
        with pytest.raises(ValueError, match=rf"{name}: frame .*: track_id must be an integer"):
            read_keypoints(tmp_path / name, 2)
    boxes = {"r.json": [{"image_id": 3, "bbox": [1, 2, 3, 4], "track_id": track}]}
    boxes["u.json"] = [{"class": 0, "box": box, "track_id": track}]
    for name, content in boxes.items():
        (tmp_path / name).write_text(json.dumps(content))
        with pytest.raises(ValueError, match=rf"{name}: picture .*: track_id must be an integer"):
            read_boxes(tmp_path / name)


@pytest.mark.parametrize("box", [[1, 2, 3, float("inf")], [1, 2, 3, 1e39], ["1", 2, 3, 4], "1234"])
def test_a_box_is_four_finite_numbers(box):
    with pytest.raises(ValueError, match=r"a\.jpg: box 0 must be 4 finite numbers"):
        box_in(Path("a.jpg"), "box 0", box, 99, 99)
