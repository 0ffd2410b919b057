"""People that the shipped detector finds, and changes of the numbers of tracks.

    python benchmarks/detection.py --photos FOLDER/coco_mini --video FOLDER/bonn_posetrack

Photos: the people of a part of COCO that have labelled joints. A box is taken, the surest first, as
the one of the annotated person that it overlaps most, at an intersection over union (IoU) of .5 or
more. Large people have more than 96 x 96 square pixels. False boxes are those of nobody who is
annotated, and that do not lie by half in a crowd. The threshold of `posediff FILE` and
`posediff.estimate` is THRESHOLD.

Video: the frames of bonn_posetrack that are there as pictures, through `posediff.estimate`, and the
labelled people in them. found: labelled people with a box; switches: a person's box has another
track than the last time that the person had one.
"""

import argparse
import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

import posediff
from posediff.data.pictures import picture_files
from posediff.inference.person_boxes import detect
from posediff.inference.video_input import open_video
from posediff.people.found_boxes import THRESHOLD, finder
from posediff.people.lifting import Draws
from posediff.people.stages import models_of
from posediff.people.video_people import video_people
from posediff.pose.affine import corners

LARGE = 96**2  # square pixels
SAME = 0.5  # least IoU of a box and its person
THRESHOLDS = (0.15, THRESHOLD, 0.4)


class Labels(NamedTuple):
    """The labelled people of a picture."""

    boxes: Tensor  # (N, 4) x1, y1, x2, y2
    large: Tensor  # (N,) bool
    counted: Tensor  # (N,) bool: joints are labelled
    crowds: Tensor  # (C, 4) boxes of many people
    tracks: list[int]  # (N,)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--photos", type=Path)
    parser.add_argument("--video", type=Path)
    args = parser.parse_args(arguments)
    print(f"people, {date.today()}")
    if args.photos:
        print("\n| threshold | large people | other people | boxes | false boxes | photos |")
        print("|--:|---|---|--:|--:|--:|")
        for threshold in THRESHOLDS:
            print(photos_row(args.photos, threshold), flush=True)
    if args.video:
        print("\n| video | frames | people | found | tracks | switches |")
        print("|---|--:|--:|--:|--:|--:|")
        for path in sorted((args.video / "images/test").iterdir()):
            print(video_row(path, args.video / f"annotations/test/{path.name}.json"), flush=True)


def photos_row(folder: Path, threshold: float) -> str:
    (path,) = folder.glob("*.json")
    network: Any = posediff.load("people")
    large, other = [0, 0], [0, 0]  # found, and all
    boxes = false = photos = 0
    for name, labels in labelled(path):
        picture = picture_files.read(folder / "images" / name)
        found, scores = detect(network.answers, picture, threshold=threshold)
        found = found[scores.argsort(descending=True)]
        taken = matched(found, labels.boxes)
        for n in labels.counted.nonzero()[:, 0].tolist():
            count = large if labels.large[n] else other
            count[0] += n in taken.values()
            count[1] += 1
        rest = [n for n in range(len(found)) if n not in taken]
        false += int((inside(found[rest], labels.crowds) < SAME).sum())
        boxes, photos = boxes + len(found), photos + 1
    shares = [f"{a} of {b}" for a, b in (large, other)]
    return f"| {threshold:g} | {' | '.join(shares)} | {boxes} | {false} | {photos} |"


def video_row(folder: Path, labels: Path) -> str:
    every = dict(labelled(labels))
    find, models = finder(None, "people", "cpu", True), models_of(None, False, True, "cpu")
    frames = video_people(open_video(folder), find, models, Draws())
    last: dict[int, int] = {}
    tracks = set[int | None]()
    people = found = switches = count = 0
    for frame in frames:
        truth = every[frame.name]
        boxes = torch.tensor([person.box.tolist() for person in frame]).view(-1, 4)
        tracks |= {person.track for person in frame}
        for n, who in matched(boxes, truth.boxes).items():
            track, person = int(frame.people[n].track or 0), truth.tracks[who]
            switches += last.get(person, track) != track
            last[person], found = track, found + 1
        people, count = people + len(truth.tracks), count + 1
    cells = (folder.name, count, people, found, len(tracks), switches)
    return f"| {' | '.join(map(str, cells))} |"


def labelled(path: Path) -> Iterator[tuple[str, Labels]]:
    """The pictures of a file in COCO's or PoseTrack18's form by name, and the people in them."""
    content = json.loads(path.read_text())
    for image in content["images"]:
        own = [entry for entry in content["annotations"] if entry["image_id"] == image["id"]]
        people = [entry for entry in own if not entry["iscrowd"]]
        yield (
            Path(image["file_name"]).name,
            Labels(
                _boxes(people),
                torch.tensor([entry["area"] > LARGE for entry in people]),
                torch.tensor([entry["num_keypoints"] > 0 for entry in people]),
                _boxes([entry for entry in own if entry["iscrowd"]]),
                [entry.get("track_id", -1) for entry in people],
            ),
        )


def _boxes(entries: Sequence[Mapping[str, Any]]) -> Tensor:
    return corners(torch.tensor([entry["bbox"] for entry in entries]).view(-1, 4))


def matched(found: Tensor, truth: Tensor) -> dict[int, int]:
    """The person of each box that has one: boxes in their order, each the free person that it
    overlaps most."""
    taken: dict[int, int] = {}
    shared = overlap(found, truth)
    union = areas(found)[:, None] + areas(truth) - shared
    for n, row in enumerate((shared / union).tolist()):
        free = [(iou, who) for who, iou in enumerate(row) if who not in taken.values()]
        if free and max(free)[0] >= SAME:
            taken[n] = max(free)[1]
    return taken


def inside(found: Tensor, crowds: Tensor) -> Tensor:
    """The share of each box (N,) that lies in the crowd that has most of it; 0 without crowds."""
    shares = overlap(found, crowds) / areas(found)[:, None]
    return torch.cat([shares, torch.zeros(len(found), 1)], 1).amax(1)


def overlap(a: Tensor, b: Tensor) -> Tensor:
    low, high = torch.maximum(a[:, None, :2], b[:, :2]), torch.minimum(a[:, None, 2:], b[:, 2:])
    return (high - low).clamp(min=0).prod(-1)


def areas(boxes: Tensor) -> Tensor:
    return (boxes[:, 2:] - boxes[:, :2]).prod(-1)


if __name__ == "__main__":
    main()
