"""JHMDB with a clip whose file is damaged."""

import numpy as np
import pytest
from scipy.io import savemat

from posediff.data.video.jhmdb import jhmdb

CLIPS = [f"film{n}_walk_f_cm_np1_fr_med_{n}" for n in range(24)]


@pytest.fixture
def root(tmp_path):
    """Clips of one frame, 22 of a training and two of a test."""
    import cv2

    rng = np.random.default_rng(0)
    for clip in CLIPS:
        points = tmp_path / f"joint_positions/walk/{clip}/joint_positions.mat"
        frame = tmp_path / f"Rename_Images/walk/{clip}/00001.png"
        for path in (points, frame):
            path.parent.mkdir(parents=True)
        savemat(points, {"pos_img": rng.uniform(20, 200, (2, 15, 1))})
        cv2.imwrite(str(frame), np.zeros((240, 320, 3), np.uint8))
    (tmp_path / "sub_splits").mkdir()
    lines = [f"{clip}.avi {1 if n < 22 else 2}" for n, clip in enumerate(CLIPS)]
    (tmp_path / "sub_splits/walk_test_split_1.txt").write_text("\n".join(lines))
    return tmp_path


def spoil(root, clip):
    path = root / f"joint_positions/walk/{clip}/joint_positions.mat"
    path.write_bytes(path.read_bytes()[:200])


def test_a_damaged_clip_of_a_training_is_left_out_and_named(root):
    spoil(root, CLIPS[3])
    with pytest.warns(UserWarning, match=rf"left out: .*{CLIPS[3]}.*cannot be read as a MATLAB"):
        data = jhmdb(root, "train", box="joints", validation=0.0)
    assert len(data) == 21
    (line,) = data.summary()["unusable_annotations"]
    assert CLIPS[3] in line


def test_many_damaged_clips_are_an_error_and_so_is_one_of_two_of_a_test(root):
    spoil(root, CLIPS[23])
    with pytest.raises(ValueError, match=r"\(1 of the 2 files of videos cannot be used, more than"):
        jhmdb(root, "test", box="joints")
    for clip in CLIPS[:3]:
        spoil(root, clip)
    with pytest.raises(ValueError, match=r"of the 22 files of videos cannot be used, more than"):
        jhmdb(root, "train", box="joints")
