"""scripts/gallery.py: photos through the detector and two models that are hardly trained."""

import cv2
import numpy as np
import pytest
from helpers.commands import run, script
from helpers.heads import case, model

from posediff import checkpoint, config


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """A coarse head for COCO's joints, and a lifter."""
    folder = tmp_path_factory.mktemp("models")
    for name in ("coarse", "posterior"):
        cfg, tree, _ = case(name)
        about = {"task": cfg.task.name, "skeleton": cfg.dataset.skeleton, "model": tree}
        data = {k: x for k, x in config.plain(cfg.dataset).items() if k in config.DATA_KEYS}
        checkpoint.save(folder / name, model(name).state_dict(), about | {"dataset": data})
    return folder


def gallery(folders, photos, out, *more):
    models = ("--image2d", folders / "coarse", "--lift3d", folders / "posterior")
    return run(script("gallery").main, out, photos, *models, *more)


def test_a_cell_has_the_people_of_a_photo_and_one_3d_pose(folders, shared, tmp_path, capsys):
    photos = shared / "data/coco_mini/images"
    gallery(folders, photos, tmp_path / "sheet.png", "--count=3", "--columns=2")
    names = sorted(path.name for path in photos.iterdir())
    shown = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert shown == [[str(n + 1), names[i]] for n, i in enumerate((0, 14, 27))]
    picture = cv2.imread(str(tmp_path / "sheet.png"))
    assert picture.shape == (2 * 344, 2 * 952, 3)
    assert (picture[24:344, 520:940] < 250).any()  # the views beside the first photo
    assert (picture[350:, 960:] == 255).all()  # no fourth photo


def test_a_photo_without_people_is_shown_as_it_is(folders, tmp_path):
    cv2.imwrite(str(tmp_path / "grey.png"), np.full((90, 120, 3), 90, np.uint8))
    gallery(folders, tmp_path / "grey.png", tmp_path / "sheet.png")
    picture = cv2.imread(str(tmp_path / "sheet.png"))
    assert (picture[24:344, :420] == 90).all()
    assert (picture[24:, 430:] == 255).all()


def test_a_missing_model_is_one_line(folders, tmp_path, capsys):
    cv2.imwrite(str(tmp_path / "grey.png"), np.zeros((90, 120, 3), np.uint8))
    with pytest.raises(SystemExit) as caught:
        run(
            script("gallery").main, tmp_path / "x.png", tmp_path / "grey.png", "--image2d", "./none"
        )
    assert str(caught.value).startswith("error: none/config.json: no such file")


def test_the_photos_of_the_documents_are_twenty_four_that_are_there(shared):
    photos = script("gallery").documented(shared / "data")
    assert len(photos) == 24
    assert all(path.is_file() for path in photos)
