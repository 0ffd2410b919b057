"""train, eval and predict of video2d as people call them, on a few frames of noise."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from helpers.commands import LIMIT, command, error_of
from helpers.video2d import OVERRIDES
from safetensors.torch import load_file

import posediff
from posediff import checkpoint
from posediff.pose.skeleton import skeleton

JOINTS = skeleton("jhmdb15").joints
TRAINER = (
    *LIMIT,
    "trainer=people_minutes",
    "trainer.recipe.batch_size=4",
    "trainer.recipe.epoch_samples=8",
    "device=cpu",
)
FULL, PLAIN = "task=video2d", "experiment=video2d_plain"


def footage(root, part, videos):
    """Videos of five frames with one person, labels and pictures."""
    rng = np.random.default_rng(len(part))
    images, people = [], []
    for v in range(videos):
        (root / f"{part}{v}").mkdir(parents=True)
        for i in range(5):
            name, key = f"{part}{v}/{i:06d}.jpg", 100 * v + i
            cv2.imwrite(str(root / name), rng.integers(0, 255, (60, 50, 3), np.uint8))
            about = {"id": key, "vid_id": f"{part}{v}", "file_name": name}
            images.append({**about, "width": 50, "height": 60})
            points = rng.uniform(5, 45, (len(JOINTS), 2)).round(1)
            triples = [x for point in points.tolist() for x in (*point, 2)]
            person = {"id": key, "image_id": key, "track_id": 3, "category_id": 1}
            people.append({**person, "keypoints": triples, "bbox": [4, 4, 42, 42]})
    category = {"id": 1, "name": "person", "keypoints": list(JOINTS)}
    document = {"images": images, "annotations": people, "categories": [category]}
    (root / f"{part}.json").write_text(json.dumps(document))


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A folder of runs with a baseline and a diffusion that began with its features."""
    folder = tmp_path_factory.mktemp("work")
    for part, videos in (("train", 3), ("test", 2)):
        footage(folder / "data", part, videos)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("POSEDIFF_RUNS", str(folder / "runs"))
        patch.setenv("POSEDIFF_DATA", str(folder))
        command("train", PLAIN, *OVERRIDES, *TRAINER, *WHERE, "name=plain")
        begin = folder / "runs/video2d/custom_video/plain/checkpoints/best"
        given = (f"task.begin={begin}", "preset=decoder_light")
        command("train", FULL, *OVERRIDES, *TRAINER, *WHERE, *given, "name=full")
    return folder / "runs/video2d/custom_video"


WHERE = (
    "dataset=custom_video",
    "dataset.skeleton=jhmdb15",
    "dataset.root=data",
    "dataset.annotations={train: train.json, test: test.json}",
    "dataset.validation=0.3",
)


@pytest.fixture(autouse=True)
def inside(runs, monkeypatch):
    monkeypatch.chdir(runs.parents[2])
    monkeypatch.setenv("POSEDIFF_RUNS", str(runs.parents[1]))


def scores(capsys, *arguments):
    """What eval wrote into metrics.json."""
    capsys.readouterr()
    command("eval", *WHERE, "device=cpu", *arguments)
    return json.loads(Path(capsys.readouterr().out.strip().splitlines()[-1]).read_text())


# --- training and scoring


def test_any_part_of_another_model_begins_a_training(runs, capsys):
    start = runs / "plain/checkpoints/best"
    given = (PLAIN, *OVERRIDES, *TRAINER, *WHERE, f"task.begin={start}", "trainer.optimizer.lr=0")
    part = "task.begin_parts=[[head.clip.backbone,head.clip.backbone]]"
    command("train", *given, part, "seed=7", "trainer.recipe.ema=0", "name=part")
    one, other = (
        load_file(runs / x / "checkpoints/best/model.safetensors") for x in ("plain", "part")
    )
    same = {name for name, x in one.items() if torch.equal(x, other[name]) and x.std() > 0}
    weights = {name for name in same if name.endswith("weight") and one[name].ndim > 1}
    assert {name[:18] for name in weights} == {"head.clip.backbone"}
    wrong = error_of(capsys, "train", *given, "task.begin_parts=[head.clip]", "name=wrong")
    assert "task.begin_parts must be pairs" in wrong


