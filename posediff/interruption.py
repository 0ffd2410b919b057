"""Signals that ask a program to stop: SIGTERM, as schedulers send it, and SIGINT (Ctrl-C)."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType
from typing import Self

SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Stopped(KeyboardInterrupt):
    """Raised once a stop was asked for. `code` is the exit status that shells expect of it."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.name, self.code = signal.Signals(number).name, 128 + number


class Stop:
    """A context in which the signals are noted: `asked` is the last one, 0 before it.

    A second SIGINT interrupts at once. Outside the main thread signals stay as they are.
    """

    def __init__(self) -> None:
        self.asked, self.at_once = 0, False
        self.before: dict[int, object] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            self.before = {number: signal.signal(number, self._note) for number in SIGNALS}
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        for number, handler in self.before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]

    @contextmanager
    def anywhere(self) -> Iterator[None]:
        """A block that may be left at any point: a signal raises Stopped as soon as it comes."""
        if self.asked:
            raise Stopped(self.asked)
        self.at_once = True
        try:
            yield
        finally:
            self.at_once = False

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.asked and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.asked = number
        if self.at_once:
            raise Stopped(number)


def leave_to_parent() -> None:
    """Leave the signals, in a worker of a loader, to the parent: those of a terminal or a scheduler
    go to all processes at once, and the parent still needs its workers' batches until it has saved.
    A worker ends when the parent tells it, or is gone."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)
