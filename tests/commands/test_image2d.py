"""The commands train, eval and predict of image2d, on a few drawn pictures."""

import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from helpers.commands import LIMIT, command, error_of
from safetensors.torch import load_file

import posediff
from posediff import checkpoint, config
from posediff.data.pictures import synthetic_pictures
from posediff.pose.skeleton import skeleton

TINY = (
    "dataset=synthetic_pictures",
    "dataset.pictures=6",
    "dataset.size=[48,64]",
    *LIMIT,
    "trainer=people_minutes",
    "trainer.recipe.batch_size=8",
    "trainer.recipe.epoch_samples=16",
    "device=cpu",
)
SMALL = [f"task.head.decoder.{size}" for size in ("channels=8", "blocks=1", "multipliers=[1,1]")]
SGDD = ("task=image2d", *SMALL, *TINY)
COARSE = ("experiment=image2d_coarse", *TINY)


@pytest.fixture(scope="module")
def drawn_once():
    """Pictures kept for all commands of this module: each is drawn once."""
    shots, scene = {}, synthetic_pictures.scene

    def drawn(rng, *arguments, **options):
        key = str((rng.bit_generator.state, arguments, options))
        if key not in shots:
            shots[key] = scene(rng, *arguments, **options)
        return shots[key]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(synthetic_pictures, "scene", drawn)
        yield


@pytest.fixture(scope="module")
def runs(tmp_path_factory, drawn_once):
    """A folder of runs with a coarse head, and a diffusion and a coarse head that began with it."""
    folder = tmp_path_factory.mktemp("work")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("POSEDIFF_RUNS", str(folder / "runs"))
        command("train", *COARSE, "name=coarse")
        begin = folder / "runs/image2d/synthetic_pictures/coarse/checkpoints/best"
        command("train", *SGDD, f"task.begin={begin}", "seed=1", "name=sgdd")
        command("train", *COARSE, f"task.begin={begin}", "seed=1", "name=longer")
    return folder / "runs/image2d/synthetic_pictures"


@pytest.fixture(autouse=True)
def inside(runs, monkeypatch):
    monkeypatch.chdir(runs.parents[2])
    monkeypatch.setenv("POSEDIFF_RUNS", str(runs.parents[1]))


def scores(capsys, *arguments):
    """What eval wrote into metrics.json."""
    where = ("dataset=synthetic_pictures", "dataset.pictures=2", "device=cpu")
    capsys.readouterr()
    command("eval", *where, *arguments)
    return json.loads(Path(capsys.readouterr().out.strip().splitlines()[-1]).read_text())


# --- training and scoring


def test_a_run_says_what_it_was_trained_for(runs):
    saved = checkpoint.read_config(runs / "sgdd/checkpoints/best")
    assert saved["dataset"]["size"] == [48, 64]
    assert saved["dataset"]["mean"] == [123.675, 116.28, 103.53]
    assert saved["model"]["head"]["coarse"]["backbone"]["_target_"] == "posediff.nn.small.Small"
    log = [json.loads(line) for line in (runs / "sgdd/log.jsonl").read_text().splitlines()]
    assert "synthetic_pictures/pck@0.2/mean" in log[-1]


@pytest.mark.parametrize(("run", "at"), [("sgdd", "head.coarse"), ("longer", "head")])
def test_training_goes_on_from_the_coarse_head_that_is_named(runs, run, at):
    begin = load_file(runs / "coarse/checkpoints/best/model.safetensors")
    end = load_file(runs / run / "checkpoints/best/model.safetensors")
    name = "backbone.stem.0.0.weight"
    far = (end[f"{at}.{name}"] - begin[f"head.{name}"]).norm() / begin[f"head.{name}"].norm()
    assert far < 0.1  # fresh weights would be 1.4 away


def test_scoring_takes_the_crops_of_training_and_says_what_it_did(runs, capsys):
    report = scores(capsys, "task=image2d", f"checkpoint={runs}/sgdd/checkpoints/best")
    assert report["size"] == [48, 64]
    assert (report["steps"], report["K"], report["flip"]) == (4, 1, True)
    assert 0 <= report["flip_apart"] <= 1
    assert report["boxes"] == "gt"
    assert report["evaluator"] == "pck"
    assert report["metrics"]["synthetic_pictures/spread/mean"] > 0
    report = scores(capsys, "experiment=image2d_coarse")
    assert (report["method"], report["K"]) == ("coarse", 1)


