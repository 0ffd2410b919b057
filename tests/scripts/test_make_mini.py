"""All joints, people and images that make_mini writes, read back from its files."""

import json

import cv2
import numpy as np
import pytest
from helpers.commands import run, script

from posediff.data.pictures import picture_files
from posediff.data.pictures.coco_format import aic, coco, crowdpose
from posediff.data.pictures.lsp import lsp
from posediff.data.pictures.synthetic_pictures import TINY
from posediff.synthetic.render import labels

COUNT = 3
ROUNDED = {"coco": 0.051, "crowdpose": 0.051, "aic": 0.551}  # pixels, in the files


def drawn(dataset, folder, count=COUNT):
    """The scenes that make_mini renders, in their order."""
    module = script("make_mini")
    shots, scene = [], module.scene

    def noted(*arguments):
        shots.append(scene(*arguments))
        return shots[-1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "scene", noted)
        run(module.main, dataset, folder, "--pictures", count)
    return shots


@pytest.fixture(scope="module", params=["coco", "crowdpose", "aic", "lsp", "lspet"])
def mini(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp(request.param)
    return request.param, folder, drawn(request.param, folder)


@pytest.fixture(scope="module")
def crowd(tmp_path_factory):
    folder = tmp_path_factory.mktemp("crowd")
    drawn("crowdpose", folder)
    return folder


def parts(name, folder):
    """Data sets that together contain every image once, in the order of rendering."""
    if name == "coco":
        return coco(folder), coco(folder, "test")
    if name == "crowdpose":
        return crowdpose(folder), crowdpose(folder, "validation"), crowdpose(folder, "test")
    if name == "aic":
        return aic(folder), aic(folder, "test")
    if name == "lsp":
        return lsp(folder, validation=0), lsp(folder, "test")
    return (lsp(folder, validation=0, extended=True),)  # the last tenth of three is none


def test_joints_are_where_they_were_drawn(mini):
    name, folder, shots = mini
    drawn = iter(shots)
    for people in (data.annotations for data in parts(name, folder)):
        for n in range(len(people.pictures)):
            shot = next(drawn)
            points, seen = labels(shot, people.skeleton)
            enough = shot.area > TINY
            here = people.picture == n
            flags = people.visible[here]
            if name == "lspet":  # labelled or not
                assert ((flags > 0) == (seen > 0)).all()
            elif name == "lsp":  # visible or not
                assert ((flags == 2) == (seen == 2)).all()
            else:
                assert (flags == seen[enough]).all()
            there = (seen[enough] > 0)[..., None]
            gap = np.abs(people.keypoints[here] - points[enough]) * there
            assert gap.max() < ROUNDED.get(name, 1e-9)
    assert next(drawn, None) is None


def test_pictures_are_those_that_were_drawn(mini):
    name, folder, shots = mini
    drawn = iter(shots)
    for data in parts(name, folder):
        for picture in data.annotations.pictures:
            shot = next(drawn).picture
            assert shot.shape == (picture.height, picture.width, 3)
            read = picture_files.read(data.folder / picture.file).astype(int)
            assert np.abs(read - shot).mean() < 8  # the noise of a JPEG


def test_samples_come_out(mini):
    name, folder, _ = mini
    for data in parts(name, folder):
        batch = data.__getitems__(list(range(len(data))))
        assert batch["image"].isfinite().all()
        assert batch["image"].std() > 0.2
        assert (batch["visible"].sum(-1) > 0).all()


def test_coco_stores_the_area_that_is_seen_and_a_detector_s_boxes(tmp_path):
    shots = drawn("coco", tmp_path)
    area = np.concatenate([shot.area[shot.area > TINY] for shot in shots[:COUNT]])
    assert (coco(tmp_path).annotations.area == area).all()
    found = coco(tmp_path, "validation", boxes="detections_val2017.json")
    given = coco(tmp_path, "validation")
    assert len(given) <= len(found) <= 2 * len(given)
    near = [
        ((found.rows.box - box).abs().amax(1).min() / (box[2:] - box[:2]).max())
        for box in given.rows.box
    ]
    assert max(near) < 0.3


def test_crowdpose_has_no_area_counts_limbs_alone_and_has_crowds(crowd):
    data = json.loads((crowd / "json/crowdpose_train.json").read_text())
    assert all("area" not in person for person in data["annotations"])
    for person in data["annotations"]:
        flags = np.array(person["keypoints"][2::3])
        assert person["num_keypoints"] == (flags[:12] > 0).sum()
    index = [image["crowdIndex"] for image in data["images"]]
    assert max(index) > 0.1
    assert min(index) >= 0
    assert data["categories"][0]["keypoints"][12:] == ["head", "neck"]
    both = crowdpose(crowd, train_on="trainval").annotations
    assert len(both.pictures) == COUNT + COUNT // 2
    assert len(set(both.ids)) == len(both.ids)


def test_both_forms_of_ai_challenger_are_the_same_people(tmp_path):
    drawn("aic", tmp_path, 2)
    raw, converted = aic(tmp_path).annotations, aic(tmp_path, form="coco").annotations
    assert (raw.visible == converted.visible).all()
    assert (raw.picture == converted.picture).all()
    assert np.abs(raw.keypoints - converted.keypoints).max() < 0.51
    np.testing.assert_array_equal(raw.boxes, converted.boxes)


def test_the_files_are_the_same_every_time(crowd, tmp_path):
    drawn("crowdpose", tmp_path)
    files = sorted(p.relative_to(crowd) for p in crowd.rglob("*") if p.is_file())
    assert files == sorted(p.relative_to(tmp_path) for p in tmp_path.rglob("*") if p.is_file())
    for file in files:
        assert (crowd / file).read_bytes() == (tmp_path / file).read_bytes(), file


def test_pictures_are_whole_jpegs(crowd):
    for path in (crowd / "images").iterdir():
        assert cv2.imread(str(path)) is not None
