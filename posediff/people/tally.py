"""Totals of an estimation: pictures, people, seconds and spread, counted as frames go by."""

from collections import Counter
from collections.abc import Iterable, Iterator
from time import perf_counter

from posediff.people.frame import Frame


class Tally:
    """Counts of the frames that go through `over`."""

    def __init__(self) -> None:
        self.frames, self.people, self.lifted = 0, 0, 0
        self.seconds: Counter[str] = Counter()  # of each part of the estimation
        self.spread = 0.0  # metres, the sum of the mean spreads of people
        self.start = perf_counter()
        self.first: float | None = None  # seconds from the start to the first frame

    def over(self, frames: Iterable[Frame]) -> Iterator[Frame]:
        """The same frames, counted."""
        for frame in frames:
            self.first = self.first or perf_counter() - self.start
            self.frames += 1
            self.people += len(frame.people)
            self.seconds.update(frame.seconds)
            for person in frame.people:
                if person.spread_3d is not None:
                    self.lifted += 1
                    self.spread += float(person.spread_3d.mean())
            yield frame

    def line(self) -> str:
        """The counts on one line: 3 pictures, 5 people; first answer after 1.4 s; ..."""
        words = [f"{_count(self.frames, 'picture')}, {_people(self.people)}"]
        if self.first is not None:
            words.append(f"first answer after {self.first:.1f} s")
        if self.people:
            total = sum(self.seconds.values())
            each = ", ".join(f"{part} {seconds:.1f}" for part, seconds in self.seconds.items())
            words.append(f"{total / self.people:.2f} s a person ({each} s in all)")
        if self.lifted:
            words.append(f"mean spread {1000 * self.spread / self.lifted:.0f} mm")
        return "; ".join(words)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'s' * (number != 1)}"


def _people(number: int) -> str:
    return "1 person" if number == 1 else f"{number} people"
