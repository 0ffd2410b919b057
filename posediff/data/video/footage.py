"""Annotated video in PoseTrack18's form -> people by frame and track.

    images       id, file_name; vid_id (else the folder's name), is_labeled (else true), nframes,
                 ignore_regions_x, ignore_regions_y; width, height (else those of a frame)
    categories   the one with `keypoints`, the names of the joints
    annotations  image_id, keypoints [x, y, v] * J; track_id (else the running number in its frame),
                 bbox (else the extent of the joints and a margin), bbox_head; category_id

A source is one file, or a folder with a file per video. Ids are keys and no more: the number of a
frame stands in the name of its file. Joints that a skeleton does not have and nobody has labelled
(PoseTrack's ears) are dropped. Where labels count pixels from 1, `origin` is 1 and taken off.
Frames that are not labelled stay, as neighbours of those that are; people in them do not count.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from posediff.data.pictures import annotations as files
from posediff.data.pictures.annotations import Annotations
from posediff.data.video import frames as shots
from posediff.data.video.annolist import from_annolist
from posediff.data.video.frames import Frames
from posediff.pose.layout import joint_named
from posediff.pose.skeleton import Skeleton

Document = dict[str, Any]
Find = Callable[[str, Mapping[int, str]], Frames]


@dataclass(frozen=True)
class Footage:
    """People in the frames of videos. Pictures are in the order of videos and frame numbers, ids of
    people are 1 .. N."""

    people: Annotations
    video: list[str]  # of every picture
    number: NDArray[np.int64]  # (P,) of every picture in its video
    labelled: NDArray[np.bool_]  # (P,) whether its people are annotated
    track: NDArray[np.int64]  # (N,)
    frames: dict[str, Frames]  # by video, those too that are not annotated
    meant: dict[str, int | None]  # by video, the number of its frames where the file says it
    truth: dict[str, Document]  # the annotations again, by the name of the video's own file; origin
    # is the number that the labels of the file give the first pixel

    def of(self, videos: set[str]) -> "Footage":
        """Some of the videos."""
        kept = np.array([video in videos for video in self.video], np.bool_)
        people = self.people.within(kept)
        return replace(
            self,
            people=replace(people, ids=np.arange(1, len(people.ids) + 1)),
            video=[video for video, keep in zip(self.video, kept, strict=True) if keep],
            number=self.number[kept],
            labelled=self.labelled[kept],
            track=self.track[kept[self.people.picture]],
            frames={video: x for video, x in self.frames.items() if video in videos},
            meant={video: x for video, x in self.meant.items() if video in videos},
            truth={name: x for name, x in self.truth.items() if x["video"] in videos},
        )


def read(
    source: Path, skeleton: Skeleton, folder: Path, origin: int = 0, first: int = 0
) -> Footage:
    """The people of a json file or of a folder of them; file names are below `folder`.

    origin: what labels call the first pixel. first: the number of the first frame of a video file.
    FileNotFoundError, or ValueError with one line that names the file, the entry and the remedy.
    """
    contents = []
    for path in documents(source):
        data = files.load(path)
        old = isinstance(data, dict) and "annolist" in data
        contents.append((path, from_annolist(path, data) if old else data))

    def find(video: str, listed: Mapping[int, str]) -> Frames:
        return shots.frames({number: folder / file for number, file in listed.items()}, first)

    return assembled(source, contents, skeleton, folder, find, origin)


def assembled(
    source: Path,
    contents: Iterable[tuple[Path, Any]],
    skeleton: Skeleton,
    folder: Path,
    find: Find,
    origin: int = 0,
) -> Footage:
    """`read`, of what stands in these files already; `source` is all of them, and `find` gives the
    frames of a video by its name and its listed files."""
    if origin not in (0, 1):
        raise ValueError(f"dataset.origin is 0 or 1, the first pixel of the labels, got {origin}")
    parts, places = [], dict[str, Path]()
    for path, data in contents:
        part = _part(path, data, skeleton, folder, find, origin)
        for video in part.frames:
            if video in places:
                raise ValueError(f"{path}: video {video} stands in {places[video].name} too")
            places[video] = path
        parts.append(part)
    return _joined(source, parts)


def documents(source: Path) -> list[Path]:
    """The file, or the json files of the folder by name."""
    if not source.is_dir():
        return [source]
    if found := sorted(source.glob("*.json")):
        return found
    raise FileNotFoundError(f"{source}: no json file in this folder: look at dataset.annotations")


def _part(
    path: Path, data: Any, skeleton: Skeleton, folder: Path, find: Find, origin: int
) -> Footage:
    """The people of one file."""
    given, noted, categories = (
        files.listed(path, data, key) for key in ("images", "annotations", "categories")
    )
    images = [_image(path, i, image, origin) for i, image in enumerate(given)]
    videos = _videos(path, images)
    frames = {video: find(video, listed) for video, listed in videos.items()}
    labelled = {image["id"] for image in images if image["is_labeled"]}
    category = categories[0].get("id", 1) if categories else 1
    known = {image["id"] for image in images}
    people = [
        {"category_id": category, **entry, "id": n}
        for n, entry in enumerate(noted, 1)
        if entry.get("image_id") in labelled or entry.get("image_id") not in known
    ]
    _shift(people, origin)
    names, entries = _known_joints(categories, people, skeleton)
    categories = [{**c, "keypoints": names} if c.get("keypoints") else c for c in categories]
    reach = _reach(entries)
    for image in images:
        if image.get("width") is None:
            video = frames[image["vid_id"]]
            image["width"], image["height"] = video.size() if video.numbers else reach
    document: Document = {"images": images, "annotations": entries, "categories": categories}
    checked = files.checked(path, document, skeleton, folder, "0.53*w*h")
    return Footage(
        people=checked,
        video=[image["vid_id"] for image in images],
        number=np.array([shots.split(Path(image["file_name"]))[1] for image in images], np.int64),
        labelled=np.array([bool(image["is_labeled"]) for image in images], np.bool_),
        track=_tracks(path, checked, entries, images),
        frames=frames,
        meant={image["vid_id"]: image.get("nframes") for image in reversed(images)},
        truth=_by_video(path, document | {"origin": origin}, videos),
    )


def _image(path: Path, i: int, image: Mapping[str, Any], origin: int) -> dict[str, Any]:
    file = image.get("file_name")
    if not isinstance(file, str) or not file:
        raise ValueError(f"{path}: images[{i}]: file_name must name the picture, got {file!r}")
    if not isinstance(image.get("id"), int | str):
        raise ValueError(f"{path}: images[{i}]: id must be a number or a word")
    entry = {"is_labeled": True, **image}
    for key in ("ignore_regions_x", "ignore_regions_y"):
        if origin and image.get(key):
            entry[key] = [[x - origin for x in region] for region in image[key]]
    return entry


def _videos(path: Path, images: Sequence[dict[str, Any]]) -> dict[str, dict[int, str]]:
    """The listed frames of every video by number. A video is a folder, or in a folder the files of
    one beginning; it is called by its vid_id, or by its folder where several have the same."""
    homes: dict[tuple[Path, str], dict[int, str]] = {}
    called: dict[tuple[Path, str], str] = {}
    for i, image in enumerate(images):
        file = Path(image["file_name"])
        prefix, number = shots.split(file)
        home = (file.parent, prefix)
        image["vid_id"] = called.setdefault(home, str(image.get("vid_id", file.parent.name)))
        if number in homes.setdefault(home, {}):
            raise ValueError(f"{path}: images[{i}]: frame {number} of {file.parent} is there twice")
        homes[home][number] = image["file_name"]
    if len(set(called.values())) < len(called):
        names = {home: f"{home[0] / home[1]}" for home in homes}
        for image in images:
            file = Path(image["file_name"])
            image["vid_id"] = names[file.parent, shots.split(file)[0]]
        called = names
    return {called[home]: files for home, files in homes.items()}


def _shift(entries: Sequence[dict[str, Any]], origin: int) -> None:
    """Labels that count pixels from `origin` in those that count from 0; absent joints stay."""
    if not origin:
        return
    for entry in entries:
        if isinstance(values := entry.get("keypoints"), list):
            x, y, v = values[::3], values[1::3], values[2::3]
            triples = [
                (a - origin, b - origin, c) if c else (0, 0, 0)
                for a, b, c in zip(x, y, v, strict=False)
            ]
            entry["keypoints"] = [value for triple in triples for value in triple]
        for key in ("bbox", "bbox_head"):
            if isinstance(box := entry.get(key), list):
                entry[key] = [value - origin for value in box[:2]] + box[2:]


def _known_joints(
    categories: Sequence[Mapping[str, Any]],
    entries: Sequence[dict[str, Any]],
    skeleton: Skeleton,
) -> tuple[list[str], list[dict[str, Any]]]:
    """Without joints that the skeleton does not know, where nobody has labelled them."""
    names = next((list(c["keypoints"]) for c in categories if c.get("keypoints")), [])
    unknown = [j for j, name in enumerate(names) if joint_named(str(name), skeleton) is None]
    whole = all(
        isinstance(entry.get("keypoints"), list) and len(entry["keypoints"]) == 3 * len(names)
        for entry in entries
    )
    if not unknown or not whole:  # what is not whole is named by whoever reads it
        return names, list(entries)
    empty = [j for j in unknown if not any(entry["keypoints"][3 * j + 2] for entry in entries)]
    kept = [j for j in range(len(names)) if j not in empty]
    slots = [3 * j + k for j in kept for k in range(3)]
    cut = [{**entry, "keypoints": [entry["keypoints"][i] for i in slots]} for entry in entries]
    return [names[j] for j in kept], cut


def _reach(entries: Sequence[Mapping[str, Any]]) -> tuple[int, int]:
    """Width and height that hold all boxes and joints: of a picture that nobody has."""
    corners = [(1.0, 1.0)]
    for entry in entries:
        values, box = entry.get("keypoints") or [0, 0], entry.get("bbox") or [0, 0, 0, 0]
        corners.append(
            (max([*values[::3], box[0] + box[2]]), max([*values[1::3], box[1] + box[3]]))
        )
    width, height = np.ceil(np.max(corners, 0)).astype(int).tolist()
    return width + 1, height + 1


def _tracks(
    path: Path,
    people: Annotations,
    entries: Sequence[Mapping[str, Any]],
    images: Sequence[Mapping[str, Any]],
) -> NDArray[np.int64]:
    """(N,); no two of a frame are the same."""
    given = {entry["id"]: entry.get("track_id") for entry in entries}
    count, taken, tracks = dict[int, int](), dict[tuple[int, int], int](), []
    for place, number in zip(people.picture.tolist(), people.ids.tolist(), strict=True):
        running = count[place] = count.get(place, -1) + 1
        track = running if given[number] is None else given[number]
        if not isinstance(track, int):
            raise ValueError(f"{path}: annotations[{number - 1}]: track_id {track!r} is no integer")
        if (place, track) in taken:
            raise ValueError(
                f"{path}: {images[place]['file_name']}: annotations[{taken[place, track] - 1}] and "
                f"[{number - 1}] have the same track_id {track}: it must be unique in a frame"
            )
        taken[place, track] = number
        tracks.append(track)
    return np.array(tracks, np.int64)


def _by_video(
    path: Path, document: Document, videos: Mapping[str, Mapping[int, str]]
) -> dict[str, Document]:
    """A document per video. Its name is that of the file, or of the folder of frames where a file
    holds several."""
    if len(videos) == 1:
        return {path.name: {"video": next(iter(videos)), **document}}
    image_of = {image["id"]: image["vid_id"] for image in document["images"]}
    split: dict[str, Document] = {
        video: {"video": video, **document, "images": [], "annotations": []} for video in videos
    }
    for image in document["images"]:
        split[image["vid_id"]]["images"].append(image)
    for entry in document["annotations"]:
        split[image_of[entry["image_id"]]]["annotations"].append(entry)
    homes = {video: Path(next(iter(x.values()))).parent.name for video, x in videos.items()}
    several = len(set(homes.values())) < len(homes)  # frames of all in one folder
    return {f"{v if several else homes[v]}.json": document for v, document in split.items()}


def _joined(source: Path, parts: Sequence[Footage]) -> Footage:
    """All in one, by video and frame."""
    shown = [picture for part in parts for picture in part.people.pictures]
    video = [name for part in parts for name in part.video]
    number = np.concatenate([part.number for part in parts])
    rank = {name: i for i, name in enumerate(dict.fromkeys(video))}
    order = np.lexsort((number, np.array([rank[name] for name in video])))
    if len({str(picture.id) for picture in shown}) < len(shown):  # every file has its own ids
        shown = [p._replace(id=f"{v}/{n}") for p, v, n in zip(shown, video, number, strict=True)]
    begin = np.cumsum([0, *(len(part.people.pictures) for part in parts)])
    place = np.argsort(order)[
        np.concatenate([part.people.picture + b for part, b in zip(parts, begin, strict=False)])
    ]
    columns = {
        name: np.concatenate([getattr(part.people, name) for part in parts])
        for name, column in vars(parts[0].people).items()
        if isinstance(column, np.ndarray)
    }
    return Footage(
        people=replace(
            parts[0].people,
            path=source,
            pictures=[shown[i] for i in order],
            **columns | {"picture": place, "ids": np.arange(1, len(place) + 1)},
        ),
        video=[video[i] for i in order],
        number=number[order],
        labelled=np.concatenate([part.labelled for part in parts])[order],
        track=np.concatenate([part.track for part in parts]),
        frames={name: x for part in parts for name, x in part.frames.items()},
        meant={name: x for part in parts for name, x in part.meant.items()},
        truth={name: x for part in parts for name, x in part.truth.items()},
    )
