"""The pieces of training that a whole run does not show."""

import itertools
import sys
from pathlib import Path

import pytest
import torch
from helpers.small_training import left, train, without_time

from posediff import checkpoint, config, engine, loading, rates, training, training_state
from posediff.progress import clock, progress
from posediff.train import recipe_of


def test_every_pass_shows_every_sample_once_in_an_order_of_its_own():
    rows = list(itertools.chain(*loading.batches(10, 4, 0, 0, 5)))
    assert len(rows) == 20
    passes = rows[:10], rows[10:]
    assert all(sorted(rows) == list(range(10)) for rows in passes)
    assert passes[0] != passes[1]
    assert rows != list(itertools.chain(*loading.batches(10, 4, 1, 0, 5)))


def test_the_stream_goes_on_where_it_was_left():
    whole = list(loading.batches(10, 4, 0, 0, 9))
    assert list(loading.batches(10, 4, 0, 4, 5)) == whole[4:]


def test_a_set_smaller_than_a_batch_still_fills_it():
    (rows,) = loading.batches(3, 8, 0, 0, 1)
    assert len(rows) == 8


def test_the_average_forgets_its_beginning_and_then_has_the_stated_memory():
    update = training.averaging(0.9)
    mean, expected = [torch.zeros(1)], 0.0
    for n, value in enumerate((1.0, 2.0, 3.0)):
        update(mean, [torch.tensor([value])], n)
        decay = min(0.9, (1 + n) / (10 + n))
        expected = decay * expected + (1 - decay) * value
    assert mean[0].item() == pytest.approx(expected)
    update(mean, [torch.tensor([5.0])], 10_000)
    assert mean[0].item() == pytest.approx(0.9 * expected + 0.5)
    raw = [torch.zeros(1)]
    training.averaging(0.0)(raw, [torch.tensor([7.0])], 3)
    assert raw[0].item() == 7


def test_the_learning_rate_warms_up_and_falls_to_zero():
    assert rates.cosine(0.05, warmup=0.1) == pytest.approx(0.5)
    assert rates.cosine(0.1, warmup=0.1) == pytest.approx(1)
    assert rates.cosine(0.55, warmup=0.1) == pytest.approx(0.5)
    assert rates.cosine(1.0) == pytest.approx(0)
    assert rates.constant(0.7) == 1


CONF = Path(__file__).parents[1] / "conf"
PRESETS, TRAINERS = (
    sorted(x.stem for x in (CONF / kind).glob("*.yaml")) for kind in ("preset", "trainer")
)
TASKS = {"sgdd": "image2d", "reconstruction": "video2d", "decoder": "video2d"}  # else lift3d
REPLACED = [("official_frame", "d3dp"), ("official_frame", "people"), ("official_video", "mixste")]


@pytest.mark.parametrize(
    ("preset", "trainer"),
    [*REPLACED, *(pytest.param(p, t, marks=pytest.mark.slow) for p in PRESETS for t in TRAINERS)],
)
def test_every_preset_has_a_learning_rate_with_every_trainer(preset, trainer):
    task = TASKS.get(preset.partition("_")[0], "lift3d")
    given = [f"task={task}", f"preset={preset}", f"trainer={trainer}"]
    assert 0 <= recipe_of(config.compose("train", given)).rate(0.5) <= 1


def test_options_that_a_rate_does_not_have_are_one_line():
    given = ["task=lift3d", "trainer=d3dp", "trainer.rate._target_=posediff.rates.cosine"]
    with pytest.raises(
        ValueError, match=r"^trainer\.rate: cosine\(\) got .* 'last': take .*~trainer"
    ):
        recipe_of(config.compose("train", given))
    assert recipe_of(config.compose("train", [*given, "~trainer.rate.last"])).rate(1.0) == 0


class Spoilt:
    """A data set some rows of which cannot be read."""

    def __init__(self, count=4, bad=(2,)):
        self.count, self.bad = count, bad

    def __len__(self):
        return self.count

    def __getitems__(self, rows):
        for row in rows:
            if row in self.bad:
                raise FileNotFoundError(f"images/{row}.jpg: no such picture")
        return {"rows": rows}


@pytest.mark.parametrize("workers", [0, 1])
def test_an_error_is_the_same_whoever_meets_it(workers):
    read = loading.loader(Spoilt(), [[0, 1], [2, 3]], workers)
    assert next(read) == {"rows": [0, 1]}
    with pytest.raises(ValueError, match=r"images/2\.jpg: no such picture \(1 of the 4 samples"):
        next(read)


