"""Labels of video in all forms: people by frame and track."""

import json
from pathlib import Path

import numpy as np
import pytest

from posediff.data.video.clip_dataset import ClipDataset
from posediff.data.video.footage import read
from posediff.data.video.footage_entries import extent_of
from posediff.pose.skeleton import skeleton

OWN = skeleton("posetrack15")
EARS = [j for j in range(17) if j not in (3, 4)]


def footage(videos, part="train", **options):
    videos.save()
    return read(videos.root / f"annotations/{part}", OWN, videos.root, **options)


def test_people_are_read_by_frame_and_track_without_the_ears(walk):
    found = footage(walk)
    assert found.video == ["walk"] * 5
    assert found.number.tolist() == [0, 1, 2, 3, 4]
    assert found.track.tolist() == [0] * 5
    assert found.people.ids.tolist() == [1, 2, 3, 4, 5]
    document = walk.files["annotations/train/walk.json"]
    given = np.array([a["keypoints"] for a in document["annotations"]]).reshape(5, 17, 3)
    np.testing.assert_array_equal(found.people.keypoints, given[:, EARS, :2])
    assert (found.people.visible == 1).all()
    assert found.people.pictures[0].width == 64, "from the frame itself"
    np.testing.assert_allclose(found.people.area, 0.53 * found.people.boxes[:, 2:].prod(1))


def test_the_frame_s_number_is_in_its_name_and_ids_are_keys(videos):
    """frame_id is the image's id, as in PoseTrack18; images are in any order."""
    document = videos.video("run", frames=[7, 3, 5])
    for place in range(3):
        videos.person(document, place)
    found = footage(videos)
    assert found.number.tolist() == [3, 5, 7]
    assert [p.file[-10:] for p in found.people.pictures] == [
        "000003.png",
        "000005.png",
        "000007.png",
    ]
    where = [found.number[place] for place in found.people.picture]
    assert where == [7, 3, 5], "people stay with their frames"


def test_ids_that_files_share_become_those_of_video_and_frame(videos):
    for name in ("b", "a"):
        videos.person(videos.video(name, frames=2), 1)
    found = footage(videos)
    assert [p.id for p in found.people.pictures] == ["a/0", "a/1", "b/0", "b/1"]
    assert sorted(found.truth) == ["a.json", "b.json"]


def test_labels_that_count_from_one_are_shifted_and_what_is_absent_stays(walk):
    document = walk.files["annotations/train/walk.json"]
    document["annotations"][0]["keypoints"][:3] = [0, 0, 0]
    document["images"][0] |= {"ignore_regions_x": [[1, 9, 9]], "ignore_regions_y": [[1, 1, 9]]}
    zero, one = footage(walk), footage(walk, origin=1)
    seen = zero.people.visible > 0
    np.testing.assert_allclose(one.people.keypoints[seen], zero.people.keypoints[seen] - 1)
    assert not one.people.keypoints[~seen].any()
    np.testing.assert_allclose(one.people.boxes[:, :2], zero.people.boxes[:, :2] - 1)
    np.testing.assert_allclose(one.people.boxes[:, 2:], zero.people.boxes[:, 2:])
    entry, image = one.truth["walk.json"]["annotations"][0], one.truth["walk.json"]["images"][0]
    assert entry["bbox_head"] == [19, 9, 6, 8]
    assert entry["keypoints"][:3] == [0, 0, 0]
    assert image["ignore_regions_x"] == [[0, 8, 8]]
    assert [x.truth["walk.json"]["origin"] for x in (zero, one)] == [0, 1]
    with pytest.raises(ValueError, match=r"dataset\.origin must be 0 or 1, .* got 2"):
        footage(walk, origin=2)


def test_missing_optional_entries_are_replaced(videos):
    document = videos.video("walk", frames=2)
    for place, track in ((0, 0), (0, 1), (1, 0)):
        entry = videos.person(document, place, track)
        for key in ("id", "track_id", "category_id", "bbox", "bbox_head", "scores"):
            entry.pop(key)
    for image in document["images"]:
        for key in ("nframes", "is_labeled", "frame_id"):
            image.pop(key)
    found = footage(videos)
    assert found.track.tolist() == [0, 1, 0], "the running number in its frame"
    assert found.labelled.all()
    assert found.nframes == {"walk": None}
    low = found.people.keypoints[0].min(0)
    assert (found.people.boxes[0, :2] < low).all(), "the joints' extent, and a margin"