def test_training_begins_with_the_features_of_the_baseline(runs):
    begin, end = (
        load_file(runs / f"{name}/checkpoints/best/model.safetensors") for name in ("plain", "full")
    )
    for name in ("head.clip.backbone.stem.0.0.weight", "head.clip.strl.embed.weight"):
        assert (end[name] - begin[name]).norm() < 0.2 * begin[name].norm()


def test_scoring_uses_the_clips_of_training_and_reports_its_options(runs, capsys):
    report = scores(capsys, FULL, f"checkpoint={runs}/full/checkpoints/best")
    assert report["size"] == [32, 48]
    assert report["offsets"] == [-1, 0, 1]
    assert (report["method"], report["steps"], report["K"]) == ("decoder_light", 4, 4)
    assert report["evaluator"] == "pck_person"
    assert report["metrics"]["custom_video/people/mean"] == 10
    report = scores(capsys, PLAIN, "task.flip=true")
    assert (report["method"], report["K"], report["flip"]) == ("plain", 1, True)


def test_steps_sets_and_rules_are_free_at_evaluation(runs, capsys):
    free = ("sampler.steps=2", "task.hypotheses=2", "task.every_step=true", "task.flip=true")
    rules = "eval.aggregates=[mean,median,max_score,coord_mean,medoid]"
    report = scores(capsys, FULL, f"checkpoint={runs}/full/checkpoints/best", *free, rules)
    assert (report["steps"], report["K"], report["flip"]) == (2, 2, True)
    assert report["every_step"]
    for rule in report["aggregates"]:
        assert report["metrics"][f"custom_video/spread/{rule}"] >= 0
    answers = {report["metrics"][f"custom_video/spread/{rule}"] for rule in ("mean", "medoid")}
    assert len(answers) == 2


# --- predicting


@pytest.fixture
def clip(runs, tmp_path):
    """A video file of the five frames of a test video, and the folder of these."""
    folder, path = runs.parents[2] / "data/test0", tmp_path / "clip.mp4"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), 10, (50, 60))
    for file in sorted(folder.iterdir()):
        writer.write(cv2.imread(str(file)))
    writer.release()
    return path, folder


def predict(runs, *arguments):
    command("predict", FULL, f"checkpoint={runs}/full/checkpoints/best", "device=cpu", *arguments)


def test_a_video_gives_poses_with_tracks_a_film_and_a_sheet(runs, clip, tmp_path):
    boxes, out = tmp_path / "boxes.json", tmp_path / "out"
    two = [{"track_id": 5, "box": [0, 0, 30, 60]}, {"track_id": 4, "box": [20, 0, 30, 60]}]
    boxes.write_text(json.dumps({"000001": two, "3": two[:1]}))
    predict(runs, f"input={clip[0]}", f"boxes={boxes}", f"output={out}")
    found = json.loads((out / "results.json").read_text())
    assert [x["file_name"] for x in found["images"]] == [f"{i:06d}" for i in range(5)]
    people = found["annotations"]
    assert [(p["image_id"], p["track_id"]) for p in people] == [(1, 4), (1, 5), (3, 5)]
    assert found["categories"][0]["keypoints"] == list(JOINTS)
    assert {len(p["keypoints"]) for p in people} == {3 * 15}
    assert {len(p["scores"]) for p in people} == {len(people[0]["spread"])} == {15}
    assert (found["info"]["K"], found["info"]["steps"]) == (4, 4)
    film = cv2.VideoCapture(str(out / "poses.mp4"))
    assert film.get(cv2.CAP_PROP_FRAME_COUNT) == 5
    assert film.get(cv2.CAP_PROP_FPS) == 10
    assert cv2.imread(str(out / "poses.png")).shape[1] == 4 * 250


def test_an_answer_does_not_depend_on_who_else_is_asked_for(runs, clip, tmp_path):
    boxes, seen = tmp_path / "boxes.json", {}
    here = {"track_id": 1, "box": [0, 0, 30, 60]}
    for name, others in (("alone", []), ("all", [{"track_id": 0, "box": [20, 0, 30, 60]}])):
        boxes.write_text(json.dumps({"000002.jpg": [*others, here]}))
        predict(runs, f"input={clip[1]}", f"boxes={boxes}", f"output={tmp_path / name}")
        people = json.loads((tmp_path / name / "results.json").read_text())["annotations"]
        seen[name] = next(p["keypoints"] for p in people if p["track_id"] == 1)
    assert np.allclose(seen["alone"], seen["all"], atol=1e-2)


