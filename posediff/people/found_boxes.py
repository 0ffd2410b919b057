"""Boxes of the people of a picture: of the shipped detector, of the user, or all of it.

A box is x, y, width, height in pixels of the picture.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from posediff.checkpoint import load
from posediff.data.pictures.picture_files import RGB
from posediff.diffusion import Model
from posediff.doors.checks import integer
from posediff.inference import person_boxes
from posediff.inference.person_boxes import THRESHOLD
from posediff.inference.photo_input import box_in, read_boxes
from posediff.inference.tools.box_files import score_of
from posediff.shipped import find

WHOLE = "whole"
SHOWN = 3  # names in an error


class FoundBoxes(NamedTuple):
    boxes: Tensor  # (N, 4) xywh
    scores: Tensor  # (N,)
    tracks: list[int] | None = None  # of each box, if the user knows who it is


Finder = Callable[[str, RGB], FoundBoxes]  # of a picture's name and pixels


def finder(
    boxes: Any, detect: str, device: str, film: bool = False, names: Sequence[str] = ()
) -> Finder:
    """A function that finds the people of a picture.

    boxes: an array (N, 4) for every picture; a mapping, or a JSON file of one, from the name of a
    picture to its boxes, or a file of COCO, MOT or Ultralytics; film: for a video; a callable from
    the pixels to the boxes; None: the detector `detect`, or all of the picture if that is "whole".
    A box is [x, y, w, h] or {"box": ..., "track_id": 3, "score": 0.9}. A picture that a mapping
    does not name has no people. names: of the pictures. Raises FileNotFoundError if the file or the
    detector does not exist, ValueError if a mapping names others than these pictures alone.
    """
    if boxes is None:
        return _whole if detect == WHOLE else _detector(detect, device)
    source = boxes if isinstance(boxes, str | Path) else "boxes"
    if isinstance(boxes, str | Path):
        boxes = read_boxes(boxes).of_film() if film else read_boxes(boxes)
    if isinstance(boxes, Mapping):
        if boxes and names and not any(name in boxes for name in names):
            raise ValueError(
                f"{source}: has boxes of {_listed(boxes)}, none of {_listed(names)}; name the "
                "photo, or the frame of the video by its number, as 000012"
            )
        if film:
            return _of_film(source, boxes, names)
        return lambda name, image: _given(name, boxes.get(name, ()), image)
    if callable(boxes):
        return lambda name, image: _given(name, boxes(image), image)
    return lambda name, image: _given(name, boxes, image)


def described(boxes: Any, detect: str) -> str:
    """Finder of the people, in words: the folder of the detector, a file, all of the picture."""
    if isinstance(boxes, str | Path):
        return str(boxes)
    if boxes is not None:
        return "given in Python"
    return "all of the picture" if detect == WHOLE else str(find(detect))


def _listed(names: Collection[str]) -> str:
    """The first names."""
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(map(str, islice(names, SHOWN))) + more


def _whole(name: str, image: RGB) -> FoundBoxes:
    height, width = image.shape[:2]
    return FoundBoxes(torch.tensor([[0.0, 0.0, width, height]]), torch.ones(1))


def _detector(name: str, device: str) -> Finder:
    if not isinstance(name, str | Path):
        raise ValueError(f"detect: must be the name of a detector, or whole, not {name!r}")
    network: Any = load(name).to(device)
    if isinstance(network, Model):
        raise ValueError(f"detect={name}: a model of poses, no detector; people is one that ships")

    def maps(picture: Tensor) -> dict[str, Tensor]:
        return {key: x.cpu() for key, x in network.answers(picture.to(device)).items()}

    def find(_: str, image: RGB) -> FoundBoxes:
        found, scores = person_boxes.detect(maps, image, threshold=THRESHOLD)
        boxes = torch.cat([found[:, :2], found[:, 2:] - found[:, :2]], 1)
        some = (boxes[:, 2:] >= 1).all(1)
        return FoundBoxes(boxes[some], scores[some])

    return find


def _of_film(source: object, boxes: Mapping[str, Any], names: Sequence[str]) -> Finder:
    """All boxes are checked at the first frame, so that a bad one does not end the film late."""
    found = dict[str, FoundBoxes]()

    def find(name: str, image: RGB) -> FoundBoxes:
        for frame in () if found else names:
            where = f"{source}: frame {frame} (the first is {names[0]})"
            found[frame] = _given(where, boxes.get(frame, ()), image)
        return found[name]

    return find


def _given(name: str, entries: Any, image: RGB) -> FoundBoxes:
    """Raises ValueError if an entry is no box inside the picture, or if only some have tracks."""
    height, width = image.shape[:2]
    if not isinstance(entries, Sequence | np.ndarray | Tensor):
        raise ValueError(f"{name}: boxes must be a list of x, y, width, height, not {entries!r}")
    boxes, scores, tracks = list[Tensor](), list[float](), list[int]()
    for n, entry in enumerate(np.asarray(entries) if isinstance(entries, Tensor) else entries):
        boxes.append(box_in(Path(name), f"box {n}", entry, width, height))
        scores.append(score_of(f"{name}: box {n}", entry))
        if isinstance(entry, Mapping) and "track_id" in entry:
            tracks.append(integer(f"{name}: box {n}: track_id", entry["track_id"]))
    if tracks and (len(tracks) < len(boxes) or len(set(tracks)) < len(tracks)):
        raise ValueError(f"{name}: give every box a track_id of its own, or none")
    every = torch.stack(boxes) if boxes else torch.zeros(0, 4)
    return FoundBoxes(every, torch.tensor(scores), tracks or None)