def test_people_of_frames_without_labels_do_not_count(walk):
    document = walk.files["annotations/train/walk.json"]
    document["images"][2]["is_labeled"] = False
    found = footage(walk)
    assert len(found.people.pictures) == 5
    assert found.labelled.tolist() == [True, True, False, True, True]
    assert found.number[found.people.picture].tolist() == [0, 1, 3, 4]


def test_a_video_without_labels_is_read(videos):
    videos.person(videos.video("walk"), 1)
    videos.video("empty", frames=3)
    found = footage(videos)
    assert len(found.people.ids) == 1
    assert len(found.people.pictures) == 8


def test_some_videos_are_chosen_with_their_people(videos):
    for n, name in enumerate(("a", "b", "c")):
        document = videos.video(name, frames=3)
        for place in range(3):
            videos.person(document, place, track=n)
    part = footage(videos).subset({"a", "c"})
    assert part.video == ["a"] * 3 + ["c"] * 3
    assert part.track.tolist() == [0, 0, 0, 2, 2, 2]
    assert part.people.ids.tolist() == [1, 2, 3, 4, 5, 6]
    assert sorted(part.truth) == ["a.json", "c.json"]
    assert set(part.frames) == {"a", "c"}


def test_a_merged_file_is_as_its_parts(videos):
    for name in ("a", "b"):
        document = videos.video(name, frames=2)
        for image in document["images"]:
            image["id"] = f"{name}{image['id']}"
        videos.person(document, 1)
    parts = footage(videos)
    one, other = videos.files.values()
    whole = {key: one[key] + other[key] for key in ("images", "annotations")}
    path = videos.root / "all.json"
    path.write_text(json.dumps(whole | {"categories": one["categories"]}))
    merged = read(path, OWN, videos.root)
    assert merged.video == parts.video
    np.testing.assert_array_equal(merged.people.keypoints, parts.people.keypoints)
    assert {name: len(x["images"]) for name, x in merged.truth.items()} == {
        "a.json": 2,
        "b.json": 2,
    }
    assert merged.truth["a.json"]["annotations"] != merged.truth["b.json"]["annotations"]


def test_videos_of_the_same_number_are_named_by_their_folders(videos):
    one, other = videos.video("000001_a", frames=1), videos.video("000001_b", frames=1)
    for document in (one, other):
        document["images"][0]["vid_id"] = "000001"
        videos.person(document, 0)
    other["images"][0]["id"] = 7
    other["annotations"][0]["image_id"] = 7
    path = videos.root / "all.json"
    whole = {key: one[key] + other[key] for key in ("images", "annotations")}
    path.write_text(json.dumps(whole | {"categories": one["categories"]}))
    assert read(path, OWN, videos.root).video == ["images/000001_a", "images/000001_b"]


def spoil(document, what):
    images, people = document["images"], document["annotations"]
    changes = {
        "a track twice": lambda: people.append({**people[1], "id": 9}),
        "a frame twice": lambda: images.append({**images[1], "id": 9}),
        "a frame without a number": lambda: images[1].update(file_name="images/walk/last.png"),
        "a frame without a name": lambda: images[1].pop("file_name"),
        "an image without id": lambda: images[1].pop("id"),
        "an unknown image": lambda: people[1].update(image_id=77),
        "a list of images": lambda: people[1].update(image_id=[1]),
        "a track that is a word": lambda: people[1].update(track_id="me"),
        "too few numbers": lambda: people[1]["keypoints"].pop(),
        "a strange flag": lambda: people[1]["keypoints"].__setitem__(2, 5),
        "a strange joint": lambda: document["categories"][0]["keypoints"].__setitem__(0, "tail"),
        "no categories": lambda: document.pop("categories"),
    }
    changes[what]()


@pytest.mark.parametrize(
    ("what", "message"),
    [
        (
            "a track twice",
            r"images/walk/000001\.png: annotations\[1\] and \[5\] have the same trac",
        ),
        ("a frame twice", r"walk\.json: images\[5\]: frame 1 of images/walk is there twice"),
        ("a frame without a number", r"last\.png: the name of a frame must end in its number"),
        ("a frame without a name", r"walk\.json: images\[1\]: file_name must name the image file"),
        ("an image without id", r"walk\.json: images\[1\]: id must be an integer or a string"),
        (
            "an unknown image",
            r"walk\.json: annotations\[1\] \(id 2\): image_id 77 is not in the fil",
        ),
        ("a list of images", r"walk\.json: annotations\[1\]: image_id must be an integer"),
        ("a track that is a word", r"walk\.json: annotations\[1\]: track_id must be an integer in"),
        ("too few numbers", r"walk\.json: annotations\[1\] .*keypoints must be 51 finite numbers"),
        (
            "a strange flag",
            r"walk\.json: annotations\[1\] .*v of keypoints \[x, y, v\] must be 0, ",
        ),
        ("a strange joint", r"walk\.json: keypoints of categories: joint 'tail' is not in skelet"),
        ("no categories", r"walk\.json: no list of `categories`: not an annotation file in COCO"),
    ],
)
def test_labels_that_cannot_be_used_are_named(walk, what, message):
    spoil(walk.files["annotations/train/walk.json"], what)
    with pytest.raises(ValueError, match=message):
        footage(walk)


