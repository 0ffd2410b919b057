"""Samples of people in video: the frames of a clip, cropped by one box."""

import json

import cv2
import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from posediff.data.pictures.augment import Augmentation
from posediff.data.pictures.top_down import TopDownDataset
from posediff.data.video.clip_dataset import ClipDataset
from posediff.data.video.custom_video import custom_video

PARTS = {"train": "annotations/train", "test": "annotations/train"}
SIZE = (48, 64)
RAW = {"mean": [0] * 3, "std": [1] * 3, "size": SIZE}


def data(videos, split="test", annotations=PARTS, **options):
    return custom_video(
        videos.save(), annotations, "posetrack15", split, **{"size": SIZE, **options}
    )


def shown(sample):
    """Numbers (B, F) of the frames, from the brightness in the middle of the crop."""
    return (sample["frames"][..., 0, 32, 24] / 10).round().int().tolist()


def test_a_batch_is_that_of_the_key_frame_with_frames_around_it(walk):
    clips = data(walk)
    batch = clips.__getitems__([2, 0])
    assert batch["frames"].shape == (2, 5, 3, 64, 48)
    assert batch["frames"].dtype == batch["frames_valid"].dtype == torch.float32
    assert batch["frames_valid"].tolist() == [[1] * 5, [0, 0, 1, 1, 1]]
    assert batch["offsets"].tolist() == [[-2, -1, 0, 1, 2]] * 2
    assert batch["id"] == ["walk/2/0", "walk/0/0"]
    assert batch["track_id"].tolist() == [0, 0]
    assert batch["meta"]["file"] == ["images/walk/000002.png", "images/walk/000000.png"]
    assert "image" not in batch
    still = TopDownDataset(clips.annotations, walk.root, size=SIZE).__getitems__([2, 0])
    for key in set(still) - {"image", "id", "meta"}:
        assert torch.equal(batch[key], still[key]), key
    assert torch.equal(batch["frames"][:, 2], still["image"])


def test_a_row_is_a_batch_of_one_without_its_first_dimension(walk):
    clips = data(walk)
    row = clips[3]
    assert row["id"] == "walk/3/0"
    assert torch.equal(row["frames"], clips.__getitems__([3])["frames"][0])


@pytest.mark.parametrize("first", [0, 1])
def test_at_the_ends_of_a_video_its_first_and_last_frame_stand_in(videos, first):
    document = videos.video("walk", first=first)
    for place in range(5):
        videos.person(document, place)
    batch = data(videos, **RAW).__getitems__([0, 1, 4])
    expected = [[0, 0, 0, 1, 2], [0, 0, 1, 2, 3], [2, 3, 4, 4, 4]]
    assert shown(batch) == [[n + first for n in row] for row in expected]
    assert batch["frames_valid"].tolist() == [[0, 0, 1, 1, 1], [0, 1, 1, 1, 1], [1, 1, 1, 0, 0]]


def test_the_scored_frame_can_be_repeated_at_the_ends_instead(walk):
    batch = data(walk, border="repeat", **RAW).__getitems__([1, 4])
    assert shown(batch) == [[1, 0, 1, 2, 3], [2, 3, 4, 4, 4]]
    assert batch["frames_valid"].tolist() == [[0, 1, 1, 1, 1], [1, 1, 1, 0, 0]]


def test_a_clip_shorter_than_the_window_repeats_its_frames(videos):
    videos.person(videos.video("short", frames=1), 0)
    batch = data(videos, **RAW).__getitems__([0])
    assert shown(batch) == [[0] * 5]
    assert batch["frames_valid"].tolist() == [[0, 0, 1, 0, 0]]


def test_a_missing_neighbour_is_the_nearest_that_exists(walk):
    (walk.root / "images/walk/000001.png").unlink()
    document = walk.files["annotations/train/walk.json"]
    document["images"][1]["is_labeled"] = False
    with pytest.warns(UserWarning, match=r"nframes of video walk is 5, but 4 were found"):
        clips = data(walk, **RAW)
    batch = clips.__getitems__([0, 1, 2])
    assert batch["id"] == ["walk/0/0", "walk/2/0", "walk/3/0"]
    assert shown(batch) == [[0, 0, 0, 0, 2], [0, 2, 2, 3, 4], [2, 2, 3, 4, 4]]
    assert batch["frames_valid"][:, :2].tolist() == [[0, 0], [1, 0], [0, 1]]


