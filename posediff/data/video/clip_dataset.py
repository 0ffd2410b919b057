"""People in video -> the samples of video2d: the crops of a person in one frame, the key frame, and
in some before and after it.

    frames (B, F, 3, H, W)     those at `offsets` from the key frame, all cut out by its box
    frames_valid (B, F)        0 where another frame stands in for one that is not there
    offsets (B, F), track_id (B,)

All else is as in posediff/data/pictures/top_down.py, of the key frame, and no `image`: one
augmentation and one affine hold for all frames. meta has `file`, the key frame's name in the
annotations. A sample's id is video/frame/track, or video/frame/box0, box1 ... of a detector. At the
borders of a video, and where a frame is missing, the nearest one stands in.
"""

import warnings
from bisect import bisect_left
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, Unpack, get_args

import torch
from torch import Tensor
from torch.utils.data import Dataset

from posediff.data.pictures.crops import cut, normalised
from posediff.data.pictures.picture_files import RGB
from posediff.data.pictures.top_down import Options, TopDownDataset
from posediff.data.video.footage import Footage
from posediff.data.video.frames import Memory
from posediff.diffusion.choices import one_of
from posediff.sample import take
from posediff.truth import Truth

Border = Literal["clamp", "repeat"]

OFFSETS = (-2, -1, 0, 1, 2)
KEPT = 128 << 20  # bytes of decoded frames: 20 of 1920 x 1080


class ClipOptions(Options, total=False):
    """Options shared by all data sets of people in video, see `ClipDataset`."""

    offsets: Sequence[int]
    border: Border


