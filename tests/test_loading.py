"""How batches reach a training: by workers that stay and read ahead, into pinned memory."""

import os
import subprocess
import sys
import time
from multiprocessing import Value

import pytest
import torch

from posediff import loading


class Watched:
    """Four samples; how many batches were read, in all processes, and who read them."""

    def __init__(self):
        self.read, self.epochs = Value("i", 0), []

    def __len__(self):
        return 4

    def set_epoch(self, epoch):
        self.epochs.append(epoch)

    def __getitems__(self, rows):
        with self.read:
            self.read.value += 1
        return {"rows": rows, "by": os.getpid(), "epochs": list(self.epochs)}


def stream(data, workers):
    """Three epochs of four batches."""
    return loading.stream(data, loading.batches(4, 1, 0, 0, 12), 0, 4, workers)


def test_workers_live_through_all_epochs():
    alone, helped = ([*stream(Watched(), workers)] for workers in (0, 2))
    assert [x["rows"] for x in helped] == [x["rows"] for x in alone]
    assert {x["by"] for x in alone} == {os.getpid()}
    assert len({x["by"] for x in helped} - {os.getpid()}) == 2
    assert [x["epochs"] for x in helped[8:]] == [[0, 1, 2]] * 4


@pytest.mark.parametrize(("workers", "ahead"), [(0, 0), (1, 2), (2, 4)])
def test_workers_read_ahead_while_a_step_computes(workers, ahead):
    data = Watched()
    batches = stream(data, workers)
    next(batches)
    wanted, end = 1 + ahead, time.monotonic() + 20
    while data.read.value < wanted and time.monotonic() < end:
        time.sleep(0.01)
    assert data.read.value == wanted
    assert len([*batches]) == 11


@pytest.mark.parametrize("gpu", [True, False])
@pytest.mark.parametrize("workers", [0, 3])
def test_batches_are_in_pinned_memory_for_a_gpu_alone(monkeypatch, gpu, workers):
    asked = {}

    def loader(data, **options):
        asked.update(options)
        return []

    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpu)
    monkeypatch.setattr(loading, "DataLoader", loader)
    assert list(stream(Watched(), workers)) == []
    assert (asked["pin_memory"], asked["num_workers"]) == (gpu, workers)


KEPT = """
from posediff import loading

class Data:
    def __len__(self):
        return 4

    def __getitems__(self, rows):
        return {"rows": rows}

batches = loading.loader(Data(), [[n] for n in range(4)], 2)
next(batches)
raise RuntimeError("a mistake")
"""


@pytest.mark.slow  # PyTorch gives workers some seconds first
def test_an_error_ends_a_program_that_still_has_workers():
    code = [sys.executable, "-c", KEPT]
    ended = subprocess.run(code, capture_output=True, text=True, timeout=60)
    assert ended.returncode == 1
    assert ended.stderr.splitlines()[-1] == "RuntimeError: a mistake"
