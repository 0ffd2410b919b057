"""posediff.estimate on drawn photos, with models that are hardly trained."""

import json
from functools import partial

import cv2
import numpy as np
import pytest
import torch
from helpers.heads import case, model

import posediff
from posediff import checkpoint, config, speed

SIZE = 160, 120  # width and height
TWO = [[10, 10, 40, 90], [90, 20, 45, 80]]


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """Folders of models of COCO's joints in one step and in several, and of a lifter."""
    folder = tmp_path_factory.mktemp("models")
    for name in ("coarse", "sgdd", "posterior", "posterior_video"):
        cfg, tree, _ = case(name)
        about = {"task": cfg.task.name, "skeleton": cfg.dataset.skeleton, "model": tree}
        data = {k: x for k, x in config.plain(cfg.dataset).items() if k in config.DATA_KEYS}
        checkpoint.save(folder / name, model(name).state_dict(), about | {"dataset": data})
    return folder


@pytest.fixture(scope="module")
def used(models):
    return [posediff.load(models / name) for name in ("coarse", "posterior")]


def photo(seed=0):
    return np.random.default_rng(seed).integers(0, 256, (SIZE[1], SIZE[0], 3), dtype=np.uint8)


def test_compiled_models_see_the_same_people(models, monkeypatch):
    monkeypatch.setattr(speed, "compiled_answers", partial(speed.compiled_answers, backend="eager"))
    used = [models / "coarse", models / "posterior"]
    plain, quick = (
        list(posediff.estimate(photo(), models=used, boxes=TWO, hypotheses=3, compile=compile))
        for compile in (False, True)
    )
    for a, b in zip(plain[0], quick[0], strict=True):
        for name in ("keypoints_2d", "keypoints_3d", "spread_3d", "hypotheses_3d"):
            wanted = vars(a)[name]  # of random weights: hundreds of metres
            bound = 1e-5 * max(1, np.abs(wanted).max())
            assert np.allclose(vars(b)[name], wanted, rtol=0, atol=bound), name


def written(folder, *names):
    for n, name in enumerate(names):
        cv2.imwrite(str(folder / name), photo(n)[..., ::-1])
    return folder


def same(a, b):
    """True if two people are equal to the last bit."""
    return all(
        np.array_equal(x, vars(b)[key]) if isinstance(x, np.ndarray) else x == vars(b)[key]
        for key, x in vars(a).items()
    )


def test_people_of_a_picture_have_shapes_and_units(used):
    (frame,) = posediff.estimate(photo(), models=used, boxes=TWO, hypotheses=3)
    assert frame.size == SIZE
    assert frame.index is None
    assert np.array_equal(frame.image, photo())
    assert set(frame.seconds) == {"boxes", "2d", "3d"}
    assert len(frame.people) == 2
    for person, (x, y, w, h) in zip(frame.people, TWO, strict=True):
        assert person.box.tolist() == [x, y, x + w, y + h]
        assert person.keypoints_2d.shape == (17, 2)
        assert person.hypotheses_2d.shape == (3, 17, 2)  # drawn from the heatmaps
        assert person.skeleton_2d == "coco17"
        assert person.keypoints_3d.shape == (17, 3)
        assert person.hypotheses_3d.shape == (3, 17, 3)
        assert person.spread_3d.shape == person.scores_3d.shape == (17,)
        assert person.skeleton_3d == used[1].head.skeleton
        assert person.track is None
        assert person.keypoints_3d.dtype == np.float32


