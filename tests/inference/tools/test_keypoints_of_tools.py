"""Files as other tools write them, all of the same three frames of one person."""

import json
import pickle

import numpy as np
import pytest
import torch
from helpers.keypoints import save_json

from posediff.inference.keypoint_files import read_keypoints
from posediff.pose.layout import convert
from posediff.pose.skeleton import skeleton

RNG = np.random.default_rng(0)


def people(J):
    """Three frames (3, J, 3) of one person, pixels with scores."""
    points = RNG.uniform(100, 900, (3, J, 2)).round(2)
    return np.concatenate([points, RNG.uniform(0.5, 1, (3, J, 1)).round(3)], -1)


def flat(row):
    return row.ravel().tolist()


def read_back(path, x, layout, tracks=1):
    """The rows of a file; their points and scores must be those of x."""
    rows = read_keypoints(path, x.shape[1], skeleton(layout), "pixels")
    assert np.allclose(rows.points, x[..., :2], atol=1e-3)
    assert np.allclose(rows.scores, x[..., 2], atol=1e-6)
    assert len(set(rows.tracks.tolist())) == tracks
    return rows


@pytest.mark.parametrize(("layout", "J"), [("body25", 25), ("openpose18", 18)])
@pytest.mark.parametrize("form", ["people", "bodies"])
def test_openpose_has_a_file_per_frame(tmp_path, layout, J, form):
    x = people(J)
    for n, row in zip((9, 10, 12), x, strict=True):
        person = {"person_id": [-1], "pose_keypoints_2d": flat(row), "face_keypoints_2d": []}
        person = person if form == "people" else {"joints": flat(row)}
        save_json(tmp_path / f"clip_{n:012d}_keypoints.json", {"version": 1.3, form: [person]})
    save_json(tmp_path / "clip_000000000011_keypoints.json", {"version": 1.3, form: []})
    rows = read_back(tmp_path, x, layout)
    assert rows.frames.tolist() == [9, 10, 12]
    assert rows.empty == ["clip_000000000011_keypoints"]
    with pytest.raises(ValueError, match=rf"17 joints, the file has {J} .*layout={layout}"):
        read_keypoints(tmp_path, 17)


def test_a_file_that_cannot_be_used_does_not_lose_the_others(tmp_path):
    x = people(25)
    for n, row in enumerate(x):
        save_json(tmp_path / f"{n}_keypoints.json", {"people": [{"pose_keypoints_2d": flat(row)}]})
    (tmp_path / "3_keypoints.json").write_text('{"people": [')
    (tmp_path / "._0_keypoints.json").write_bytes(b"\0\5\x16\7")
    rows = read_back(tmp_path, x, "body25")
    assert len(rows.left_out) == 1
    assert "3_keypoints.json" in rows.left_out[0]


@pytest.mark.parametrize(("layout", "J"), [("halpe26", 26), ("halpe136", 136), ("coco17", 17)])
def test_alphapose_without_tracking_writes_one_id_for_all(tmp_path, layout, J):
    x = people(J)
    entries = [
        {"image_id": "0.jpg", "category_id": 1, "keypoints": flat(row), "score": 2.7, "idx": [0.0]}
        for row in x
    ]
    save_json(tmp_path / "alphapose-results.json", entries)
    rows = read_back(tmp_path / "alphapose-results.json", x, layout, tracks=3)
    assert rows.names == ["0.jpg#0", "0.jpg#1", "0.jpg#2"]
    assert rows.notes == ["no tracks, since they are repeated within a frame: ids 0"]


def test_mmpose_has_a_file_per_picture_with_unbounded_scores(tmp_path):
    x = people(133)
    x[:, 5, 2], x[:, 6, 2] = -0.013, 1.04
    for n, row in zip((2, 10, 11), x, strict=True):
        person = {"keypoints": row[:, :2].tolist(), "keypoint_scores": row[:, 2].tolist()}
        save_json(tmp_path / f"{n}.json", [person | {"bbox": [[1, 2, 3, 4]], "bbox_score": 0.9}])
    expected = np.where(x[..., 2:] > 0, x.clip(max=[np.inf, np.inf, 1]), 0)
    assert read_back(tmp_path, expected, "wholebody133").frames.tolist() == [2, 10, 11]


def test_detectron2_as_results_of_coco_and_as_predictions(tmp_path):
    x = people(17)
    results = [
        {
            "image_id": n,
            "category_id": 1,
            "bbox": [0, 0, 9, 9],
            "score": 0.9,
            "keypoints": flat(row),
        }
        for n, row in enumerate(x)
    ]
    save_json(tmp_path / "coco_instances_results.json", results)
    read_back(tmp_path / "coco_instances_results.json", x, "coco17")
    pictures = [
        {"file_name": f"{n}.jpg", "pred_keypoints": [row.tolist()]} for n, row in enumerate(x)
    ]
    save_json(tmp_path / "predictions.json", pictures)
    assert read_back(tmp_path / "predictions.json", x, "coco17").names == [
        "0.jpg",
        "1.jpg",
        "2.jpg",
    ]


