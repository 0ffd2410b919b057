"""Work that two processes do together, and runs that are to be the same."""

import json
import os
import traceback
from datetime import timedelta

import pytest
from helpers.small_training import left
from torch import distributed


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
    """True if two runs have the same lines and weights, but for the order of sums in float32."""
    for a, b in zip(log_of(folder), log_of(other), strict=True):
        assert a == pytest.approx(b, rel=1e-5)
    assert left(folder).keys() == left(other).keys()
