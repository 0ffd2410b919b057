"""Sources of training samples in given shares.

The N places of an epoch are divided among the sources by their shares, one block each. A source
goes through its own samples again and again: place k of its n places in epoch e is element
e n + k of that endless repetition, and in round r of it random numbers are drawn as in epoch r. So
an epoch has the shares, all samples of a source come equally often, and no draw comes twice.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray


class Balance:
    """The samples of every place of an epoch.

    shares    of the sources by name, in any unit
    sources   (N,) the name of every sample's source

    Raises ValueError for a share that is not above 0 or of no sample, and unless shares and sources
    have the same names.
    """

    def __init__(self, shares: Mapping[str, float], sources: Sequence[str]) -> None:
        names, which, counts = np.unique(sources, return_inverse=True, return_counts=True)
        check(shares, names.tolist())
        parts = np.array([shares[name] for name in names], np.float64)
        self.ends = np.rint(np.cumsum(parts / parts.sum()) * len(which)).astype(np.int64)
        self.places = np.diff(self.ends, prepend=0)
        for name in names[self.places == 0]:
            raise ValueError(
                f"dataset.balance: the share of {name} is less than one sample of an epoch: give "
                "it more, or leave its data out"
            )
        self.starts = self.ends - self.places
        self.order = np.argsort(which, kind="stable")  # the samples, source after source
        self.counts, self.firsts = counts, np.cumsum(counts) - counts

    def at(self, places: Sequence[int], epoch: int) -> tuple[list[int], NDArray[np.int64]]:
        """The samples at these places (B,) of an epoch, and the rounds (B,) in which they are
        drawn."""
        place = np.asarray(places, np.int64)
        source = np.searchsorted(self.ends, place, side="right")
        element = epoch * self.places[source] + place - self.starts[source]
        rounds, number = np.divmod(element, self.counts[source])
        return self.order[self.firsts[source] + number].tolist(), rounds


def check(shares: Mapping[str, float], names: Sequence[str]) -> None:
    """Raise ValueError unless all names have a share above 0, and nothing else has one."""
    for name, share in shares.items():
        if name not in names:
            there = ", ".join(names)
            raise ValueError(f"dataset.balance: no training samples of {name}, only of {there}")
        if not isinstance(share, int | float) or not 0 < share < float("inf"):
            raise ValueError(f"dataset.balance: {name} must be a number above 0, got {share}")
    for name in names:
        if name not in shares:
            raise ValueError(f"dataset.balance: no share of {name}: add it, or leave its data out")
