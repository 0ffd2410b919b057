"""PoseTrack's AP: the stored cases of both reference evaluators, and cases made by hand."""

import json
from copy import deepcopy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.annotations import video_truth

from posediff.diffusion.aggregate import Poses
from posediff.metrics.posetrack import PoseTrackAP, score, within
from posediff.metrics.result_files import write_posetrack
from posediff.pose.skeleton import skeleton

SLOTS = list(skeleton("posetrack17").joints)
JOINTS = list(skeleton("posetrack15").joints)
EVALUATORS = ("poseval", "posetrack21")


def document(people, frames=1, scored=False, joints=SLOTS, regions=()):
    """people: frame, points (17, 2), flags of the joints and, if `scored`, scores of each."""
    images = [{"id": n, "file_name": f"images/v/{n:06d}.jpg"} for n in range(frames)]
    for image in images:
        image |= {"ignore_regions_x": [x for x, _ in regions]}
        image |= {"ignore_regions_y": [y for _, y in regions]}
    entries = []
    for track, (frame, points, has, *scores) in enumerate(people):
        rows = np.concatenate([points, np.ones((len(joints), 1))], 1) * np.array(has)[:, None]
        entry = {"image_id": frame, "track_id": track, "keypoints": rows.flatten().tolist()}
        entry |= {"bbox_head": [0, 0, 60, 80]}  # a size of 60
        entries.append(entry | ({"scores": scores[0]} if scored else {}))
    category = [{"id": 1, "name": "person", "keypoints": joints}]
    return {"images": images, "annotations": entries, "categories": category}


ALL = [j not in (3, 4) for j in range(17)]
OFFICIAL = [
    *("right_ankle", "right_knee", "right_hip", "left_hip", "left_knee", "left_ankle"),
    *("right_wrist", "right_elbow", "right_shoulder", "left_shoulder", "left_elbow", "left_wrist"),
    *("head_bottom", "nose", "head_top"),
]


def points(seed=0):
    return np.random.default_rng(seed).uniform(300, 900, (17, 2)).round()


def found(points, has=ALL, score=0.5, frame=0):
    return frame, points, has, [score] * 17


def ap(people, predictions, evaluator="poseval", **more):
    truth = {"v.json": document(people, **more)}
    results = {"v.json": document(predictions, scored=True, **more)}
    return score(truth, results, evaluator)


def loaded(path):
    files = path.glob("*.json") if path.is_dir() else [path]
    return {file.name: json.loads(file.read_bytes()) for file in files}


def posetrack(documents, whole=True, **options):
    return PoseTrackAP(video_truth(documents, whole), **options)


@pytest.fixture(scope="module")
def cases(request):
    shared = Path(request.getfixturevalue("shared")) / "golden"
    names = ("posetrack_cases", "posetrack_expected", "posetrack21_expected")
    return [json.loads((shared / f"{name}.json").read_text()) for name in names]


CASES = (
    "mmpose_posetrack18_sample",
    "synthetic_3seq",
    "joint_without_gt",
    "one_sequence_empty_predictions",
)
GROUPS = ("head", "shoulder", "elbow", "wrist", "hip", "knee", "ankle")


@pytest.mark.parametrize("name", CASES)
def test_poseval_s_figures_of_every_joint_and_group(cases, name):
    files, expected, _ = cases
    got = score(files[name]["gt"], files[name]["pred"])
    joints = [{"neck": "head_bottom"}.get(j, j) for j in expected["_joint_order"][:-1]]
    mine = [got[f"AP:{joint}"] for joint in joints] + [got["mAP"]]
    wanted = np.array(expected[name]["ap_stable"], float)
    np.testing.assert_allclose(mine, wanted, atol=1e-9, rtol=0)
    groups = [got[f"mAP:{group}"] for group in GROUPS] + [got["mAP"]]
    wanted = np.array(expected[name]["ap_groups_stable"], float)
    np.testing.assert_allclose(groups, wanted, atol=1e-9, rtol=0)


