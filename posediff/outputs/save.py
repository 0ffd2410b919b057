"""Frames -> files that others read. One function, `save`; a function for each format.

    json     frames.json         everything, readable by `posediff.outputs.frame_json.read`
    coco     coco_results.json   2D as COCO's result file
    csv      joints.csv          a row per frame, person and joint
    npz      people.npz          arrays, a row per person
    angles   angles.csv          joint angles in degrees, with their intervals; of people in 3D
    curves   angles_NNN.png      the same of each track of a video, over time
    pictures NAME_people.jpg     every frame in 2D, and its people in 3D from two sides
    bvh      motion_NNN.bvh      rotations of each track of a video, for animation
    video    poses.mp4           every frame of a video with its people: H.264 with the extra
                                 `video`, or else MPEG-4 Part 2 and a warning
    trc      markers_NNN.trc     positions of each track of a video, for OpenSim

NNN is the number of the track; people without one have a file without number.
"""

import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from posediff.diffusion.choices import one_of
from posediff.files import adding_files, printable
from posediff.outputs.arrays import writing_arrays
from posediff.outputs.bvh import write_bvh
from posediff.outputs.coco_results import writing_coco
from posediff.outputs.frame_film import writing_film, writing_pictures
from posediff.outputs.frame_json import Add, writing_json
from posediff.outputs.tables import writing_angles, writing_joints
from posediff.outputs.tracks import TrackMotion, TrackMotions
from posediff.outputs.trc import write_trc
from posediff.people.frame import Frame
from posediff.pose.skeleton import skeleton
from posediff.visual.angle_curves import draw_curves
from posediff.visual.pose3d import write_picture

Writing = Callable[[Path], AbstractContextManager[Add]]


class Format(NamedTuple):
    file: str  # its name, with {} for the label of a track or the name of a frame
    writing: Writing


def save(
    frames: Iterable[Frame] | Frame,
    folder: str | Path,
    formats: Sequence[str] = ("json", "csv", "npz"),
) -> list[Path]:
    """Write a frame, or several, which may be a stream, in each of the formats. Returns the sorted
    paths.

    All files appear at the end, together, and none if something raises; other files of the folder
    stay. Raises ValueError if a format is unknown, or says why the frames do not fit it.
    """
    formats = [formats] if isinstance(formats, str) else list(formats)
    for name in formats:
        one_of("formats", name, FORMATS)
    with adding_files(Path(folder)) as beside:
        with ExitStack() as stack:
            chosen = [FORMATS[name] for name in dict.fromkeys(formats)]
            adds = [stack.enter_context(one.writing(beside / one.file)) for one in chosen]
            for frame in (frames,) if isinstance(frames, Frame) else frames:
                named = replace(frame, name=printable(frame.name))
                for add in adds:
                    add(named)
        written = sorted(path.name for path in beside.iterdir())
    return [Path(folder) / name for name in written]


def written_names(formats: Iterable[str]) -> list[str]:
    """The names of the files of these formats, * for what depends on the frames."""
    return [FORMATS[name].file.replace("{}", "*") for name in formats]


def _by_track(write: Callable[[Path, TrackMotion, TrackMotions], None]) -> Writing:
    """A file for each track in 3D, whose label takes the place of {} in the path's name."""

    @contextmanager
    def writing(path: Path) -> Iterator[Add]:
        tracks = TrackMotions()
        yield tracks.add
        if not tracks.found:
            warnings.warn(f"no {path.name.format('')}: nobody has a 3D pose", stacklevel=2)
        for motion in tracks.found.values():
            write(path.with_name(path.name.format(motion.label)), motion, tracks)

    return writing


def _bvh(path: Path, motion: TrackMotion, tracks: TrackMotions) -> None:
    write_bvh(path, motion.points(), skeleton(motion.skeleton), tracks.rate)


def _curves(path: Path, motion: TrackMotion, tracks: TrackMotions) -> None:
    frames = range(motion.first, max(motion.poses) + 1)
    timed = all(n in tracks.times for n in motion.poses) and len(tracks.times) > 1
    times = [n / tracks.rate if timed else n for n in frames]
    title = "Joint angles" + ("" if motion.track is None else f" of track {motion.track}")
    unit = "s" if timed else "frame"
    write_picture(path, draw_curves(times, motion.curves(), title, unit))


def _trc(path: Path, motion: TrackMotion, tracks: TrackMotions) -> None:
    write_trc(path, motion.points(), skeleton(motion.skeleton), tracks.rate, motion.first)


FORMATS = {
    "json": Format("frames.json", writing_json),
    "coco": Format("coco_results.json", writing_coco),
    "csv": Format("joints.csv", writing_joints),
    "npz": Format("people.npz", writing_arrays),
    "angles": Format("angles.csv", writing_angles),
    "curves": Format("angles{}.png", _by_track(_curves)),
    "bvh": Format("motion{}.bvh", _by_track(_bvh)),
    "video": Format("poses.mp4", writing_film),
    "gif": Format("poses.gif", writing_film),
    "pictures": Format("{}_people.jpg", writing_pictures),
    "trc": Format("markers{}.trc", _by_track(_trc)),
}
SOLID = ("angles", "curves", "bvh", "trc")  # formats of people in 3D
MOVING = ("curves", "video", "gif", "bvh", "trc")  # formats of videos, of FEWEST frames or more
FEWEST = 2