def several(videos, count=24):
    """Videos of three frames with one person each."""
    for n in range(count):
        document = videos.video(f"v{n:02d}", 3)
        for place in range(3):
            videos.person(document, place)
    return [videos.files[f"annotations/train/v{n:02d}.json"] for n in range(count)]


def test_a_damaged_file_of_a_video_is_left_out_and_named(videos):
    several(videos)
    videos.save()
    path = videos.root / "annotations/train/v07.json"
    path.write_text(path.read_text()[:99])
    with pytest.warns(UserWarning, match=r"left out: .*v07\.json: "):
        found = read(path.parent, OWN, videos.root)
    assert [*found.frames] == [f"v{n:02d}" for n in range(24) if n != 7]
    assert sorted(found.truth) == [f"v{n:02d}.json" for n in range(24) if n != 7]
    assert len(found.people.unusable) == 1
    data = ClipDataset(found, videos.root)
    assert data.summary()["unusable_annotations"] == [*found.people.unusable]
    for name in ("v01", "v02"):
        (path.parent / f"{name}.json").write_text("[]")
    with pytest.raises(ValueError, match=r"v01\.json: .* \(2 of the 24 files of videos cannot"):
        read(path.parent, OWN, videos.root)


@pytest.mark.parametrize("what", ["a track twice", "a frame twice", "a strange joint", "a film"])
def test_labels_that_contradict_each_other_lose_their_video_alone(videos, what):
    document = several(videos)[7]
    if what == "a film":
        for image in document["images"]:
            image["file_name"] = image["file_name"].replace("v07", "film")
        (videos.root / "images/film.avi").write_bytes(b"RIFF")
    else:
        spoil(document, what)
        for entry in document["images"]:
            entry["file_name"] = entry["file_name"].replace("/walk/", "/v07/")
        document["annotations"][-1]["track_id"] = 0
    videos.save()
    with pytest.warns(UserWarning, match=r"left out: "):
        found = read(videos.root / "annotations/train", OWN, videos.root)
    assert len(found.people.unusable) == 1
    assert len(found.frames) == 23


def test_a_damaged_video_of_one_file_is_left_out_with_its_people(videos):
    parts = several(videos)
    videos.save()
    merged = {**parts[0], "images": [], "annotations": []}
    for n, part in enumerate(parts):
        for entry in part["images"]:
            name = entry["file_name"].replace("v07", "film") if n == 7 else entry["file_name"]
            number = f"{n}{entry['id']}"
            merged["images"].append({**entry, "file_name": name, "id": int(number)})
        for entry in part["annotations"]:
            numbers = {"id": len(merged["annotations"]) + 1, "image_id": f"{n}{entry['image_id']}"}
            numbers["image_id"] = int(numbers["image_id"])
            merged["annotations"].append({**entry, **numbers})
    (videos.root / "images/film.avi").write_bytes(b"RIFF")
    path = videos.root / "all.json"
    path.write_text(json.dumps(merged))
    with pytest.warns(UserWarning, match=r"left out: .*film\.avi"):
        found = read(path, OWN, videos.root)
    assert len(found.frames) == 23
    assert len(found.people.picture) == 69
    assert len(found.people.unusable) == 1


@pytest.mark.parametrize(
    ("change", "left"),
    [
        (lambda images, people: images[5].update(id=[1]), 59),
        (lambda images, people: images[5].update(id=1004), 58),
        (lambda images, people: images[5].pop("file_name"), 59),
        (lambda images, people: people[5]["keypoints"].__setitem__(2, 5), 59),
        (lambda images, people: people[5]["keypoints"].pop(), 59),
        (lambda images, people: people[5].update(category_id=9), 59),
        (lambda images, people: people[5].update(track_id=1.5), 59),
        (lambda images, people: people.__setitem__(5, None), 59),
    ],
)
def test_few_entries_of_a_video_that_cannot_be_used_are_left_out_with_their_people(
    videos, change, left
):
    document = videos.video("long", 60)
    for place in range(60):
        videos.person(document, place)
    change(document["images"], document["annotations"])
    videos.save()
    with pytest.warns(UserWarning, match="left out: "):
        found = read(videos.root / "annotations/train", OWN, videos.root)
    assert len(found.people.ids) == len(found.track) == left
    assert len(found.truth["long.json"]["annotations"]) == left
    assert 1 <= len(found.people.unusable) <= 2


