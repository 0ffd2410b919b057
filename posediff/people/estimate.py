"""From pictures to people in 2D and 3D, in one call.

    for frame in posediff.estimate("photo.jpg"):
        for person in frame:
            person.keypoints_3d, person.spread_3d, person.keypoints_2d, person.box

Boxes come from a detector, 2D poses of the crops from image2d, and each 2D pose is lifted in an
image of its own (posediff/inference/lift.py): people of one photo, and people of two photos, are
never one person in successive frames. Only a video has tracks (posediff/people/video_people.py).
"""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import replace
from time import perf_counter
from typing import Any, Literal, get_args

import torch

from posediff import announce, config, speed
from posediff.diffusion import Model
from posediff.diffusion.choices import one_of
from posediff.inference.video_input import Video, open_video
from posediff.people.budget import costs, trials, within
from posediff.people.found_boxes import Finder, described, finder
from posediff.people.frame import Frame
from posediff.people.lifting import Carry, Draws, Rows, poses_3d
from posediff.people.sources import Given, Source, is_film, pictures_of
from posediff.people.stages import Seen, framed, models_of, poses_2d
from posediff.people.video_people import video_people

To = Literal["2d", "3d"]


def estimate(
    source: Source,
    to: To = "3d",
    models: Any = None,
    boxes: Any = None,
    detect: str = "people",
    hypotheses: int | None = None,
    steps: int | None = None,
    seed: int = 0,
    device: str = "cpu",
    carry: Carry = "posterior",
    budget_ms: float | None = None,
    compile: bool = False,
) -> Iterator[Frame]:
    """The people of every picture, one `Frame` after another.

    source: a photo's path, a folder of photos, an array (height, width, 3) of RGB in uint8, or a
    list of paths and arrays; or a video's path, whose people have tracks.
    to: "2d" leaves the 3D parts None.
    models: names of shipped models, folders or loaded models, as {"image2d": ..., "lift3d": ...} or
    a list. Those that are not given are the shipped ones of these names. In a video "video2d" takes
    the place of image2d, if it is given.
    boxes: of people, x, y, width, height in pixels: an array (N, 4) for every picture; a mapping,
    or a JSON file of one, from the name of a picture (the number of an array in its list, the
    number of a frame in six digits); or a callable from the pixels. {"box": ..., "track_id": 3}
    keeps a track of yours.
    detect: without boxes, the detector, or "whole": one person who fills the picture.
    hypotheses, steps: as in training, unless given; a model with one answer gives that one.
    carry: "posterior" lifts every 2D hypothesis, so that hypothesis k of the 3D was lifted from
    hypothesis k of the 2D; "point" lifts the 2D pose (posediff/people/lifting.py).
    budget_ms: the most milliseconds for a person, besides the detector: as many hypotheses and
    steps as this machine computes in that time, which is measured at the call.
    compile: compile the models at the call (torch.compile), which takes a minute or more and pays
    for thousands of people; the answers are the same but for rounding.
    device: cpu, cuda, cuda:1 ..; auto is the GPU where there is one.
    The answers depend on the seed, the names of the pictures and the indices of the boxes. What was
    used is `made_by` of every frame, and the same lines go to the log "posediff" at level INFO.

    Raises FileNotFoundError or ValueError at once if the call cannot be used. A photo that cannot
    be used does not stop the others; a ValueError names it at the end. A video stops at the first
    frame that cannot be used, with a ValueError.
    """
    one_of("to", to, get_args(To))
    one_of("carry", carry, get_args(Carry))
    film = is_film(source)
    given = open_video(str(source)) if film else pictures_of(source)
    device = str(config.device(device))
    names = given.names if isinstance(given, Video) else [picture.name for picture in given]
    find = finder(boxes, detect, device, film, names)
    used = models_of(models, to == "3d", film, device)
    draws = Draws(hypotheses, steps, seed, carry).into(used.get("lift3d"))
    if compile:
        logging.getLogger("posediff").info(speed.compiled_answers(used.values()))
        for trial in trials(used, draws, film):
            trial.run(*trial.asked(draws))
    if budget_ms is not None:
        draws = within(budget_ms, draws, used, costs(used, draws, film)).into(used.get("lift3d"))
    drawn = draws.described([*used.values()][-1]) + f", carry {carry}" * (to == "3d")
    made_by = announce.estimation(used, described(boxes, detect), drawn, torch.device(device))
    logging.getLogger("posediff").info("\n".join(made_by))
    if isinstance(given, Video):
        frames = video_people(given, find, used, draws)
    else:
        frames = _photos(given, find, used["image2d"], used.get("lift3d"), draws)
    return (replace(frame, made_by=made_by) for frame in frames)


def _photos(
    pictures: Sequence[Given], find: Finder, image2d: Model, lift3d: Model | None, draws: Draws
) -> Iterator[Frame]:
    """Raises ValueError at the end if pictures could not be used."""
    bad = list[str]()
    for picture in pictures:
        try:
            frame = _lifted(_seen(picture, find, image2d, draws), lift3d, draws)
        except (OSError, ValueError) as error:
            bad.append(str(error))
            continue
        yield frame
    if bad:
        count = f"{len(bad)} of {len(pictures)} pictures could not be used"
        raise ValueError(f"{count}: {'; '.join(bad)}")


def _seen(picture: Given, find: Finder, model: Model, draws: Draws) -> Seen:
    image = picture.read()
    start = perf_counter()
    found = find(picture.name, image)
    middle = perf_counter()
    poses = poses_2d(model, image, picture.name, found, draws)
    seconds = {"boxes": middle - start, "2d": perf_counter() - middle}
    return Seen(picture.name, (image.shape[1], image.shape[0]), found, poses, seconds, image)


def _lifted(seen: Seen, model: Model | None, draws: Draws) -> Frame:
    """The frame of a picture alone; every person is a track of their own."""
    count = len(seen.found.boxes)
    if model is None or seen.poses is None:
        return framed(seen, [None] * count)
    start, tracks = perf_counter(), torch.arange(count)
    rows = Rows(seen.poses, seen.ids(), tracks, torch.zeros_like(tracks))
    answers = poses_3d(model, rows, draws)
    seconds = {**seen.seconds, "3d": perf_counter() - start}
    return framed(replace(seen, seconds=seconds), answers)