def test_frames_without_an_entry_or_a_label_are_neighbours(walk):
    document = walk.files["annotations/train/walk.json"]
    del document["images"][3], document["annotations"][3]
    document["images"][1]["is_labeled"] = False
    clips = data(walk, **RAW)
    assert [clips[i]["id"] for i in range(len(clips))] == ["walk/0/0", "walk/2/0", "walk/4/0"]
    assert shown(clips.__getitems__([1])) == [[0, 1, 2, 3, 4]]
    assert clips.summary()["labelled_frames"] == 3


@pytest.mark.parametrize("offsets", [(0,), (-1, 0, 1), (-3, 0), (0, 4)])
def test_frames_are_those_at_the_offsets(walk, offsets):
    batch = data(walk, offsets=offsets, **RAW).__getitems__([2])
    there = [min(max(2 + n, 0), 4) for n in offsets]
    assert shown(batch) == [there]


@pytest.mark.parametrize("offsets", [(1, 2), (0, 0), (1, 0), ()])
def test_offsets_must_ascend_around_the_scored_frame(walk, offsets):
    with pytest.raises(ValueError, match=r"dataset\.offsets must ascend and contain 0, got \["):
        data(walk, offsets=offsets)


def test_an_unknown_border_is_an_error(walk):
    with pytest.raises(
        ValueError, match=r"dataset\.border must be one of clamp, repeat, got 'wrap'"
    ):
        data(walk, border="wrap")


def test_all_frames_are_cut_out_and_augmented_as_the_scored_one(walk):
    """A pattern that rests in the video rests in the crops, also in mirrored ones."""
    pattern = np.random.default_rng(0).integers(0, 255, (48, 64, 3)).astype(np.uint8)
    for n in range(5):
        cv2.imwrite(str(walk.root / f"images/walk/{n:06d}.png"), pattern)
    options = {"validation": 0, "augment": Augmentation(colour=0.3)}
    clips = data(walk, "train", **options)
    flips = 0
    for epoch in range(6):
        clips.set_epoch(epoch)
        batch = clips.__getitems__([0, 2])
        for n in range(1, 5):
            assert torch.equal(batch["frames"][:, 0], batch["frames"][:, n])
        flips += int((torch.linalg.det(batch["affine"][..., :2]) < 0).sum())
    assert 0 < flips < 12
    assert batch["frames"].std() > 0.3
    plain = data(walk, "train", **options | {"augment": Augmentation()})
    plain.set_epoch(5)
    same = plain.__getitems__([0, 2])
    assert torch.equal(same["affine"], batch["affine"])
    assert not torch.equal(same["frames"], batch["frames"]), "the colours differ"


def test_augmentation_depends_on_seed_person_and_epoch_alone(walk):
    one, other = (data(walk, "train", validation=0) for _ in range(2))
    a, b = one.__getitems__([1, 3]), other.__getitems__([3])
    assert torch.equal(a["frames"][1], b["frames"][0])
    other.set_epoch(1)
    assert not torch.equal(other.__getitems__([3])["affine"], b["affine"])


def test_people_of_a_frame_have_their_own_crops_and_ids(videos):
    document = videos.video("two", frames=3)
    for place in range(3):
        for track in (7, 3):
            videos.person(document, place, track)
    clips = data(videos)
    assert [clips[i]["id"] for i in range(4)] == ["two/0/7", "two/0/3", "two/1/7", "two/1/3"]
    assert clips.__getitems__([0, 1])["track_id"].tolist() == [7, 3]


def test_a_frame_is_decoded_once_for_all_who_see_it(walk, monkeypatch):
    from posediff.data.pictures import picture_files

    read, whole = [], picture_files.read
    monkeypatch.setattr(
        picture_files, "read", lambda path, _: read.append(path.stem) or whole(path)
    )
    clips = data(walk)
    for rows in ([0, 1], [2, 3, 4]):
        clips.__getitems__(rows)
    assert sorted(read) == [f"{n:06d}" for n in range(5)]


def test_a_loader_s_workers_give_the_same_batches(walk):
    def batches(workers):
        clips = data(walk, "train", validation=0)
        return list(DataLoader(clips, 2, num_workers=workers, collate_fn=lambda batch: batch))

    for one, other in zip(batches(0), batches(1), strict=True):
        assert one["id"] == other["id"]
        assert torch.equal(one["frames"], other["frames"])


def test_a_missing_scored_frame_is_named(walk):
    (walk.root / "images/walk/000003.png").unlink()
    with pytest.raises(FileNotFoundError, match=r"images/walk/000003\.png: no such frame, but"):
        data(walk)


