"""Two processes train and score as one does."""

import json
import os
import traceback
from datetime import timedelta

import pytest
import torch
from helpers.small_training import left, train, without_time
from torch import distributed, nn

from posediff import loading, processes


def two(folder, work):
    """Run this in two processes that are joined; raises AssertionError if one fails."""
    children = []
    for number in range(2):
        child = os.fork()
        if child:
            children.append(child)
            continue
        code = 1
        try:
            where = f"file://{folder}/rendezvous"
            limit = timedelta(seconds=60)
            distributed.init_process_group("gloo", where, limit, world_size=2, rank=number)
            work()
            code = 0
        except BaseException:
            traceback.print_exc()
        os._exit(code)
    codes = [os.waitpid(child, 0)[1] for child in children]
    (folder / "rendezvous").unlink(missing_ok=True)
    assert codes == [0, 0]


def log_of(folder):
    return [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]


def close(folder, other):
    """Whether two runs have the same lines and weights, but for the order of sums in float32."""
    for a, b in zip(log_of(folder), log_of(other), strict=True):
        assert a == pytest.approx(b, rel=1e-5)
    assert left(folder).keys() == left(other).keys()


@pytest.mark.parametrize("micro_batch", [None, 1])
def test_two_processes_train_as_one_and_their_number_may_change(tmp_path, monkeypatch, micro_batch):
    without_time(monkeypatch)
    options = {"micro_batch": micro_batch}
    train(tmp_path / "one")
    two(tmp_path, lambda: train(tmp_path / "two", **options))
    close(tmp_path / "two", tmp_path / "one")
    two(tmp_path, lambda: train(tmp_path / "then", epochs=1, **options))
    train(tmp_path / "then")
    close(tmp_path / "then", tmp_path / "one")


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