def test_a_frame_and_the_log_say_what_was_used(models, used, caplog, monkeypatch):
    lifter = posediff.load(models / "posterior")
    lifter.about |= {"recalibration": {"factors": [2] * 9, "samples": 9, "split": "test"}}
    named = {"image2d": str(models / "coarse"), "lift3d": lifter}
    with caplog.at_level("INFO", "posediff"):
        (frame,) = posediff.estimate(photo(), models=named, boxes=TWO, seed=4, hypotheses=3)
    coarse, posterior, spread, boxes, draws, device = frame.made_by
    assert coarse.startswith(f"model    {models}/coarse (image2d, trained on synthetic_pictures, ")
    assert posterior.startswith(f"model    {models}/posterior (lift3d, trained on synthetic with ")
    assert spread == (
        "spread   hypotheses 2.00 (near) to 2.00 (far) times as far from their mean "
        "(recalibrated on 9 test samples)"
    )
    assert boxes == "boxes    given in Python"
    assert draws == f"draws    3 hypotheses, {lifter.steps} steps, seed 4, carry posterior"
    assert device.startswith("device   cpu, ")
    assert [record.message for record in caplog.records] == ["\n".join(frame.made_by)]
    monkeypatch.setattr(used[0], "about", {})  # a model that was built, not loaded
    (frame,) = posediff.estimate(photo(), "2d", models=used, detect="whole")
    built, boxes, draws, _ = frame.made_by
    assert built == "model    image2d, not of a folder"
    assert boxes == "boxes    all of the picture"
    assert draws == "draws    1 hypothesis, 1 step, seed 0"


def test_a_source_may_be_a_path_a_folder_a_list_or_arrays(used, tmp_path):
    folder = written(tmp_path, "b.png", "a.png")
    options = {"models": used, "boxes": TWO, "to": "2d"}
    names = [frame.name for frame in posediff.estimate(folder, **options)]
    assert names == ["a.png", "b.png"]
    listed = [*posediff.estimate([folder / "b.png", str(folder / "a.png"), photo()], **options)]
    assert [frame.name for frame in listed] == ["b.png", "a.png", "2"]
    (one,) = posediff.estimate(str(folder / "b.png"), **options)
    assert all(map(same, one.people, listed[0].people))
    assert all(person.keypoints_3d is None for person in one.people)
    stack = posediff.estimate(np.stack([photo(0), photo(1)]), **options)
    assert [frame.name for frame in stack] == ["0", "1"]


def test_people_are_not_one_track(used, tmp_path):
    """The pose of a person depends on nobody else of the picture, and on no other picture."""
    folder, boxes = written(tmp_path, "a.png", "b.png"), {"a.png": TWO, "b.png": TWO[:1]}
    both = list(posediff.estimate(folder, models=used, boxes=boxes))
    (alone,) = posediff.estimate(folder / "a.png", models=used, boxes=TWO[:1])
    np.testing.assert_allclose(
        alone.people[0].hypotheses_3d, both[0].people[0].hypotheses_3d, rtol=2e-3, atol=0.05
    )
    (second,) = posediff.estimate(folder / "b.png", models=used, boxes=TWO[:1])
    assert same(second.people[0], both[1].people[0])


def test_the_video_lifter_lifts_a_photo(models):
    names = {"image2d": models / "coarse", "lift3d": models / "posterior_video"}
    (frame,) = posediff.estimate(photo(), models=names, boxes=TWO, hypotheses=2)
    assert [person.hypotheses_3d.shape for person in frame.people] == [(2, 17, 3)] * 2


def test_boxes_may_be_a_mapping_a_file_or_a_callable(used, tmp_path):
    folder = written(tmp_path, "a.png", "b.png")
    options = {"models": used, "to": "2d"}
    (tmp_path / "boxes.json").write_text('{"b.png": [[10, 10, 40, 90]]}')
    for boxes in ({"b.png": np.array(TWO[:1])}, tmp_path / "boxes.json"):
        found = list(posediff.estimate(folder, boxes=boxes, **options))
        assert [len(frame.people) for frame in found] == [0, 1]
    (seen,) = posediff.estimate(
        photo(), boxes=lambda image: [[0, 0, *image.shape[1::-1]]], **options
    )
    (whole,) = posediff.estimate(photo(), detect="whole", **options)
    assert same(seen.people[0], whole.people[0])
    assert whole.people[0].box.tolist() == [0, 0, *SIZE]


