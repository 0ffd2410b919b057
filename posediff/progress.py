"""A bar on a terminal, plain lines elsewhere: how far, how fast, how long still."""

import sys
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")


def progress(
    items: Iterable[T], total: int, label: str, notes: dict[str, str], every: float = 10.0
) -> Iterator[T]:
    """Pass `items` on. `notes` is shown beside the count and may change between items.

    Without a terminal a line is printed after every `every` seconds, none for what takes less.
    """
    if sys.stderr.isatty():
        from tqdm import tqdm

        bar = tqdm(items, total=total, desc=label, leave=False, dynamic_ncols=True)
        for item in bar:
            yield item
            bar.set_postfix(notes, refresh=False)
        return
    begin = last = time.monotonic()
    for done, item in enumerate(items, 1):
        yield item
        now = time.monotonic()
        if now - last >= every and done < total:
            last, rate = now, done / (now - begin)
            shown = "".join(f"  {k} {v}" for k, v in notes.items())
            left = (total - done) / rate
            print(f"{label}: {done}/{total}  {rate:.3g}/s  {clock(left)} left{shown}", flush=True)


def clock(seconds: float) -> str:
    """Seconds as people read them: 42s, 3m05s, 2h07m."""
    s = round(seconds)
    if s < 60:
        return f"{s}s"
    return f"{s // 60}m{s % 60:02}s" if s < 3600 else f"{s // 3600}h{s % 3600 // 60:02}m"
