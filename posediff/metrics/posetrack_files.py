"""Files in PoseTrack18's form, annotations and results, as arrays over all frames.

A document per video: images [{id, file_name, is_labeled, ignore_regions_x, ignore_regions_y}],
categories [{keypoints: names}], annotations [{image_id, keypoints [x, y, v] * J, bbox_head,
track_id, scores [J]}]. A joint is present unless x = y = v = 0; its score in a result is that in
`scores`, NOTHING if there is none. Annotations and results of a video have the same file name.
"""

import contextlib
from collections.abc import Mapping, Sequence
from itertools import compress, groupby
from operator import itemgetter
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from posediff.doors.checks import as_array, entries, flag, identity, listing, text
from posediff.doors.json_door import read_json
from posediff.files import visible
from posediff.pose.layout import joint_named
from posediff.pose.skeleton import skeleton
from posediff.truth import Document

Source = str | Path | Mapping[str, Document]  # a folder, or documents by their file names
Values = NDArray[np.float64]
Flags = NDArray[np.bool_]
Region = tuple[int, Values]  # the frame and a polygon (V, 2)

SKELETON = skeleton("posetrack15")
NOTHING = -9999.0  # the score of a joint that has none
HEAD = 0.6  # size of a head, in diagonals of its box


class FramePeople(NamedTuple):
    """N people in the order of videos, frames, and entries of a file."""

    frame: NDArray[np.int64]  # (N,)
    points: Values  # (N, J, 2) pixels
    present: Flags  # (N, J)
    scores: Values  # (N, J)

    def at(self, kept: NDArray[Any]) -> "FramePeople":
        return FramePeople(*(column[kept] for column in self))


class Labels(NamedTuple):
    """The annotations of F frames, with N people."""

    frames: list[tuple[str, str]]  # (F,) name of the video's file, and file_name of the frame
    labelled: Flags  # (F,) is_labeled in the file
    people: FramePeople
    head: Values  # (N,) pixels
    regions: list[Region]  # ignored


def read_truth(source: Source) -> Labels:
    """Annotations.

    Raises FileNotFoundError if there is no file, ValueError if an entry is damaged, or if a person
    with joints has no head box.
    """
    frames: list[tuple[str, str]] = []
    labelled, regions, heads, parts = [], list[Region](), [np.empty(0)], []
    for name, entry in _entries(source).items():
        document = _load(entry)
        parts.append(_people(name, document, len(frames)))
        heads.append(_heads(name, document["annotations"], parts[-1].present))
        for image in document["images"]:
            regions += _regions(f"{name}: {image['file_name']}", image, len(frames))
            labelled.append(flag(f"{name}: is_labeled", image.get("is_labeled", True)))
            frames.append((name, str(image["file_name"])))
    people, order = _in_order(parts)
    return Labels(
        frames, np.array(labelled, np.bool_), people, np.concatenate(heads)[order], regions
    )


def read_results(source: Source, truth: Labels) -> FramePeople:
    """Results on the frames of the annotations: for every video a file of the same name, with all
    frames in the same order, and track ids in 0 .. 9999 that are unique in a frame.

    Raises FileNotFoundError if there is no file, ValueError if a file is damaged or differs.
    """
    found, parts, start = _entries(source), [], 0
    for name, frames in groupby(truth.frames, itemgetter(0)):
        if name not in found:
            raise ValueError(
                f"{source if isinstance(source, str | Path) else 'results'}: "
                f"no file {name}: there must be one per annotated video"
            )
        document, files = _load(found[name]), [file for _, file in frames]
        _check_frames(name, document, files)
        parts.append(_people(name, document, start))
        _check_tracks(name, document)
        start += len(files)
    return _in_order(parts)[0]


def _entries(source: Source) -> Mapping[str, Path | Document]:
    """Files, or documents, by their names in order. `_load` reads one file at a time: all at once
    are millions of objects, which the garbage collector visits at every further read.
    """
    if isinstance(source, Mapping):
        return dict(sorted(source.items()))
    folder = Path(source)
    paths = sorted(visible(folder, (".json",))) if folder.is_dir() else [folder]
    if not paths or not paths[0].is_file():
        raise FileNotFoundError(f"{source}: no such folder of json files, one per video")
    return {path.name: path for path in paths}


def _load(entry: Path | Document) -> Document:
    if isinstance(entry, Mapping):
        return entry
    document: Document = read_json(entry, "file of poses", "the file is damaged")
    for key in ("images", "annotations"):
        if not isinstance(document, dict) or not isinstance(document.get(key), list):
            raise ValueError(f"{entry}: has no list `{key}`: not of PoseTrack18's form")
    for n, image in enumerate(entries(f"{entry}: images", document["images"])):
        identity(f"{entry}: images[{n}]: id", image.get("id"))
        text(f"{entry}: images[{n}]: file_name", image.get("file_name"))
    for n, person in enumerate(entries(f"{entry}: annotations", document["annotations"])):
        identity(f"{entry}: annotations[{n}]: image_id", person.get("image_id"))
    for n, category in enumerate(entries(f"{entry}: categories", document.get("categories", []))):
        listing(f"{entry}: categories[{n}]: keypoints", category.get("keypoints", []))
    return document