def test_start_steps_hypotheses_and_the_coarse_map_are_free_at_evaluation(runs, capsys):
    where = ("task=image2d", f"checkpoint={runs}/sgdd/checkpoints/best", "task.flip=false")
    line = error_of(capsys, "eval", *where, "dataset.pictures=2", "task.hypotheses=2")
    assert "task.inference.init=coarse+noise" in line
    free = ("task.hypotheses=2", "task.inference.init=coarse+noise", "sampler.steps=2")
    report = scores(capsys, *where, *free, "eval.aggregates=[mean,median]")
    assert (report["steps"], report["K"]) == (2, 2)
    assert "synthetic_pictures/pck@0.2/median" in report["metrics"]
    alone = scores(capsys, "experiment=image2d_coarse", where[1], "task.flip=true")
    assert (alone["method"], alone["steps"], alone["flip"]) == ("coarse", 1, True)


def test_the_start_is_found_on_validation_data_and_kept_in_the_model_folder(runs, capsys, tmp_path):
    folder = tmp_path / "model"
    shutil.copytree(runs / "sgdd/checkpoints/best", folder)
    where = ("task=image2d", f"checkpoint={folder}", "task.flip=false", "sampler.steps=2")
    before = scores(capsys, *where)
    assert before["timesteps"] == [249, 124]
    assert "match_start" not in before
    error = "eval.monitor=synthetic_pictures/spread/mean"  # a figure without ties
    report = scores(capsys, *where, error, "eval.better=lower", "eval.match_start=3")
    found, steps = report["match_start"], " ".join(map(str, report["timesteps"]))
    assert checkpoint.read_config(folder)["match_start"] == found
    assert found["scores"][steps] == min(found["scores"].values()) < found["scores"]["249 124"]
    assert (found["split"], found["samples"], found["steps"]) == ("validation", 3, 2)
    assert found["instead_of"] == {"start": 250, "end": 0}
    assert posediff.load(folder).sampler.start == found["start"]
    again = scores(capsys, *where)
    for key in ("timesteps", "match_start", "metrics"):
        assert again[key] == report[key]
    assert scores(capsys, *where, "preset=sgdd_noise")["timesteps"] == [999, 499]
    own = scores(capsys, *where, "sampler.start=250")
    assert own["metrics"] == before["metrics"]
    assert "match_start" not in own
    command("eval", "dataset=synthetic_pictures", "dataset.pictures=2", *where[:3])
    assert "found with 2 steps, scored with 4" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("task=image2d", "sampler.end=9"), "eval.match_start chooses sampler.end: leave out one"),
        (("experiment=image2d_coarse",), "eval.match_start: a method without diffusion"),
        (("task=image2d", "eval.monitor=pckk"), "eval.monitor=pckk: no such figure, only"),
    ],
)
def test_a_start_that_cannot_be_found_is_an_error(runs, capsys, options, message):
    where = (f"checkpoint={runs}/sgdd/checkpoints/best", "dataset.pictures=2")
    assert message in error_of(capsys, "eval", *options, *where, "eval.match_start=2")


def test_repeat_is_a_sampler_of_its_own(runs, capsys):
    where = ("task=image2d", f"checkpoint={runs}/sgdd/checkpoints/best", "sampler=repeat")
    assert scores(capsys, *where, "sampler.steps=3", "sampler.start=250")["steps"] == 3


def test_a_bad_picture_that_a_worker_meets_ends_training_with_one_line(capsys, tmp_path):
    (tmp_path / "images").mkdir()
    cv2.imwrite(str(tmp_path / "images/1.png"), np.zeros((60, 80, 3), np.uint8))
    (tmp_path / "images/2.jpg").write_bytes(b"no picture")
    points = np.random.default_rng(0).uniform(5, 50, (17, 2))
    person = {"category_id": 1, "keypoints": np.insert(points, 2, 2, 1).ravel().tolist()}
    people = {
        "images": [
            {"id": n, "file_name": name, "width": 80, "height": 60}
            for n, name in ((1, "1.png"), (2, "2.jpg"))
        ],
        "categories": [{"id": 1, "keypoints": list(skeleton("coco17").joints)}],
        "annotations": [person | {"id": n, "image_id": n, "area": 900} for n in (1, 2)],
    }
    (tmp_path / "all.json").write_text(json.dumps(people))
    where = (f"dataset.root={tmp_path}", "dataset.skeleton=coco17", "trainer.recipe.workers=1")
    files = "dataset.annotations={train: all.json, validation: all.json}"
    small = [x for x in TINY if not x.startswith("dataset")]
    given = (*COARSE[:1], "dataset=custom", *where, files, "dataset.size=[48,64]", *small)
    line = error_of(capsys, "train", *given, "name=spoilt")
    assert line.startswith("error: ")
    assert "2.jpg: the image is damaged: copy it again" in line
    assert "Traceback" not in line