@pytest.mark.parametrize("name", CASES)
def test_the_figures_of_posetrack21_s_kit(cases, name):
    files, _, expected = cases
    got = score(files[name]["gt"], files[name]["pred"], "posetrack21")
    wanted = list(expected[name]["map_stable"].values())
    mine = [got[f"mAP:{group}"] for group in GROUPS] + [got["mAP"]]
    np.testing.assert_allclose(mine, wanted, atol=1e-9, rtol=0)


def test_half_a_head_is_near_enough_and_a_tenth_of_a_pixel_more_is_not():
    at = points()
    assert ap([(0, at, ALL)], [found(at + np.array([30, 0]))])["mAP"] == 100
    assert ap([(0, at, ALL)], [found(at + np.array([30.1, 0]))])["mAP"] == 0


def test_one_of_two_people_is_half():
    far = points() + 2000
    assert ap([(0, points(), ALL), (0, far, ALL)], [found(far)])["mAP"] == pytest.approx(50)


def test_the_mean_is_that_of_fifteen_joints_and_not_of_seven_groups():
    """Two people; of the second only the joints of odd official number are right."""
    one, two = points(), points(1) + 2000
    wrong = two.copy()
    for slot, joint in enumerate(SLOTS):
        if joint in OFFICIAL and OFFICIAL.index(joint) % 2 == 0:
            wrong[slot] += 500
    got = ap([(0, two, ALL)], [found(wrong)])
    assert got["mAP:head"] == pytest.approx(100 / 3)
    assert [got[f"mAP:{g}"] for g in GROUPS[1:]] == pytest.approx([50.0] * 6)
    assert got["mAP"] == pytest.approx(100 * 7 / 15)
    assert ap([(0, one, ALL), (0, two, ALL)], [found(one)])["mAP"] == pytest.approx(50)


SQUARE = ([100, 200, 200, 100], [100, 100, 200, 200])


@pytest.mark.parametrize("evaluator", EVALUATORS)
def test_joints_inside_an_ignored_region_do_not_count_on_its_edge_they_do(evaluator):
    at = points()
    at[0], at[1] = (150, 150), (200, 150)  # nose inside, head bottom on the edge
    got = ap([(0, at, ALL)], [found(at)], evaluator, regions=[SQUARE])
    assert np.isnan(got["AP:nose"]) == (evaluator == "poseval")
    assert got["AP:head_bottom"] == 100
    off = at.copy()
    off[0] = (1500, 1500)  # a nose outside for one that does not count: false, and not in the mean
    got = ap([(0, at, ALL)], [found(off)], evaluator, regions=[SQUARE])
    assert got["mAP"] == pytest.approx(100 if evaluator == "poseval" else 100 * 14 / 15)


def test_a_person_wholly_in_a_region_and_a_prediction_there_do_not_count():
    inside = np.full((17, 2), 150.0) + np.arange(17)[:, None]
    at = points() + 500
    people = [(0, at, ALL), (0, inside, ALL)]
    got = ap(people, [found(inside, score=0.9), found(at)], regions=[SQUARE])
    assert got["mAP"] == 100
    alone = ap([(0, inside, ALL)], [found(at)], regions=[SQUARE])
    assert np.isnan(alone["mAP"]), "no person is left"


def test_predictions_are_false_if_people_are_ignored_but_not_if_none_exist():
    inside, at = np.full((17, 2), 150.0), points() + 500
    people = [(0, inside, ALL), (1, at, ALL)]
    false = [found(at, score=0.9), found(at, score=0.5, frame=1)]
    assert ap(people, false, frames=2, regions=[SQUARE])["mAP"] == pytest.approx(50)
    assert ap(people[1:], false, frames=2)["mAP"] == 100
    assert ap(people[1:], false, "posetrack21", frames=2)["mAP"] == pytest.approx(50)


def test_a_tied_duplicate_counts_after_the_person_that_was_found():
    """50 in poseval's own order of ties."""
    assert ap([(0, points(), ALL)], [found(points()), found(points())])["mAP"] == 100


