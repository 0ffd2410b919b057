"""Batches of a data set: their rows, in training and in order, and their loading.

A sample that cannot be read, as of a damaged picture, is left out: in training another one takes
its place, in order none does. It is said once, and kept (`left_out`); more than the part
`limits.left_out` of the samples is an error.
"""

import atexit
import multiprocessing
import signal
import warnings
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple, Protocol
from weakref import WeakKeyDictionary

import torch
from torch.utils.data import DataLoader, Dataset

from posediff import processes
from posediff.doors.limits import refuse_left_out
from posediff.interruption import leave_to_parent
from posediff.progress import progress

FAR, TRIES = 0.618, 8  # steps, as a part of the samples, to what takes the place of another
SAID = 10  # reasons that are said at once; all are counted


class Samples(Protocol):
    """A map-style data set of whole batches, whose randomness is drawn again every epoch."""

    def __len__(self) -> int: ...
    def __getitems__(self, rows: list[int]) -> dict[str, Any]: ...
    def set_epoch(self, epoch: int) -> None: ...
    def summary(self) -> dict[str, Any]: ...


class Subset:
    """`count` samples of a data set, evenly spaced; all of them if it has no more."""

    def __init__(self, data: Samples, count: int) -> None:
        self.data, n = data, min(count, len(data))
        self.rows = [i * len(data) // n for i in range(n)]

    def __len__(self) -> int:
        return len(self.rows)

    def __getitems__(self, rows: list[int]) -> dict[str, Any]:
        return self.data.__getitems__([self.rows[i] for i in rows])

    def set_epoch(self, epoch: int) -> None:
        self.data.set_epoch(epoch)

    def summary(self) -> dict[str, Any]:
        """Summary of all samples."""
        return self.data.summary()


def batches(length: int, size: int, seed: int, first: int, steps: int) -> Iterator[list[int]]:
    """The rows of `steps` full batches from batch `first` on, in an endless shuffled stream.

    Every pass over the data has its own order, from (seed, pass).
    """
    current, order = -1, torch.empty(0)
    for step in range(first, first + steps):
        rows = []
        for position in range(step * size, (step + 1) * size):
            if position // length != current:
                current = position // length
                key = torch.Generator().manual_seed((seed << 20) + current)
                order = torch.randperm(length, generator=key)
            rows.append(int(order[position % length]))
        yield rows


def in_order(
    data: Samples, size: int, workers: int = 0, label: str = "", turns: slice = slice(None)
) -> Iterator[Any]:
    """The batches of one pass, first to last, or some of them; progress is shown if it has a
    label. What cannot be read is not in them."""
    rows = [list(range(i, min(i + size, len(data)))) for i in range(0, len(data), size)][turns]
    batches = iter(loader(data, rows, workers, replaced=False))
    return progress(batches, len(rows), label, {}) if label else batches


def stream(
    data: Samples, rows: Iterable[list[int]], first: int, steps: int, workers: int
) -> Iterator[Any]:
    """Batch after batch of a training from step `first` on, over the epochs of `steps` steps: its
    workers live as long as it does, and are ahead of it at the end of an epoch, too."""
    wanted = (_Wanted(step // steps, batch) for step, batch in enumerate(rows, first))
    return _loaded(data, wanted, workers, replaced=True)


def loader(
    data: Samples, rows: Iterable[list[int]], workers: int, replaced: bool = True
) -> Iterator[Any]:
    """The batches of these rows, of the epoch that the data are at.

    replaced: whether another sample takes the place of one that cannot be read.
    """
    return _loaded(data, (_Wanted(None, batch) for batch in rows), workers, replaced)


class _Wanted(NamedTuple):
    """The rows of a batch, and its epoch if it is not that of the data."""

    epoch: int | None
    rows: list[int]


def _loaded(
    data: Samples, wanted: Iterable[_Wanted], workers: int, replaced: bool
) -> Iterator[Any]:
    """The batches, for a GPU in memory that is read while it computes.

    A worker returns an error of the input in place of a batch, and it is raised here: PyTorch would
    turn it into the text of a traceback.
    """
    guarded: Dataset[Any] = _Guarded(data, replaced)  # type: ignore[assignment]
    for batch in DataLoader(
        guarded,
        batch_sampler=wanted,  # type: ignore[arg-type]
        collate_fn=_whole,
        num_workers=workers,
        worker_init_fn=_begin,
        pin_memory=torch.cuda.is_available(),
    ):
        if isinstance(batch, Exception):
            raise batch
        _note(data, batch.lost)
        if batch.sample is not None:
            yield batch.sample


def readable(data: Samples, rows: list[int]) -> Any:
    """The samples of these rows, with others in the place of those that cannot be read; nothing is
    noted as left out. Raises ValueError or OSError if there are no others."""
    found = _Guarded(data, replaced=True).__getitems__(_Wanted(None, rows))
    if isinstance(found, Exception):
        raise found
    return found.sample


def left_out(data: Samples) -> list[str]:
    """Reasons why samples of a data set could not be read so far, in the order of their rows."""
    return [line for _, line in sorted(_LOST.get(data, {}).items())]


def left_out_by_all(data: Samples) -> list[str]:
    """The same of all processes, which call this together; a sample counts once."""
    lost = dict(processes.joined([*_LOST.get(data, {}).items()]))
    return [line for _, line in sorted(lost.items())]


def in_short(lines: Sequence[str], what: str) -> str:
    """Count of those left out of `what`, and the first reasons; "" for none."""
    reasons = [*dict.fromkeys(lines)]
    more = f"; and {len(reasons) - SAID} more reasons" if reasons[SAID:] else ""
    first = "; ".join(reasons[:SAID])
    return f"{len(lines):,} of {what} left out: {first}{more}" if lines else ""


_LOST: WeakKeyDictionary[Samples, dict[int, str]] = WeakKeyDictionary()


def _note(data: Samples, lost: dict[int, str]) -> None:
    """Keep and say what could not be read. Raises ValueError if it is too much."""
    known = _LOST.setdefault(data, {}) if lost else {}
    new = {row: line for row, line in lost.items() if row not in known}
    known |= new
    refuse_left_out(list(known.values()), len(data), "samples")
    said = len(set(known.values()) - set(new.values()))
    for line in [*dict.fromkeys(new.values())][: max(SAID - said, 0)]:
        warnings.warn(f"left out: {line}", stacklevel=2)


class _Read(NamedTuple):
    """A batch, as a worker makes it of its rows."""

    sample: dict[str, Any] | None
    lost: dict[int, str]  # rows that cannot be read, and why


class _Guarded:
    def __init__(self, data: Samples, replaced: bool) -> None:
        self.data, self.replaced, self.epoch = data, replaced, -1

    def __getitems__(self, wanted: _Wanted) -> _Read | Exception:
        epoch, rows = wanted
        if epoch is not None and epoch != self.epoch:
            self.epoch = epoch
            self.data.set_epoch(epoch)
        try:
            return _Read(self.data.__getitems__(rows), {})
        except (ValueError, OSError) as error:
            return self._rest(rows, error)

    def _rest(self, rows: list[int], error: Exception) -> _Read | Exception:
        """The same without the rows that cannot be read alone; the error if there are none, or
        nothing takes their place."""
        lost = dict[int, str]()
        kept = [found for row in rows if (found := self._usable(row, lost)) is not None]
        if not lost or (self.replaced and len(kept) < len(rows)):
            return error
        try:
            return _Read(self.data.__getitems__(kept) if kept else None, lost)
        except (ValueError, OSError) as other:
            return other

    def _usable(self, row: int, lost: dict[int, str]) -> int | None:
        """The row, or the one that takes its place, far from it: rows beside it are often of the
        same picture. None without one. Adds to `lost`."""
        count = len(self.data)
        for n in range(TRIES if self.replaced else 1):
            place = (row + n * max(1, round(FAR * count))) % count
            if place not in lost:
                try:
                    self.data.__getitems__([place])
                except (ValueError, OSError) as error:
                    lost[place] = " ".join(str(error).split())
                else:
                    return place
        return None


def _whole(batch: Any) -> Any:
    return batch  # the data set yields batches already


def _begin(worker: int) -> None:
    leave_to_parent()


@atexit.register
def _end() -> None:
    """End the workers that are left when Python exits, as those of an error's traceback are: it
    waits for them, and they heed no signal that can be ignored."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # PyTorch would call it an error
    for worker in multiprocessing.active_children():
        if worker.daemon:
            worker.kill()
