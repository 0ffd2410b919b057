"""People in video -> samples of video2d: crops of a person in a key frame and in frames around it.

The keys are those of the key frame as in posediff/data/pictures/top_down.py, without `image`, and
frames, frames_valid, offsets, track_id (posediff/sample.py). One box, one augmentation and one
affine apply to all frames of a sample. meta has `file`, the name of the key frame in the
annotations. The id is video/frame/track, or video/frame/box0, box1 ... of a detector. Beyond the
ends of a video, and for a missing frame, the nearest frame is used, and frames_valid is 0.
"""

import warnings
from bisect import bisect_left
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, Unpack, get_args

import torch
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
    """Samples of people in video, a batch at a time, see `TopDownDataset`. The frames that were
    decoded last are kept in memory. Rows are in the order of videos and frames.

    offsets: of the frames from the key frame, ascending, with 0. border: beyond the ends of a
    video, `clamp` uses its first or last frame, `repeat` the key frame. Other options, and errors,
    as in `TopDownDataset`; also FileNotFoundError if a key frame is missing.
    """

    def __init__(
        self,
        footage: Footage,
        folder: Path,
        training: bool = False,
        root: Path = Path(),
        offsets: Sequence[int] = OFFSETS,
        border: Border = "clamp",
        **options: Unpack[Options],
    ) -> None:
        if list(offsets) != sorted(set(offsets)) or 0 not in offsets:
            raise ValueError(f"dataset.offsets must ascend and contain 0, got {list(offsets)}")
        one_of("dataset.border", border, get_args(Border))
        self.people = TopDownDataset(
            footage.people,
            folder,
            training,
            root,
            painted=(),
            labelled=footage.labelled,
            **options,
        )
        self.footage, self.offsets, self.border = footage, tuple(map(int, offsets)), border
        self.annotations, self.skeleton = self.people.annotations, self.people.skeleton
        self.memory = Memory(KEPT)
        self._check_key_frames(folder)
        self._check_frame_counts()

    def truth(self, whole: bool = True) -> Truth:
        """Labels of the data set for a metric."""
        return replace(self.people.truth(whole), videos=lambda: self.footage.truth)

    def __len__(self) -> int:
        return len(self.people)

    def __getitem__(self, index: int) -> dict[str, Any]:
        """One sample, without the leading dimension."""
        sample: dict[str, Any] = take(self.__getitems__([index]), 0)
        return sample

    def __getitems__(self, indices: Sequence[int]) -> dict[str, Any]:
        """The batched sample of these rows."""
        sample, view, places = self.people.geometry(indices)
        B, F = len(places), len(self.offsets)
        windows = [self._window(place) for place in places]
        keys = [(place, n) for place, shown in zip(places, windows, strict=True) for n, _ in shown]
        matrix = sample["affine"].repeat_interleave(F, 0)
        pixels = cut(keys, self._frame, matrix, self.people.size)
        colour = None if view.colour is None else view.colour.repeat_interleave(F, 0)
        frames = normalised(pixels, self.people.mean, self.people.std, colour)
        number = torch.tensor(sample["meta"]["annotation_id"])
        if self.people.detections:
            track = torch.full_like(number, -1)
            names = [f"box{n}" for n in number.tolist()]
        else:
            track = torch.from_numpy(self.footage.track)[number - 1]
            names = [str(n) for n in track.tolist()]
        sample["meta"]["file"] = [self.annotations.pictures[place].file for place in places]
        return sample | {
            "id": [
                f"{self.footage.video[place]}/{self.footage.number[place]}/{name}"
                for place, name in zip(places, names, strict=True)
            ],
            "frames": frames.view(B, F, *pixels.shape[1:]),
            "frames_valid": torch.tensor([[float(same) for _, same in x] for x in windows]),
            "offsets": torch.tensor(self.offsets).expand(B, F),
            "track_id": track,
        }

    def _window(self, place: int) -> list[tuple[int, bool]]:
        """Numbers of the F frames around a picture, and whether each is the one at its offset."""
        key, video = int(self.footage.number[place]), self.footage.video[place]
        present = self.footage.frames[video].numbers
        repeat = self.border == "repeat"
        return [nearest(present, key, key + offset, repeat) for offset in self.offsets]

    def _frame(self, key: tuple[int, int]) -> RGB:
        """Pixels of a frame by a picture of its video and the number of the frame."""
        place, number = key
        video, noted = self.footage.video[place], self.annotations.pictures[place]
        frames = self.footage.frames[video]
        image = self.memory.get((video, number), lambda: frames.read(number))
        if image.shape[:2] != (noted.height, noted.width):
            height, width = image.shape[:2]
            raise ValueError(
                f"{self.people.folder / noted.file}: frame {number} of video {video} is "
                f"{width}x{height}, but the annotated one is {noted.width}x{noted.height}: all "
                "frames of a video must have one size"
            )
        return image

    def _check_key_frames(self, folder: Path) -> None:
        footage = self.footage
        present = {video: set(frames.numbers) for video, frames in footage.frames.items()}
        for place in sorted(set(self.people.rows.picture.tolist())):
            if int(footage.number[place]) not in present[footage.video[place]]:
                raise FileNotFoundError(
                    f"{folder / self.annotations.pictures[place].file}: no such frame, but "
                    f"{self.annotations.path} has people in it: look at dataset.root and images"
                )

    def _check_frame_counts(self) -> None:
        """Compare frames with `nframes`: a difference raises ValueError if there are more frames
        than listed ones, else it warns."""
        path, listed, differ = self.annotations.path, Counter(self.footage.video), []
        for video, stated in self.footage.nframes.items():
            found = len(self.footage.frames[video].numbers)
            if stated not in (None, found):
                problem = f"nframes of video {video} is {stated}, but {found} were found"
                if found > listed[video]:
                    raise ValueError(f"{path}: {problem}: correct it, or the folder")
                differ.append(problem)
        if differ:
            more = f", and {len(differ) - 1} more videos" if differ[1:] else ""
            warnings.warn(f"{path}: {differ[0]}{more}", stacklevel=3)

    def set_epoch(self, epoch: int) -> None:
        """Call it before a loader starts its workers: they have a copy."""
        self.people.set_epoch(epoch)

    def summary(self) -> dict[str, Any]:
        """Facts about the data for the report of a result."""
        return self.people.summary() | {
            "labels": self.annotations.digest(self.footage.track),
            "videos": len(self.footage.frames),
            "labelled_frames": int(self.footage.labelled.sum()),
            "offsets": list(self.offsets),
            "border": self.border,
            **({"box_threshold": self.people.box_threshold} if self.people.detections else {}),
        }


def nearest(present: Sequence[int], key: int, wanted: int, repeat: bool) -> tuple[int, bool]:
    """The present frame nearest to the wanted one, of two the one towards the key frame, and
    whether it is the wanted one. Beyond the ends of the video `repeat` returns the key frame."""
    at = bisect_left(present, wanted)
    near = present[max(at - 1, 0) : at + 1]
    if repeat and not present[0] <= wanted <= present[-1]:
        near = [key]
    shown = min(near, key=lambda number: (abs(number - wanted), abs(number - key)))
    return shown, shown == wanted