def test_a_damaged_frame_is_named(walk):
    path = walk.root / "images/walk/000003.png"
    path.write_bytes(path.read_bytes()[:60])
    clips = data(walk)
    clips[0]
    with pytest.raises(ValueError, match=r"images/walk/000003\.png: the image is cut short"):
        clips[1]


def test_frames_of_different_sizes_are_named(walk):
    cv2.imwrite(str(walk.root / "images/walk/000003.png"), np.zeros((48, 60, 3), np.uint8))
    with pytest.raises(
        ValueError, match=r"walk/000001\.png: frame 3 of video walk is 60x48, .* one is 64x48"
    ):
        data(walk)[1]


def test_too_many_frames_are_an_error_and_too_few_a_warning(walk):
    document = walk.files["annotations/train/walk.json"]
    del document["images"][4], document["annotations"][4]  # its file stays in the folder
    for image in document["images"]:
        image["nframes"] = 4
    with pytest.raises(ValueError, match=r"nframes of video walk is 4, but 5 were found"):
        data(walk)
    for image in document["images"]:
        image["nframes"] = 5
    data(walk)
    for place in range(4):
        (walk.root / f"images/walk/{place:06d}.png").rename(walk.root / f"{place}.png")
    document["images"] = [document["images"][0] | {"file_name": "images/walk/000004.png"}]
    document["annotations"] = document["annotations"][:1]
    with pytest.warns(UserWarning, match=r"nframes of video walk is 5, but 1 were found"):
        data(walk)


def test_frames_come_from_a_video_file_in_the_folder_s_place(walk):
    film = walk.root / "images/walk.avi"
    writer = cv2.VideoWriter(str(film), cv2.VideoWriter_fourcc(*"MJPG"), 25, (64, 48))
    for n in range(5):
        writer.write(np.full((48, 64, 3), 10 * n, np.uint8))
    writer.release()
    for path in (walk.root / "images/walk").iterdir():
        path.unlink()
    (walk.root / "images/walk").rmdir()
    clips = data(walk, **RAW)
    assert shown(clips.__getitems__([2, 4, 0])) == [
        [0, 1, 2, 3, 4],
        [2, 3, 4, 4, 4],
        [0, 0, 0, 1, 2],
    ]
    film.write_bytes(film.read_bytes()[:1500])
    with pytest.raises(ValueError, match=r"walk\.avi: (frame \d|no video)"):
        data(walk)[4]


def test_a_box_that_leaves_the_picture_is_cut(walk):
    walk.files["annotations/train/walk.json"]["annotations"][0]["bbox"] = [-20, -20, 300, 300]
    assert data(walk)[0]["box"].tolist() == [0, 0, 63, 47]


def test_boxes_of_a_detector_are_those_of_labelled_frames(walk):
    walk.files["annotations/train/walk.json"]["images"][1]["is_labeled"] = False
    boxes = [
        {"image_id": 1000 + n, "category_id": 1, "bbox": [5, 5, 30, 30], "score": 0.1 * (n + 1)}
        for n in (0, 1, 1, 2, 2)
    ]
    (walk.root / "boxes.json").write_text(json.dumps(boxes))
    clips = data(walk, boxes="boxes.json")
    batch = clips.__getitems__([0, 1, 2])
    assert batch["id"] == ["walk/0/box0", "walk/2/box0", "walk/2/box1"]
    assert batch["track_id"].tolist() == [-1, -1, -1]
    assert not batch["visible"].any()
    assert clips.summary()["boxes"] == "boxes.json"
    assert clips.summary()["left_out"] == 2
    assert len(data(walk, "train", validation=0, boxes="boxes.json")) == 4, "training: gt"


def test_detections_of_a_low_score_are_left_out(walk):
    boxes = [
        {"image_id": 1000 + n, "category_id": 1, "bbox": [5, 5, 30, 30], "score": score}
        for n, score in ((0, 0.9), (1, 0.3), (2, 0.5))
    ]
    (walk.root / "boxes.json").write_text(json.dumps(boxes))
    clips = data(walk, boxes="boxes.json", box_threshold=0.4)
    assert clips.__getitems__([0, 1])["id"] == ["walk/0/box0", "walk/2/box0"]
    assert clips.summary()["box_threshold"] == 0.4
    assert clips.summary()["left_out"] == 1
    with pytest.raises(
        ValueError, match=r"boxes\.json: no person .*dataset\.box_threshold is 1\.1"
    ):
        data(walk, boxes="boxes.json", box_threshold=1.1)


