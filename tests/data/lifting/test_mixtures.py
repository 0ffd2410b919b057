"""Files of mixtures, posediff's and the released one, and the errors of wrong ones."""

import json

import h5py
import numpy as np
import pytest
import torch

from posediff.data.lifting.h36m import h36m
from posediff.data.lifting.h36m import write as h36m_file
from posediff.data.lifting.h36m_cameras import SIZES, cameras
from posediff.data.lifting.lifting_dataset import LiftingDataset
from posediff.data.lifting.mixtures import add_mixtures, is_file, sound, write
from posediff.data.lifting.mocap import mocap
from posediff.data.lifting.recording import Recording
from posediff.data.lifting.recording import write as write_recordings
from posediff.data.lifting.synthetic_people import people
from posediff.data.lifting.views import Clip

CAMERA = next(iter(SIZES))


def mixture(frames=6, M=3, seed=0):
    rng = np.random.default_rng(seed)
    weights = rng.dirichlet(np.ones(M), (frames, 17))[..., None]
    return np.concatenate(
        [weights, rng.uniform(0, 1000, (frames, 17, M, 2)), rng.uniform(1, 9, (frames, 17, M, 2))],
        -1,
    ).astype(np.float32)


def heaviest_first(mixture):
    order = np.argsort(-mixture[..., 0], -1)[..., None]
    return np.take_along_axis(mixture, order, -2)


def hdf5(path, entries, skeleton="h36m17", **about):
    write(path, entries.items(), {"skeleton": skeleton, "source": "test"} | about)
    return path


def released(path, content):
    """As the released code's files: an object array that contains a pickled dict."""
    np.savez(path, positions_2d=np.array(content, dtype=object))
    return path


def read(path, name="Walking", frames=6, views=1, skeleton="h36m17"):
    """The mixtures of a clip of S9 in the first cameras."""
    world = np.zeros((frames, 17, 3), np.float32)
    clip = Clip(name, "S9", "Walking", world, cameras("S9")[:views], list(SIZES)[:views])
    add_mixtures([clip], path, skeleton)
    return clip.mixtures


def test_what_is_written_is_read_back_heaviest_first_and_padded_to_five(tmp_path):
    written = {f"S9/Walking/{camera}": mixture(seed=i) for i, camera in enumerate(SIZES)}
    found = read(hdf5(tmp_path / "m.h5", written), views=4)
    assert [x.shape for x in found] == [(6, 17, 5, 5)] * 4
    for x, y in zip(found, written.values(), strict=True):
        np.testing.assert_allclose(x[..., :3, :], heaviest_first(y), rtol=1e-6)
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
    found = read(released(tmp_path / "gmm.npz", {"S9": {"Walking": entries}}), views=4)
    expected = heaviest_first(entries[2][:6])
    np.testing.assert_allclose(found[2][..., :3, 3:], expected[..., 3:] * 500, rtol=1e-5)
    np.testing.assert_allclose(found[2][..., :3, 1:3], expected[..., 1:3], rtol=1e-6)


class Foreign:
    def __reduce__(self):
        return print, ("executed",)


def test_a_foreign_class_in_the_pickle_is_refused_and_not_run(tmp_path, capsys):
    path = released(tmp_path / "bad.npz", {"S9": {"Walking": [Foreign()]}})
    with pytest.raises(ValueError, match=r"bad.npz: positions_2d.*print"):
        read(path)
    assert "executed" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda x: x.__setitem__((2, 3, 0, 0), 0.9), "do not sum to 1 in frame 2, joint 3"),
        (lambda x: x.__setitem__((2, 3, 0, 0), -0.1), "negative weight in frame 2, joint 3"),
        (lambda x: x.__setitem__((4, 1, 0, 3), 0), "scale that is zero or negative in frame 4"),
        (lambda x: x.__setitem__((4, 1, 2, 4), -2), "scale that is zero or negative in frame 4"),
        (
            lambda x: x.__setitem__((5, 16, 1, 2), np.nan),
            "not a finite number in frame 5, joint 16",
        ),
    ],
)
def test_what_is_wrong_is_named_with_file_entry_frame_and_joint(tmp_path, spoil, words):
    bad = mixture()
    spoil(bad)
    path = hdf5(tmp_path / "m.h5", {f"S9/Walking/{CAMERA}": bad})
    with pytest.raises(ValueError, match=rf"m.h5: S9/Walking/{CAMERA}: .*{words}"):
        read(path)