def photos_of(folder, count, annotated=True):
    """A data set in COCO's form, a person in each of `count` photos; the last one is no picture."""
    (folder / "images").mkdir()
    points = np.insert(np.random.default_rng(0).uniform(5, 50, (17, 2)), 2, 2, 1)
    images, people = [], []
    for n in range(1, count + 1):
        images.append({"id": n, "file_name": f"{n}.png", "width": 80, "height": 60})
        cv2.imwrite(str(folder / f"images/{n}.png"), np.zeros((60, 80, 3), np.uint8))
        people.append({"id": n, "image_id": n, "category_id": 1, "area": 900.0})
        people[-1] |= {"keypoints": points.ravel().tolist(), "num_keypoints": 17, "iscrowd": 0}
        people[-1] |= {"bbox": [5, 5, 45, 45]}
    (folder / f"images/{count}.png").write_bytes(b"no picture")
    content = {"images": images, "categories": [{"id": 1, "name": "person"}]}
    if annotated:
        content["categories"][0]["keypoints"] = list(skeleton("coco17").joints)
        content["annotations"] = people
    (folder / "all.json").write_text(json.dumps(content))
    boxes = [{k: p[k] for k in ("image_id", "category_id", "bbox")} | {"score": 1} for p in people]
    (folder / "boxes.json").write_text(json.dumps(boxes))


@pytest.mark.filterwarnings("ignore:left out")
def test_one_bad_picture_of_many_is_left_out_named_and_counted(capsys, tmp_path):
    photos_of(tmp_path, 24)
    files = "dataset.annotations={train: all.json, validation: all.json, test: all.json}"
    data = ("dataset=custom", f"dataset.root={tmp_path}", "dataset.skeleton=coco17", files)
    small = [x for x in TINY if not x.startswith("dataset")]
    given = (*COARSE[:1], *data, "dataset.size=[48,64]", *small)
    command("train", *given, "trainer.recipe.epoch_samples=48", "name=one_bad")
    said = capsys.readouterr().out
    line = "1 of 24 samples left out: "
    assert f"held out: {line}" in said
    assert f"training: {line}" in said
    assert "24.png: the image is damaged" in said
    where = (*COARSE[:1], *data, "eval.split=test", "eval=coco", "device=cpu")
    words = error_of(capsys, "eval", *where, "checkpoint=runs/image2d/custom/one_bad")
    assert "not scored: 1 of 24 samples left out: " in words
    report = json.loads(
        max(Path("runs").rglob("metrics.json"), key=lambda x: x.stat().st_mtime).read_text()
    )
    assert report["unreadable_samples"] == 1
    assert "24.png: the image is damaged" in report["unreadable"][0]
    assert report["metrics"]["people/mean"] == 23


# --- files of the benchmarks


def test_a_test_whose_labels_are_secret_gives_result_files_alone(tmp_path, capsys):
    """test-dev of COCO: an annotation file without annotations, and the boxes of a detector."""
    photos_of(tmp_path, 3, annotated=False)
    cv2.imwrite(str(tmp_path / "images/3.png"), np.zeros((60, 80, 3), np.uint8))
    model = untrained(tmp_path / "model", "coco17")
    where = ["dataset=coco", f"dataset.root={tmp_path}", "dataset.images=images", "device=cpu"]
    where += ["dataset.annotations=all.json", "dataset.boxes=boxes.json", "sampler.steps=1"]
    capsys.readouterr()
    command("eval", "task=image2d", "eval=coco", f"checkpoint={model}", *where, "task.flip=false")
    *_, results, path = capsys.readouterr().out.strip().splitlines()
    found = json.loads(Path(results).read_text())
    assert [x["image_id"] for x in found] == [1, 2, 3]
    figures = json.loads(Path(path).read_text())["metrics"]
    assert not [key for key in figures if key.startswith(("AP", "AR"))]
    assert figures["people_kept/mean"] == 3


def untrained(folder, layout):
    """A model folder with fresh weights, for crops of 48 x 64."""
    given = ["task=image2d", *SMALL, "dataset.size=[48,64]", f"dataset.skeleton={layout}"]
    cfg = config.compose("train", given)
    tree = config.model_tree(cfg)
    made_for = {k: x for k, x in config.plain(cfg.dataset).items() if k in config.DATA_KEYS}
    about = {"task": "image2d", "method": "sgdd", "skeleton": layout, "dataset": made_for}
    weights = config.build_model(tree).state_dict()
    checkpoint.save(folder, weights, {**about, "overrides": SMALL, "model": tree})
    return folder


