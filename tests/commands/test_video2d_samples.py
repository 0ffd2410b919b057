"""train, eval and predict of video2d on real video, Bonn's and PoseTrack18's samples."""

import json
from pathlib import Path

import cv2
import pytest
from helpers.commands import command
from helpers.video2d import OVERRIDES

from posediff.metrics.posetrack import score

TINY = (
    "task=video2d",
    "dataset=bonn_posetrack",
    "eval=poseval",
    *OVERRIDES,
    "device=cpu",
    "trainer=people_minutes",
    "trainer.train_samples=4",
    "trainer.validation_samples=4",
    "trainer.recipe={epochs: 1, batch_size: 4, epoch_samples: 4}",
)


@pytest.fixture(scope="module")
def run(shared, tmp_path_factory):
    """A model that has seen four people of Bonn's video."""
    folder = tmp_path_factory.mktemp("work")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("POSEDIFF_RUNS", str(folder))
        patch.setenv("POSEDIFF_DATA", str(shared / "data"))
        command("train", *TINY, "name=tiny")
        yield folder / "video2d/bonn_posetrack/tiny/checkpoints/best"


def scored(run, capsys, *arguments):
    """What eval wrote into metrics.json, and the folder of the result files."""
    capsys.readouterr()
    given = ("task=video2d", "eval=poseval", "sampler.steps=1", "task.hypotheses=2", "device=cpu")
    command("eval", *given, f"checkpoint={run}", *arguments)
    path = Path(capsys.readouterr().out.strip().splitlines()[-1])
    return json.loads(path.read_text()), path.parent / "results_mean"


def test_everybody_in_bonn_s_video_is_scored_as_the_written_files_are(run, shared, capsys):
    report, files = scored(run, capsys, "dataset=bonn_posetrack")
    assert (report["videos"], report["labelled_frames"], report["annotated_people"]) == (1, 41, 164)
    assert report["metrics"]["people/mean"] == 164
    truth = shared / "data/bonn_posetrack/annotations/test/060470979.json"
    again = score(truth, files)["mAP"]
    assert again > 0
    assert report["metrics"]["mAP/mean"] == pytest.approx(again, abs=1e-9)


def test_posetrack18_s_samples_are_scored_by_its_layout_of_files(run, shared, capsys):
    root = shared / "data/samples/posetrack18"
    with pytest.warns(UserWarning, match="nframes of video 003418 is 149, but 1 were found"):
        report, files = scored(run, capsys, "dataset=posetrack18", f"dataset.root={root}")
    assert (report["annotation_files"], report["annotated_people"]) == (3, 14)
    again = score(root / "annotations/val", files)["mAP"]
    assert again > 0
    assert report["metrics"]["mAP/mean"] == pytest.approx(again, abs=1e-9)


def predicted(run, output, *arguments):
    given = ("task=video2d", "dataset=bonn_posetrack", "sampler.steps=1", "device=cpu")
    command("predict", *given, f"checkpoint={run}", f"output={output}", *arguments)
    film = cv2.VideoCapture(str(output / "poses.mp4"))
    assert cv2.imread(str(output / "poses.png")).std() > 20
    found = json.loads((output / "results.json").read_text())
    assert int(film.get(cv2.CAP_PROP_FRAME_COUNT)) == len(found["images"])
    return found


def test_people_are_followed_by_boxes_and_tracks_of_the_annotation(run, shared, tmp_path):
    data = shared / "data/bonn_posetrack"
    known = json.loads((data / "annotations/test/060470979.json").read_text())
    names = {image["id"]: Path(image["file_name"]).name for image in known["images"]}
    boxes = {name: [] for name in names.values()}
    for person in known["annotations"]:
        entry = {"track_id": person["track_id"], "box": person["bbox"]}
        boxes[names[person["image_id"]]].append(entry)
    (tmp_path / "boxes.json").write_text(json.dumps(boxes))
    video = data / "images/test/060470979"
    found = predicted(run, tmp_path / "out", f"input={video}", f"boxes={tmp_path}/boxes.json")
    files = {image["id"]: image["file_name"] for image in found["images"]}
    seen = {(files[p["image_id"]], p["track_id"]) for p in found["annotations"]}
    assert seen == {(name, p["track_id"]) for name, people in boxes.items() for p in people}
    assert (len(files), len(found["annotations"]), len({track for _, track in seen})) == (
        41,
        164,
        4,
    )


def test_a_film_of_posetrack18_is_read(run, shared, tmp_path):
    folder = shared / "data/samples/posetrack18/videos/000001_mpiinew_test"
    found = predicted(run, tmp_path / "out", f"input={folder}/000001_mpiinew_test.mp4")
    assert [person["image_id"] for person in found["annotations"]] == list(range(5))