def many(videos):
    for n in range(10):
        videos.person(videos.video(f"v{n}_cut{n % 2}", frames=1), 0)


def test_videos_are_kept_back_whole(videos):
    many(videos)
    part = {"train": "annotations/train"}
    names = {
        split: set(data(videos, split, part, validation=0.3).footage.video)
        for split in ("train", "validation")
    }
    assert len(names["validation"]) == 3
    assert not names["train"] & names["validation"]
    assert len(names["train"]) == 7
    few = data(videos, "validation", part, validation=0.01)
    assert len(set(few.footage.video)) == 1, "at least one"


def test_videos_of_one_film_are_kept_back_together(videos):
    many(videos)
    part = {"train": "annotations/train"}
    options = {"film": r".*_(cut\d)", "validation": 0.5}
    kept = set(data(videos, "validation", part, **options).footage.video)
    assert kept in [{f"v{n}_cut{n % 2}" for n in range(k, 10, 2)} for k in (0, 1)]
    options["film"] = r"v\d_cut\d(_part\d)?"  # a group that is in no name
    assert len(set(data(videos, "validation", part, **options).footage.video)) == 5


@pytest.mark.parametrize("film", ["(", r"v\d_.*", 7])
def test_a_film_that_is_no_regular_expression_with_a_group_is_one_line(walk, film):
    message = "dataset.film must be a regular expression with a group, got"
    with pytest.raises(ValueError, match=message) as error:
        data(walk, "train", {"train": "annotations/train"}, film=film)
    assert "\n" not in str(error.value)


def test_parts_that_cannot_be_had_are_named(walk):
    part = {"train": "annotations/train"}
    with pytest.raises(ValueError, match=r"dataset\.annotations names no file for test"):
        data(walk, "test", part)
    with pytest.raises(ValueError, match=r"no video is left for train: change dataset\.validation"):
        data(walk, "train", part, validation=0.5)
    with pytest.raises(ValueError, match="no video is left for validation"):
        data(walk, "validation", part, validation=0)
    with pytest.raises(ValueError, match="split must be one of train, validation, test, got 'val'"):
        data(walk, "val")
    with pytest.raises(ValueError, match=r"dataset\.validation is a part of the training videos"):
        data(walk, "train", part, validation=1)


def test_real_video_is_read(shared):
    pack = shared / "data/jhmdb_video"
    parts = {"train": "annotations_train.json", "test": "annotations_test.json"}
    clips = custom_video(pack, parts, "jhmdb15", "test", origin=1, size=SIZE)
    assert (len(clips), clips.summary()["videos"]) == (1102, 33)
    sample = clips.__getitems__([0, 1, 2])
    assert sample["id"][0] == "catch__Frisbee_catch_f_cm_np1_ri_med_0/0/0"
    neck = sample["keypoints_annotation"][0, 0] + torch.tensor([18, 18])
    torch.testing.assert_close(neck, torch.tensor([98.8, 92.6]) - 1)
    assert sample["frames"].std() > 0.3
    apart = (sample["frames"][2, 0] - sample["frames"][0, 2]).abs().mean()
    assert apart < 0.3, "the same frame in crops of two key frames"
    samples, folder = shared / "data/samples/posetrack18", "annotations"
    with pytest.warns(UserWarning, match=r"is 149, but 1 were found, and 2 more videos"):
        found = custom_video(
            samples,
            {"test": f"{folder}/test_posetrack18_val.json"},
            "posetrack15",
            "test",
            boxes=f"{folder}/test_posetrack18_human_detections.json",
            size=SIZE,
        )
    assert len(found) == 278
    assert found.__getitems__([0, 277])["frames_valid"].tolist() == [[0, 0, 1, 0, 0]] * 2
    video = shared / "data/bonn_posetrack"
    one = {"test": "annotations/test/060470979.json"}
    bonn = custom_video(video, one, "posetrack15", "test", size=SIZE)
    assert len(bonn) == 164
    assert isinstance(bonn, ClipDataset)
    assert set(bonn.truth().videos()) == {"060470979.json"}


def test_the_digest_of_the_labels_follows_the_tracks(videos):
    document = videos.video("walk")
    for place in range(5):
        videos.person(document, place, 7)
    before = data(videos).summary()["labels"]
    document["annotations"][0]["track_id"] = 3
    assert data(videos).summary()["labels"] != before
