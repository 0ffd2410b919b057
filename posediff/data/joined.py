"""Several data sets in one training, with their joints on one skeleton.

Parts are of one kind: people in images, people in video, or 3D poses. Joints have the same names in
all layouts, so they are matched by name: a joint of a part that the skeleton lacks is dropped, and
one that the part lacks is not labelled. Parts of 3D poses must be of the skeleton itself: there a
joint of the same name is at another place of the body in another layout. The id of a sample begins
with the name of its part.
"""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset

from posediff.data.balance import Balance
from posediff.pose.layout import by_names
from posediff.pose.skeleton import Skeleton
from posediff.pose.skeleton import skeleton as skeleton_named
from posediff.sample import cat, take
from posediff.truth import Truth

LABELS = {"keypoints": "visible", "keypoints_annotation": "visible_annotation"}
OPTIONAL = {"head_box"}  # keys that not all data sets of a kind have


def joined(
    parts: Mapping[str, Callable[..., Any]],
    skeleton: str,
    split: str = "train",
    balance: Mapping[str, float] | None = None,
    options: Mapping[str, Any] | None = None,
    name: str = "joined",
    **shared: Any,
) -> "Joined":
    """The samples of a split of several data sets.

    parts: functions of `split`, by the names of the data sets. balance: their shares of the
    training samples; None: as many as each has. options, shared: of single parts and of all, which
    the functions have already.

    Raises ValueError if there are no parts, if they do not fit together, and for the test: every
    data set is scored alone.
    """
    if not parts:
        raise ValueError("dataset.parts names no data set: set it to some, [coco,lspet_crops]")
    for other in {*(options or {})} - {*parts}:
        raise ValueError(f"dataset.options: {other} is none of dataset.parts, {', '.join(parts)}")
    if split == "test":
        each = " or ".join(f"dataset={part}" for part in parts)
        raise ValueError(f"joined data sets are scored one by one: set {each}, and checkpoint")
    built = {part: make(split=split) for part, make in parts.items()}
    return Joined(built, skeleton_named(skeleton), balance if split == "train" else None, name)


class Joined(Dataset[dict[str, Any]]):
    """A data set that returns whole batches, of samples of its parts by their names.

    Raises ValueError for parts of different kinds, and for joints that cannot be matched.
    """

    def __init__(
        self,
        parts: Mapping[str, Any],
        skeleton: Skeleton,
        balance: Mapping[str, float] | None,
        name: str,
    ) -> None:
        self.names, self.parts, self.skeleton = [*parts], [*parts.values()], skeleton
        self.name, self.epoch = name, 0
        lengths = [len(part) for part in self.parts]
        self.ends = np.cumsum(lengths)
        as_they_are = dict(zip(self.names, lengths, strict=True))
        self.balance = Balance(balance or as_they_are, np.repeat(self.names, lengths).tolist())
        truths = [part.truth() for part in self.parts]
        self.layouts = [skeleton_named(truth.skeleton) for truth in truths]
        self.dimensions = truths[0].dimensions
        self.keys = self._common_keys()
        self._check_layouts()

    def __len__(self) -> int:
        return int(self.ends[-1])

    def __getitem__(self, index: int) -> dict[str, Any]:
        """One sample, without the leading dimension."""
        sample: dict[str, Any] = take(self.__getitems__([index]), 0)
        return sample

    def __getitems__(self, indices: Sequence[int]) -> dict[str, Any]:
        """The batched sample of these places."""
        rows, rounds = self.balance.at(indices, self.epoch)
        parts = np.searchsorted(self.ends, rows, side="right").tolist()
        together = defaultdict[tuple[int, int], list[int]](list)
        for place, group in enumerate(zip(parts, rounds.tolist(), strict=True)):
            together[group].append(place)
        batches = []
        for (p, drawn), places in together.items():
            self.parts[p].set_epoch(drawn)
            first = int(self.ends[p]) - len(self.parts[p])
            batches.append(self._sample(p, [rows[place] - first for place in places]))
        order = torch.tensor([place for places in together.values() for place in places])
        sample: dict[str, Any] = take(cat(batches), order.argsort())
        return sample

    def _sample(self, p: int, rows: list[int]) -> dict[str, Any]:
        """The batched sample of rows of a part, on the common skeleton."""
        sample = self.parts[p].__getitems__(rows)
        sample = {key: sample[key] for key in self.keys}
        sample["id"] = [f"{self.names[p]}/{name}" for name in sample["id"]]
        own, joints = self.layouts[p].joints, self.skeleton.joints
        if own != joints:
            shared = [j for j, joint in enumerate(own) if joint in joints]
            names = [own[j] for j in shared]
            for key, flag in LABELS.items():
                x, labelled = sample[key][:, shared], sample[flag][:, shared]
                x, sample[flag] = by_names(x, labelled, names, self.skeleton)
                sample[key] = torch.where(sample[flag][..., None] > 0, x, 0.0)
        return sample

    def _common_keys(self) -> list[str]:
        """The keys of a sample that all parts have."""
        keys = [set(part.__getitems__([0])) for part in self.parts]
        for name, own in zip(self.names, keys, strict=True):
            if differing := (own ^ keys[0]) - OPTIONAL:
                raise ValueError(
                    f"dataset.parts: {self.names[0]} and {name} are of different kinds: only one "
                    f"has {', '.join(sorted(differing))}"
                )
        return sorted(set.intersection(*keys))

    def _check_layouts(self) -> None:
        for name, layout in zip(self.names, self.layouts, strict=True):
            shared = {*layout.joints} & {*self.skeleton.joints}
            if not (layout.name == self.skeleton.name if self.dimensions == 3 else shared):
                raise ValueError(
                    f"dataset.parts: {name} has the joints of {layout.name}, which cannot be those "
                    f"of dataset.skeleton={self.skeleton.name}"
                )

    def set_epoch(self, epoch: int) -> None:
        """Call it before a loader starts its workers: they have a copy."""
        self.epoch = epoch

    def truth(self, whole: bool = True) -> Truth:
        """The labels that a metric needs besides the samples."""
        return Truth(self.skeleton.name, self.name, self.dimensions, whole)

    def summary(self) -> dict[str, Any]:
        """The description of the data in a result."""
        parts = {n: part.summary() for n, part in zip(self.names, self.parts, strict=True)}
        counts = {key: sum(part[key] for part in parts.values()) for key in ("frames", "people")}
        return counts | {"skeleton": self.skeleton.name, "parts": parts}