def test_ties_do_not_depend_on_the_order_of_files_or_samples():
    """Most scores are tied, and many joints are wrong."""
    truth, rng = two_videos(), np.random.default_rng(0)
    poses, sample = answers(truth, shift=torch.from_numpy(rng.normal(0, 25, (24, 15, 2))))
    poses = replace(poses, scores=(poses.scores * 2).round() / 2)
    figures = set()
    for seed in range(4):
        metric = posetrack(dict(reversed(truth.items())) if seed % 2 else truth)
        order = torch.randperm(24, generator=torch.Generator().manual_seed(seed)).tolist()
        for rows in (order[:5], order[5:]):
            metric.update("mean", *rows_of(poses, sample, rows))
        figures.add(metric.compute()["mAP/mean"])
    assert len(figures) == 1
    assert 5 < figures.pop() < 95


def test_a_later_duplicate_of_a_better_score_costs_half():
    assert ap([(0, points(), ALL)], [found(points()), found(points(), score=0.9)])["mAP"] == 50


def test_a_prediction_keeps_only_its_best_person_before_people_choose():
    """The first person is the best of both predictions, so the second has none."""
    one = points()
    two = one.copy()
    two[8:] += 400  # shares half of its joints with the first
    got = ap([(0, one, ALL), (0, two, ALL)], [found(one), found(one, score=0.4)])
    assert got["AP:nose"] == pytest.approx(50)
    alone = ap([(0, one, ALL), (0, two, ALL)], [found(one)])
    assert alone["AP:right_elbow"] == pytest.approx(50), "it is the first person's"


def test_joints_that_no_person_has_are_left_out_or_score_0():
    has = [joint not in ("left_ankle", "left_ear", "right_ear") for joint in SLOTS]
    got = ap([(0, points(), has)], [found(points())])
    assert np.isnan(got["AP:left_ankle"])
    assert np.isnan(got["mAP:ankle"])
    assert got["mAP"] == 100
    other = ap([(0, points(), has)], [found(points())], "posetrack21")
    assert other["AP:left_ankle"] == 0
    assert other["mAP"] == pytest.approx(100 * 14 / 15)
    missed = ap([(0, points(), ALL)], [found(points(), has)])
    assert missed["mAP"] == pytest.approx(100 * 14 / 15), "annotated, but never predicted"


def test_points_outside_the_image_count_in_one_evaluator_only():
    at = points()
    at[0] = (-5, 40)
    assert ap([(0, at, ALL)], [found(at)])["AP:nose"] == 100
    assert ap([(0, at, ALL)], [found(at)], "posetrack21")["AP:nose"] == 0


def test_a_point_in_the_corner_is_a_point():
    at = points()
    at[0] = (0, 0)
    assert ap([(0, at, ALL)], [found(at)])["AP:nose"] == 100


@pytest.mark.parametrize(
    ("polygon", "inside"),
    [
        ([(0, 0), (4, 0), (4, 4), (0, 4)], [(2, 2), (3.999, 0.001)]),
        ([(0, 0), (4, 0), (4, 4), (2, 1), (0, 4)], [(0.5, 1), (3.5, 1)]),
        ([(2, 0), (4, 2), (2, 4), (0, 2)], [(2, 2), (1.5, 3)]),
    ],
)
@pytest.mark.parametrize("way", [1, -1])
def test_points_of_a_polygon(polygon, inside, way):
    shape = np.array(polygon, float)[::way]
    assert within(np.array(inside), shape).all()
    middles = (shape + np.roll(shape, -1, 0)) / 2
    outside = np.array([(-1, 2), (5, 2), (2, 5), (2, 3.9 if len(shape) > 4 else 4.1), (4, 0)])
    for others in (shape, middles, outside):
        assert not within(others, shape).any()


