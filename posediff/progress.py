"""Progress: a bar on a terminal, plain lines elsewhere, with the rate and the time left; and what a
command expects before it begins."""

import resource
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")
SOON = 10.0  # seconds


def progress(
    items: Iterable[T], total: int, label: str, notes: dict[str, str], every: float = 10.0
) -> Iterator[T]:
    """The same items. `notes` are shown beside the count and may change between items.

    Without a terminal a line is printed every `every` seconds.
    """
    if sys.stderr.isatty():
        from tqdm import tqdm

        bar = tqdm(items, total=total, desc=label, leave=False, dynamic_ncols=True)
        for item in bar:
            yield item
            bar.set_postfix(notes, refresh=False)
        return
    start = last = time.monotonic()
    for done, item in enumerate(items, 1):
        yield item
        now = time.monotonic()
        if now - last >= every and done < total:
            last, rate = now, done / (now - start)
            shown = "".join(f"  {k} {v}" for k, v in notes.items())
            left = (total - done) / rate
            print(f"{label}: {done}/{total}  {rate:.3g}/s  {clock(left)} left{shown}", flush=True)


def clock(seconds: float) -> str:
    """A duration in seconds as text: 42s, 3m05s, 2h07m."""
    s = round(seconds)
    if s < 60:
        return f"{s}s"
    return f"{s // 60}m{s % 60:02}s" if s < 3600 else f"{s // 3600}h{s % 3600 // 60:02}m"


def expects(seconds: float, what: str) -> str:
    """Time that `what` takes, and the most memory that this process has held so far, on the GPU if
    it has held any there, in one line."""
    import torch

    held = float(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
    held *= 1 if sys.platform == "darwin" else 1024  # it is bytes there, else KiB
    if torch.cuda.is_available() and torch.cuda.max_memory_allocated():
        held = float(torch.cuda.max_memory_allocated())
    return f"{'expects':8} about {clock(max(seconds, 1))} for {what}, {held / 1e9:.1f} GB of memory"


def second_of(run: Callable[[], object]) -> float:
    """Seconds of the second of two runs: the first also prepares what all others use."""
    run()
    return seconds_of(run)


def seconds_of_many(run: Callable[[], object], times: int) -> float:
    """Seconds of that many runs, of which one or two are done. The first, which also prepares what
    all others use, is enough if all are done SOON even at its pace."""
    first = seconds_of(run)
    return times * (first if times * first < SOON else seconds_of(run))


def seconds_of(run: Callable[[], object]) -> float:
    import torch

    start = time.perf_counter()
    run()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - start