@pytest.mark.parametrize(
    ("dataset", "metric", "layout", "detections"),
    [
        ("coco", "coco", "coco17", "test_coco_det_AP_H_56.json"),
        ("crowdpose", "crowdpose", "crowdpose14", "test_crowdpose_det_AP_40.json"),
        ("aic", "aic_coco", "aic14", "gt"),
        ("aic", "aic_official", "aic14", "gt"),
    ],
)
def test_benchmarks_are_scored_from_their_own_files(
    shared, tmp_path, capsys, dataset, metric, layout, detections
):
    model = untrained(tmp_path / "model", layout)
    root = shared / f"data/samples/{dataset}"
    where = [f"dataset={dataset}", f"eval={metric}", f"dataset.root={root}", "dataset.images=."]
    where += [f"dataset.annotations=test_{dataset}.json", f"dataset.boxes={detections}"]
    where += ["dataset.form=coco"] * (dataset == "aic")
    dials = ("task.flip=false", "sampler.steps=1", "device=cpu")
    capsys.readouterr()
    command("eval", "task=image2d", f"checkpoint={model}", *where, *dials)
    *_, results, path = capsys.readouterr().out.strip().splitlines()
    report = json.loads(Path(path).read_text())
    assert report["evaluator"] == metric
    assert report["boxes"] == detections
    assert 0 <= report["metrics"][f"{'aic/' * ('aic' in metric)}{HEADLINE[metric]}/mean"] < 1
    found = json.loads(Path(results).read_text())
    assert len(found) == (3 if dataset == "aic" else report["metrics"]["people_kept/mean"])


def test_pictures_without_a_file_are_scored_too_or_say_what_they_lack(runs, capsys):
    where = ("task=image2d", f"checkpoint={runs}/sgdd/checkpoints/best", "sampler.steps=1")
    report = scores(capsys, *where, "eval=coco")
    assert (report["annotated_images"], report["area"]) == (2, "pixels seen")
    assert report["metrics"]["AP/mean"] >= 0
    heads = scores(capsys, *where, "eval=pckh")
    assert heads["evaluator"] == "pckh"
    assert 0 <= heads["metrics"]["pckh@0.5/mean"] <= 100
    assert heads["metrics"]["people_without_head_box/mean"] == 0
    drawn = (*where, "dataset.pictures=2", "device=cpu")
    for metric, lack in (("crowdpose", "crowdIndex"), ("aic_official", "aic14")):
        assert lack in error_of(capsys, "eval", *drawn, f"eval={metric}")


HEADLINE = {"coco": "AP", "crowdpose": "AP", "aic_coco": "AP", "aic_official": "mAP_official"}


# --- predicting


@pytest.fixture
def folder(tmp_path):
    """Photos of which two are bad."""
    rng = np.random.default_rng(0)
    for name in ("a.jpg", "b.png"):
        cv2.imwrite(str(tmp_path / name), rng.integers(0, 255, (60, 80, 3), np.uint8))
    (tmp_path / "cut.jpg").write_bytes((tmp_path / "a.jpg").read_bytes()[:400])
    cv2.imwrite(str(tmp_path / "dot.png"), np.zeros((1, 1, 3), np.uint8))
    return tmp_path


def predict(runs, *arguments):
    command("predict", "task=image2d", f"checkpoint={runs}/sgdd/checkpoints/best", *arguments)


def test_a_photo_gives_a_result_file_and_a_picture_with_heatmaps_on_request(runs, folder):
    out = folder / "out"
    box = "boxes=[10,5,30,50]"
    predict(runs, f"input={folder}/a.jpg", box, "heatmaps=true", f"output={out}")
    (person,) = json.loads((out / "results.json").read_text())
    assert (person["image_id"], person["category_id"]) == ("a.jpg", 1)
    assert len(person["keypoints"]) == 3 * 17
    about = json.loads((out / "spread.json").read_text())
    assert (about["skeleton"], about["steps"], about["K"]) == ("coco17", 4, 1)
    assert len(about["people"][0]["spread"]) == 17
    assert cv2.imread(str(out / "a_pose.png")).shape == (360, 480, 3)
    maps = cv2.imread(str(out / "a_0_heatmaps.png"))
    assert maps.shape == (20 + 5 * 128, 90 + 17 * 96, 3)  # the coarse map and four steps