def _check_frames(name: str, document: Document, files: Sequence[str]) -> None:
    given = [image.get("file_name") for image in document["images"]]
    if len(given) != len(files):
        raise ValueError(
            f"{name}: {len(given)} frames for {len(files)} annotated ones: list every frame, also "
            "those without people"
        )
    for i, (mine, theirs) in enumerate(zip(given, files, strict=True)):
        if mine != theirs:
            raise ValueError(
                f"{name}: images[{i}]: file_name is {mine}, that of the annotation is "
                f"{theirs}: frames must be the same, in the same order"
            )


def _check_tracks(name: str, document: Document) -> None:
    seen = set()
    for i, entry in enumerate(document["annotations"]):
        image, track = entry["image_id"], entry.get("track_id")
        if not isinstance(track, int) or not 0 <= track < 10000:
            raise ValueError(
                f"{name}: annotations[{i}]: track_id must be in 0 .. 9999, got {track!r}"
            )
        if (image, track) in seen:
            raise ValueError(
                f"{name}: annotations[{i}]: second person of track_id {track} in image {image}: "
                "it must be unique in a frame"
            )
        seen.add((image, track))


def _people(name: str, document: Document, start: int) -> FramePeople:
    """The people of one video, whose first frame has the index `start`."""
    place = {image["id"]: start + i for i, image in enumerate(document["images"])}
    entries = document["annotations"]
    for i, entry in enumerate(entries):
        if entry.get("image_id") not in place:
            raise ValueError(
                f"{name}: annotations[{i}]: no image has the id {entry.get('image_id')!r}"
            )
    joints = _joints(name, document)
    N, J, slots = len(entries), len(SKELETON.joints), len(joints)
    source = [slot for slot, j in enumerate(joints) if j is not None]
    target = [j for j in joints if j is not None]
    points, scores = np.zeros((N, J, 3)), np.full((N, J), NOTHING)
    triples = _table(name, entries, "keypoints", 3 * slots).reshape(N, slots, 3)
    points[:, target] = triples[:, source]
    scored = [i for i, entry in enumerate(entries) if entry.get("scores")]
    found = _table(name, [entries[i] for i in scored], "scores", slots)
    scores[np.ix_(scored, target)] = found[:, source]
    frame = np.array([place[entry["image_id"]] for entry in entries], np.int64)
    return FramePeople(frame, points[..., :2], (points != 0).any(-1), scores)


def _joints(name: str, document: Document) -> list[int | None]:
    """Index of the joint of every slot of the file; None for the ears."""
    names = [c["keypoints"] for c in document.get("categories", []) if c.get("keypoints")]
    if len(names) != 1:
        raise ValueError(
            f"{name}: {len(names)} categories have `keypoints`, the names of the joints: one must"
        )
    return [joint_named(str(word), SKELETON) for word in names[0]]


def _table(name: str, entries: Sequence[Mapping[str, Any]], key: str, width: int) -> Values:
    """Finite numbers (N, width). Entries are checked one by one only to name a bad one."""
    with contextlib.suppress(KeyError, ValueError, TypeError):
        rows = [entry[key] for entry in entries]
        table = as_array(rows)
        if table is not None and table.size == len(rows) * width and np.isfinite(table).all():
            return table.reshape(len(rows), width)
    bad = next(entry for entry in entries if not _is_row(entry.get(key), width))
    raise ValueError(
        f"{name}: annotation {bad.get('id')} of image {bad['image_id']}: {key} must be {width} "
        "finite numbers"
    )


def _is_row(values: Any, width: int) -> bool:
    row = as_array(values)
    return row is not None and row.shape == (width,) and bool(np.isfinite(row).all())


def _heads(name: str, entries: Sequence[Mapping[str, Any]], present: Flags) -> Values:
    """(N,) sizes of heads; 0 without a head box, which only a person without joints may lack."""
    boxed = np.array([bool(entry.get("bbox_head")) for entry in entries], np.bool_)
    for i in np.flatnonzero(present.any(1) & ~boxed)[:1]:
        raise ValueError(
            f"{name}: annotations[{i}]: no bbox_head, which PoseTrack's measure needs: "
            "score this data with eval=pck"
        )
    boxes = _table(name, [*compress(entries, boxed)], "bbox_head", 4)
    sizes = np.zeros(len(entries))
    sizes[boxed] = HEAD * np.hypot(boxes[:, 2], boxes[:, 3])
    return sizes


def _regions(where: str, image: Mapping[str, Any], frame: int) -> list[Region]:
    xs, ys = image.get("ignore_regions_x") or [], image.get("ignore_regions_y") or []
    try:
        return [
            (frame, np.array([x, y], np.float64).T)
            for x, y in zip(xs, ys, strict=True)
            if len(x) > 2
        ]
    except (ValueError, TypeError):
        raise ValueError(
            f"{where}: ignore_regions_x and _y must be polygons of as many numbers"
        ) from None


def _in_order(parts: Sequence[FramePeople]) -> tuple[FramePeople, NDArray[np.int64]]:
    """All people, sorted by frame, and their rows in `parts`."""
    J = len(SKELETON.joints)
    empty = FramePeople(
        np.empty(0, np.int64), np.empty((0, J, 2)), np.empty((0, J), np.bool_), np.empty((0, J))
    )
    whole = FramePeople(*(np.concatenate(column) for column in zip(empty, *parts, strict=True)))
    order = np.argsort(whole.frame, kind="stable")
    return whole.at(order), order