def test_boxes_keep_their_scores_and_low_ones_of_a_file_are_left_out(used, tmp_path):
    boxes = [{"box": box, "score": s} for box, s in zip(TWO, (np.float32(0.75), 0.1), strict=True)]
    options = {"models": used, "to": "2d"}
    (frame,) = posediff.estimate(photo(), boxes=boxes, **options)
    assert [person.box_score for person in frame] == pytest.approx([0.75, 0.1])
    low = boxes[1] | {"image_id": 0, "category_id": 1, "bbox": TWO[1]}
    rows = [low | {"score": s} for s in (0.1, 0.6, 0.249, 7)]
    (tmp_path / "found.json").write_text(json.dumps(rows))
    with pytest.warns(UserWarning, match=r"found\.json: 2 of 4 boxes left out for a score below 0"):
        (frame,) = posediff.estimate(photo(), boxes=tmp_path / "found.json", **options)
    assert [person.box_score for person in frame] == pytest.approx([0.6, 1])
    tracked = [row | {"track_id": n} for n, row in enumerate(rows)]
    (tmp_path / "found.json").write_text(json.dumps(tracked))
    (frame,) = posediff.estimate(photo(), boxes=tmp_path / "found.json", **options)
    assert len(frame.people) == 4


def test_the_shipped_detector_finds_nobody_in_grey(used):
    (frame,) = posediff.estimate(np.full((90, 120, 3), 90, np.uint8), models=used)
    assert frame.people == ()


def test_a_seed_repeats_and_another_differs(models):
    lifter = {"image2d": models / "sgdd", "lift3d": models / "posterior"}
    options = {"models": lifter, "detect": "whole", "hypotheses": 2, "steps": 1}
    (a,), (b,), (c,) = (posediff.estimate(photo(), seed=s, **options) for s in (1, 1, 2))
    assert same(a.people[0], b.people[0])
    assert not np.allclose(a.people[0].hypotheses_3d, c.people[0].hypotheses_3d)


def test_a_bad_picture_does_not_lose_the_others(used, tmp_path):
    folder = written(tmp_path, "a.png", "c.png")
    (folder / "b.png").write_bytes(b"no picture")
    boxes = {"a.png": TWO, "c.png": [[500, 0, 10, 10]]}
    frames = posediff.estimate(folder, to="2d", models=used, boxes=boxes)
    assert next(frames).name == "a.png"
    with pytest.raises(ValueError, match=r"2 of 3 pictures .*b\.png: the image.*; c\.png: box 0"):
        next(frames)


@pytest.mark.parametrize(
    ("changed", "line"),
    [
        ({"to": "4d"}, "to must be one of 2d, 3d"),
        ({"source": []}, "the list is empty"),
        ({"source": 7}, "a int is no input"),
        ({"source": ["a.mp4"]}, "a.mp4: a video in a list"),
        ({"models": "image2d"}, "models: give"),
        ({"models": {"2d": 1}}, "models: 2d is none of"),
        ({"hypotheses": 0}, "hypotheses must be a whole number above 0, not 0"),
        ({"steps": -1}, "steps must be a whole number above 0, not -1"),
        ({"device": "gpu"}, "device=gpu: must be auto, cpu, cuda"),
        ({"boxes": {"holiday.jpg": TWO}}, "boxes: has boxes of holiday.jpg, none of 0; name"),
    ],
)
def test_a_call_that_cannot_be_used_fails_at_once(used, changed, line):
    given = {"source": photo(), "models": used, "boxes": TWO} | changed
    with pytest.raises(ValueError, match=line):
        posediff.estimate(**given)


def test_models_must_do_what_they_are_given_for(used):
    with pytest.raises(ValueError, match="given as lift3d is one of image2d"):
        posediff.estimate(photo(), models={"image2d": used[0], "lift3d": used[0]})
    for wrong in (["people"], {"image2d": "people"}, {"image2d": 5}, {"image2d": None}, [used]):
        with pytest.raises(ValueError, match=r"^models: .* is no model of poses; give the name of"):
            posediff.estimate(photo(), models=wrong)
    with pytest.raises(ValueError, match="two of image2d"):
        posediff.estimate(photo(), models=[used[0], used[0]])
    with pytest.raises(FileNotFoundError, match="no such photo"):
        posediff.estimate("nothing.jpg", models=used)


def test_an_array_must_be_rgb_of_8_bits(used):
    frames = posediff.estimate([photo() / 255.0, photo()], to="2d", models=used, boxes=TWO)
    assert next(frames).name == "1"
    with pytest.raises(ValueError, match=r"picture 0: .*float64"):
        next(frames)