def test_a_video_in_two_files_is_named(walk):
    walk.files["annotations/train/zwei.json"] = walk.files["annotations/train/walk.json"]
    with pytest.raises(ValueError, match=r"zwei\.json: video walk is also in walk\.json"):
        footage(walk)


def test_a_folder_of_nothing_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="no json file in this folder"):
        read(tmp_path, OWN, tmp_path)


def annolist(document):
    """A document in PoseTrack17's own form; only joints with odd ids are visible."""
    from posediff.data.video.annolist import OFFICIAL as NAMES

    slots = document["categories"][0]["keypoints"]
    frames = []
    for image in document["images"]:
        rects = []
        for person in document["annotations"]:
            if person["image_id"] != image["id"]:
                continue
            rows = np.reshape(person["keypoints"], (17, 3))[[slots.index(name) for name in NAMES]]
            points = [
                {"id": [i], "x": [x], "y": [y], "is_visible": [i % 2]}
                for i, (x, y, v) in enumerate(rows.tolist())
                if v
            ]
            x, y, w, h = person["bbox_head"]
            rect = {"x1": [x], "y1": [y], "x2": [x + w], "y2": [y + h], "score": [0]}
            rects.append(
                rect | {"track_id": [person["track_id"]], "annopoints": [{"point": points}]}
            )
        region = [{"point": [{"x": [1], "y": [2]}, {"x": [5], "y": [2]}, {"x": [5], "y": [9]}]}]
        frame = {"image": [{"name": image["file_name"]}], "imgnum": [1], "annorect": rects}
        frames.append(frame | {"is_labeled": [1], "ignore_regions": region})
    return {"annolist": frames}


def test_posetrack17_s_own_form_is_the_same_people(walk):
    """There frames count from 1, joints have the official ids, boxes of heads have corners."""
    expected = footage(walk)
    name = "annotations/train/walk.json"
    walk.files[name] = annolist(walk.files[name])
    found = footage(walk)
    np.testing.assert_array_equal(found.people.keypoints, expected.people.keypoints)
    assert set(found.people.visible.ravel().tolist()) == {1, 2}, "occluded and visible"
    assert found.track.tolist() == expected.track.tolist()
    assert found.number.tolist() == expected.number.tolist()
    entry = found.truth["walk.json"]["annotations"][0]
    assert entry["bbox_head"] == [20, 10, 6, 8]
    assert found.truth["walk.json"]["images"][0]["ignore_regions_y"] == [[2, 2, 9]]


def test_an_entry_of_another_form_is_named(walk):
    name = "annotations/train/walk.json"
    walk.files[name] = annolist(walk.files[name])
    walk.files[name]["annolist"][3]["annorect"][0]["annopoints"][0]["point"][0].pop("x")
    with pytest.raises(ValueError, match=r"walk\.json: annolist\[3\]: not of PoseTrack17's form"):
        footage(walk)


def test_real_labels_are_read(shared):
    data = shared / "data"
    samples = data / "samples/posetrack18"
    found = read(samples / "annotations/val", OWN, samples)
    assert (len(found.people.ids), len(found.frames)) == (14, 3)
    merged = read(samples / "annotations/test_posetrack18_val.json", OWN, samples)
    assert sorted(merged.truth) == sorted(found.truth)
    for name, document in found.truth.items():
        for key in ("images", "annotations"):
            assert len(document[key]) == len(merged.truth[name][key])
    bonn = data / "bonn_posetrack"
    count = 0
    for part in ("train", "test"):
        count += len(read(bonn / "annotations" / part, OWN, bonn).people.ids)
    assert count == 14574


def test_labels_without_images_have_an_extent_that_an_image_can_have():
    def extent(x):
        return extent_of(Path("all.json"), [{"keypoints": [x, 2, 2], "bbox": [0, 0, 5, 9]}])

    assert extent(8.5) == (10, 10)
    assert extent(float("nan"))[1] == 10  # NaN is named by the check of its person
    with pytest.raises(ValueError, match=r"all\.json: the extent of boxes and joints"):
        extent(1e30)
