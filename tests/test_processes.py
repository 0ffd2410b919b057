"""Two processes train and score as one does."""

import os
import signal

import numpy as np
import pytest
import torch
from helpers.heads import case, model
from helpers.small_training import Line, Squared, error_of, train, without_time
from helpers.two_processes import close, two
from torch import nn

from posediff import config, loading, processes, training_state
from posediff.inference.photos import Photos
from posediff.inference.request import Request
from posediff.inference.videos import VideoFrames
from posediff.interruption import Stopped
from posediff.use import gathered
from posediff.visual.pose3d import write_picture


@pytest.mark.parametrize(("micro_batch", "kind"), [(None, Line), (1, Line), (1, Squared)])
def test_two_processes_train_as_one_and_their_number_may_change(
    tmp_path, monkeypatch, micro_batch, kind
):
    without_time(monkeypatch)
    options = {"micro_batch": micro_batch, "kind": kind}
    train(tmp_path / "one", kind=kind)
    two(tmp_path, lambda: train(tmp_path / "two", **options))
    close(tmp_path / "two", tmp_path / "one")
    two(tmp_path, lambda: train(tmp_path / "then", epochs=1, **options))
    train(tmp_path / "then", kind=kind)
    close(tmp_path / "then", tmp_path / "one")


@pytest.mark.parametrize("shard", [False, True])
def test_a_signal_to_one_process_in_scoring_ends_all_once_they_have_scored(tmp_path, shard):
    def score(model):
        if not processes.first():
            os.kill(os.getpid(), signal.SIGTERM)
        return {"error": processes.total(error_of(model)["error"])}

    def work():
        with pytest.raises(Stopped):
            train(tmp_path / "run", score=score, batch_size=4, shard=shard)

    two(tmp_path, work)
    assert training_state.newest(tmp_path / "run").trainer["epoch"] == 1


def test_batch_normalisation_has_the_statistics_of_both(tmp_path):
    torch.manual_seed(0)
    x, weight = torch.randn(5, 3, 2, 2), torch.randn(5, 3, 2, 2)
    alone = nn.BatchNorm2d(3)
    nn.init.normal_(alone.weight)
    shared = nn.BatchNorm2d(3)
    shared.load_state_dict(alone.state_dict())
    (alone(x) * weight).sum().backward()

    def work():
        processes.share_statistics(shared)
        own = processes.share(5)
        (shared(x[own]) * weight[own]).sum().backward()
        processes.add_gradients(shared)
        for name, value in shared.state_dict().items():
            torch.testing.assert_close(value, alone.state_dict()[name])
        for a, b in zip(shared.parameters(), alone.parameters(), strict=True):
            torch.testing.assert_close(a.grad, b.grad)

    two(tmp_path, work)


def test_every_batch_is_scored_once_and_in_order(tmp_path):
    class Rows:
        def __len__(self):
            return 11

        def __getitems__(self, rows):
            return {"id": rows, "image": torch.zeros(1)}

    def work():
        own = loading.in_order(Rows(), 2, turns=processes.turns())
        found = [*processes.merged(({}, sample) for sample in own)]
        assert [x for _, sample in found for x in sample["id"]] == [*range(11)]
        assert all("image" not in sample for _, sample in found)

    two(tmp_path, work)


def test_what_cannot_be_read_is_one_list_of_all_processes(tmp_path):
    class Damaged:
        def __len__(self):
            return 60

        def __getitems__(self, rows):
            if {3, 8, 9} & {*rows}:
                raise ValueError(f"{rows[0]}.png: damaged")
            return {"id": rows}

    def work():
        data, own = Damaged(), [[9, 4], [8, 7]] if processes.first() else [[3, 5, 9]]
        with pytest.warns(UserWarning, match="left out"):
            assert [*loading.loader(data, own, 0, replaced=False)]
        assert loading.left_out_by_all(data) == [f"{n}.png: damaged" for n in (3, 8, 9)]

    two(tmp_path, work)


def answers(reader, name, source, to):
    """What is left of a prediction, and the error that it ends with in the first process."""
    made = model(name)
    made.trained_on = config.plain(case(name).config.dataset)
    try:
        list(reader(Request(str(source), str(to))).predict(made, {}))
    except ValueError as error:
        (to / "error").write_text(str(error).replace(str(to), ""))


@pytest.mark.parametrize(("reader", "name"), [(Photos, "coarse"), (VideoFrames, "plain")])
def test_photos_and_frames_are_shared_and_their_answers_are_one(tmp_path, reader, name):
    source, numbers = tmp_path / "pictures", np.random.default_rng(0)
    source.mkdir()
    for i in range(3):
        write_picture(source / f"{i:06}.png", numbers.integers(0, 256, (40, 30, 3), np.uint8))
    if reader is Photos:
        (source / "000003.png").write_bytes(b"no picture")
    answers(reader, name, source, tmp_path / "one")
    two(tmp_path, lambda: answers(reader, name, source, tmp_path / "two"))
    files = sorted(path.name for path in (tmp_path / "one").iterdir())
    assert files == sorted(path.name for path in (tmp_path / "two").iterdir())
    assert ("error" in files) is (reader is Photos)
    for file in ("results.json", "error") if reader is Photos else ("results.json",):
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()


def test_frames_of_all_processes_are_in_order_and_their_errors_in_one_list(tmp_path):
    def own():
        yield from processes.part([*"abcde"])
        if not processes.first():
            raise ValueError("f is damaged")

    def work():
        bad = []
        assert gathered(own(), bad) == [*"abcde"]
        assert bad == ["f is damaged"]
        assert processes.joined(processes.part([7])) == [7]  # one has nothing

    two(tmp_path, work)