def spoil(results, what):
    entry, images = results["v.json"]["annotations"], results["v.json"]["images"]
    changes = {
        "a frame is missing": lambda: images.pop(),
        "a frame has another name": lambda: images[1].update(file_name="w.jpg"),
        "a track twice": lambda: entry[1].update(track_id=0),
        "a track too large": lambda: entry[0].update(track_id=10000),
        "no track": lambda: entry[0].pop("track_id"),
        "a point is no number": lambda: entry[0]["keypoints"].__setitem__(0, float("nan")),
        "too few numbers": lambda: entry[0]["keypoints"].pop(),
        "too few scores": lambda: entry[0]["scores"].pop(),
        "an unknown image": lambda: entry[0].update(image_id=99),
        "no file": lambda: results.update({"w.json": results.pop("v.json")}),
        "no names": lambda: results["v.json"].update(categories=[]),
    }
    changes[what]()


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("a frame is missing", r"v\.json: 1 frames for 2 annotated ones: list every frame"),
        ("a frame has another name", r"v\.json: images\[1\]: file_name is w\.jpg, that of the ann"),
        ("a track twice", r"v\.json: annotations\[1\]: second person of track_id 0 in image 0"),
        (
            "a track too large",
            r"v\.json: annotations\[0\]: track_id must be in 0 \.\. 9999, got 1",
        ),
        ("no track", r"v\.json: annotations\[0\]: track_id must be in 0 \.\. 9999, got None"),
        ("a point is no number", r"v\.json: annotation 1 of image 0: keypoints must be 51 finite"),
        ("too few numbers", r"v\.json: annotation 1 of image 0: keypoints must be 51 finite"),
        ("too few scores", r"v\.json: annotation 1 of image 0: scores must be 17 finite"),
        ("an unknown image", r"v\.json: annotations\[0\]: no image has the id 99"),
        ("no file", r"results: no file v\.json: there must be one per annotated video"),
        ("no names", r"v\.json: 0 categories have `keypoints`, the names of the joints"),
    ],
)
def test_result_files_that_cannot_be_scored_are_named(what, message):
    people = [found(points()), found(points() + 900)]
    truth = {"v.json": document(people, frames=2)}
    results = {"v.json": document(people, frames=2, scored=True)}
    for n, entry in enumerate(results["v.json"]["annotations"], 1):
        entry["id"] = n
    score(truth, deepcopy(results))
    spoil(results, what)
    with pytest.raises(ValueError, match=message):
        score(truth, results)


def test_a_person_with_joints_needs_a_head_box():
    truth = {"v.json": document([found(points()), found(points())])}
    truth["v.json"]["annotations"][1].pop("bbox_head")
    with pytest.raises(ValueError, match=r"v\.json: annotations\[1\]: no bbox_head.*eval=pck"):
        score(truth, truth)
    truth["v.json"]["annotations"][1]["keypoints"] = [0] * 51
    assert score(truth, truth)["mAP"] == 100


def answers(truth, shift=0.0):
    """Poses and samples of the annotated people themselves; joints that are absent score 0."""
    people, files, ids = [], [], []
    for name, content in truth.items():
        file = {image["id"]: image["file_name"] for image in content["images"]}
        for entry in content["annotations"]:
            people.append(np.reshape(entry["keypoints"], (-1, 3))[[SLOTS.index(j) for j in JOINTS]])
            files.append(file[entry["image_id"]])
            ids.append(f"{name}/{files[-1]}/{entry['track_id']}")
    rows = torch.tensor(np.array(people)).double()
    keypoints = rows[..., :2] + shift
    scores = 0.1 + torch.rand(rows.shape[:2], generator=torch.Generator().manual_seed(0)).double()
    scores *= rows.any(-1)
    poses = Poses(keypoints, scores, keypoints[:, None], torch.ones_like(scores), "posetrack15")
    ones = torch.ones(len(ids))
    sample = {"id": ids, "meta": {"file": files}, "box_score": ones, "scale": ones[:, None] + 99}
    return poses, sample


def rows_of(poses, sample, rows):
    picked = {key: x[rows] for key, x in sample.items() if isinstance(x, torch.Tensor)}
    picked["id"] = [sample["id"][i] for i in rows]
    picked["meta"] = {"file": [sample["meta"]["file"][i] for i in rows]}
    return tensors(poses, lambda x: x[rows]), picked


