"""Files of mixtures: ours and the released one, and what is wrong with a bad one."""

import json

import h5py
import numpy as np
import pytest
import torch

from posediff.data.lifting.h36m import h36m
from posediff.data.lifting.h36m import write as h36m_file
from posediff.data.lifting.h36m_cameras import SIZES
from posediff.data.lifting.lifting_dataset import LiftingDataset
from posediff.data.lifting.mixtures import MixtureFile, add_mixtures, is_file, sound, write
from posediff.data.lifting.mocap import mocap
from posediff.data.lifting.recording import Recording
from posediff.data.lifting.recording import write as write_recordings
from posediff.data.lifting.synthetic_people import people

CAMERAS = {name: float(size[0]) for name, size in SIZES.items()}


def mixture(frames=6, M=3, seed=0):
    rng = np.random.default_rng(seed)
    weights = rng.dirichlet(np.ones(M), (frames, 17))[..., None]
    return np.concatenate(
        [weights, rng.uniform(0, 1000, (frames, 17, M, 2)), rng.uniform(1, 9, (frames, 17, M, 2))],
        -1,
    ).astype(np.float32)


def ours(path, entries, skeleton="h36m17", **about):
    write(path, entries.items(), {"skeleton": skeleton, "source": "test"} | about)
    return path


def released(path, content):
    """As the released code's files: an object array that holds a pickled dict."""
    np.savez(path, positions_2d=np.array(content, dtype=object))
    return path


def test_what_is_written_is_read_back_heaviest_first_and_padded_to_five(tmp_path):
    written = {f"S9/Walking 1/{camera}": mixture(seed=i) for i, camera in enumerate(SIZES)}
    file = MixtureFile(ours(tmp_path / "m.h5", written), "h36m17")
    found = file.of_clip("S9", "Walking 1", CAMERAS, 6)
    file.close()
    assert [x.shape for x in found] == [(6, 17, 5, 5)] * 4
    for x, y in zip(found, written.values(), strict=True):
        order = np.argsort(-y[..., 0], -1)[..., None]
        np.testing.assert_allclose(x[..., :3, :], np.take_along_axis(y, order, -2), rtol=1e-6)
        assert (x[..., 3:, 0] == 0).all()
        assert (x[..., 3:, 1:] == x[..., :1, 1:]).all()
        np.testing.assert_allclose(x[..., 0].sum(-1, dtype=np.float64), 1, atol=1e-6)
    with h5py.File(tmp_path / "m.h5") as raw:
        assert raw.attrs["format"] == "posediff-mixture"
        assert (raw.attrs["unit"], raw.attrs["scale"]) == ("pixel", "std")
    assert not list(tmp_path.glob("*.part"))
    assert is_file("x/m.h5")
    assert not is_file("cpn")


def test_the_released_layout_is_read_and_its_scale_becomes_pixels(tmp_path):
    entries = [mixture(frames=8, seed=i) for i in range(4)]
    for x in entries:
        x[..., 3:] /= 500
    path = released(tmp_path / "gmm.npz", {"S9": {"Walking 1": entries}})
    file = MixtureFile(path, "h36m17")
    found = file.of_clip("S9", "Walking 1", CAMERAS, 6)
    file.close()
    order = np.argsort(-entries[2][:6, ..., 0], -1)[..., None]
    expected = np.take_along_axis(entries[2][:6], order, -2)
    np.testing.assert_allclose(found[2][..., :3, 3:], expected[..., 3:] * 500, rtol=1e-5)
    np.testing.assert_allclose(found[2][..., :3, 1:3], expected[..., 1:3], rtol=1e-6)


class Foreign:
    def __reduce__(self):
        return print, ("executed",)


def test_a_foreign_class_in_the_pickle_is_refused_and_not_run(tmp_path, capsys):
    path = released(tmp_path / "bad.npz", {"S9": {"Walking": [Foreign()]}})
    with pytest.raises(ValueError, match=r"bad.npz: positions_2d.*print"):
        MixtureFile(path, "h36m17")
    assert "executed" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda x: x.__setitem__((2, 3, 0, 0), 0.9), "do not sum to 1 in frame 2, joint 3"),
        (lambda x: x.__setitem__((2, 3, 0, 0), -0.1), "negative weight in frame 2, joint 3"),
        (lambda x: x.__setitem__((4, 1, 0, 3), 0), "variance that is zero or negative in frame 4"),
        (lambda x: x.__setitem__((4, 1, 2, 4), -2), "variance that is zero or negative in frame 4"),
        (
            lambda x: x.__setitem__((5, 16, 1, 2), np.nan),
            "not a finite number in frame 5, joint 16",
        ),
    ],
)
def test_what_is_wrong_is_named_with_file_entry_frame_and_joint(tmp_path, spoil, words):
    bad = mixture()
    spoil(bad)
    camera, *_ = SIZES
    file = MixtureFile(ours(tmp_path / "m.h5", {f"S9/Walking/{camera}": bad}), "h36m17")
    with pytest.raises(ValueError, match=rf"m.h5: S9/Walking/{camera}: .*{words}"):
        file.of_clip("S9", "Walking", {camera: 1000.0}, 6)


def test_a_dead_component_may_have_any_scale():
    x = mixture(M=2).astype(np.float64)
    x[..., 0] = (1, 0)
    x[..., 1, 3:] = 0
    found = sound(x, "x")
    assert (found[..., 3:] > 0).all()
    assert (found[..., 0] == (1, 0, 0, 0, 0)).all()


