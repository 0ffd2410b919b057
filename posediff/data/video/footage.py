"""Annotated video in PoseTrack18's form -> people by frame and track.

    images       id, file_name; vid_id (else the folder's name), is_labeled (else true), nframes,
                 ignore_regions_x, ignore_regions_y; width, height (else those of a frame)
    categories   one with `keypoints`, the names of the joints
    annotations  image_id, keypoints [x, y, v] * J; track_id (else the running number in its frame),
                 bbox (else the extent of the joints and a margin), bbox_head; category_id

A source is one file, or a folder with a file per video. Ids are keys only: the number of a frame is
in the name of its file. Joints that the skeleton does not have are dropped if none is labelled
(PoseTrack's ears). If labels count pixels from 1, `origin` is 1 and is subtracted. Frames that are
not labelled stay as neighbours of labelled ones; people in them do not count.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from posediff.data.pictures.annotation_entries import with_joints
from posediff.data.pictures.annotations import Annotations, checked, listed, load
from posediff.data.pictures.usable_entries import (
    Placed,
    checked_usable,
    say,
    with_pictures,
    without_copies,
)
from posediff.data.video import frames as frame_files
from posediff.data.video.annolist import from_annolist
from posediff.data.video.footage_entries import (
    checked_image,
    checked_people,
    extent_of,
    shift,
    tracks_of,
    without_unknown_joints,
)
from posediff.data.video.frames import Frames, Stills, VideoFile, require_frames
from posediff.doors.checks import listing, reading
from posediff.doors.limits import refuse_left_out
from posediff.files import safe_names, visible
from posediff.pose.skeleton import Skeleton

Document = dict[str, Any]


@dataclass(frozen=True)
class Footage:
    """N people in the P frames of videos, labelled or not. Pictures are in the order of
    videos and frame numbers, ids of people are 1 .. N."""

    people: Annotations
    video: list[str]  # P names
    number: NDArray[np.int64]  # (P,) of the frame in its video
    labelled: NDArray[np.bool_]  # (P,) whether people of the frame are annotated
    track: NDArray[np.int64]  # (N,)
    frames: Mapping[str, Frames]  # by video, including frames without an entry in the file
    nframes: dict[str, int | None]  # by video, the number of its frames if the file states it
    truth: dict[str, Document]  # annotations by the name of the video's own file, with `video` and
    # `origin`, the coordinate of the first pixel in the labels of the file

    def subset(self, videos: set[str]) -> "Footage":
        """The frames of these videos, and the people in them."""
        kept = np.array([video in videos for video in self.video], np.bool_)
        people = self.people.subset(kept)
        return replace(
            self,
            people=replace(people, ids=np.arange(1, len(people.ids) + 1)),
            video=[video for video in self.video if video in videos],
            number=self.number[kept],
            labelled=self.labelled[kept],
            track=self.track[kept[self.people.picture]],
            frames={video: x for video, x in self.frames.items() if video in videos},
            nframes={video: x for video, x in self.nframes.items() if video in videos},
            truth={name: x for name, x in self.truth.items() if x["video"] in videos},
        )


def read(
    source: Path,
    skeleton: Skeleton,
    folder: Path,
    origin: int = 0,
    first: int = 0,
    upright: bool = False,
) -> Footage:
    """People of a json file or of a folder of them; file names are below `folder`.

    origin: coordinate of the first pixel in the labels. first: number of the first frame of a video
    file. upright: frames in image files are turned as their EXIF says. Raises FileNotFoundError if
    a file is missing, ValueError if an entry cannot be used.
    """
    paths = documents(source)
    if not paths:
        raise FileNotFoundError(
            f"{source}: no json file in this folder: look at dataset.annotations"
        )
    contents = ((path, partial(_document, path)) for path in paths)
    return assembled(source, contents, skeleton, folder, origin, first, upright)


def _document(path: Path) -> Any:
    data = load(path)
    old = isinstance(data, dict) and "annolist" in data
    return from_annolist(path, data) if old else data


def documents(source: Path) -> list[Path]:
    """The json files of a folder, without hidden ones, or the file itself."""
    return sorted(visible(source, (".json",))) if source.is_dir() else [source]


def assembled(
    source: Path,
    contents: Iterable[tuple[Path, Callable[[], Any]]],
    skeleton: Skeleton,
    folder: Path,
    origin: int = 0,
    first: int = 0,
    upright: bool = False,
) -> Footage:
    """People of documents, given as their paths and what reads them; otherwise as `read`.

    A document that cannot be used is left out, said and counted, as its entries are.
    """
    if origin not in (0, 1):
        raise ValueError(f"dataset.origin must be 0 or 1, the first pixel, got {origin}")
    parts, places, lost = [], dict[str, Path](), list[str]()
    given = list(contents)
    for path, document in given:
        try:
            part = _part(path, document(), skeleton, folder, origin, first, upright)
        except ValueError as error:
            if len(given) == 1:
                raise
            lost.append(str(error))
            refuse_left_out(lost, len(given), "files of videos")
            continue
        for video in part.frames:
            if video in places:
                raise ValueError(f"{path}: video {video} is also in {places[video].name}")
            places[video] = path
        parts.append(part)
    if lost and not parts:
        raise ValueError(lost[0])
    say(lost, "files of videos")
    return _joined(source, parts, lost)


def _part(
    path: Path,
    data: Any,
    skeleton: Skeleton,
    folder: Path,
    origin: int,
    first: int,
    upright: bool,
) -> Footage:
    """People of one file."""
    given, noted, categories = (
        listed(path, data, key) for key in ("images", "annotations", "categories")
    )
    given = without_copies(given)
    images, gone = checked_usable(
        list(enumerate(given)), partial(_images, path, folder, origin), "images", both=True
    )
    frames, damaged = _films(path, images, folder, first, upright)
    images, gone = [x for x in images if x["vid_id"] in frames], [*gone, *damaged]
    placed = with_pictures(list(enumerate(noted)), given, [x["id"] for x in images], gone)
    videos, numbers = _videos(path, images)
    category = categories[0].get("id", 1) if categories else 1
    for n, known in enumerate(categories):
        listing(f"{path}: categories[{n}]: keypoints", known.get("keypoints") or [])
    about = _About(path, folder, skeleton, origin, images, categories, category, frames)
    (annotated, document, track), lost = checked_usable(
        placed, partial(_people, about), "annotations"
    )
    return Footage(
        people=replace(annotated, unusable=(*gone, *lost)),
        video=[image["vid_id"] for image in images],
        number=np.array(numbers, np.int64),
        labelled=np.array([image["is_labeled"] for image in images], np.bool_),
        track=track,
        frames=frames,
        nframes={image["vid_id"]: image.get("nframes") for image in reversed(images)},
        truth=_by_video(path, document | {"origin": origin}, videos),
    )


def _films(
    path: Path, images: Sequence[dict[str, Any]], folder: Path, first: int, upright: bool
) -> tuple[dict[str, Stills | VideoFile], list[str]]:
    """The frames of every video, and why others of the file have none. Sets `vid_id`."""
    videos, _ = _videos(path, images)
    frames, damaged = dict[str, Stills | VideoFile](), list[str]()
    for video, files in videos.items():
        try:
            film = frame_files.frames(folder, files, first, upright)
            require_frames(film)
        except ValueError as error:
            if len(videos) == 1:
                raise
            damaged.append(str(error))
            refuse_left_out(damaged, len(videos), "videos")
        else:
            frames[video] = film
    say(damaged, "videos")
    return frames, damaged


class _About(NamedTuple):
    """A document without its people."""

    path: Path
    folder: Path
    skeleton: Skeleton
    origin: int
    images: list[Document]
    categories: list[Mapping[str, Any]]
    category: Any  # id of an entry that has none
    frames: Mapping[str, Stills | VideoFile]


def _images(path: Path, folder: Path, origin: int, given: Sequence[Placed]) -> list[Document]:
    """Checked entries of `images`, of an id each."""
    first = dict[str, int]()
    for i, image in given:
        number = image.get("id")
        if first.setdefault(repr(number), i) != i:
            place = first[repr(number)]
            raise ValueError(f"{path}: images[{i}]: id {number!r} is also that of images[{place}]")
    return [checked_image(path, i, image, folder, origin) for i, image in given]


def _people(
    about: _About, placed: Sequence[Placed]
) -> tuple[Annotations, Document, NDArray[np.int64]]:
    """The people of entries, the document of them, and their tracks."""
    unlabelled = {str(image["id"]) for image in about.images if not image["is_labeled"]}
    joints = next((len(c["keypoints"]) for c in about.categories if c.get("keypoints")), 0)
    people = [
        {"category_id": about.category, **with_joints(entry, joints), "id": n + 1}
        for n, entry in checked_people(about.path, placed)
        if str(entry.get("image_id")) not in unlabelled
    ]
    if about.origin:
        shift(people, about.origin)
    names, people = without_unknown_joints(about.categories, people, about.skeleton)
    named = [{**c, "keypoints": names} if c.get("keypoints") else c for c in about.categories]
    extent, images = cache(lambda: extent_of(about.path, people)), list[Document]()
    for image in about.images:
        if image.get("width") is None:
            video = about.frames[image["vid_id"]]
            width, height = video.size() if video.numbers else extent()
            image = {**image, "width": width, "height": height}
        images.append(image)
    document: Document = {"images": images, "annotations": people, "categories": named}
    places = [entry["id"] - 1 for entry in people]
    annotated = checked(
        about.path, document, about.skeleton, about.folder, "0.53*w*h", places=places
    )
    return annotated, document, tracks_of(about.path, annotated, people)


def _videos(
    path: Path, images: Sequence[dict[str, Any]]
) -> tuple[dict[str, dict[int, str]], list[int]]:
    """Listed files of every video by frame number, and the number of every image. Sets `vid_id`.

    A video is a folder, or the files of one prefix in a folder. Its name is its vid_id, or its
    folder if several videos have the same vid_id.
    """
    files: dict[tuple[Path, str], dict[int, str]] = {}
    names: dict[tuple[Path, str], str] = {}
    homes, numbers = [], []
    for i, image in enumerate(images):
        file = Path(image["file_name"])
        with reading(f"{path}: images[{i}]", "its file_name is of another form"):
            prefix, number = frame_files.split(file)
        home = (file.parent, prefix)
        names.setdefault(home, str(image.get("vid_id", file.parent.name)))
        if number in files.setdefault(home, {}):
            raise ValueError(f"{path}: images[{i}]: frame {number} of {file.parent} is there twice")
        files[home][number] = image["file_name"]
        homes.append(home)
        numbers.append(number)
    if len(set(names.values())) < len(names):
        names = {home: str(home[0] / home[1]) for home in names}
    for image, home in zip(images, homes, strict=True):
        image["vid_id"] = names[home]
    return {names[home]: x for home, x in files.items()}, numbers


def _by_video(
    path: Path, document: Document, videos: Mapping[str, Mapping[int, str]]
) -> dict[str, Document]:
    """A document per video, by the name of its file; if a file contains several videos, by the name
    of the folder of frames."""
    if len(videos) == 1:
        return {path.name: {"video": next(iter(videos)), **document}}
    video_of = {image["id"]: image["vid_id"] for image in document["images"]}
    split: dict[str, Document] = {
        video: {"video": video, **document, "images": [], "annotations": []} for video in videos
    }
    for image in document["images"]:
        split[image["vid_id"]]["images"].append(image)
    for entry in document["annotations"]:
        split[video_of[entry["image_id"]]]["annotations"].append(entry)
    homes = {video: Path(next(iter(x.values()))).parent.name for video, x in videos.items()}
    names = homes if len(set(homes.values())) == len(homes) else {video: video for video in homes}
    safe = safe_names(names.values())
    return {f"{safe[names[video]]}.json": part for video, part in split.items()}


def _joined(source: Path, parts: Sequence[Footage], lost: Sequence[str]) -> Footage:
    """All parts as one, in the order of videos and frames. lost: documents left out, and why."""
    pictures = [picture for part in parts for picture in part.people.pictures]
    video = [name for part in parts for name in part.video]
    number = np.concatenate([part.number for part in parts])
    rank = {name: i for i, name in enumerate(dict.fromkeys(video))}
    order = np.lexsort((number, np.array([rank[name] for name in video])))
    if len({str(picture.id) for picture in pictures}) < len(pictures):  # ids are unique in a file
        pictures = [
            p._replace(id=f"{v}/{n}") for p, v, n in zip(pictures, video, number, strict=True)
        ]
    columns: dict[str, Any] = {
        name: np.concatenate([part.people.columns()[name] for part in parts])
        for name in parts[0].people.columns()
    }
    first = np.cumsum([0, *(len(part.people.pictures) for part in parts)])
    shift = np.repeat(first[:-1], [len(part.people.ids) for part in parts])
    columns["picture"] = np.argsort(order)[columns["picture"] + shift]
    columns |= {"ids": np.arange(1, len(shift) + 1), "pictures": [pictures[i] for i in order]}
    columns["unusable"] = (*lost, *(line for part in parts for line in part.people.unusable))
    return Footage(
        people=replace(parts[0].people, path=source, **columns),
        video=[video[i] for i in order],
        number=number[order],
        labelled=np.concatenate([part.labelled for part in parts])[order],
        track=np.concatenate([part.track for part in parts]),
        frames={name: x for part in parts for name, x in part.frames.items()},
        nframes={name: x for part in parts for name, x in part.nframes.items()},
        truth={name: x for part in parts for name, x in part.truth.items()},
    )