def test_photos_of_one_name_and_two_kinds_have_pictures_of_their_own(runs, folder):
    (folder / "two").mkdir()
    for name in ("a.png", "a.jpg"):
        cv2.imwrite(str(folder / "two" / name), np.zeros((60, 80, 3), np.uint8))
    predict(runs, f"input={folder}/two", f"output={folder}/out")
    found = sorted(path.name for path in (folder / "out").glob("*.png"))
    assert found == ["a.jpg_pose.png", "a.png_pose.png"]


def test_one_bad_photo_does_not_stop_the_others_and_is_listed_at_the_end(runs, folder, capsys):
    out = folder / "out"
    line = error_of(
        capsys,
        "predict",
        "task=image2d",
        f"checkpoint={runs}/sgdd/checkpoints/best",
        f"input={folder}",
        f"output={out}",
    )
    assert "2 of 4 photos" in line
    assert "cut.jpg" in line
    assert "dot.png" in line
    people = json.loads((out / "results.json").read_text())
    assert [person["image_id"] for person in people] == ["a.jpg", "b.png"]
    assert (out / "b_pose.png").exists()


def test_boxes_come_by_photo_and_bad_ones_are_named(runs, folder, capsys):
    boxes = folder / "boxes.json"
    boxes.write_text(json.dumps({"a.jpg": [[0, 0, 40, 60], [40, 0, 40, 60]]}))
    where = (f"input={folder}", f"boxes={boxes}", f"output={folder}/out")
    predict(runs, *where)
    assert len(json.loads((folder / "out/results.json").read_text())) == 2
    for bad in ([0, 0, 0, 9], [500, 0, 9, 9], [0, 0, float("nan"), 9], [1, 2, 3]):
        boxes.write_text(json.dumps({"a.jpg": [bad], "b.png": [[0, 0, 80, 60]]}))
        checkpoint_of = f"checkpoint={runs}/sgdd/checkpoints/best"
        line = error_of(capsys, "predict", "task=image2d", checkpoint_of, *where)
        assert "a.jpg: box 0" in line
    boxes.write_text("[1, 2]")
    assert "boxes.json" in error_of(capsys, "predict", "task=image2d", checkpoint_of, *where)
    assert "nowhere" in error_of(capsys, "predict", "task=image2d", "input=nowhere.jpg")
    (folder / "clip.mp4").write_bytes(b"")
    line = error_of(capsys, "predict", "task=image2d", f"input={folder}/clip.mp4")
    assert "clip.mp4: a video, and this model reads photos" in line


def test_a_photo_s_answer_does_not_depend_on_the_others(runs, folder):
    predict(runs, f"input={folder}/b.png", f"output={folder}/one")
    (folder / "cut.jpg").unlink()
    (folder / "dot.png").unlink()
    predict(runs, f"input={folder}", f"output={folder}/all")
    one, every = (
        json.loads((folder / name / "results.json").read_text()) for name in ("one", "all")
    )
    assert np.allclose(one[0]["keypoints"], every[1]["keypoints"], atol=1e-2)


def test_a_model_folder_is_loaded_without_hydra(runs):
    model = posediff.load(runs / "sgdd/checkpoints/best")
    image = torch.zeros(1, 3, 64, 48)
    affine = torch.tensor([[[1.0, 0, 0], [0, 1, 0]]])
    poses = model.predict({"id": ["x"], "image": image, "affine": affine})
    assert poses.keypoints.shape == (1, 17, 2)


@pytest.mark.parametrize(("key", "value"), [("size", "[96,128]"), ("codec", "dark")])
def test_a_crop_that_the_model_was_not_made_for_is_an_error(capsys, runs, key, value):
    where = ("task=image2d", "dataset=synthetic_pictures", "dataset.pictures=2")
    line = error_of(capsys, "eval", *where, f"dataset.{key}={value}", "device=cpu")
    assert f"dataset.{key} must stay" in line


@pytest.mark.parametrize(
    ("override", "own"),
    [
        ("task.head.decoder.channels=16", "model.head.decoder.channels=8"),
        ("task.predicts=noise", "task.predicts=x_0"),
    ],
)
def test_a_network_other_than_the_trained_one_is_an_error(capsys, runs, override, own):
    where = ("task=image2d", f"checkpoint={runs}/sgdd/checkpoints/best", "dataset.pictures=2")
    line = error_of(capsys, "eval", *where, override, "device=cpu")
    assert f"sgdd/checkpoints/best has {own}" in line