def ultralytics(row, **more):
    columns = dict(zip(("x", "y", "visible"), row.T.tolist(), strict=True))
    box = {"x1": 1.0, "y1": 2.0, "x2": 300.0, "y2": 400.0}
    return {
        "name": "person",
        "class": 0,
        "confidence": 0.9,
        "box": box,
        "keypoints": columns,
    } | more


def test_ultralytics_json_of_pictures(tmp_path):
    x = people(17)
    pictures = [
        [ultralytics(row, track_id=4), {"name": "dog", "class": 16, "box": {}}] for row in x
    ]
    save_json(tmp_path / "all.json", pictures)
    rows = read_back(tmp_path / "all.json", x, "coco17")
    assert rows.names == ["0#4", "1#4", "2#4"]
    save_json(tmp_path / "photo_7.json", pictures[0])
    assert read_back(tmp_path / "photo_7.json", x[:1], "coco17").frames.tolist() == [7]


@pytest.mark.parametrize("more", [[], [0.8], [0.8, 4]])
def test_ultralytics_text_files_of_frames(tmp_path, more):
    x = people(17)
    x[..., :2] /= 1000
    for n, row in zip((2, 10, 11), x, strict=True):
        line = [0, 0.5, 0.5, 0.2, 0.3, *flat(row), *more]
        (tmp_path / f"clip_{n}.txt").write_text(" ".join(map(str, line)) + "\n")
    (tmp_path / "clip_3.txt").touch()
    rows = read_back(tmp_path, x, "coco17")
    assert rows.frames.tolist() == [2, 10, 11]
    assert "clip_3" in rows.empty
    assert rows.names[0] == ("clip_2#4" if len(more) == 2 else "clip_2")


def test_fractions_are_asked_for_and_become_pixels(tmp_path):
    x = people(17)
    row = x[0] / [1920, 1080, 1]
    (tmp_path / "clip_1.txt").write_text(" ".join(map(str, [0, 0.5, 0.5, 0.2, 0.3, *flat(row)])))
    with pytest.raises(ValueError, match=r"clip_1\.txt: the points lie in .* add units=fraction"):
        read_keypoints(tmp_path / "clip_1.txt", 17)
    rows = read_keypoints(tmp_path / "clip_1.txt", 17, None, "fraction", (1920, 1080))
    assert np.allclose(rows.points[0], x[0, :, :2], atol=1e-2)


@pytest.mark.parametrize("key", ["pose_landmarks", "pose_world_landmarks", None])
def test_mediapipe_landmarks_alone_and_by_name(tmp_path, key):
    x = people(33)
    x[..., :2] /= 1000
    marks = [[{"x": a, "y": b, "z": 0.1, "visibility": s} for a, b, s in row.tolist()] for row in x]
    content = marks if key is None else [{key: [person]} for person in marks]
    save_json(tmp_path / "a.json", [*content, [] if key is None else {key: None}])
    rows = read_back(tmp_path / "a.json", x, "mediapipe33")
    assert rows.empty == ["3"]
    save_json(tmp_path / "one.json", {"pose_landmarks": {"landmark": marks[0]}})
    read_back(tmp_path / "one.json", x[:1], "mediapipe33")


DLC = ("scorer", "individuals", "bodyparts", "coords")


def deeplabcut(x, animals=("single",)):
    """The lines of the head, by name, and the table of COCO's joints and a tail."""
    parts = [*skeleton("coco17").joints, "tail"]
    columns = [
        ("net", who, part, axis)
        for who in animals
        for part in parts
        for axis in ("x", "y", "likelihood")
    ]
    tail = np.ones((len(x), 1, 3))
    table = np.tile(np.concatenate([x, tail], 1).reshape(len(x), -1), len(animals))
    return columns, table


@pytest.mark.parametrize("animals", [("single",), ("a", "b")])
def test_deeplabcut_tables_by_the_names_of_their_joints(tmp_path, animals):
    import h5py

    x = people(17)
    columns, table = deeplabcut(x, animals)
    lines = DLC if len(animals) > 1 else [name for name in DLC if name != "individuals"]
    kept = [
        tuple(c for name, c in zip(DLC, column, strict=True) if name in lines) for column in columns
    ]
    text = [",".join([name, *(c[k] for c in kept)]) for k, name in enumerate(lines)]
    text += [
        ",".join(map(str, [n, *row])) for n, row in zip((0, 5, 10), table.tolist(), strict=True)
    ]
    (tmp_path / "a.csv").write_text("\n".join(text))
    block = np.array(
        [*zip((0, 5, 10), table, strict=True)],
        [("index", "<i8"), ("values_block_0", "<f8", table.shape[1:])],
    )
    with h5py.File(tmp_path / "a.h5", "w") as file:
        data = file.create_group("df_with_missing").create_dataset("table", data=block)
        data.attrs["values_block_0_kind"] = np.void(pickle.dumps(kept, protocol=0))
    every = np.concatenate([x] * len(animals))
    for name in ("a.csv", "a.h5"):
        rows = read_back(tmp_path / name, every, "coco17", tracks=len(animals))
        assert rows.frames.tolist() == [0, 5, 10] * len(animals)
        assert rows.notes == ["body parts that coco17 does not have: tail"]