def test_the_detector_finds_people_of_a_photo(used, shared):
    photos = sorted((shared / "data/coco_mini/images").iterdir())[:2]
    for frame in posediff.estimate(photos, to="2d", models=used):
        assert frame.people
        for person in frame.people:
            assert 0.25 < person.box_score <= 1
            assert (person.box[2:] > person.box[:2]).all()
            assert torch.tensor(person.keypoints_2d).isfinite().all()


def test_a_hypothesis_in_3d_was_lifted_from_that_in_2d(models):
    """By the same noise as if all were lifted from it; K = 2 is a prefix of K = 3."""
    eye, lifter = (posediff.load(models / name) for name in ("sgdd", "posterior"))
    options = {"models": [eye, lifter], "boxes": TWO, "steps": 1}
    (frame,) = posediff.estimate(photo(), hypotheses=3, **options)
    for n, person in enumerate(frame):
        assert person.hypotheses_2d.shape == (3, 17, 2)
        for k, points in enumerate(person.hypotheses_2d):
            alone = posediff.lift(
                lifter,
                torch.tensor(points)[None],
                scores=torch.tensor(person.scores)[None],
                layout=person.skeleton_2d,
                ids=[f"0/{n}"],
                hypotheses=3,
                steps=1,
            )
            expected = alone.hypotheses[0, k].numpy()
            np.testing.assert_allclose(person.hypotheses_3d[k], expected, rtol=2e-3, atol=0.05)
        mean = person.hypotheses_3d.mean(0)
        np.testing.assert_allclose(person.keypoints_3d, mean, rtol=1e-4, atol=1e-3)
        far = np.sqrt(np.square(person.hypotheses_3d - mean).sum(-1).mean(0))
        np.testing.assert_allclose(person.spread_3d, far, rtol=1e-3, atol=1e-3)
    (fewer,) = posediff.estimate(photo(), hypotheses=2, **options)
    for a, b in zip(frame.people, fewer.people, strict=True):
        np.testing.assert_allclose(a.hypotheses_2d[:2], b.hypotheses_2d, rtol=1e-3, atol=0.05)


def test_factors_of_recalibration_widen_what_is_carried_and_what_is_not(models):
    eye, lifter = (posediff.load(models / name) for name in ("coarse", "posterior"))
    for carry in ("posterior", "point"):
        options = {"models": [eye, lifter], "boxes": TWO[:1], "hypotheses": 3, "carry": carry}
        ((plain,), (wide,)) = (
            next(posediff.estimate(photo(), **options))
            for lifter.recalibration in (None, [2.0] * 9)
        )
        mean = plain.hypotheses_3d.mean(0)
        expected = mean + 2 * (plain.hypotheses_3d - mean)
        np.testing.assert_allclose(wide.hypotheses_3d, expected, rtol=1e-3, atol=1e-4)
        np.testing.assert_allclose(wide.keypoints_3d, plain.keypoints_3d, rtol=1e-5, atol=1e-6)


def test_the_point_alone_is_lifted_if_asked_for(models):
    """Then the answer is that of `lift` for the 2D pose, whatever its hypotheses."""
    eye, lifter = (posediff.load(models / name) for name in ("sgdd", "posterior"))
    options = {"models": [eye, lifter], "boxes": TWO[:1], "hypotheses": 3, "steps": 1}
    (frame,) = posediff.estimate(photo(), carry="point", **options)
    (person,) = frame.people
    poses = posediff.lift(
        lifter,
        torch.tensor(person.keypoints_2d)[None],
        scores=torch.tensor(person.scores)[None],
        layout=person.skeleton_2d,
        ids=["0/0"],
        hypotheses=3,
        steps=1,
    )
    assert np.array_equal(person.hypotheses_3d, poses.hypotheses[0].numpy())
    with pytest.raises(ValueError, match="carry must be one of posterior, point"):
        posediff.estimate(photo(), carry="all", **options)


def test_every_hypothesis_has_windows_of_its_own(models):
    names = {"image2d": models / "sgdd", "lift3d": models / "posterior_video"}
    options = {"models": names, "boxes": TWO, "hypotheses": 2, "steps": 1}
    (frame,) = posediff.estimate(photo(), **options)
    assert [person.hypotheses_3d.shape for person in frame.people] == [(2, 17, 3)] * 2