def tensors(poses, change):
    named = ("keypoints", "scores", "hypotheses", "spread")
    return replace(poses, **{name: change(getattr(poses, name)) for name in named})


def moving(frames=3, people=4):
    at = [points(track) + 1500 * track for track in range(people)]
    return {
        f"{name}.json": document(
            [(f, at[p] + 5 * f + n, ALL) for f in range(frames) for p in range(people)], frames
        )
        for n, name in enumerate(("v", "w"))
    }


def two_videos():
    truth = moving()
    for image in truth["w.json"]["images"]:
        image["file_name"] = image["file_name"].replace("/v/", "/w/")
    return truth


def test_figures_do_not_depend_on_batches_their_order_or_doubled_samples():
    truth = two_videos()
    poses, sample = answers(
        truth, shift=torch.randn(24, 15, 2, generator=torch.Generator().manual_seed(1)) * 18
    )
    whole = posetrack(truth)
    whole.update("mean", poses, sample)
    parts = posetrack(truth)
    order = torch.randperm(24).tolist()
    for rows in (order[:7], order[7:], order[:3]):
        parts.update("mean", *rows_of(poses, sample, rows))
    assert whole.compute() == parts.compute()
    figures = whole.compute()
    assert next(iter(figures)) == "mAP/mean"
    assert 0 < figures["mAP/mean"] < 100
    assert figures["people/mean"] == 24
    assert {"mAP/mean:wrist", "AP/mean:left_wrist"} <= set(figures)


def test_what_is_written_scores_as_what_was_scored(tmp_path):
    truth = two_videos()
    metric = posetrack(truth)
    shift = torch.randn(24, 15, 2, generator=torch.Generator().manual_seed(0)) * 18
    poses, sample = answers(truth, shift)
    poses.keypoints.copy_(poses.keypoints.round(decimals=3))  # what is written, at a threshold too
    metric.update("mean", poses, sample)
    [folder] = metric.result_files(tmp_path)
    assert folder == tmp_path / "results_mean"
    assert sorted(path.name for path in folder.iterdir()) == ["v.json", "w.json"]
    for evaluator in EVALUATORS:
        own = posetrack(truth, evaluator=evaluator)
        own.update("mean", poses, sample)
        figures = own.compute()
        got = score(truth, folder, evaluator)
        for joint in JOINTS:
            assert got[f"AP:{joint}"] == pytest.approx(figures[f"AP/mean:{joint}"], abs=1e-9)


@pytest.mark.parametrize(
    "place",
    [
        "samples/posetrack18/annotations/val",
        "bonn_posetrack/annotations/test/060470979.json",
    ],
)
def test_the_annotation_as_the_answer_is_a_hundred_also_when_written(shared, tmp_path, place):
    truth = loaded(shared / "data" / place)
    metric = posetrack(truth)
    metric.update("mean", *answers(truth))
    assert metric.compute()["mAP/mean"] == pytest.approx(100, abs=1e-9)
    [folder] = metric.result_files(tmp_path)
    for evaluator in EVALUATORS if "samples" in place else EVALUATORS[:1]:
        got = score(truth, folder, evaluator)
        assert got["mAP"] == pytest.approx(100, abs=1e-9)


def test_labels_that_count_from_one_are_answered_so(tmp_path):
    truth = two_videos()
    metric = posetrack(truth)
    metric.update("mean", *answers(truth))
    folders = [tmp_path / str(origin) for origin in (0, 1)]
    for origin, folder in enumerate(folders):
        from_origin = {name: video | {"origin": origin} for name, video in truth.items()}
        write_posetrack(folder, from_origin, metric.people(metric.table("mean")))
    zero, one = (loaded(folder)["v.json"]["annotations"][0] for folder in folders)
    for joint in JOINTS:
        slot = 3 * SLOTS.index(joint)
        assert one["keypoints"][slot] == pytest.approx(zero["keypoints"][slot] + 1)
    assert one["bbox"][2:] == pytest.approx(zero["bbox"][2:])
    assert one["keypoints"][9:15] == [0] * 6, "ears"