def test_a_deeplabcut_table_without_a_joint_of_the_layout_is_named(tmp_path):
    (tmp_path / "a.csv").write_text("scorer,n,n\nbodyparts,snout,snout\ncoords,x,y\n0,1,2\n")
    with pytest.raises(ValueError, match=r"a\.csv: none of its body parts \(snout\) is a joint"):
        read_keypoints(tmp_path / "a.csv", 17, skeleton("coco17"))


@pytest.mark.parametrize("point", [".", ","])
def test_csv_with_semicolons_and_decimal_commas(tmp_path, point):
    x = people(17)
    lines = [
        [f"{n}", *(f"{v}".replace(".", point) for v in flat(row))]
        for n, row in zip((0, 5, 20), x, strict=True)
    ]
    (tmp_path / "a.csv").write_text("\n".join(";".join(line) for line in lines))
    assert read_back(tmp_path / "a.csv", x, "coco17").frames.tolist() == [0, 5, 20]


@pytest.mark.parametrize(
    "layout", ["body25", "openpose18", "mediapipe33", "halpe136", "wholebody133"]
)
def test_layouts_of_tools_become_coco_s_joints_by_name(layout):
    source, coco = skeleton(layout), skeleton("coco17")
    points = torch.rand(2, len(source.joints), 2) * 1000
    found = convert(points, torch.ones(points.shape[:2]), source, coco)
    assert found.visible.all()
    for j, joint in enumerate(coco.joints):
        assert torch.equal(found.points[:, j], points[:, source.joints.index(joint)])
    assert (
        convert(points, torch.ones(points.shape[:2]), source, skeleton("h36m17"))
        .visible.sum(-1)
        .min()
        >= 14
    )


def test_frames_have_the_numbers_of_the_file_and_gaps_stay(tmp_path):
    x = people(17)
    info = [
        {
            "frame_id": n,
            "instances": [
                {"keypoints": row[:, :2].tolist(), "keypoint_scores": row[:, 2].tolist()}
            ],
        }
        for n, row in zip((0, 2, 31), x, strict=True)
    ]
    save_json(tmp_path / "mmpose.json", {"instance_info": info})
    unsorted = [1, 2, 0]
    images = [{"id": i, "file_name": f"v/{n:06d}.jpg"} for i, n in enumerate((0, 2, 31))]
    notes = [{"image_id": i, "track_id": 5, "keypoints": flat(row)} for i, row in enumerate(x)]
    save_json(
        tmp_path / "coco.json",
        {"images": [images[i] for i in unsorted], "annotations": [notes[i] for i in unsorted]},
    )
    for name in ("mmpose.json", "coco.json"):
        assert read_back(tmp_path / name, x, "coco17").frames.tolist() == [0, 2, 31]


def test_frames_have_their_own_numbers_and_the_step_of_all(tmp_path):
    x = people(17)
    for names in (("30", "60", "120"), ("000030.jpg", "000060.jpg", "000120.jpg")):
        notes = [
            {"image_id": name, "track_id": 5, "keypoints": flat(row)}
            for name, row in zip(names, x, strict=True)
        ]
        save_json(tmp_path / "coco.json", notes)
        rows = read_back(tmp_path / "coco.json", x, "coco17")
        assert rows.frames.tolist() == [30, 60, 120]
        assert rows.step == 30
        assert rows.empty == ["90"]


def test_people_of_two_videos_are_never_one_track(tmp_path):
    x = people(17)
    entries = [
        {"image_id": f"{video}/000001.jpg", "keypoints": flat(row), "track_id": 1}
        for video, row in zip("abc", x, strict=True)
    ]
    save_json(tmp_path / "a.json", entries)
    assert read_back(tmp_path / "a.json", x, "coco17", tracks=3).frames.tolist() == [1, 1, 1]


def test_a_json_of_another_kind_is_still_one_line(tmp_path):
    (tmp_path / "a.json").write_text(json.dumps({"people": "none"}))
    with pytest.raises(ValueError, match=r"a\.json: neither a list nor an object"):
        read_keypoints(tmp_path / "a.json", 17)
