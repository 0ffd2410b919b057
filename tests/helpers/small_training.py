"""The smallest training: a line through points, with everything that a real one writes."""

import os
import sys
import time
import traceback
from types import SimpleNamespace

import torch

from posediff import engine, training_state
from posediff.diffusion import Noise
from posediff.diffusion.head import Window

CONFIG = {"task": "line", "model": {"_target_": "line"}}
FAILED, KILLED = 3, 9


class Points:
    """Eight points of a line; `at` maps numbers of batches to what is done before they are read."""

    def __init__(self, at=None):
        self.at, self.read = at or {}, 0

    def __len__(self):
        return 8

    def set_epoch(self, epoch):
        self.epoch = epoch

    def __getitems__(self, rows):
        self.at.get(self.read, lambda: None)()
        self.read += 1
        x = torch.tensor(rows, dtype=torch.float32)[:, None] / 8
        return {"id": [str(row) for row in rows], "x": x, "y": 2 * x + 0.1 * self.epoch}


class Line(torch.nn.Module):
    sampler, squared, head = None, False, SimpleNamespace(window=Window())

    def __init__(self):
        super().__init__()
        self.line = torch.nn.Linear(1, 1)

    def forward(self, sample, aligned, noise):
        noise = (noise or Noise.plain()).normal(sample["x"].shape)
        return (self.line(sample["x"] + 0.1 * noise) - sample["y"]).square().mean()


def error_of(model):
    with torch.no_grad():
        return {"error": float(model.line.weight.sum() - 2) ** 2}


class Squared(Line):
    """The same, trained on half the square of the loss, as d3dp is."""

    squared = True

    def forward(self, sample, aligned, noise):
        loss = super().forward(sample, aligned, noise)
        return loss if noise is not None and noise.whole else loss.square() / 2


def train(folder, data=None, score=error_of, kind=Line, **options):
    """Begin a training in `folder`, or go on with it."""
    folder.mkdir(exist_ok=True)
    torch.manual_seed(0)
    model = kind()
    options = {"epochs": 2, "batch_size": 3, "save_every": engine.SaveEvery(steps=2), **options}
    return engine.fit(
        model,
        data or Points(),
        torch.optim.AdamW(model.parameters(), lr=0.05),
        engine.Recipe(**options),
        engine.Selection(score, "error"),
        engine.Outputs(folder, CONFIG),
        training_state.newest(folder),
    )


def left(folder):
    """The bytes of the log, and of the last and the best model."""
    names = ("log.jsonl", *(f"checkpoints/{kind}" for kind in ("last", "best")))
    paths = [path for name in names for path in ([folder / name, *(folder / name).glob("*")])]
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(paths) if p.is_file()}


def without_time(monkeypatch):
    """Stop the clock, whose seconds are in the log."""
    monkeypatch.setattr(time, "monotonic", lambda: 1.0)


def in_child(work):
    """The exit status of a forked process that does this: FAILED if it ended in an OSError, 1 in
    any other error."""
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    try:
        work()
        code = 0
    except OSError:
        code = FAILED
    except BaseException:
        traceback.print_exc()
        code = 1
    sys.stdout.flush()
    os._exit(code)


def at_file_call(folder, number, act):
    """From here on, in this process: `act` instead of the file call of that number in `folder`.
    Returns a function that counts the calls so far."""
    seen = []

    def hook(event, arguments):
        if event not in ("open", "os.rename", "os.mkdir", "os.rmdir", "os.remove", "os.truncate"):
            return
        if str(folder) in str(arguments[0]) and len(seen) <= number:
            seen.append(event)
            if len(seen) == number + 1:
                act()

    sys.addaudithook(hook)
    return lambda: len(seen)
