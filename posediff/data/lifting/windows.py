"""Windows of F consecutive frames: what a video model reads.

A window has a leading F in all its arrays and `frames_valid` (F), 0 where a frame counts neither in
the loss nor in a score. At test the windows of a sequence follow each other, and the last one ends
with the sequence: what it shows for the second time is not valid there, so that every frame is
scored once. In training a window begins anywhere. A sequence that is shorter than a window is
padded on the right by its last frame, and the padding is not valid.

Centred windows, of models that answer for the middle frame alone: every frame has a window around
it, in which only it is valid, and which the first and the last frame of the sequence pad.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from posediff.sample import Sample, take


@dataclass(frozen=True)
class Windows:
    """Of sequences whose frames lie below each other as rows; one entry a window."""

    window: int  # F
    sequence: Tensor  # (W,) which sequence
    number: Tensor  # (W,) which window of it
    first: Tensor  # (W,) the row of the sequence's first frame
    length: Tensor  # (W,) frames in the sequence
    centred: bool = False

    @classmethod
    def over(cls, lengths: Sequence[int], window: int, centred: bool = False) -> "Windows":
        if window < 1:
            raise ValueError(f"dataset.window must be at least 1, got {window}")
        length = torch.tensor(lengths, dtype=torch.long)
        count = length if centred else (length + window - 1) // window
        sequence = torch.arange(len(length)).repeat_interleave(count)
        number = torch.arange(len(sequence)) - (count.cumsum(0) - count)[sequence]
        first = (length.cumsum(0) - length)[sequence]
        return cls(window, sequence, number, first, length[sequence], centred)

    @property
    def named_by(self) -> int:
        """The place in a window of the frame that it is called after."""
        return self.window // 2 if self.centred else 0

    def __len__(self) -> int:
        return len(self.number)

    def with_any(self, counts: Tensor) -> "Windows":
        """Without those in which no row counts; `counts` (N,) bool of all rows."""
        rows, valid = self.rows(torch.arange(len(self)))
        some = (valid & counts[rows]).any(1)
        s, n, first, length = (
            x[some] for x in (self.sequence, self.number, self.first, self.length)
        )
        return Windows(self.window, s, n, first, length, self.centred)

    def rows(self, indices: Tensor, u: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """The rows of these windows and whether they are valid, both (B, F).

        u (B,) in [0, 1): begin somewhere instead, as in training, unless they are centred.
        """
        number, first, length = (x[indices] for x in (self.number, self.first, self.length))
        if self.centred:
            frame = number[:, None] + torch.arange(self.window) - self.named_by
            row = first[:, None] + torch.minimum(frame.clamp(min=0), length[:, None] - 1)
            return row, frame == number[:, None]
        own = number * self.window
        room = (length - self.window).clamp(min=0)
        begin = torch.minimum(own, room) if u is None else (u * (room + 1)).long()
        frame = begin[:, None] + torch.arange(self.window)
        valid = frame < length[:, None]
        if u is None:
            valid &= frame >= own[:, None]
        return first[:, None] + torch.minimum(frame, length[:, None] - 1), valid


def windowed(sample: Sample, window: int, centred: bool = False) -> dict[str, Any]:
    """Consecutive frames of one person, one a row, as windows of so many: a batch for a video
    model.
    """
    windows = Windows.over([len(sample["id"])], window, centred)
    rows, valid = windows.rows(torch.arange(len(windows)))
    ids = [sample["id"][row] for row in rows[:, windows.named_by].tolist()]
    return {**take(sample, rows), "id": ids, "frames_valid": valid.float()}