def test_files_without_head_boxes_are_named(shared):
    folder = shared / "data/bonn_posetrack/annotations/train"
    with pytest.raises(ValueError, match=r"\d+\.json: annotations\[\d+\]: no bbox_head"):
        PoseTrackAP(video_truth(loaded(folder)))


def test_a_part_that_is_held_back_is_scored_by_the_frames_that_were_seen():
    truth = two_videos()
    poses, sample = answers(truth)
    figures = {}
    for whole in (True, False):
        metric = posetrack(truth, whole)
        metric.update("mean", *rows_of(poses, sample, list(range(4))))
        figures[metric.summary()["images"]] = metric.compute()["mAP/mean"]
    assert figures == pytest.approx({"all": 100 / 6, "seen": 100})


def test_the_score_of_a_joint_is_its_peak_or_that_times_the_box(tmp_path):
    truth = two_videos()
    poses, sample = answers(truth)
    sample["box_score"] = torch.linspace(0.1, 1, 24)
    for joint_score, factor in (("peak", torch.ones(24)), ("peak_x_box", sample["box_score"])):
        metric = posetrack(truth, joint_score=joint_score)
        metric.update("mean", poses, sample)
        wanted = poses.scores * factor[:, None].double()
        torch.testing.assert_close(metric.people(metric.table("mean")).joint_scores, wanted)
        assert metric.summary()["joint_score"] == joint_score


def test_copies_of_a_better_person_can_be_taken_out():
    truth = two_videos()
    poses, sample = answers(truth)
    double = tensors(poses, lambda x: torch.cat([x, x]))
    again = [f"{key}box" for key in sample["id"]]
    files = sample["meta"]["file"] * 2
    both = {"id": sample["id"] + again, "meta": {"file": files}}
    both |= {key: torch.cat([sample[key]] * 2) for key in ("box_score", "scale")}
    for nms, left in (("none", 48), ("oks", 24)):
        metric = posetrack(truth, nms=nms)
        metric.update("mean", double, both)
        assert len(metric.people(metric.table("mean")).images) == left


def test_poses_that_cannot_be_scored_are_named():
    truth = two_videos()
    poses, sample = answers(truth)
    metric = posetrack(truth)
    with pytest.raises(ValueError, match="poses of coco17 cannot be scored as posetrack15"):
        metric.update("mean", replace(poses, skeleton="coco17"), sample)
    keypoints = poses.keypoints.clone()
    keypoints[3, 2, 1] = torch.nan
    with pytest.raises(ValueError, match=r"the pose of v\.json/images/v/000000\.jpg/3 is not fin"):
        metric.update("mean", replace(poses, keypoints=keypoints), sample)
    sample["meta"]["file"][0] = "images/v/7.jpg"
    with pytest.raises(ValueError, match=r"image images/v/7\.jpg of sample .* not in the ann"):
        metric.update("mean", poses, sample)
    for key in ("evaluator", "joint_score", "nms"):
        with pytest.raises(ValueError, match=rf"eval\.metric\.{key} must be .* got 'no'"):
            posetrack(truth, **{key: "no"})


def test_nothing_is_written_if_numbers_are_not_finite_or_frames_unknown(tmp_path):
    truth = two_videos()
    metric = posetrack(truth)
    metric.update("mean", *answers(truth))
    found = metric.people(metric.table("mean"))
    with pytest.raises(ValueError, match="not finite; nothing is written"):
        write_posetrack(
            tmp_path / "x", truth, found._replace(keypoints=found.keypoints * torch.inf)
        )
    with pytest.raises(ValueError, match=r"frame 9\.jpg is in no annotation"):
        write_posetrack(tmp_path / "x", truth, found._replace(images=["9.jpg"] * 24))
    assert not (tmp_path / "x").exists()
