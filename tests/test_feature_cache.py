"""The cache of a frozen backbone: the samples of a data set, with maps in place of their pixels."""

import os
import shutil
import time
from types import SimpleNamespace

import pytest
import torch
from helpers.small_training import KILLED, in_child

from posediff import engine, feature_cache, files
from posediff.doors import limits
from posediff.feature_cache import cached
from posediff.nn.small import Small
from posediff.pose.crop import mirror_crop
from posediff.pose.skeleton import skeleton

N = 11


class Drawn:
    """A data set whose pixels follow from row and epoch. `calls` counts its batches."""

    def __init__(self, key="image", frames=()):
        self.key, self.frames, self.epoch, self.calls = key, frames, 0, 0
        self.labels = "as they were"

    def __len__(self):
        return N

    def set_epoch(self, epoch):
        self.epoch = epoch

    def summary(self):
        return {"labels": self.labels}

    def __getitems__(self, rows):
        self.calls += 1
        each = [torch.Generator().manual_seed(1000 * self.epoch + row) for row in rows]
        pixels = torch.stack([torch.randn(*self.frames, 3, 32, 24, generator=g) for g in each])
        return {
            "id": [f"p{row}" for row in rows],
            self.key: pixels,
            "keypoints": torch.tensor([[[row, self.epoch]] for row in rows]).float(),
            "meta": {"image_id": [*rows], "path": [f"{row}.png" for row in rows]},
        }


def frozen(seed=0):
    torch.manual_seed(seed)
    backbone = Small(features=16)
    backbone.freeze()
    return backbone


def same(a, b):
    assert {*a} == {*b}
    for key in a:
        assert torch.equal(a[key], b[key]) if isinstance(a[key], torch.Tensor) else a[key] == b[key]


@pytest.mark.parametrize(("key", "frames"), [("image", ()), ("frames", (5,))])
def test_samples_are_those_of_the_data_set_with_maps_for_pixels(tmp_path, key, frames):
    data, backbone = Drawn(key, frames), frozen()
    held = cached(data, backbone, tmp_path, "train", {})
    assert len(held) == N
    rows = [7, 0, 10]
    found, plain = held.__getitems__(rows), data.__getitems__(rows)
    maps, pixels = found.pop(key), plain.pop(key)
    same(found, plain)
    with torch.no_grad():
        expected = backbone.maps(pixels.flatten(0, -4))
    for x, y in zip(maps.values(), expected, strict=True):
        torch.testing.assert_close(x, y.view(x.shape), atol=1e-4, rtol=2**-11)
    half = {name: x.flatten(0, -4) for name, x in maps.items()}
    torch.testing.assert_close(backbone(half), backbone(pixels.flatten(0, -4)), atol=3e-3, rtol=0)


def test_views_are_those_of_the_first_epochs_and_are_used_in_turn(tmp_path):
    data = Drawn()
    held = cached(data, frozen(), tmp_path, "train", {}, views=2)
    seen = []
    for epoch in range(4):
        held.set_epoch(epoch)
        seen.append(held.__getitems__([3]))
        assert seen[-1]["keypoints"][0, 0].tolist() == [3, epoch % 2]
    assert torch.equal(seen[0]["image"]["0"], seen[2]["image"]["0"])
    assert not torch.equal(seen[0]["image"]["0"], seen[1]["image"]["0"])


def test_a_second_call_computes_nothing_and_says_so(tmp_path, capsys):
    data = Drawn()
    first = cached(data, frozen(), tmp_path, "train", {"size": [24, 32]}, views=2)
    said, calls = capsys.readouterr().out.splitlines(), data.calls
    assert [line.partition(" samples")[0] for line in said[:2]] == [
        "maps of train, view 1/2: 11",
        "maps of train, view 2/2: 11",
    ]
    second = cached(data, frozen(), tmp_path, "train", {"size": [24, 32]}, views=2)
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith(f"maps of train: 2 views in {tmp_path}")
    assert data.calls == calls
    a, b = (held.__getitems__([*range(N)]) for held in (first, second))
    same(a.pop("image"), b.pop("image"))
    same(a, b)


def test_more_views_only_add_to_those_there_are(tmp_path):
    data = Drawn()
    cached(data, frozen(), tmp_path, "train", {})
    calls = data.calls
    assert len(cached(data, frozen(), tmp_path, "train", {}, views=3).views) == 3
    assert data.calls == 3 * calls


def test_another_weight_or_option_is_another_key():
    one = frozen()
    assert feature_cache.key(one, {"size": 1}) == feature_cache.key(frozen(), {"size": 1})
    keys = {feature_cache.key(one, {"size": 1}), feature_cache.key(one, {"size": 2})}
    with torch.no_grad():
        one.pyramid.smooth.bias[0] += 1  # learned after the maps
    assert feature_cache.key(one, {"size": 1}) in keys
    with torch.no_grad():
        one.stem[0][0].weight[0, 0, 0, 0] += 1e-6
    assert feature_cache.key(one, {"size": 1}) not in keys


def test_a_stopped_computation_leaves_nothing_but_complete_views(tmp_path):
    class Broken(Drawn):
        def __getitems__(self, rows):
            if self.epoch == 1 and 8 in rows:
                raise ValueError("8.png: the image is damaged")
            return super().__getitems__(rows)

    with pytest.raises(ValueError, match=r"8\.png: the image is damaged"):
        cached(Broken(), frozen(), tmp_path, "train", {}, views=2)
    (folder,) = tmp_path.iterdir()
    assert sorted(path.name for path in folder.iterdir()) == ["lock", "view0"]


