"""Windows of F consecutive frames, the samples of a video model.

A window has a leading F in all its arrays and `frames_valid` (F), 0 if a frame counts neither in
the loss nor in a score. At test the windows of a sequence follow each other, and the last one ends
with the sequence: frames that it repeats are not valid there, so that every frame is scored once.
In training a window starts at a random frame. A sequence that is shorter than a window is padded
on the right with its last frame, and the padding is not valid.

Centred windows are for models that predict the middle frame alone: every frame has a window around
it, in which only that frame is valid, padded with the first and the last frame of the sequence.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from posediff.sample import Sample, take


@dataclass(frozen=True)
class Windows:
    """The W windows of sequences whose frames are rows of one table, sequence after sequence."""

    window: int  # F
    lengths: Tensor  # frames in each sequence
    sequence: Tensor  # (W,) index of the sequence
    number: Tensor  # (W,) index of the window in its sequence
    centred: bool = False

    @classmethod
    def over(cls, lengths: Sequence[int], window: int, centred: bool = False) -> "Windows":
        """All windows of sequences of these lengths. Raises ValueError if `window` is below 1."""
        if window < 1:
            raise ValueError(f"dataset.window must be at least 1, got {window}")
        length = torch.tensor(lengths, dtype=torch.long)
        count = length if centred else (length + window - 1) // window
        sequence = torch.arange(len(length)).repeat_interleave(count)
        number = torch.arange(len(sequence)) - (count.cumsum(0) - count)[sequence]
        return cls(window, length, sequence, number, centred)

    @property
    def named_by(self) -> int:
        """The place in a window of the frame that gives its sample the id."""
        return self.window // 2 if self.centred else 0

    def __len__(self) -> int:
        return len(self.number)

    def with_any(self, counts: Tensor) -> "Windows":
        """The windows with a valid row that counts; `counts` (N,) bool of all rows."""
        rows, valid = self.rows(torch.arange(len(self)))
        kept = (valid & counts[rows]).any(1)
        return replace(self, sequence=self.sequence[kept], number=self.number[kept])

    def rows(self, indices: Tensor, u: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """The rows of these windows and whether they are valid, both (B, F).

        With u (B,) in [0, 1) a window starts at a random frame, as in training, unless centred.
        """
        sequence, number = self.sequence[indices], self.number[indices, None]
        length = self.lengths[sequence, None]
        first = (self.lengths.cumsum(0) - self.lengths)[sequence, None]
        if self.centred:
            frame = number + torch.arange(self.window) - self.named_by
            valid = frame == number
        else:
            unseen = number * self.window  # the first frame that is in no window before
            last = (length - self.window).clamp(min=0)
            start = torch.minimum(unseen, last) if u is None else (u[:, None] * (last + 1)).long()
            frame = start + torch.arange(self.window)
            valid = frame < length
            if u is None:
                valid &= frame >= unseen
        return first + torch.minimum(frame.clamp(min=0), length - 1), valid


def windowed(sample: Sample, window: int, centred: bool = False) -> dict[str, Any]:
    """Consecutive frames of one person, one per row, as windows: a batch for a video model. Raises
    ValueError if `window` is below 1."""
    windows = Windows.over([len(sample["id"])], window, centred)
    rows, valid = windows.rows(torch.arange(len(windows)))
    ids = [sample["id"][row] for row in rows[:, windows.named_by].tolist()]
    return {**take(sample, rows), "id": ids, "frames_valid": valid.float()}