@pytest.mark.filterwarnings("ignore:left out")
@pytest.mark.parametrize("workers", [0, 2])
def test_few_samples_that_cannot_be_read_are_left_out_named_and_counted(workers):
    data = Spoilt(40, (2, 27))
    assert loading.left_out(data) == []
    with pytest.warns(UserWarning, match=r"left out: images/2\.jpg: no such picture"):
        read = [x["rows"] for x in loading.in_order(data, 4, workers)]
    assert [n for rows in read for n in rows] == [n for n in range(40) if n not in (2, 27)]
    lines = [f"images/{n}.jpg: no such picture" for n in (2, 27)]
    assert loading.left_out(data) == lines
    assert loading.in_short(lines, "40 samples").startswith(
        f"2 of 40 samples left out: {lines[0]}; "
    )
    assert loading.in_short([], "40 samples") == ""


def test_in_training_another_sample_takes_the_place_and_always_the_same():
    rows = [[0, 1, 2, 3], [27, 2, 5, 6]]
    with pytest.warns(UserWarning, match="left out"):
        first = [x["rows"] for x in loading.loader(Spoilt(40, (2, 27)), rows, 0)]
    assert first == [[0, 1, 12, 3], [12, 12, 5, 6]]  # 27 + 25 is 12, and so is 2 + 2 * 25
    with pytest.warns(UserWarning, match="left out"):
        assert [x["rows"] for x in loading.loader(Spoilt(40, (2, 27)), rows[1:], 0)] == first[1:]
    everywhere = loading.loader(Spoilt(40, range(40)), rows, 0)
    with pytest.raises(FileNotFoundError, match=r"images/0\.jpg: no such picture"):
        next(everywhere)


@pytest.mark.filterwarnings("ignore:left out")
def test_a_batch_without_a_usable_sample_is_skipped():
    read = [x["rows"] for x in loading.in_order(Spoilt(100, (4, 5)), 2)]
    assert len(read) == 49
    with pytest.raises(ValueError, match=r"6 of the 100 samples .* limits\.left_out=0\.05"):
        list(loading.in_order(Spoilt(100, range(10, 16)), 6))


def test_progress_without_a_terminal_is_plain_lines_now_and_then(capsys, monkeypatch):
    monkeypatch.setattr(sys, "stderr", None, raising=False)
    monkeypatch.setattr(sys, "stderr", sys.__stdout__)
    notes = {"loss": "0.5"}
    assert list(progress(range(4), 4, "epoch 1", notes, every=0.0)) == [0, 1, 2, 3]
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3
    assert lines[0].startswith("epoch 1: 1/4")
    assert "left  loss 0.5" in lines[0]
    assert not list(progress([], 0, "nothing", {}))


def test_times_read_as_people_say_them():
    assert [clock(s) for s in (4.4, 65, 7625)] == ["4s", "1m05s", "2h07m"]


def test_a_model_folder_is_whole_even_if_the_exchange_was_cut_off(tmp_path):
    folder, state = tmp_path / "best", {"w": torch.arange(3.0)}
    checkpoint.save(folder, state, {"task": "a"})
    checkpoint.save(folder, {"w": torch.ones(3)}, {"task": "b"})
    assert checkpoint.read_config(folder)["task"] == "b"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["best"]
    folder.rename(tmp_path / "best.old")  # where a stop would have left it
    assert torch.equal(checkpoint.read_weights(folder)["w"], torch.ones(3))


def test_a_trainer_state_is_not_unpickled(tmp_path):
    class Evil:
        def __reduce__(self):
            return (print, ("executed",))

    torch.save({"epoch": Evil()}, tmp_path / "trainer.pt")
    with pytest.raises(ValueError, match=r"trainer\.pt: damaged, or holds more than tensors"):
        training_state.read_trainer(tmp_path)


class Batches:
    """Four samples of one number."""

    def __len__(self):
        return 4

    def __getitems__(self, rows):
        return {"id": [str(i) for i in rows], "x": torch.tensor(rows), "deep": {"y": torch.ones(2)}}


class Watching(torch.nn.Module):
    """A model that notes on which device the samples of its calibration are."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1, device="meta"))
        self.seen = []

    def calibrate(self, samples):
        self.seen += [(s["x"].device.type, s["deep"]["y"].device.type) for s in samples]


def test_calibration_runs_on_the_device_of_the_model():
    model = Watching()
    engine.calibrate(model, Batches(), 2)
    assert model.seen == [("meta", "meta")] * 2
    assert not model.training


def test_workers_that_stay_for_all_epochs_change_nothing(tmp_path, monkeypatch):
    without_time(monkeypatch)
    train(tmp_path / "alone", epochs=3)
    train(tmp_path / "helped", epochs=3, workers=2)
    train(tmp_path / "resumed", epochs=1, workers=2)
    train(tmp_path / "resumed", epochs=3, workers=1)
    one = left(tmp_path / "alone")
    assert one == left(tmp_path / "helped") == left(tmp_path / "resumed")