def test_what_a_killed_computation_left_is_removed_by_the_next_one(tmp_path):
    class Killed(Drawn):
        def __getitems__(self, rows):
            if 8 in rows:
                os._exit(KILLED)
            return super().__getitems__(rows)

    assert in_child(lambda: cached(Killed(), frozen(), tmp_path, "train", {})) == KILLED
    assert [*tmp_path.glob("*/view0.part/0.npy")]
    cached(Drawn(), frozen(), tmp_path, "train", {})
    assert [path.name for path in tmp_path.glob("*/view*")] == ["view0"]


def test_one_of_two_that_want_the_same_view_waits_for_the_other(tmp_path):
    class Slow(Drawn):
        def __getitems__(self, rows):
            (tmp_path / "begun").touch()
            time.sleep(0.3)
            return super().__getitems__(rows)

    child = os.fork()
    if not child:
        os._exit(in_child(lambda: cached(Slow(), frozen(), tmp_path, "train", {})))
    while not (tmp_path / "begun").exists():
        time.sleep(0.01)
    data = Drawn()
    assert len(cached(data, frozen(), tmp_path, "train", {})) == N
    assert data.calls == 0
    assert os.waitpid(child, 0)[1] == 0


def test_a_full_disk_is_an_error_of_the_system(tmp_path, monkeypatch):
    def full(content, path):
        raise RuntimeError("[enforce fail at inline_container.cc:664] . unexpected pos 64 vs 0")

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(OSError, match=r"samples\.pt: cannot be written, is the disk full\?"):
        cached(Drawn(), frozen(), tmp_path, "train", {})
    assert not [*tmp_path.glob("*/view*")]


def test_views_are_synced_before_they_take_their_place(tmp_path, monkeypatch):
    synced = []
    monkeypatch.setattr(files, "sync", lambda path: synced.append((path.name, path.exists())))
    cached(Drawn(), frozen(), tmp_path, "train", {})
    assert {("samples.pt", True), ("0.npy", True), ("view0.part", True)} <= {*synced}


def test_corrected_labels_are_computed_anew(tmp_path):
    data = Drawn()
    cached(data, frozen(), tmp_path, "train", {})
    calls, data.labels = data.calls, "corrected"
    cached(data, frozen(), tmp_path, "train", {})
    assert data.calls == 2 * calls


@pytest.mark.filterwarnings("ignore:left out")
def test_views_of_which_another_number_of_samples_could_be_read_are_trained_on(
    tmp_path, capsys, monkeypatch
):
    class Damaged(Drawn):
        def __getitems__(self, rows):
            if {*rows} & ({3, 7} if self.epoch == 1 else {5}):
                raise ValueError(f"{rows[0]}.png: the image is damaged")
            return super().__getitems__(rows)

    monkeypatch.setattr(limits.CURRENT, "left_out", 0.5)
    held = cached(Damaged(), frozen(), tmp_path, "train", {}, views=2)
    assert "3 samples could not be read" in capsys.readouterr().out
    assert [len(view.samples["id"]) for view in held.views] == [N - 1, N - 2]
    for epoch in range(2):
        held.set_epoch(epoch)
        found = held.__getitems__([*range(len(held))])
        assert found["keypoints"][0, 0].tolist() == [0, epoch]
        assert len(found["id"]) == len(found["image"]["0"]) == N - 1


@pytest.mark.parametrize("name", ["samples.pt", "0.npy"])
def test_a_damaged_file_is_one_line_that_names_the_view(tmp_path, name):
    cached(Drawn(), frozen(), tmp_path, "train", {})
    (path,) = tmp_path.glob(f"*/view0/{name}")
    path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(ValueError, match=r"view0: damaged .*remove it") as error:
        cached(Drawn(), frozen(), tmp_path, "train", {})
    assert "\n" not in str(error.value)


def test_what_cannot_be_kept_is_an_error_of_one_line(tmp_path, monkeypatch):
    learning = Small(features=16)
    for backbone in (learning, None):
        with pytest.raises(ValueError, match=r"set backbone\.frozen=true"):
            cached(Drawn(), backbone, tmp_path, "train", {})
    with pytest.raises(ValueError, match=r"trainer\.cache\.views must be 1 or more"):
        cached(Drawn(), frozen(), tmp_path, "train", {}, views=0)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=1000))
    with pytest.raises(OSError, match=r"GB are free: set trainer\.cache\.folder"):
        cached(Drawn(), frozen(), tmp_path, "train", {})
    assert not [*tmp_path.glob("*/view*")]


def test_maps_have_no_mirror_image(tmp_path):
    held = cached(Drawn(), frozen(), tmp_path, "train", {})
    with pytest.raises(ValueError, match="not maps of a cache"):
        mirror_crop(held.__getitems__([0]), "image", 24, skeleton("coco17"))


def test_a_cached_data_set_is_loaded_by_workers_as_any_other(tmp_path):
    held = cached(Drawn(), frozen(), tmp_path, "train", {})
    here, there = (next(iter(engine.in_order(held, 4, workers))) for workers in (0, 1))
    same(here.pop("image"), there.pop("image"))
    same(here, there)
