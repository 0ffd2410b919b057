"""npz files and COCO results of frames."""

import json
from dataclasses import replace

import numpy as np
import pytest
from helpers.people import person, video

from posediff.outputs.arrays import writing_arrays
from posediff.outputs.coco_results import writing_coco
from posediff.outputs.frame_json import ARRAYS
from posediff.pose.skeleton import skeleton


def written(path, writing, frames):
    with writing(path) as add:
        for frame in frames:
            add(frame)
    return path


def test_arrays_have_a_row_per_person_and_nan_for_what_it_has_not(tmp_path):
    rng = np.random.default_rng(0)
    people = [person(rng, K=2, track=3), person(rng, K=5), person(rng, K=5, layout_3d=None)]
    frames = video([[people[0]], [], people[1:]], first=10)
    with np.load(written(tmp_path / "a.npz", writing_arrays, frames)) as file:
        found = dict(file)
    assert found["frame"].tolist() == [0, 2, 2]
    assert found["frame_index"].tolist() == [10, 11, 12]
    assert found["frame_time"].tolist() == [0.4, 0.44, 0.48]
    assert found["frame_name"].tolist() == ["000010", "000011", "000012"]
    assert found["frame_size"].tolist() == [[320, 240]] * 3
    assert found["track"].tolist() == [3, -1, -1]
    assert found["joints_3d"].tolist() == [*skeleton("h36m17").joints]
    for name in ARRAYS:
        for row, one in zip(found[name], people, strict=True):
            value = getattr(one, name)
            if value is None:
                assert np.isnan(row).all(), name
            else:
                np.testing.assert_array_equal(row[: len(value)], value)
                assert np.isnan(row[len(value) :]).all(), name
    assert found["hypotheses_3d"].shape == (3, 5, 17, 3)


def test_arrays_without_3d_or_people_have_none(tmp_path):
    flat = person(np.random.default_rng(0), layout_3d=None)
    with np.load(written(tmp_path / "a.npz", writing_arrays, video([[flat]]))) as file:
        assert not [name for name in file if "3d" in name]
        assert file["keypoints_2d"].shape == (1, 17, 2)
    with np.load(written(tmp_path / "b.npz", writing_arrays, video([[]]))) as file:
        assert file["track"].shape == (0,)


def test_coco_results_have_the_people_of_every_image(tmp_path):
    rng = np.random.default_rng(0)
    first, second = person(rng), person(rng)
    second.keypoints_2d[4] = np.nan
    frames = video([[first], [second]], first=129648)
    frames[0] = replace(frames[0], name="a photo.jpg")
    one, two = json.loads(written(tmp_path / "r.json", writing_coco, frames).read_text())
    assert (one["image_id"], two["image_id"]) == ("a photo.jpg", 129649)
    points = np.array(one["keypoints"]).reshape(17, 3)
    np.testing.assert_allclose(points[:, :2], first.keypoints_2d, atol=5.1e-4)
    np.testing.assert_allclose(points[:, 2], first.scores, atol=1e-6)
    assert one["score"] == pytest.approx(0.75 * first.scores.mean())
    assert two["keypoints"][12:15] == [0, 0, 0]
    assert written(tmp_path / "none.json", writing_coco, video([[]])).read_text() == "[]\n"


@pytest.mark.parametrize("writing", [writing_arrays, writing_coco])
def test_people_of_several_skeletons_are_an_error_and_no_file(tmp_path, writing):
    rng = np.random.default_rng(0)
    mixed = [person(rng), person(rng, layout_2d="mpii16")]
    with pytest.raises(ValueError, match="several skeletons, coco17, mpii16"):
        written(tmp_path / "a.npz", writing, video([mixed]))
    assert not list(tmp_path.iterdir())