def test_files_that_do_not_fit_are_refused(tmp_path):
    camera, *_ = SIZES
    path = ours(tmp_path / "m.h5", {f"S9/Walking/{camera}": mixture()})
    one = {camera: 1000.0}
    file = MixtureFile(path, "h36m17")
    with pytest.raises(ValueError, match=r"S9/Waving/.*no such entry"):
        file.of_clip("S9", "Waving", one, 6)
    with pytest.raises(ValueError, match="6 frames, but the clip has 7"):
        file.of_clip("S9", "Walking", one, 7)
    with pytest.raises(ValueError, match=r"m.h5: mixtures of h36m17.*mocap17"):
        MixtureFile(path, "mocap17")
    with pytest.raises(FileNotFoundError, match=r"none.h5"):
        MixtureFile(tmp_path / "none.h5", "h36m17")
    (tmp_path / "text.h5").write_text("text")
    with pytest.raises(ValueError, match=r"text.h5: cannot be read"):
        MixtureFile(tmp_path / "text.h5", "h36m17")
    with h5py.File(tmp_path / "other.h5", "w") as other:
        other.attrs["format"] = "another"
    with pytest.raises(ValueError, match=r"other.h5: its format is 'another'"):
        MixtureFile(tmp_path / "other.h5", "h36m17")
    np.savez(tmp_path / "plain.npz", x=np.ones(3))
    with pytest.raises(ValueError, match=r"plain.npz: no dict `positions_2d`"):
        MixtureFile(tmp_path / "plain.npz", "h36m17")


def test_single_gaussians_and_scales_beyond_the_picture_are_warned_of(tmp_path):
    single, wide = mixture(M=1), mixture()
    wide[..., 3:] *= 100
    for name, x, word in (("single", single, "single Gaussian"), ("wide", wide, "0.5 screen")):
        camera, *_ = SIZES
        file = MixtureFile(ours(tmp_path / f"{name}.h5", {f"S9/Walking/{camera}": x}), "h36m17")
        file.of_clip("S9", "Walking", {camera: 1000.0}, 6)
        with pytest.warns(UserWarning, match=rf"{name}.h5.*{word}"):
            file.close()


def test_a_sample_s_2d_is_the_heaviest_component_of_its_mixture_or_one_drawn_by_weight(tmp_path):
    clip = next(people("test", 0, 6))
    clips = [clip]
    entries = {
        f"{clip.subject}/{clip.name}/{camera}": mixture(seed=c)
        for c, camera in enumerate(clip.camera_names)
    }
    add_mixtures(clips, str(ours(tmp_path / "m.h5", entries)), "h36m17")
    data = LiftingDataset(clips, "h36m17", "mixture", minimum_visible=0, label="m.h5")
    assert data.summary()["keypoints"] == "m.h5"
    sample = data.__getitems__([7])  # frame 1 of the second camera
    x = sound(
        next(y for k, y in entries.items() if k.endswith(clip.camera_names[1])).astype(float), ""
    )
    truth = torch.from_numpy(x[1]).float()
    torch.testing.assert_close(sample["mixture"]["weights"][0], truth[..., 0])
    torch.testing.assert_close(sample["mixture"]["loc"][0], truth[..., 1:3])
    torch.testing.assert_close(sample["mixture"]["scale"][0], truth[..., 3:])
    torch.testing.assert_close(sample["keypoints_2d"][0], truth[:, 0, 1:3])
    assert (sample["visible"] == 1).all()
    assert not torch.allclose(sample["target_2d"], sample["keypoints_2d"])
    drawn = LiftingDataset(clips, "h36m17", "mixture", minimum_visible=0, component="sample")
    other = drawn.__getitems__([7])["keypoints_2d"][0]
    among = (other[:, None] == truth[:, :3, 1:3]).all(-1)
    assert among.any(-1).all()
    assert not among[:, 0].all()
    with pytest.raises(ValueError, match="no mixtures"):
        LiftingDataset([next(people("test", 0, 6))], "h36m17", "mixture")


@pytest.mark.parametrize("mini", ["h36m17", "mocap17"])
def test_a_data_set_takes_a_file_of_mixtures_for_its_2d(tmp_path, mini):
    world = next(people("test", 0, 6)).world
    if mini == "h36m17":
        names = [f"{subject}/Walking 1/{camera}" for subject in ("S9", "S11") for camera in SIZES]
        clips = [(subject, "Walking 1", {"world": world}) for subject in ("S9", "S11")]
        h36m_file(tmp_path / "h36m.h5", clips)
        reader = h36m
    else:
        names = ["mm/walk/cam0", "mm/walk/cam1"]
        clip = Recording("walk", "mm", "walking", "HDM05", "test", 50, 1000 * world)
        write_recordings(tmp_path / "clips.npz", [clip])
        lenses = [
            {
                "id": i,
                "R": [[0, 1, 0], [0, 0, -1], [-1, 0, 0]],
                "t_world_mm": [5000, 0, 1000],
                "focal": [1150, 1150],
                "center": [500, 500],
                "radial": [0, 0, 0],
                "tangential": [0, 0],
                "resolution": [1000, 1000],
            }
            for i in range(2)
        ]
        (tmp_path / "cameras.json").write_text(json.dumps({"cameras": lenses}))
        reader = mocap
    path = ours(tmp_path / "m.h5", {n: mixture(seed=i) for i, n in enumerate(names)}, mini)
    path = path.rename(tmp_path / "m.hdf5") if mini == "mocap17" else path
    data = reader(tmp_path, "test", keypoints=str(path))
    assert len(data) == 6 * len(names)
    assert data.summary()["keypoints"] == str(path)
    sample = data.__getitems__([6 + 2])  # frame 2 of the second camera
    expected = sound(mixture(seed=1).astype(np.float64), "x")[2, :, 0, 1:3]
    np.testing.assert_allclose(sample["keypoints_2d"][0], expected, rtol=1e-6)
