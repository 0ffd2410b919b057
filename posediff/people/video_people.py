"""The people of a video file, frame after frame, in constant memory.

Every frame goes through the boxes, the 2D model (image2d, or video2d with the frames around it) and
the tracker. A lifter of single frames then lifts it at once. A lifter over windows of F frames
waits for CHUNK windows, and for F / 2 frames more if it answers for middle frames. Frames in which
a track is missing between others are bridged in a window, and not valid there
(posediff/inference/lift.py); no person is invented for them.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from time import perf_counter

import torch

from posediff.data.pictures.picture_files import RGB
from posediff.data.video.frames import VideoFile
from posediff.diffusion import Model, Poses
from posediff.inference.request import data_settings
from posediff.inference.video_input import TrackBox, Video, samples
from posediff.people.found_boxes import Finder, FoundBoxes
from posediff.people.frame import Frame
from posediff.people.lifting import BATCH, Draws, Rows, poses_3d
from posediff.people.stages import Seen, framed, poses_2d
from posediff.people.tracking import Tracker
from posediff.pose.affine import corners
from posediff.pose.skeleton import skeleton

CHUNK = 4  # windows that are lifted at once
Poser = Callable[[int, RGB, FoundBoxes], Poses | None]  # of a frame's index, pixels and boxes


def video_people(
    video: Video, find: Finder, models: Mapping[str, Model], draws: Draws
) -> Iterator[Frame]:
    """The frames of a video and their people. models: image2d or video2d, and perhaps lift3d.

    Raises ValueError for the first frame that cannot be used, after the frames before it.
    """
    stopped = list[Exception]()

    def until_stopped() -> Iterator[Seen]:
        try:
            yield from _seen(video, find, models, draws)
        except (OSError, ValueError) as error:
            stopped.append(error)

    yield from _lifted(until_stopped(), video.path, models.get("lift3d"), draws)
    if stopped:
        raise ValueError(f"{video.path}: {stopped[0]}") from stopped[0]


def _seen(video: Video, find: Finder, models: Mapping[str, Model], draws: Draws) -> Iterator[Seen]:
    """Every frame with its people in 2D, and their tracks."""
    model, poser = _poser(video, models, draws)
    tracker = Tracker(skeleton(model.head.skeleton))
    for index, name in enumerate(video.names):
        image = video.read(index)
        start = perf_counter()
        found = find(name, image)
        middle = perf_counter()
        poses, tracks = poser(index, image, found), list[int]()
        if poses is not None:
            boxes = corners(found.boxes)
            tracks = tracker.update(index, boxes, poses.keypoints, poses.scores, found.tracks)
        seconds = {"boxes": middle - start, "2d": perf_counter() - middle}
        size, time = (image.shape[1], image.shape[0]), video.time(index)
        yield Seen(name, size, found, poses, seconds, image, index, time, tracks)


def _poser(video: Video, models: Mapping[str, Model], draws: Draws) -> tuple[Model, Poser]:
    """The 2D model, and its poses of the people in a frame."""
    if "video2d" not in models:
        model, stem = models["image2d"], video.path.stem
        return model, lambda index, image, found: poses_2d(
            model, image, f"{stem}/{video.names[index]}", found, draws
        )
    model = models["video2d"]
    settings = data_settings(model, "offsets", "size", "codec", "mean", "std")

    def of_clip(index: int, image: RGB, found: FoundBoxes) -> Poses | None:
        people = [TrackBox(index, n, box) for n, box in enumerate(found.boxes)]
        clips = samples(video, people, **settings, count=BATCH)
        answers = [draws.predict(model, clip) for clip in clips]
        return Poses.cat(answers) if answers else None

    return model, of_clip


def _lifted(
    frames: Iterable[Seen], path: Path, model: Model | None, draws: Draws
) -> Iterator[Frame]:
    """The frames with their people in 3D, if there is a lifter, in chunks that it reads at once."""
    window = 1 if model is None else model.head.window.frames
    if window == 1:
        yield from (_together([frame], model, draws, path.stem)[0] for frame in frames)
        return
    assert model is not None
    chunk, margin = CHUNK * window, window // 2 if model.head.window.centred else 0
    film, held, first = VideoFile(path), list[Seen](), 0

    def answered(last: int) -> Iterator[Frame]:
        for frame in _together(held, model, draws, path.stem)[first:last]:
            yield replace(frame, image=film.read(frame.index or 0))

    for frame in frames:
        held.append(replace(frame, image=None))  # it is read again, so that few are in memory
        if len(held) == first + chunk + margin:
            yield from answered(first + chunk)
            held, first = held[first + chunk - margin :], margin
    yield from answered(len(held))


def _together(frames: Sequence[Seen], model: Model | None, draws: Draws, stem: str) -> list[Frame]:
    """Successive frames, lifted at once."""
    start, some = perf_counter(), [frame for frame in frames if frame.poses is not None]
    answers: list[Poses | None] = [None] * sum(len(frame.found.boxes) for frame in frames)
    if model is not None and some:
        rows = Rows(
            Poses.cat([frame.poses for frame in some if frame.poses is not None]),
            [f"{stem}/{name}" for frame in some for name in frame.ids()],
            torch.tensor([track for frame in some for track in frame.tracks or ()]),
            torch.tensor([frame.index for frame in some for _ in frame.tracks or ()]),
        )
        answers = poses_3d(model, rows, draws)
    took = (perf_counter() - start) / len(frames) if frames else 0.0
    made = list[Frame]()
    for frame in frames:
        count = len(frame.found.boxes)
        seconds = dict(frame.seconds) | ({} if model is None else {"3d": took})
        made.append(framed(replace(frame, seconds=seconds), answers[:count]))
        answers = answers[count:]
    return made
