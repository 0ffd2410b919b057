"""Batches of a data set: their rows, in training and in order, and their loading."""

from collections.abc import Iterable, Iterator
from typing import Any, Protocol

import torch
from torch.utils.data import DataLoader, Dataset

from posediff.interruption import leave_to_parent
from posediff.progress import progress


class Samples(Protocol):
    """A map-style data set of whole batches, whose randomness is drawn again every epoch."""

    def __len__(self) -> int: ...
    def __getitems__(self, rows: list[int]) -> dict[str, Any]: ...
    def set_epoch(self, epoch: int) -> None: ...


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
    label."""
    rows = [list(range(i, min(i + size, len(data)))) for i in range(0, len(data), size)][turns]
    batches = iter(loader(data, rows, workers))
    return progress(batches, len(rows), label, {}) if label else batches


def stream(
    data: Samples, rows: Iterable[list[int]], first: int, steps: int, workers: int
) -> Iterator[Any]:
    """Batch after batch of a training from step `first` on, over the epochs of `steps` steps: its
    workers live as long as it does, and are ahead of it at the end of an epoch, too."""
    numbered = ([(step // steps, row) for row in batch] for step, batch in enumerate(rows, first))
    return loader(_InEpochs(data), numbered, workers)


def loader(data: Any, rows: Iterable[Any], workers: int) -> Iterator[Any]:
    """The batches of these rows, for a GPU in memory that is read while it computes.

    A worker returns an error of the input in place of a batch, and it is raised here: PyTorch would
    turn it into the text of a traceback.
    """
    guarded: Dataset[Any] = _Guarded(data)  # type: ignore[assignment]
    for batch in DataLoader(
        guarded,
        batch_sampler=rows,
        collate_fn=_whole,
        num_workers=workers,
        worker_init_fn=_begin,
        pin_memory=torch.cuda.is_available(),
    ):
        if isinstance(batch, Exception):
            raise batch
        yield batch


class _InEpochs:
    """A data set whose rows are pairs of an epoch and a row, a batch of one epoch."""

    def __init__(self, data: Samples) -> None:
        self.data, self.epoch = data, -1

    def __getitems__(self, rows: list[tuple[int, int]]) -> dict[str, Any]:
        if rows[0][0] != self.epoch:
            self.epoch = rows[0][0]
            self.data.set_epoch(self.epoch)
        return self.data.__getitems__([row for _, row in rows])


class _Guarded:
    def __init__(self, data: Any) -> None:
        self.data = data

    def __getitems__(self, rows: Any) -> dict[str, Any] | Exception:
        try:
            batch: dict[str, Any] = self.data.__getitems__(rows)
            return batch
        except (ValueError, OSError) as error:
            return error


def _whole(batch: Any) -> Any:
    return batch  # the data set yields batches already


def _begin(worker: int) -> None:
    leave_to_parent()