class ClipDataset(Dataset[dict[str, Any]]):
    """Samples of a batch come at once: give a loader `collate_fn=lambda batch: batch`. Frames that
    were decoded last are remembered; rows are in the order of videos and frames.

    offsets: of the frames from the key frame, ascending, with 0. border: of a video, `clamp` shows
    its first or last frame beyond it, `repeat` the key frame. The rest as in `TopDownDataset`.
    Raises FileNotFoundError or ValueError, with one line, for files that cannot be used.
    """

    def __init__(
        self,
        footage: Footage,
        folder: Path,
        training: bool = False,
        detections: Path | None = None,
        offsets: Sequence[int] = OFFSETS,
        border: Border = "clamp",
        **options: Unpack[Options],
    ) -> None:
        if list(offsets) != sorted(set(offsets)) or 0 not in offsets:
            raise ValueError(f"dataset.offsets must ascend and hold 0, got {list(offsets)}")
        one_of("dataset.border", border, get_args(Border))
        self.people = TopDownDataset(
            footage.people,
            folder,
            training,
            detections,
            painted=(),
            labelled=footage.labelled,
            **options,
        )
        self.footage, self.offsets, self.border = footage, tuple(map(int, offsets)), border
        self.annotations, self.skeleton = self.people.annotations, self.people.skeleton
        self.size, self.codec = self.people.size, self.people.codec
        self.memory = Memory(KEPT)
        self._check_frames(folder)

    def truth(self, whole: bool = True) -> Truth:
        """What a metric needs beside the samples."""
        return replace(self.people.truth(whole), videos=lambda: self.footage.truth)

    def __len__(self) -> int:
        return len(self.people)

    def __getitem__(self, index: int) -> dict[str, Any]:
        """One sample, without the leading dimension."""
        sample: dict[str, Any] = take(self.__getitems__([index]), 0)
        return sample

    def __getitems__(self, indices: Sequence[int]) -> dict[str, Any]:
        """The batched sample of these rows."""
        sample, view, places = self.people.seen(indices)
        B, F = len(places), len(self.offsets)
        windows = [self.window(place) for place in places]
        keys = [(place, n) for place, shown in zip(places, windows, strict=True) for n, _ in shown]
        matrix = sample["affine"].repeat_interleave(F, 0)
        pixels = cut(keys, self._frame, matrix, self.size)
        colour = None if view.colour is None else view.colour.repeat_interleave(F, 0)
        shown = normalised(pixels, self.people.mean, self.people.std, colour)
        noted = [self.annotations.pictures[place] for place in places]
        sample["meta"]["file"] = [picture.file for picture in noted]
        return sample | {
            "id": [self._id(place, key) for place, key in zip(places, sample["id"], strict=True)],
            "frames": shown.view(B, F, *pixels.shape[1:]),
            "frames_valid": torch.tensor([[float(there) for _, there in x] for x in windows]),
            "offsets": torch.tensor(self.offsets).expand(B, F),
            "track_id": self._tracks(indices),
        }

    def window(self, place: int) -> list[tuple[int, bool]]:
        """The numbers of the frames that are shown with a picture, and whether each is the one that
        was meant."""
        key, frames = int(self.footage.number[place]), self.footage.frames
        there = frames[self.footage.video[place]].numbers
        beyond = self.border == "repeat"
        return [_shown(there, key, key + offset, beyond) for offset in self.offsets]

    def _frame(self, key: tuple[int, int]) -> RGB:
        """Of the video of a picture."""
        place, number = key
        video, noted = self.footage.video[place], self.annotations.pictures[place]
        frames = self.footage.frames[video]
        picture = self.memory.get((video, number), lambda: frames.read(number))
        if picture.shape[:2] != (noted.height, noted.width):
            height, width = picture.shape[:2]
            raise ValueError(
                f"{self.people.folder / noted.file}: frame {number} of video {video} is "
                f"{width}x{height}, but the annotated one is {noted.width}x{noted.height}: all "
                "frames of a video must have one size"
            )
        return picture

    def _id(self, place: int, key: str) -> str:
        number = key.rpartition("/")[2]
        if not number.startswith("box"):
            number = str(self.footage.track[int(number) - 1])
        return f"{self.footage.video[place]}/{self.footage.number[place]}/{number}"

    def _tracks(self, indices: Sequence[int]) -> Tensor:
        """(B,); -1 of a detector's boxes."""
        number = self.people.rows.number[torch.as_tensor(indices)]
        if self.people.detections:
            return torch.full_like(number, -1)
        return torch.from_numpy(self.footage.track)[number - 1]

    def _check_frames(self, folder: Path) -> None:
        """Every key frame is there, and as many frames as are meant."""
        footage, listed = self.footage, Counter(self.footage.video)
        there = {video: set(frames.numbers) for video, frames in footage.frames.items()}
        for place in sorted(set(self.people.rows.picture.tolist())):
            video, number = footage.video[place], int(footage.number[place])
            if number not in there[video]:
                raise FileNotFoundError(
                    f"{folder / self.annotations.pictures[place].file}: no such frame, though "
                    f"{self.annotations.path} has people in it: look at dataset.root and images"
                )
        differ = []
        for video, meant in footage.meant.items():
            if video in there and meant not in (None, found := len(there[video])):
                said = f"{meant} frames of video {video}, found are {found}"
                if found > listed[video]:
                    raise ValueError(
                        f"{self.annotations.path}: nframes says {said}: mend it, or the folder"
                    )
                differ.append(said)
        if differ:
            more = f", and {len(differ) - 1} more videos" if differ[1:] else ""
            warnings.warn(f"{self.annotations.path}: nframes says {differ[0]}{more}", stacklevel=3)

    def set_epoch(self, epoch: int) -> None:
        """Before a loader's workers start: they hold a copy."""
        self.people.set_epoch(epoch)

    def summary(self) -> dict[str, Any]:
        """What a result has to say about the data that it was measured on."""
        return self.people.summary() | {
            "videos": len(self.footage.frames),
            "labelled_frames": int(self.footage.labelled.sum()),
            "offsets": list(self.offsets),
            "border": self.border,
            **({"box_threshold": self.people.box_threshold} if self.people.detections else {}),
        }


def _shown(there: Sequence[int], key: int, wanted: int, beyond: bool) -> tuple[int, bool]:
    """The frame itself, or the nearest that exists, of two the one towards the key frame; where the
    video has ended and it goes on `beyond` with the key frame, that."""
    at = bisect_left(there, wanted)
    near = there[max(at - 1, 0) : at + 1]
    if beyond and not there[0] <= wanted <= there[-1]:
        near = [key]
    shown = min(near, key=lambda number: (abs(number - wanted), abs(number - key)))
    return shown, shown == wanted