def test_bad_input_ends_in_one_line(runs, clip, tmp_path, capsys):
    boxes = tmp_path / "boxes.json"
    boxes.write_text(json.dumps({"77": [[0, 0, 30, 60]]}))
    given = (FULL, f"checkpoint={runs}/full/checkpoints/best", "device=cpu")
    for arguments, words in (
        (("input=nowhere.mp4",), "nowhere.mp4"),
        ((f"input={clip[0]}", f"boxes={boxes}"), "no frame 77"),
        ((f"input={clip[0]}", "boxes=[900,0,5,5]"), "no extent"),
        ((f"input={clip[0]}", "boxes=missing.json"), "missing.json"),
    ):
        assert words in error_of(capsys, "predict", *given, *arguments)


def relabelled(root, change):
    """The labels of test videos after a change."""
    path = root / "test.json"
    document = json.loads(path.read_text())
    change(document)
    path.write_text(json.dumps(document))


def cut(root):
    path = root / "test1/000002.jpg"
    path.write_bytes(path.read_bytes()[:400])


def smaller(root):
    cv2.imwrite(str(root / "test1/000002.jpg"), np.zeros((60, 40, 3), np.uint8))


def filmed(root):
    for path in (root / "test1").iterdir():
        path.unlink()
    (root / "test1").rmdir()
    (root / "test1.mp4").write_bytes(b"no video" * 99)


def counted(root):
    def change(document):
        for image in document["images"]:
            image["nframes"] = 4
        del document["images"][9], document["annotations"][9]

    relabelled(root, change)


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (cut, "test1/000002.jpg: the image is cut short"),
        (smaller, "frame 2 of video test1 is 40x60, but the annotated one is 50x60"),
        (lambda root: (root / "test1/000003.jpg").unlink(), "test1/000003.jpg: no such frame"),
        (filmed, "test1.mp4: no video, or a damaged one"),
        (counted, "nframes of video test1 is 4, but 5 were found"),
        (lambda root: relabelled(root, lambda x: x["annotations"].clear()), "no person in it"),
    ],
)
def test_scoring_bad_video_ends_in_one_line_that_names_it(runs, tmp_path, capsys, spoil, words):
    footage(tmp_path, "test", 2)
    spoil(tmp_path)
    where = (*WHERE, f"dataset.root={tmp_path}", "dataset.annotations.train=test.json")
    given = (FULL, f"checkpoint={runs}/full/checkpoints/best", "device=cpu")
    assert words in error_of(capsys, "eval", *given, *where)


def test_a_clip_shorter_than_the_window_and_a_video_without_labels_are_scored(
    runs, tmp_path, capsys
):
    """The first video has one frame, the second no people, and a box leaves the picture."""
    footage(tmp_path, "test", 2)

    def change(document):
        document["images"] = [document["images"][0], *document["images"][5:]]
        document["annotations"] = document["annotations"][:1]
        document["annotations"][0]["bbox"] = [-30, -30, 500, 500]

    relabelled(tmp_path, change)
    for n in range(1, 5):
        (tmp_path / f"test0/{n:06d}.jpg").unlink()
    where = (f"dataset.root={tmp_path}", f"checkpoint={runs}/full/checkpoints/best")
    report = scores(capsys, FULL, *where)
    assert report["metrics"]["custom_video/people/mean"] == 1
    assert report["videos"] == 2


def test_a_model_folder_is_loaded_without_hydra(runs):
    model = posediff.load(runs / "full/checkpoints/best")
    assert checkpoint.read_config(runs / "full/checkpoints/best")["dataset"]["offsets"] == [
        -1,
        0,
        1,
    ]
    affine = torch.tensor([[[1.0, 0, 0], [0, 1, 0]]])
    frames = torch.zeros(1, 3, 3, 48, 32)
    poses = model.predict({"id": ["x"], "frames": frames, "affine": affine})
    assert poses.keypoints.shape == (1, 15, 2)
    assert poses.hypotheses.shape == (1, 4, 15, 2)