def test_a_component_without_weight_may_have_any_scale():
    x = mixture(M=2).astype(np.float64)
    x[..., 0] = (1, 0)
    x[..., 1, 3:] = 0
    found = sound(x, "x")
    assert (found[..., 3:] > 0).all()
    assert (found[..., 0] == (1, 0, 0, 0, 0)).all()


def test_files_that_do_not_fit_are_refused(tmp_path):
    path = hdf5(tmp_path / "m.h5", {f"S9/Walking/{CAMERA}": mixture()})
    hdf5(tmp_path / "joints.h5", {f"S9/Walking/{CAMERA}": mixture()[:, 1:]})
    (tmp_path / "text.h5").write_text("text")
    with h5py.File(tmp_path / "other.h5", "w") as other:
        other.attrs["format"] = "another"
    np.savez(tmp_path / "plain.npz", x=np.ones(3))
    for name, options, error, words in (
        ("m.h5", {"name": "Waving"}, ValueError, "S9/Waving/.*no such entry"),
        ("m.h5", {"frames": 7}, ValueError, "6 frames, but the clip has 7"),
        ("joints.h5", {}, ValueError, "joints.h5: .*16 joints, but the clip has 17"),
        ("m.h5", {"skeleton": "mocap17"}, ValueError, "m.h5: mixtures of 'h36m17'.*mocap17"),
        ("none.h5", {}, FileNotFoundError, "none.h5: no such file"),
        ("text.h5", {}, ValueError, "text.h5: cannot be read"),
        ("other.h5", {}, ValueError, "other.h5: its format is 'another'"),
        ("plain.npz", {}, ValueError, "plain.npz: no dict `positions_2d`"),
    ):
        with pytest.raises(error, match=words):
            read(path.with_name(name), **options)


def test_single_gaussians_and_scales_beyond_the_image_are_warned_of(tmp_path):
    single, wide = mixture(M=1), mixture()
    wide[..., 3:] *= 100
    for name, x, word in (("single", single, "single Gaussian"), ("wide", wide, "0.5 screen")):
        path = hdf5(tmp_path / f"{name}.h5", {f"S9/Walking/{CAMERA}": x})
        with pytest.warns(UserWarning, match=rf"{name}.h5.*{word}"):
            read(path)


def test_the_2d_is_the_heaviest_component_or_one_drawn_by_weight(tmp_path):
    clip = next(people("test", 0, 6))
    clips, name = [clip], f"{clip.subject}/{clip.name}"
    entries = {f"{name}/{camera}": mixture(seed=c) for c, camera in enumerate(clip.camera_names)}
    add_mixtures(clips, hdf5(tmp_path / "m.h5", entries), "h36m17")
    data = LiftingDataset(clips, "h36m17", "mixture", minimum_visible=0, label="m.h5")
    assert data.summary()["keypoints"] == "m.h5"
    sample = data.__getitems__([7])  # frame 1 of the second camera
    truth = torch.from_numpy(sound(mixture(seed=1).astype(float), "")[1]).float()
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
        lens = {"focal": [1150, 1150], "center": [500, 500], "resolution": [1000, 1000]}
        lens |= {"radial": [0, 0, 0], "tangential": [0, 0], "t_world_mm": [5000, 0, 1000]}
        lens["R"] = [[0, 1, 0], [0, 0, -1], [-1, 0, 0]]
        lenses = [lens | {"id": i} for i in range(2)]
        (tmp_path / "cameras.json").write_text(json.dumps({"cameras": lenses}))
        reader = mocap
    path = hdf5(tmp_path / "m.h5", {n: mixture(seed=i) for i, n in enumerate(names)}, mini)
    path = path.rename(tmp_path / "m.hdf5") if mini == "mocap17" else path
    data = reader(tmp_path, "test", keypoints=str(path))
    assert len(data) == 6 * len(names)
    assert data.summary()["keypoints"] == str(path)
    sample = data.__getitems__([6 + 2])  # frame 2 of the second camera
    expected = sound(mixture(seed=1).astype(np.float64), "x")[2, :, 0, 1:3]
    np.testing.assert_allclose(sample["keypoints_2d"][0], expected, rtol=1e-6)
